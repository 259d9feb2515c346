"""Rotation of both logins, in the region of the primary secret, at the writer wherever it is.

While that region is lost nothing rotates; a password that is some days older is no outage. Replicas follow by
themselves. https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets.html
"""

from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from farshore.infra.credentials import Credentials
from farshore.infra.functions import FunctionArgs, RegionFunction


@dataclass(frozen=True, slots=True)
class RotationArgs:
    """`function` as for a loop; its kind, secrets and concurrency are set here."""

    function: FunctionArgs
    credentials: Credentials
    every_days: int


class Rotation(RegionFunction):
    """One at a time: two secrets changed at once would only wait for the same writer."""

    def __init__(self, name: str, args: RotationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        rotated = {"master": args.credentials.master, "controller": args.credentials.controller}
        function = replace(
            args.function,
            kind="rotation",
            secret_arns=[secret.arn for secret in rotated.values()],
            concurrency=1,
        )
        super().__init__("farshore:infra:Rotation", name, function, opts)
        site = args.function.site
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            statement_id="rotation",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal="secretsmanager.amazonaws.com",
            source_account=site.account,
            opts=site.options(self),
        )
        for label, secret in rotated.items():
            aws.secretsmanager.SecretRotation(
                f"{name}-{label}",
                secret_id=secret.id,
                rotation_lambda_arn=self.function.arn,
                rotate_immediately=False,
                rotation_rules={"automatically_after_days": args.every_days},
                opts=site.options(self, depends_on=[permission]),
            )
        self.register_outputs({"functionName": self.function.name})
