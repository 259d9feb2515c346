"""What a region's monitor makes of its readings of the replication lag. Pure: readings in, a verdict out.

Two sources. The *database*: aurora_global_db_status() on the one writer endpoint that says it writes. *CloudWatch*:
AuroraGlobalDBRPOLag, which exists only in the region that is a secondary now, and moves when roles swap.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html

What is missing, stale, moved or contradicted is unknown: never zero, and never healthy. For a while after the writer
has moved, a region still has what belongs to its role of before, and not yet what belongs to the new one: that is
*settling*, and no doubt. The database's word decides the lag; CloudWatch cannot replace it, because its newest value
may be of before the loss, but it can contradict it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """What a monitor says of the lag."""

    OK = "ok"
    LATE = "late"
    UNKNOWN = "unknown"


class Quality(StrEnum):
    """What one reading is worth. ABSENT: it is not there and must not be; PENDING: no answer is due yet; SETTLING: it
    is of the roles of before, and of the new ones nothing is due yet."""

    KNOWN = "known"
    ABSENT = "absent"
    PENDING = "pending"
    SETTLING = "settling"
    MISSING = "missing"
    STALE = "stale"
    MOVED = "moved"
    CONTRADICTORY = "contradictory"

    @property
    def is_doubt(self) -> bool:
        return self not in (Quality.KNOWN, Quality.ABSENT, Quality.PENDING, Quality.SETTLING)


@dataclass(frozen=True, slots=True)
class Replica:
    """One secondary region in the writer's words; `age_ms` since the writer calculated it, by its own clock."""

    region: str
    rpo_lag_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class Word:
    """A writer endpoint's last answer: whether it writes, and how far it says its secondaries are behind."""

    writes: bool
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """CloudWatch's last answer about this region's cluster: the newest value, the time since the end of its period, and
    the Unix minute of that period, all None without one.

    `answered_ms` since that answer (None: never), `asked_ms` since the first question.
    """

    lag_ms: int | None = None
    age_ms: int | None = None
    answered_ms: int | None = None
    asked_ms: int | None = None
    minute: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Milliseconds. Two readings contradict each other when they are further apart than `alert_ms`. `settling_ms`: how
    long after a move a new secondary may be without its first value."""

    alert_ms: int = 5000
    status_stale_ms: int = 30_000
    metric_stale_ms: int = 300_000
    settling_ms: int = 180_000


LIMITS = Limits()
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a monitor of region `me` has. `words`: of the regions whose writer endpoint has answered lately.

    `recent`: the least and the most that the database said over the time in which CloudWatch's value may have arisen.
    `writer_for_ms`: for how long the region that writes now has been the one that writes; None: nobody knows.
    """

    me: str
    words: Mapping[str, Word] = field(default_factory=dict)
    metric: Metric = Metric()
    recent: tuple[int, int] | None = None
    writer_for_ms: int | None = None

    @property
    def writer(self) -> str | None:
        return sole_writer(self.words)


def sole_writer(words: Mapping[str, Word]) -> str | None:
    """The one region that says it writes; None when there is none, or more than one."""
    writers = [region for region, word in words.items() if word.writes]
    return writers[0] if len(writers) == 1 else None


