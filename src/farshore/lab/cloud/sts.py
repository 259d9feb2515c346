"""Who may assume a role: whom its trust policy names, under its conditions, the external id among them.

A trust policy that names an account leaves it to that account's identity policies whom it lets assume the role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html (external id)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from farshore.lab.cloud.callers import Caller
from farshore.lab.cloud.conditions import Context
from farshore.lab.cloud.policy import Statement

ASSUME = "sts:assumerole"
DURATION_DEFAULT_S = 3600


@dataclass(frozen=True, slots=True)
class Trust:
    """What a trust policy says. `needs_identity_policy`: it trusts the account, which decides whom it lets go."""

    allowed: bool
    denied: bool
    needs_identity_policy: bool
    by: tuple[Statement, ...]


def trust_in(statements: Sequence[Statement], role: str, caller: Caller | str, context: Context) -> Trust:
    """`caller` is a caller, or the name of a service such as lambda.amazonaws.com."""
    naming = [
        (statement, how)
        for statement in statements
        if statement.applies(ASSUME, role, context) and (how := _named(statement, caller)) is not None
    ]
    denied = any(not statement.allows for statement, _ in naming)
    allowing = [(statement, how) for statement, how in naming if statement.allows]
    return Trust(
        allowed=bool(allowing) and not denied,
        denied=denied,
        needs_identity_policy=all(how == "account" for _, how in allowing),
        by=tuple(statement for statement, _ in allowing),
    )


def _named(statement: Statement, caller: Caller | str) -> str | None:
    if isinstance(caller, str):
        return "itself" if caller in statement.principals.get("Service", ()) else None
    who = statement.principals.get("AWS", ())
    if "*" in who or set(who) & set(caller.identities):
        return "itself"
    account = {caller.account, f"arn:aws:iam::{caller.account}:root"}
    return "account" if account & set(who) else None
