"""Pulumi runs this: `pulumi up` deploys farshore as Pulumi.<stack>.yaml describes it."""

import pulumi

from farshore.infra.load import from_pulumi
from farshore.infra.stack import Farshore

stack = Farshore("farshore", from_pulumi())
for name, value in stack.outputs.items():
    pulumi.export(name, value)
