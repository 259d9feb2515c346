"""The Condition element of IAM policies. Operators and keys that this lab does not evaluate are refused, never ignored.

Operators: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
Several keys and values:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
Set operators: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Context = Callable[[str], tuple[str, ...] | None]
"""The value of a condition key (lower case) in this request; None when the request has none."""

ARN_PARTS = 6
KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:userid",
        "cloudwatch:namespace",
        "iam:passedtoservice",
        "kms:calleraccount",
        "kms:viaservice",
        "sts:externalid",
        "sts:rolesessionname",
    }
)
MULTIVALUED_KEYS = frozenset(
    {
        "dynamodb:leadingkeys",
        "route53:changeresourcerecordsetsactions",
        "route53:changeresourcerecordsetsnormalizedrecordnames",
        "route53:changeresourcerecordsetsrecordtypes",
    }
)
KEY_PREFIXES = ("aws:resourcetag/", "aws:principaltag/")


class UnsupportedPolicyError(Exception):
    """The policy says something this lab does not evaluate; guessing would flatter it."""


@functools.lru_cache(maxsize=4096)
def wildcard(pattern: str) -> Callable[[str], object]:
    """A matcher for `*` (any characters) and `?` (one); plain text is compared, not searched."""
    if "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    expression = "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern)
    return re.compile(expression, re.DOTALL).fullmatch


@functools.lru_cache(maxsize=4096)
def arn_like(pattern: str) -> Callable[[str], bool]:
    """ARN against ARN: wildcards stay inside one of the six colon-separated parts; only the last may hold colons."""
    wanted = [wildcard(part) for part in pattern.split(":", ARN_PARTS - 1)]

    def matches(arn: str) -> bool:
        parts = arn.split(":", ARN_PARTS - 1)
        return len(parts) == len(wanted) and all(
            match(part) for match, part in zip(wanted, parts, strict=True)
        )

    return matches


def _folded(value: str) -> Callable[[str], bool]:
    wanted = value.casefold()
    return lambda given: given.casefold() == wanted


Matcher = Callable[[str], Callable[[str], object]]
_OPERATORS: Mapping[str, tuple[Matcher, bool]] = {
    "StringEquals": (lambda value: value.__eq__, False),
    "StringNotEquals": (lambda value: value.__eq__, True),
    "StringEqualsIgnoreCase": (_folded, False),
    "StringNotEqualsIgnoreCase": (_folded, True),
    "StringLike": (wildcard, False),
    "StringNotLike": (wildcard, True),
    "ArnEquals": (arn_like, False),
    "ArnNotEquals": (arn_like, True),
    "ArnLike": (arn_like, False),
    "ArnNotLike": (arn_like, True),
    "Bool": (_folded, False),
}
"""How one policy value is compared, and whether the operator is negated."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key. `quantifier` is ForAllValues, ForAnyValue or empty."""

    key: str
    matchers: tuple[Callable[[str], object], ...]
    negated: bool
    quantifier: str
    if_exists: bool
    wanted_absent: bool | None = None

    def holds(self, context: Context) -> bool:
        values = context(self.key)
        if self.wanted_absent is not None:
            return (values is None) == self.wanted_absent
        if self.quantifier:
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
            # ForAllValues is true of a request without the key, ForAnyValue is not.
            every = self.quantifier == "ForAllValues"
            return (all if every else any)(self._fits(value) for value in values or ())
        if values is None:
            return self.if_exists or self.negated
        return all(self._fits(value) for value in values)

    def _fits(self, value: str) -> bool:
        return any(match(value) for match in self.matchers) != self.negated


def parse(block: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Every operator and key must hold. UnsupportedPolicyError names what is not evaluated here."""
    return tuple(
        _condition(operator, key, values) for operator, keys in block.items() for key, values in keys.items()
    )


def _condition(written: str, written_key: str, given: Any) -> Condition:
    quantifier, _, operator = written.rpartition(":")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    key = written_key.lower()
    values = [_text(value) for value in (given if isinstance(given, list) else [given])]
    _check(written, written_key, quantifier, operator, key)
    if operator == "Null":
        if len(values) != 1 or values[0] not in ("true", "false"):
            raise UnsupportedPolicyError(f"Null takes true or false, not {values}")
        return Condition(key, (), False, "", False, wanted_absent=values[0] == "true")
    matcher, negated = _OPERATORS[operator]
    return Condition(key, tuple(matcher(value) for value in values), negated, quantifier, if_exists)


def _check(written: str, written_key: str, quantifier: str, operator: str, key: str) -> None:
    if quantifier not in ("", "ForAllValues", "ForAnyValue") or operator not in (*_OPERATORS, "Null"):
        raise UnsupportedPolicyError(f"condition operator {written}")
    if not (key in KEYS or key in MULTIVALUED_KEYS or key.startswith(KEY_PREFIXES)):
        raise UnsupportedPolicyError(f"condition key {written_key}")
    if key in MULTIVALUED_KEYS and not quantifier and operator != "Null":
        raise UnsupportedPolicyError(f"{written_key} without ForAllValues or ForAnyValue")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