@dataclass(frozen=True, slots=True)
class Reading:
    """`age_ms` of what the source said last, if it has said anything."""

    source: str
    quality: Quality
    why: str
    lag_ms: int | None = None
    age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lag_ms` is None exactly when the state is UNKNOWN; `why` is for a person."""

    state: State
    lag_ms: int | None
    why: str
    readings: tuple[Reading, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """The readings that should be known and are not."""
        return tuple(f"{r.source}: {r.why}" for r in self.readings if r.quality.is_doubt)

    @property
    def unknown(self) -> int | None:
        """How many readings should be known and are not; None while none is in doubt and one is still to come.

        Each loop asks anew: a zero from its first seconds would deny what the loop before it found out.
        """
        count = len(self.doubts)
        return None if not count and any(r.quality is Quality.PENDING for r in self.readings) else count


def judge(seen: Seen, limits: Limits) -> Verdict:
    """The verdict on one instant's readings."""
    database = _database(seen, limits)
    metric = _metric(seen, limits)
    if metric.quality is Quality.KNOWN and database.quality is Quality.KNOWN:
        metric = _compared(metric, seen, limits)
    metric = Reading(metric.source, metric.quality, metric.why, metric.lag_ms, seen.metric.age_ms)
    readings = (database, metric)
    contradiction = next((r for r in readings if r.quality is Quality.CONTRADICTORY), None)
    if contradiction is not None:
        return Verdict(State.UNKNOWN, None, contradiction.why, readings)
    if database.lag_ms is None:
        return Verdict(State.UNKNOWN, None, f"{database.why}{_last_word(metric, seen)}", readings)
    state = State.LATE if database.lag_ms > limits.alert_ms else State.OK
    return Verdict(state, database.lag_ms, database.why, readings)


def _database(seen: Seen, limits: Limits) -> Reading:
    def reading(quality: Quality, why: str, lag_ms: int | None = None, age_ms: int | None = None) -> Reading:
        return Reading("database", quality, why, lag_ms, age_ms)

    writers = sorted(region for region, word in seen.words.items() if word.writes)
    if not seen.words:
        return reading(Quality.MISSING, "no writer endpoint answers")
    if not writers:
        return reading(Quality.MISSING, f"{' and '.join(sorted(seen.words))} answer, and none of them writes")
    if len(writers) > 1:
        return reading(Quality.CONTRADICTORY, f"{' and '.join(writers)} both say that they write")
    replicas = [r for r in seen.words[writers[0]].replicas if r.region != writers[0]]
    if not replicas:
        return reading(Quality.MISSING, f"{writers[0]} writes and reports no secondary")
    nearest = min(replicas, key=lambda replica: replica.rpo_lag_ms)
    if nearest.age_ms > limits.status_stale_ms:
        return reading(
            Quality.STALE, f"{writers[0]} calculated the lag {_s(nearest.age_ms)} ago", None, nearest.age_ms
        )
    why = f"{writers[0]} says that {nearest.region} is {nearest.rpo_lag_ms} ms behind"
    return reading(Quality.KNOWN, why, nearest.rpo_lag_ms, nearest.age_ms)


def _metric(seen: Seen, limits: Limits) -> Reading:
    metric = seen.metric
    if metric.answered_ms is None or metric.answered_ms > limits.metric_stale_ms:
        since_ms = metric.answered_ms if metric.answered_ms is not None else metric.asked_ms
        if metric.answered_ms is None and (since_ms is None or since_ms <= limits.status_stale_ms):
            return _cloudwatch(Quality.PENDING, "not asked yet, or no answer yet")
        return _cloudwatch(Quality.MISSING, f"no answer for {_s(since_ms or 0)}")
    if metric.age_ms is None or metric.lag_ms is None or metric.age_ms > limits.metric_stale_ms:
        return _without_fresh_value(seen, limits)
    if seen.writer != seen.me:
        return _cloudwatch(Quality.KNOWN, f"{metric.lag_ms} ms, {_s(metric.age_ms)} ago", metric.lag_ms)
    if _is_of_before(seen, metric.age_ms):
        return _cloudwatch(Quality.SETTLING, f"the newest value is of before {seen.me} wrote")
    return _cloudwatch(Quality.MOVED, f"{seen.me} writes, yet has a value of {_s(metric.age_ms)} ago")


def _without_fresh_value(seen: Seen, limits: Limits) -> Reading:
    metric = seen.metric
    if seen.writer == seen.me:
        return _cloudwatch(Quality.ABSENT, f"{seen.me} writes, so there is none")
    if seen.writer_for_ms is not None and seen.writer_for_ms <= limits.settling_ms:
        return _cloudwatch(Quality.SETTLING, f"{seen.me} has just become a secondary, and has no value yet")
    if metric.lag_ms is not None and metric.age_ms is not None:
        return _cloudwatch(Quality.STALE, f"the newest value is {_s(metric.age_ms)} old")
    if seen.writer is None:
        return _cloudwatch(Quality.ABSENT, "none, and nobody knows whether there should be")
    return _cloudwatch(Quality.MISSING, f"{seen.me} is a secondary, yet has no value")


def _cloudwatch(quality: Quality, why: str, lag_ms: int | None = None) -> Reading:
    return Reading("cloudwatch", quality, why, lag_ms)


def _is_of_before(seen: Seen, age_ms: int) -> bool:
    """Whether a value's minute had begun when the writer moved; one minute more, for clocks and Aurora's last word."""
    return seen.writer_for_ms is not None and seen.writer_for_ms <= age_ms + 2 * _MINUTE_MS


def _compared(metric: Reading, seen: Seen, limits: Limits) -> Reading:
    if seen.recent is None or metric.lag_ms is None:
        return metric
    least, most = seen.recent
    if least - limits.alert_ms <= metric.lag_ms <= most + limits.alert_ms:
        return metric
    why = f"CloudWatch says {metric.lag_ms} ms where the writer said {least} to {most} ms"
    return Reading(metric.source, Quality.CONTRADICTORY, why)


def _last_word(metric: Reading, seen: Seen) -> str:
    if metric.quality is not Quality.KNOWN or seen.metric.age_ms is None:
        return ""
    return f"; CloudWatch said {metric.lag_ms} ms {_s(seen.metric.age_ms)} ago"


Minute = tuple[int, int, int]
"""A Unix minute, and the least and the most lag that the database said in it, in ms."""
MINUTES_KEPT = 5


def noted(minutes: tuple[Minute, ...], minute: int, lag_ms: int) -> tuple[Minute, ...]:
    """The last minutes with one more sample in them."""
    of_minute = [(least, most) for at, least, most in minutes if at == minute]
    least, most = (min([lag_ms, *(a for a, _ in of_minute)]), max([lag_ms, *(b for _, b in of_minute)]))
    others = [kept for kept in minutes if kept[0] != minute]
    return tuple(sorted([*others, (minute, least, most)])[-MINUTES_KEPT:])


def around(minutes: tuple[Minute, ...], minute: int) -> tuple[int, int] | None:
    """The least and the most of a minute and its neighbours, for clocks differ; None when nothing was said in it."""
    near = [kept for kept in minutes if abs(kept[0] - minute) <= 1]
    if not any(kept[0] == minute for kept in near):
        return None
    return min(least for _, least, _ in near), max(most for _, _, most in near)


def _s(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.0f} s"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a state must last before people are told of it, in ms: a single sample is no news."""

    late_ms: int
    unknown_ms: int
    ok_ms: int

    def of(self, state: State) -> int:
        return {State.LATE: self.late_ms, State.UNKNOWN: self.unknown_ms, State.OK: self.ok_ms}[state]


def is_news(told: State, verdict: State, lasted_ms: int, patience: Patience) -> bool:
    """Whether people, last told of `told`, are to be told of what has lasted for so long."""
    return verdict is not told and lasted_ms >= patience.of(verdict)


def lines(verdict: Verdict) -> Iterator[str]:
    """The verdict and every reading, for an alert's reader."""
    shown = "unknown" if verdict.lag_ms is None else f"{verdict.lag_ms} ms"
    yield f"replication lag: {shown} ({verdict.state}): {verdict.why}"
    for reading in verdict.readings:
        yield f"{reading.source}: {reading.quality}: {reading.why}"
