"""The figures of a drill, from the clients' side only: outages, loss in time, rates and latencies.

All times are CLOCK_MONOTONIC nanoseconds; figures are seconds, or milliseconds where the name says so.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from farshore.drill.events import History, Kind
from farshore.drill.losses import Losses
from farshore.drill.operations import Ack, Operations
from farshore.drill.terms import Fault

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch without any acknowledgement; not `recovered` when it lasted to the end of the drill, for a second or
    more: every drill ends between two acknowledgements."""

    who: str
    start: int
    end: int
    recovered: bool

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SECOND_NS


@dataclass(frozen=True, slots=True)
class Outages:
    """The longest stretch for one kind of client: of the whole group, and of its worst single client."""

    group: Outage | None
    worst_client: Outage | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the time from invoke to acknowledgement, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Measures:
    """Everything the report states as a figure; None where there was nothing to measure.

    `home_acks_per_second` is the lost region's steady rate before the fault; times the link's one-way delay
    it gives `lost_expected`, the transfers one expects to be acknowledged and still on their way.
    """

    start: int
    end: int
    aware: Outages
    dns_only: Outages
    rpo_seconds: float
    acks_per_second: float | None
    home_acks_per_second: float | None
    lost_expected: float | None
    latency_before: Latency | None
    latency_after: Latency | None


def measure(
    operations: Operations,
    losses: Losses,
    fault: Fault | None,
    *,
    link_one_way_ms: float | None = None,
    ended_at: int | None = None,
    losing: Fault | None = None,
) -> Measures:
    """`ended_at` is when the load was stopped on purpose; without it, the last thing any client wrote.

    `fault` is the first one, `losing` the one that may lose, if that is another.
    """
    acks = operations.acks()
    attempts = list(operations.attempts())
    times = [attempt.invoke.t for attempt in attempts] + [ack.returned for ack in acks]
    start = min(times, default=0)
    end = max(max(times, default=0), ended_at or 0)
    away = fault.away if fault else frozenset()
    since = fault.at if fault else None
    before = [ack for ack in acks if fault is None or ack.returned < fault.at]
    after = [ack for ack in acks if fault is not None and ack.invoked > fault.at]
    home = [ack for ack in before if fault is not None and ack.region == fault.region]
    home_rate = _rate(home, fault.at if fault else end)
    delay_known = home_rate is not None and link_one_way_ms is not None
    delay_known = delay_known and fault is not None and fault.dead_region == fault.region
    return Measures(
        start=start,
        end=end,
        aware=outages(operations, "aware", away, end, since),
        dns_only=outages(operations, "plain", away, end, since),
        rpo_seconds=rpo_seconds(losses, losing or fault),
        acks_per_second=_rate(before, fault.at if fault else end),
        home_acks_per_second=home_rate,
        lost_expected=(home_rate or 0.0) * (link_one_way_ms or 0.0) / 1000 if delay_known else None,
        latency_before=latency(before),
        latency_after=latency(after),
    )


def outages(
    operations: Operations, kind: Kind, away: Collection[str], end: int, since: int | None = None
) -> Outages:
    """The longest stretches among the usual clients of a kind, but those whose views are `away`.

    Counted from the group's, or the client's, first acknowledgement to the end of the drill, so that a
    client that never came back has an outage too, and a growing one. Who was not acknowledged before `since`,
    the fault, is counted from there.
    """
    returns: dict[str, list[int]] = {client: [] for client in operations.usual(kind, away)}
    for ack in operations.acks():
        if ack.client in returns:
            returns[ack.client].append(ack.returned)
    every = [t for times in returns.values() for t in times]
    singles = [longest(client, _counted(times, since), end) for client, times in returns.items()]
    return Outages(
        group=longest(f"all {kind} clients", _counted(every, since), end),
        worst_client=longer(singles),
    )


def _counted(times: list[int], since: int | None) -> list[int]:
    return [since, *times] if times and since is not None and min(times) > since else times


def longer(outages: Iterable[Outage | None]) -> Outage | None:
    """The longest of those that are known."""
    known = [outage for outage in outages if outage is not None]
    return max(known, key=lambda outage: outage.seconds, default=None)


def longest(who: str, returns: Sequence[int], end: int) -> Outage | None:
    """The longest stretch between returns, or from the last one to `end`; None without any return."""
    if not returns:
        return None
    times = sorted(returns)
    times.append(max(end, times[-1]))
    start, stop = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
    return Outage(who=who, start=start, end=stop, recovered=stop != times[-1] or stop - start < SECOND_NS)


def rpo_seconds(losses: Losses, fault: Fault | None) -> float:
    """From the earliest lost acknowledgement to the fault, or to the latest one; 0 when none was lost.

    A cut-off writer goes on acknowledging until its lease ends, so that all it acknowledged may be lost.
    """
    if fault is None or not fault.may_lose or not losses.lost:
        return 0.0
    earliest = min(ack.returned for ack in losses.lost)
    latest = max(ack.returned for ack in losses.lost) if fault.dead_region is None else fault.at
    return max(0, max(fault.at, latest) - earliest) / SECOND_NS


def latency(acks: Collection[Ack]) -> Latency | None:
    """None without acknowledgements."""
    if not acks:
        return None
    times_ms = sorted((ack.returned - ack.invoked) / 1e6 for ack in acks)
    return Latency(
        count=len(times_ms),
        p50_ms=percentile(times_ms, 0.5),
        p95_ms=percentile(times_ms, 0.95),
        p99_ms=percentile(times_ms, 0.99),
        p999_ms=percentile(times_ms, 0.999),
        max_ms=times_ms[-1],
    )


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    rank = max(1, -int(-share * len(ascending) // 1))
    return ascending[min(rank, len(ascending)) - 1]


def _rate(acks: Sequence[Ack], until: int) -> float | None:
    if not acks:
        return None
    span_ns = until - min(ack.returned for ack in acks)
    return len(acks) * SECOND_NS / span_ns if span_ns > 0 else None


def unix_offset_ns(histories: Iterable[History]) -> int | None:
    """What to add to a monotonic time to get the wall clock's: the median of the clients' anchors."""
    offsets = [clock.unix_ns - clock.t for history in histories for clock in history.clocks]
    return round(median(offsets)) if offsets else None
