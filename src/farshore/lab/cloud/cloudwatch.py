"""Alarms that are really evaluated: a thread over moto's CloudWatch backends, by the rules of `alarm_rules`.

Metric data keep their true times; a period lasts `period / cadence` seconds, and an alarm is evaluated `cadence`
times as often as at AWS, but for the metrics of TRUE_TIME. A lost region's CloudWatch evaluates nothing, and its data
stream says nothing.
"""

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import moto.cloudwatch.urls
from moto.cloudwatch.models import cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse

from farshore.lab.cloud.alarm_actions import Transition, act, actions, message
from farshore.lab.cloud.alarm_rules import (
    Missing,
    Outcome,
    Rule,
    Sample,
    State,
    comparable,
    evaluate,
    points,
    reason,
)
from farshore.lab.cloud.overlay import swap
from farshore.lab.cloud.refusals import NotInTheLabError

_log = logging.getLogger(__name__)

_INITIAL_REASON = "Unchecked: Initial alarm creation"
_KEPT_DATA_MAX = 200_000
TRUE_TIME = frozenset({"AWS/Lambda"})
"""Namespaces whose metrics come with true minutes, as schedules do: their alarms are evaluated at cadence 1."""
_Metric = tuple[str, str, frozenset[tuple[str, str]]]


class LabCloudWatch(CloudWatchResponse):
    """A new alarm starts as INSUFFICIENT_DATA; updating one leaves its state unchanged.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """

    alarms: ClassVar["AlarmEvaluator | None"] = None

    def put_metric_alarm(self) -> Any:
        for kind in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            for arn in self._get_param(kind, []):
                if arn.split(":")[2] != "sns" or arn.split(":")[3] != self.region:
                    raise NotInTheLabError(f"an alarm tells topics of its own region, not {arn}.")
        alarms = self.cloudwatch_backend.alarms
        before = alarms.get(self._get_param("AlarmName"))
        answer = super().put_metric_alarm()
        alarm = alarms[self._get_param("AlarmName")]
        alarm.state_value = before.state_value if before else State.INSUFFICIENT_DATA.value
        alarm.state_reason = before.state_reason if before else _INITIAL_REASON
        if before:
            alarm.state_reason_data, alarm.history = before.state_reason_data, before.history
            alarm.state_updated_timestamp = before.state_updated_timestamp
        return answer

    def set_alarm_state(self) -> Any:
        """Acts as any other transition does, until the next evaluation.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
        """
        backend = self.cloudwatch_backend
        alarm = backend.alarms.get(self._get_param("AlarmName"))
        before = State(alarm.state_value) if alarm else None
        answer = super().set_alarm_state()
        if self.alarms is not None and alarm is not None and before not in (None, alarm.state_value):
            self.alarms.changed(backend.account_id, self.region, alarm, State(before))
        return answer


def install(alarms: "AlarmEvaluator | None" = None) -> None:
    """Put the overlay in moto's place; before the first request. `alarms` acts on states that are set by hand."""
    swap(moto.cloudwatch.urls, type("LabCloudWatch", (LabCloudWatch,), {"alarms": alarms}))


@dataclass(slots=True)
class _Watched:
    """What is remembered of one alarm between evaluations."""

    due_s: float
    stream: State


@dataclass(slots=True)
class _Store:
    """One region's metric data by metric; `seen` counts how much of moto's list is in it."""

    seen: int = 0
    series: dict[_Metric, deque[Sample]] = field(default_factory=dict)


