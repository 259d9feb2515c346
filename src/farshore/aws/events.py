"""One event per transition, on the alert topic of this region and on its EventBridge default bus.

From a thread of its own, off every path: a failure is logged, and the history stays whole. `told#<version>` in the
authority table says that both took an event. When one of them has not, `told#<version>#<region>` keeps this region's
next process from telling it again, once a minute for ever; the other region is free to tell it, once.
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import heapq
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.authority import Authority, Event
from farshore.core.errors import UnknownOutcomeError
from farshore.core.told import document, headline, wait_ms
from farshore.log import log
from farshore.names import Names
from farshore.survive import endless

SOURCE = "farshore"
DETAIL_TYPE = "Authority transition"
SUBJECT_MAX = 100


class Told(Protocol):
    def was_told(self, version: int, region: str) -> bool: ...

    def put_told(self, version: int, failed_in: str = "") -> None: ...


def topic_arn(names: Names, region: str, function_arn: str) -> str:
    """The alert topic of a region in the account of a function."""
    partition, account = (function_arn.split(":")[at] for at in (1, 4))
    return f"arn:{partition}:sns:{region}:{account}:{names.topic(region)}"


class TransitionEvents:
    """The Teller of one region's controllers; one for all that run in a process, one after another."""

    def __init__(self, *, sns: Any, bus: Any, told: Told, topic: str, names: Names, region: str) -> None:
        self._sns, self._bus, self._told, self._topic = sns, bus, told, topic
        self._names, self._region = names, region
        self._due: list[tuple[float, int, Event]] = []
        self._changed = threading.Condition()
        endless("events", lambda: self._settle(self._next()))

    def transition(self, record: Authority, process: str) -> None:
        due = time.monotonic() + wait_ms(record, self._region, process) / 1000
        with self._changed:
            heapq.heappush(self._due, (due, record.last_event.version, record.last_event))
            self._changed.notify()

    def _next(self) -> Event:
        with self._changed:
            while True:
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left_s)

    def _settle(self, event: Event) -> None:
        try:
            if self._told.was_told(event.version, self._region):
                return
        except UnknownOutcomeError as error:
            log("told-not-read", event_version=event.version, error=str(error))
        at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        body = document(event, self._names.global_cluster, at.replace("+00:00", "Z"))
        results = self._publish(event, body), self._put(event, body)
        try:
            self._told.put_told(event.version, failed_in="" if all(results) else self._region)
        except UnknownOutcomeError as error:
            log("told-not-kept", event_version=event.version, error=str(error))

    def _publish(self, event: Event, body: dict[str, Any]) -> bool:
        """Mail gets the reason in words, every other subscriber the document."""
        words = f"{event.reason}\n\n" + "\n".join(f"{key}: {value}" for key, value in body.items())
        try:
            self._sns.publish(
                TopicArn=self._topic,
                Subject=headline(event, self._names.suffix, SUBJECT_MAX),
                Message=json.dumps({"default": json.dumps(body), "email": words}),
                MessageStructure="json",
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in (
                        ("kind", "transition"),
                        ("action", event.action),
                        ("phase", event.phase.value),
                    )
                },
            )
        except (BotoCoreError, ClientError) as error:
            log("event-not-published", event_version=event.version, topic=self._topic, error=str(error))
            return False
        return True

    def _put(self, event: Event, body: dict[str, Any]) -> bool:
        entry = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(body),
            "Time": datetime.fromtimestamp(event.at_ms / 1000, UTC),
        }
        try:
            answer = self._bus.put_events(Entries=[entry])
        except (BotoCoreError, ClientError) as error:
            log("event-not-put", event_version=event.version, error=str(error))
            return False
        if answer["FailedEntryCount"]:
            log("event-not-put", event_version=event.version, error=str(answer["Entries"]))
        return not answer["FailedEntryCount"]
