"""IAM documents as data: statements with a Sid, rendered to JSON once their ARNs are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

VERSION = "2012-10-17"


@dataclass(frozen=True, slots=True)
class Statement:
    """One grant. `principal` only in resource and trust policies; a Sid is unique within its document."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]] = ()
    principal: Mapping[str, Any] | None = None
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effect: str = "Allow"

    def render(self) -> dict[str, Any]:
        parts = {
            "Sid": self.sid,
            "Effect": self.effect,
            "Principal": self.principal,
            "Action": list(self.actions),
            "Resource": list(self.resources) or None,
            "Condition": dict(self.conditions) or None,
        }
        return {name: part for name, part in parts.items() if part is not None}


def document(*statements: Statement) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(
        {"Version": VERSION, "Statement": [statement.render() for statement in statements]}
    )


def trust(service: str, conditions: Mapping[str, Mapping[str, Any]] | None = None) -> pulumi.Output[str]:
    """Lets an AWS service assume the role."""
    return document(
        Statement("Service", ["sts:AssumeRole"], principal={"Service": service}, conditions=conditions or {})
    )
