"""CloudWatch's rules for a metric alarm, pure: data points in, a state out.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

RANGE_BEYOND_PERIODS = 2
"""Data points looked at beyond EvaluationPeriods. AWS does not say how many; its examples use 5 for 3."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


class State(StrEnum):
    """An alarm's state."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """TreatMissingData."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


_COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What an alarm compares; `period_s` as configured, whatever the cadence."""

    comparison: str
    threshold: float
    period_s: int
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Missing = Missing.MISSING

    @property
    def range_length(self) -> int:
        """How many periods back the evaluation looks (AWS: the evaluation range)."""
        return self.evaluation_periods + RANGE_BEYOND_PERIODS

    @property
    def interval_s(self) -> int:
        """How often AWS evaluates the alarm."""
        if self.period_s < _MINUTE_S:
            return 10
        return _HOUR_S if self.period_s * self.evaluation_periods > _DAY_S else _MINUTE_S

    def breaches(self, value: float) -> bool:
        return _COMPARISONS[self.comparison][0](value, self.threshold)


def comparable(comparison: str) -> bool:
    """Whether the operator compares with a threshold; the others need an anomaly band."""
    return comparison in _COMPARISONS


@dataclass(frozen=True, slots=True)
class Outcome:
    """`state` None means that the alarm keeps the state it has; `evaluated` are the real points that counted."""

    state: State | None
    evaluated: tuple[float, ...]
    missing: int


def evaluate(rule: Rule, points: Sequence[float | None], *, periods_old: float | None = None) -> Outcome:
    """The state that the points of the evaluation range (oldest first, None = missing) put an alarm in.

    A lone run of breaching points younger than DatapointsToAlarm neither raises nor clears an alarm whose
    missing data count as missing or are ignored: the page says only that it does not go to ALARM yet.

    `periods_old`: for how long the alarm has been as it is, None for long enough. AWS: an alarm that "has just
    started" is in INSUFFICIENT_DATA. It does not say how long that lasts; here, what is missing raises no alarm before
    it has been missing for EvaluationPeriods of the alarm's own life.
    """
    real = [point for point in points if point is not None][-rule.evaluation_periods :]
    missing = rule.evaluation_periods - len(real)
    breaching = sum(map(rule.breaches, real))

    def outcome(state: State | None) -> Outcome:
        return Outcome(state, tuple(real), missing)

    if rule.missing is Missing.BREACHING:
        if breaching + missing < rule.datapoints_to_alarm:
            return outcome(State.OK)
        just_started = periods_old is not None and periods_old < rule.evaluation_periods
        if just_started and breaching < rule.datapoints_to_alarm:
            return outcome(None)
        return outcome(State.ALARM)
    if breaching >= rule.datapoints_to_alarm:
        return outcome(State.ALARM)
    all_breach = breaching == len(real)
    if rule.missing is Missing.NOT_BREACHING or not all_breach:
        return outcome(State.OK)
    if rule.missing is Missing.IGNORE:
        return outcome(None)
    if not real:
        return outcome(State.INSUFFICIENT_DATA)
    oldest_age = len(points) - next(i for i, point in enumerate(points) if point is not None)
    return outcome(State.ALARM if oldest_age >= rule.datapoints_to_alarm else None)


def reason(rule: Rule, outcome: Outcome, state: State) -> str:
    """CloudWatch's wording for the state change; the points newest first, as it prints them."""
    if state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {outcome.missing} datapoints were unknown."
    counted = outcome.evaluated[::-1]
    breaching = sum(map(rule.breaches, counted))
    words = _COMPARISONS[rule.comparison][1]
    wanted = "OK -> ALARM" if state is State.ALARM else "ALARM -> OK"
    if state is State.ALARM:
        minimum = rule.datapoints_to_alarm
    else:
        minimum = rule.evaluation_periods - rule.datapoints_to_alarm + 1
    shown = breaching if state is State.ALARM else len(counted) - breaching
    filled = f", {outcome.missing} missing treated as {rule.missing}" if outcome.missing else ""
    values = ", ".join(str(value) for value in counted)
    crossed = words if state is State.ALARM else f"not {words}"
    plural = "s" if minimum > 1 else ""
    return (
        f"Threshold Crossed: {shown} out of the last {len(counted)} datapoints [{values}]{filled} were {crossed} "
        f"the threshold ({rule.threshold}) (minimum {minimum} datapoint{plural} for {wanted} transition)."
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """One datum as put: a single value (`count` 1), or a statistic set."""

    at_s: float
    count: float
    total: float
    least: float
    most: float
    unit: str | None = None


def statistic(name: str, samples: Sequence[Sample]) -> float | None:
    """Average, Sum, Minimum, Maximum, SampleCount or pNN of one period; None without data.

    A percentile needs single values; AWS too refuses it for most statistic sets.
    """
    count = sum(sample.count for sample in samples)
    if not count:
        return None
    match name:
        case "Average":
            return sum(sample.total for sample in samples) / count
        case "Sum":
            return sum(sample.total for sample in samples)
        case "SampleCount":
            return count
        case "Minimum":
            return min(sample.least for sample in samples)
        case "Maximum":
            return max(sample.most for sample in samples)
    return _percentile(name, samples)


def _percentile(name: str, samples: Sequence[Sample]) -> float | None:
    if not name.startswith("p") or any(sample.least != sample.most for sample in samples):
        return None
    values = sorted(sample.total for sample in samples)
    rank = math.ceil(float(name[1:]) / 100 * len(values))
    return values[max(0, rank - 1)]


def points(
    name: str,
    samples: Iterable[Sample],
    *,
    now_s: float,
    period_s: float,
    length: int,
    unit: str | None = None,
) -> list[float | None]:
    """The `length` periods that end at `now_s`, oldest first, each as its statistic or None."""
    periods: list[list[Sample]] = [[] for _ in range(length)]
    start_s = now_s - length * period_s
    for sample in samples:
        index = math.floor((sample.at_s - start_s) / period_s)
        if 0 <= index < length and (unit is None or sample.unit == unit):
            periods[index].append(sample)
    return [statistic(name, period) for period in periods]
