"""Who asks, how a request is written, and the refusals that several requests share."""

from collections.abc import Callable
from dataclasses import dataclass

from farshore.core import health
from farshore.core.authority import Authority
from farshore.core.errors import RefusedError
from farshore.core.facts import Now
from farshore.core.profile import Profile
from farshore.core.stamp import stamped


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks (the caller's ARN), when, why and under which ticket."""

    by: str
    now: Now
    profile: Profile
    reason: str = ""
    ticket: str | None = None


def write(before: Authority, after: Authority, asked: Asked, action: str, reason: str) -> Authority:
    told = f"{reason}{f': {asked.reason}' if asked.reason else ''}"
    return stamped(before, after, asked.now, action=action, reason=told, by=asked.by, ticket=asked.ticket)


Refusal = tuple[Callable[[], bool], str, str]
"""When, why, and what would help."""


def refuse_first(refusals: list[Refusal]) -> None:
    for applies, reason, next_step in refusals:
        if applies():
            raise RefusedError(reason, next_step)


def under_way(record: Authority) -> Refusal:
    plan = record.plan
    words = (
        f"a {plan.kind} to {plan.target} is under way ({record.phase}), asked for by {plan.requested_by}"
        if plan
        else ""
    )
    return (
        lambda: plan is not None,
        f"{words}.",
        "`farshore watch` follows it; `farshore abort` stops it where that is safe.",
    )


def still_quiet(record: Authority, target: str, now_ms: int) -> Refusal:
    until_ms = health.quiet_until_ms(record, target)
    return (
        lambda: now_ms < until_ms,
        f"the request of an earlier move got no reply and may still arrive for {(until_ms - now_ms) / 1000:.0f} s.",
        "wait that long, then repeat.",
    )