class AlarmEvaluator:
    """Evaluates every metric alarm when it is due, and tells Route 53 what each alarm's data say."""

    def __init__(
        self,
        cadence: int = 1,
        *,
        lost: Callable[[str], bool] = lambda _region: False,
        keep_s: float = 3600.0,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        """`lost` says whether a region is gone; metric data older than `keep_s` are forgotten."""
        self._cadence, self._lost, self._keep_s = cadence, lost, keep_s
        self._on_transition = on_transition
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._stores: dict[str, _Store] = {}
        self._stop = threading.Event()
        self._actions = ThreadPoolExecutor(4, thread_name_prefix="alarm-action")
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._actions.shutdown(wait=False, cancel_futures=True)

    def stream(self, region: str, name: str) -> State:
        """What an alarm's data stream says, whatever state SetAlarmState gave the alarm.

        Missing data count as the alarm says they do: AWS's page on EventBridge global endpoints warns that
        a health check fails on missing data whose alarm treats them as breaching
        (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-ge-cfn.html).
        """
        watched = self._watched.get((region, name))
        return State.INSUFFICIENT_DATA if watched is None or self._lost(region) else watched.stream

    def tick(self, now_s: float) -> None:
        """Evaluate what is due at `now_s` (Unix seconds), in every region that is not lost."""
        present: set[tuple[str, str]] = set()
        for account, region, backend in _backends():
            lost = self._lost(region)
            if not lost:
                self._absorb(region, backend, now_s)
            for alarm in tuple(backend.alarms.values()):
                present.add((region, alarm.name))
                watched = self._watched.get((region, alarm.name))
                if lost and watched:
                    watched.stream = State.INSUFFICIENT_DATA
                elif not lost and (watched is None or watched.due_s <= now_s):
                    self._evaluate(account, region, alarm, now_s)
        for gone in self._watched.keys() - present:
            self._watched.pop(gone, None)

    def _run(self) -> None:
        """Wakes at whole multiples of the shortest interval AWS evaluates at, just after the period's end."""
        step_s = 10.0 / self._cadence
        grace_s = min(0.05, step_s / 4)
        while True:
            next_s = (math.floor((time.time() - grace_s) / step_s) + 1) * step_s
            if self._stop.wait(max(0.0, next_s + grace_s - time.time())):
                return
            try:
                self.tick(next_s)
            except Exception:  # noqa: BLE001 - a bad alarm must not stop the others for ever
                _log.exception("alarm evaluation failed; it goes on with the next period")

    def _evaluate(self, account: str, region: str, alarm: Any, now_s: float) -> None:
        rule = _rule(alarm)
        if rule is None:
            alarm.state_reason = "Not evaluated in the lab: only alarms on one metric and a threshold are."
            return
        cadence = 1 if alarm.namespace in TRUE_TIME else self._cadence
        interval_s = rule.interval_s / cadence
        samples = self._stores[region].series.get(_alarm_metric(alarm), ())
        seen = points(
            alarm.extended_statistic or alarm.statistic,
            samples,
            now_s=now_s,
            period_s=rule.period_s / cadence,
            length=rule.range_length,
            unit=alarm.unit,
        )
        age_s = now_s - _epoch(alarm.configuration_updated_timestamp)
        outcome = evaluate(rule, seen, periods_old=age_s * cadence / rule.period_s)
        self._watched[region, alarm.name] = _Watched(
            due_s=(math.floor(now_s / interval_s + 1e-6) + 1) * interval_s - 1e-3,
            stream=outcome.state or State.INSUFFICIENT_DATA,
        )
        if outcome.state is not None and outcome.state != alarm.state_value:
            self._change(account, region, alarm, rule, outcome, outcome.state)

    def _change(
        self, account: str, region: str, alarm: Any, rule: Rule, outcome: Outcome, after: State
    ) -> None:
        before = State(alarm.state_value)
        data = {
            "version": "1.0",
            "queryDate": datetime.now(UTC).isoformat(),
            "period": rule.period_s,
            "recentDatapoints": list(outcome.evaluated),
            "threshold": rule.threshold,
        }
        alarm.update_state(reason(rule, outcome, after), json.dumps(data), after.value)
        self.changed(account, region, alarm, before)

    def changed(self, account: str, region: str, alarm: Any, before: State) -> None:
        """Say that an alarm has changed its state, and do what it is to do; returns without waiting."""
        at, after = datetime.now(UTC), State(alarm.state_value)
        document = message(account, region, alarm, before, at)
        transition = Transition(account, region, alarm.name, before, after, alarm.state_reason, at, document)
        if self._on_transition is not None:
            self._on_transition(transition)
        if alarm.actions_enabled:
            for arn in actions(alarm, after):
                self._actions.submit(act, account, region, arn, transition)

    def _absorb(self, region: str, backend: Any, now_s: float) -> None:
        """Take in what was put since the last time, and prune moto's list, which it never does itself."""
        data = backend.metric_data
        store = self._stores.setdefault(region, _Store())
        if store.seen > len(data):
            store.seen, store.series = 0, {}
        fresh = data[store.seen :]
        store.seen += len(fresh)
        for datum in fresh:
            store.series.setdefault(_datum_metric(datum), deque()).append(_sample(datum))
        oldest_s = now_s - self._keep_s
        for metric, series in tuple(store.series.items()):
            while series and series[0].at_s < oldest_s:
                series.popleft()
            if not series:
                del store.series[metric]
        stale = max(0, len(data) - _KEPT_DATA_MAX)
        while stale < store.seen and _epoch(data[stale].timestamp) < oldest_s:
            stale += 1
        del data[:stale]
        store.seen -= stale


def _backends() -> Iterator[tuple[str, str, Any]]:
    yield from list(cloudwatch_backends.iter_backends())


def _rule(alarm: Any) -> Rule | None:
    """None for what the lab does not evaluate: metric math, anomaly bands, composite alarms."""
    if not alarm.metric_name or not comparable(alarm.comparison_operator):
        return None
    default = Missing.IGNORE if alarm.namespace == "AWS/DynamoDB" else Missing.MISSING
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        period_s=int(alarm.period),
        evaluation_periods=int(alarm.evaluation_periods),
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        missing=Missing(alarm.treat_missing_data) if alarm.treat_missing_data else default,
    )


def _alarm_metric(alarm: Any) -> _Metric:
    return alarm.namespace, alarm.metric_name, frozenset((d.name, d.value) for d in alarm.dimensions)


def _datum_metric(datum: Any) -> _Metric:
    return datum.namespace, datum.name, frozenset((d.name, d.value) for d in datum.dimensions)


def _sample(datum: Any) -> Sample:
    at_s = _epoch(datum.timestamp)
    if hasattr(datum, "sample_count"):
        return Sample(at_s, datum.sample_count, datum.sum, datum.min, datum.max, datum.unit)
    return Sample(at_s, 1.0, datum.value, datum.value, datum.value, datum.unit)


def _epoch(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
