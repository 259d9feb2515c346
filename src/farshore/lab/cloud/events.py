"""EventBridge overlay: rate schedules that fire, and targets that are reached.

Rules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html (a rate starts when the
rule is created) and https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html. Minutes are real ones:
leases and probes share the clock, so schedules never run faster.
"""

import json
import logging
import re
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from moto.events import models, urls
from moto.events.models import EventBus, Rule, events_backends
from moto.events.responses import EventsHandler
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from farshore.lab.cloud.lambdas import Lambdas
from farshore.lab.cloud.overlay import patch, swap
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.ports import Links

_RATE = re.compile(r"rate\((?P<count>\d+) (?P<unit>minute|hour|day)s?\)")
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_TARGETS = ("lambda", "sns", "sqs")
_log = logging.getLogger(__name__)


class Schedules:
    """Fires the rate rules of every region that is not lost; `minute_s` is 60 outside of tests."""

    def __init__(self, lambdas: Lambdas, links: Links, *, minute_s: float = 60.0) -> None:
        self._lambdas = lambdas
        self._links = links
        self._minute_s = minute_s
        self._due: WeakKeyDictionary[Rule, float] = WeakKeyDictionary()
        self._held: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def changed(self) -> None:
        """A rule came, went or changed: count its periods from now."""
        with self._changed:
            self._changed.notify_all()

    def hold(self, region: str) -> None:
        """The region's schedules fire and nothing of it arrives, until `let_go`."""
        self._held[region] = 0

    def let_go(self, region: str) -> int:
        """How many events were held; whoever held them sends what shall come late."""
        return self._held.pop(region, 0)

    def deliver(self, rule: Rule, event: Mapping[str, Any]) -> None:
        """Send an event to each target of an enabled rule; one target's failure is not another's."""
        if rule.state != "ENABLED" or self._links.lost(rule.region_name):
            return
        for target in list(rule.targets):
            try:
                self._send(target, _input(target, event))
            except Exception:  # noqa: BLE001 - whatever a target's service raises
                _log.exception("rule %s could not reach %s", rule.name, target["Arn"])

    def _run(self) -> None:
        while not self._closed:
            now = time.monotonic()
            for rule in [rule for rule, period_s in self._rules() if self._is_due(rule, period_s, now)]:
                if rule.region_name in self._held:
                    self._held[rule.region_name] += 1
                else:
                    self.deliver(rule, _scheduled_event(rule))
            with self._changed:
                # Looking under the lock, so that no rule can come between the look and the wait.
                upcoming = [self._due.get(rule, 0.0) for rule, _ in self._rules()]
                pause_s = max(0.0, min(upcoming) - time.monotonic()) if upcoming else None
                if not self._closed:
                    self._changed.wait(pause_s)

    def _is_due(self, rule: Rule, period_s: float, now: float) -> bool:
        due = self._due.setdefault(rule, now + period_s + self._lateness_s(rule))
        if due > now:
            return False
        # A period that passed while nobody could look is skipped, never made up for.
        self._due[rule] = due + period_s * (1 + (now - due) // period_s)
        return True

    def _lateness_s(self, rule: Rule) -> float:
        """Up to a quarter of a minute, each rule its own: AWS promises the minute, not the second, and rules made
        together do not fire together."""
        return zlib.crc32(rule.name.encode()) % 1000 / 1000 * self._minute_s / 4

    def _rules(self) -> Iterator[tuple[Rule, float]]:
        for _, _, backend in list(events_backends.iter_backends()):
            for bus in list(_buses(backend)):
                for rule in list(bus.rules.values()):
                    rate = _RATE.fullmatch(rule.scheduled_expression or "")
                    if rate is not None:
                        yield rule, int(rate["count"]) * _MINUTES[rate["unit"]] * self._minute_s

    def _send(self, target: Mapping[str, Any], body: str) -> None:
        arn = target["Arn"]
        _, _, service, region, account, *name = arn.split(":")
        if service == "lambda":
            self._lambdas.send_to(arn, body.encode())
        elif service == "sns":
            sns_backends[account][region].publish(body, arn=arn)
        elif service == "sqs":
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            sqs_backends[account][region].send_message(name[0], body, group_id=group)


class LabEvents(EventsHandler):
    """moto's handlers; rules tell the scheduler of themselves, and unreachable targets are refused."""

    schedules: ClassVar[Schedules]

    def put_rule(self) -> tuple[str, dict[str, Any]]:
        expression = self._get_param("ScheduleExpression")
        if expression and not _RATE.fullmatch(expression):
            raise NotInTheLabError(f"schedules are rates of minutes, hours or days, not {expression}.")
        answer = super().put_rule()
        self.schedules.changed()
        return answer

    def enable_rule(self) -> Any:
        answer = super().enable_rule()
        self.schedules.changed()
        return answer

    def put_events(self) -> str:
        """Sources that begin with `aws.` are AWS's own; RDS's events come of themselves here, a region's health by
        `farshore lab fault health`.

        https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
        """
        entries = list(self._get_param("Entries"))
        forged = {place for place, one in enumerate(entries) if str(one.get("Source")).startswith("aws.")}
        others = [one for place, one in enumerate(entries) if place not in forged]
        taken = iter(self.events_backend.put_events(others))
        refused = {
            "ErrorCode": "NotAuthorizedForSourceException",
            "ErrorMessage": "Not authorized for the source.",
        }
        answers = [refused if place in forged else next(taken) for place in range(len(entries))]
        failed = sum("ErrorCode" in one for one in answers)
        return json.dumps({"FailedEntryCount": failed, "Entries": answers})

    def put_targets(self) -> Any:
        for target in self._get_param("Targets", []):
            service = target["Arn"].split(":")[2]
            if service not in _TARGETS:
                raise NotInTheLabError(f"targets are {', '.join(_TARGETS)}, not {service}.")
            if target.get("InputTransformer"):
                raise NotInTheLabError("targets take Input or InputPath, not InputTransformer.")
        return super().put_targets()


def install(schedules: Schedules) -> None:
    """Put the overlay into moto's url table and under its rules; before the first request."""
    handler = type("LabEvents", (LabEvents,), {"schedules": schedules})
    swap(urls, handler)

    def send_to_targets(rule: Rule, original_event: Any, transform_input: bool = True) -> None:
        # A schedule has no pattern, and moto takes no pattern for one that matches everything.
        del transform_input
        if not rule.scheduled_expression and rule.event_pattern.matches_event(original_event):
            schedules.deliver(rule, {**original_event, "time": _iso(float(original_event["time"]))})

    patch(models.Rule, "send_to_targets", send_to_targets)


def _buses(backend: Any) -> Iterator[EventBus]:
    yield from list(backend.event_buses.values())


def _input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        part: Any = event
        for name in target["InputPath"].removeprefix("$").strip(".").split("."):
            part = part[name] if name else part
        return json.dumps(part)
    return json.dumps(event)


def _scheduled_event(rule: Rule) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.account_id,
        "time": _iso(time.time()),
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
