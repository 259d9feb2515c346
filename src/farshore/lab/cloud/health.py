"""Route 53's rules for health checks and failover records, pure.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html,
https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html and
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from farshore.lab.cloud.alarm_rules import State

CALCULATED = "CALCULATED"
CLOUDWATCH_METRIC = "CLOUDWATCH_METRIC"
HTTPS = "HTTPS"
HEALTHY_ABOVE_PERCENT = 18
"""Of the checkers: more of them must call an endpoint healthy."""

Stream = Callable[[str, str], State]
"""What an alarm's data stream says, by region and alarm name."""


class Insufficient(StrEnum):
    """InsufficientDataHealthStatus."""

    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    LAST_KNOWN = "LastKnownStatus"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What checkers ask, how often, and how many answers in a row change a checker's mind."""

    host: str
    path: str = "/"
    interval_s: int = 30
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One health check of the three kinds the lab evaluates."""

    kind: str
    inverted: bool = False
    disabled: bool = False
    alarm: tuple[str, str] | None = None
    insufficient: Insufficient = Insufficient.LAST_KNOWN
    children: tuple[str, ...] = ()
    threshold: int = 0
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`healthy` is what counts for DNS; `why` says what it came from, before inversion."""

    healthy: bool
    why: str


@dataclass(frozen=True, slots=True)
class Health:
    """All verdicts of one evaluation; `known` is what sufficient data last said, carried to the next one."""

    verdicts: Mapping[str, Verdict]
    known: Mapping[str, bool]

    def healthy(self, check: str | None) -> bool:
        """A record without a check is always healthy; one whose check is gone never is."""
        if not check:
            return True
        verdict = self.verdicts.get(check)
        return verdict is not None and verdict.healthy


NOTHING_KNOWN = Health({}, {})


@dataclass(frozen=True, slots=True)
class Opinion:
    """One checker's of one endpoint; None until enough answers were alike. `streak`: how many in a row were `last`."""

    healthy: bool | None = None
    last: bool = False
    streak: int = 0


def heard(before: Opinion, passed: bool, failures: int) -> Opinion:
    """`failures` answers in a row change a checker's mind, in either direction."""
    streak = before.streak + 1 if passed is before.last and before.streak else 1
    return Opinion(passed if streak >= failures else before.healthy, passed, streak)


def aggregate(opinions: Iterable[Opinion]) -> Verdict:
    """What Route 53 makes of all checkers' opinions; without any it takes the endpoint for healthy."""
    known = [opinion.healthy for opinion in opinions if opinion.healthy is not None]
    if not known:
        return Verdict(True, "no checker knows yet, so considered healthy")
    well = sum(known)
    why = f"{well} of {len(known)} checkers report the endpoint healthy"
    return Verdict(100 * well > HEALTHY_ABOVE_PERCENT * len(known), why)


Endpoints = Callable[[str], Verdict]
"""What the checkers make of a health check's endpoint."""


def _unasked(_check: str) -> Verdict:
    return aggregate(())


def evaluate(
    checks: Mapping[str, Check],
    stream: Stream,
    before: Health = NOTHING_KNOWN,
    endpoints: Endpoints = _unasked,
) -> Health:
    """Evaluate all checks at one instant; CALCULATED ones see the others' new verdicts."""
    known = {name: value for name, value in before.known.items() if name in checks}
    verdicts: dict[str, Verdict] = {}
    for name, check in checks.items():
        if check.kind == HTTPS:
            verdicts[name] = _finish(check, endpoints(name))
        elif check.kind != CALCULATED:
            verdicts[name] = _finish(check, _monitor(name, check, stream, known))
    monitored = dict(verdicts)
    for name, check in checks.items():
        if check.kind == CALCULATED:
            verdicts[name] = _finish(check, _calculate(check, monitored))
    return Health(verdicts, known)


def _finish(check: Check, verdict: Verdict) -> Verdict:
    """Disabled counts as healthy whatever was seen; to stop traffic AWS says to invert, so that comes last."""
    if check.disabled:
        verdict = Verdict(True, "disabled, so considered healthy")
    if check.inverted:
        return Verdict(not verdict.healthy, f"inverted: {verdict.why}")
    return verdict


def _monitor(name: str, check: Check, stream: Stream, known: dict[str, bool]) -> Verdict:
    state = stream(*check.alarm) if check.alarm else State.INSUFFICIENT_DATA
    if state is not State.INSUFFICIENT_DATA:
        known[name] = state is State.OK
        return Verdict(known[name], f"the alarm's data stream says {state}")
    match check.insufficient:
        case Insufficient.HEALTHY:
            healthy = True
        case Insufficient.UNHEALTHY:
            healthy = False
        case _:
            healthy = known.get(name, True)
    return Verdict(healthy, f"insufficient data, configured as {check.insufficient}")


def _calculate(check: Check, monitored: Mapping[str, Verdict]) -> Verdict:
    """A threshold of 0 is always met, one above the number of children never; nested checks do not exist."""
    healthy = sum(child in monitored and monitored[child].healthy for child in check.children)
    why = f"{healthy} of {len(check.children)} child health checks are healthy, {check.threshold} needed"
    return Verdict(healthy >= check.threshold, why)


Choice = TypeVar("Choice")


def choose_failover(
    primary: Choice | None, secondary: Choice | None, healthy: Callable[[Choice], bool]
) -> Choice | None:
    """Active-passive failover; when no record is healthy all count as healthy, so the primary answers."""
    for record in (primary, secondary):
        if record is not None and healthy(record):
            return record
    return primary if primary is not None else secondary
