"""What AWS itself says about a region or a database: one opinion, kept beside the monitors' and never acted upon.

An event may be late, missing, or about something else; farshore decides on leases, observations and endpoints (P4).
One item in the authority table for each region that heard and each source, the last one only; their keys stand where
every tick reads, and `DynamoJournal.read` passes them by.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import UnknownOutcomeError

PREFIX = "opinion#"
SOURCES = ("aws.rds", "aws.health")
_TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Opinion:
    """`region` heard it, `about` is where it happened; `at_unix_ms` is the event's own time, where it has one."""

    region: str
    source: str
    about: str
    what: str
    event_id: str
    at_unix_ms: int | None
    heard_unix_ms: int

    def age_ms(self, now_ms: int) -> int:
        """By the event's own time where it has one: an event that came late is old news."""
        said_ms = self.heard_unix_ms if self.at_unix_ms is None else self.at_unix_ms
        return max(0, now_ms - said_ms)


def is_event(event: object) -> bool:
    """Whether this came over EventBridge, or claims to: such an event is never anything but an opinion."""
    return isinstance(event, Mapping) and ("source" in event or "detail-type" in event)


def opinion_in(event: Mapping[str, Any], region: str, now_ms: int) -> Opinion | None:
    """The opinion in an event as EventBridge hands it over; None when it is of another source.

    https://docs.aws.amazon.com/eventbridge/latest/ref/events-structure.html,
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-cloudwatch-events.sample.html and
    https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
    """
    source, detail = event.get("source"), event.get("detail")
    if source not in SOURCES or not isinstance(detail, Mapping):
        return None
    said = _health(detail) if source == "aws.health" else _database(detail)
    return Opinion(
        region=region,
        source=str(source),
        about=str(detail.get("eventRegion") or event.get("region") or "?"),
        what=said[:_TEXT_MAX],
        event_id=str(event.get("id", ""))[:_TEXT_MAX],
        at_unix_ms=_unix_ms(event.get("time")),
        heard_unix_ms=now_ms,
    )


def _health(detail: Mapping[str, Any]) -> str:
    return f"{detail.get('eventTypeCode', '?')}, {detail.get('statusCode', '?')}"


def _database(detail: Mapping[str, Any]) -> str:
    return f"{detail.get('EventID', '?')} {detail.get('SourceIdentifier', '?')}: {detail.get('Message', '')}"


def _unix_ms(time: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(time)).timestamp() * 1000)
    except ValueError:
        return None


class Opinions:
    def __init__(self, dynamodb: Any, table: str, cluster: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cluster = cluster

    def put(self, opinion: Opinion) -> None:
        """Raises UnknownOutcomeError when the table did not say that it has it."""
        item = {
            "global_cluster": {"S": self._cluster},
            "entry_key": {"S": f"{PREFIX}{opinion.region}#{opinion.source}"},
            "document": {"S": json.dumps(dataclasses.asdict(opinion), separators=(",", ":"))},
        }
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item)
        except (BotoCoreError, ClientError) as error:
            raise UnknownOutcomeError(f"writing an opinion to the authority table: {error}") from error

    def read(self) -> list[Opinion]:
        """Raises UnknownOutcomeError when the table could not be read."""
        try:
            answer = self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="global_cluster = :cluster AND begins_with(entry_key, :prefix)",
                ExpressionAttributeValues={
                    ":cluster": {"S": self._cluster},
                    ":prefix": {"S": PREFIX},
                },
                ConsistentRead=True,
            )
        except (BotoCoreError, ClientError) as error:
            raise UnknownOutcomeError(f"the authority table could not be read: {error}") from error
        return [Opinion(**json.loads(item["document"]["S"])) for item in answer["Items"]]
