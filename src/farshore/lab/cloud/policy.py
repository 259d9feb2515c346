"""IAM policies and how they are evaluated: an explicit deny, else an allow, else an implicit deny. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
Elements: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
Not evaluated, and refused where they would matter: permissions boundaries, session policies, policy variables,
NotPrincipal. Not evaluated, because this lab has none: service and resource control policies.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from farshore.lab.cloud import conditions
from farshore.lab.cloud.conditions import Condition, Context, UnsupportedPolicyError, arn_like, wildcard

_PARTS = frozenset(
    {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_VARIABLE = "${"


class Outcome(StrEnum):
    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `label` is its Sid, or its place in the policy counted from 0."""

    policy: str
    label: str
    allows: bool
    actions: tuple[Callable[[str], object], ...]
    other_actions: bool
    resources: tuple[Callable[[str], object], ...]
    other_resources: bool
    conditions: tuple[Condition, ...]
    principals: Mapping[str, tuple[str, ...]]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        """Whether it speaks of this request. `action` in lower case."""
        return (
            any(match(action) for match in self.actions) != self.other_actions
            and any(match(resource) for match in self.resources) != self.other_resources
            and all(condition.holds(context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by`: the statements that made it so; none for an implicit deny."""

    outcome: Outcome
    by: tuple[Statement, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOWED


def evaluate(statements: Iterable[Statement], action: str, resource: str, context: Context) -> Verdict:
    """One action on one resource; a call on several resources needs each of them allowed."""
    lowered = action.lower()
    applying = [statement for statement in statements if statement.applies(lowered, resource, context)]
    denying = tuple(statement for statement in applying if not statement.allows)
    if denying:
        return Verdict(Outcome.EXPLICIT_DENY, denying)
    return Verdict(Outcome.ALLOWED, tuple(applying)) if applying else Verdict(Outcome.IMPLICIT_DENY)


def parse(policy: str, document: str, *, trust: bool = False) -> tuple[Statement, ...]:
    """The statements of a document named `policy`.

    UnsupportedPolicyError: it cannot be read, or says something this lab does not evaluate. A trust policy has
    principals and no resources: its statements speak of the role they belong to.
    """
    try:
        read = json.loads(document)
        written = read["Statement"]
        return tuple(
            _statement(policy, str(index), one, trust=trust) for index, one in enumerate(_listed(written))
        )
    except UnsupportedPolicyError as unsupported:
        raise UnsupportedPolicyError(f"policy {policy}: {unsupported}") from unsupported
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedPolicyError(f"policy {policy} is no policy document: {error!r}") from error


def _statement(policy: str, index: str, written: dict[str, Any], *, trust: bool) -> Statement:
    label = str(written.get("Sid") or index)
    unknown = set(written) - _PARTS
    if unknown:
        raise UnsupportedPolicyError(f"statement {label}: element {', '.join(sorted(unknown))}")
    if _VARIABLE in json.dumps(written):
        raise UnsupportedPolicyError(f"statement {label}: policy variables")
    if ("Principal" in written) != trust:
        raise UnsupportedPolicyError(
            f"statement {label}: Principal belongs in trust policies, and only there"
        )
    actions, other_actions = _either(written, "Action", "NotAction")
    resources, other_resources = (["*"], False) if trust else _either(written, "Resource", "NotResource")
    try:
        parsed = conditions.parse(written.get("Condition", {}))
    except UnsupportedPolicyError as unsupported:
        raise UnsupportedPolicyError(f"statement {label}: {unsupported}") from unsupported
    return Statement(
        policy=policy,
        label=label,
        allows={"Allow": True, "Deny": False}[written["Effect"]],
        actions=tuple(wildcard(action.lower()) for action in actions),
        other_actions=other_actions,
        resources=tuple(wildcard("*") if r == "*" else arn_like(r) for r in resources),
        other_resources=other_resources,
        conditions=parsed,
        principals=dict(_principals(written.get("Principal", {}))),
    )


def _principals(written: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    if written == "*":
        yield "AWS", ("*",)
        return
    for kind, who in written.items():
        if kind not in ("AWS", "Service"):
            raise UnsupportedPolicyError(f"principals of kind {kind}")
        yield kind, tuple(_listed(who))


def _either(written: dict[str, Any], name: str, negated: str) -> tuple[list[Any], bool]:
    if (name in written) == (negated in written):
        raise UnsupportedPolicyError(f"exactly one of {name} and {negated} is needed")
    return _listed(written.get(name, written.get(negated))), negated in written


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
