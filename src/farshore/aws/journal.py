"""The authority table: one DynamoDB global table with multi-region strong consistency.

One partition per global cluster; sort keys `authority`, `observation#<region>`, `presence#...`, and after
them, out of the range that every tick reads, `story#<version>` and `told#<version>[#<region>]` (aws/events.py).
Epoch, phase, lease, plan and step are one item, because transactions are refused on such a table:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from farshore.aws.documents import JournalDamagedError, decode_item, encode
from farshore.core.authority import Authority, Event
from farshore.core.errors import UnknownOutcomeError
from farshore.log import log
from farshore.ports import Page, Presence, Sighting

T = TypeVar("T")
_LOST = ("ConditionalCheckFailedException", "ReplicatedWriteConflictException")


class DynamoJournal:
    def __init__(self, dynamodb: Any, table: str, cluster: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cluster = cluster

    def read(self) -> Page:
        items = self._query("authority", "presence#~")
        by_sort = {item["entry_key"]["S"]: item for item in items}
        record = by_sort.get("authority")
        sightings = _readable(Sighting, by_sort, "observation#")
        return Page(
            record=None if record is None else decode_item(Authority, record),
            sightings={sighting.region: sighting for sighting in sightings},
            presences=_readable(Presence, by_sort, "presence#"),
        )

    def compare_and_set(self, before: Authority | None, after: Authority) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(global_cluster)"}
        if before is not None:
            condition = {
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
            }
        fields = {
            "version": {"N": str(after.version)},
            "epoch": {"N": str(after.epoch)},
            "phase": {"S": after.phase},
            "holder": {"S": after.holder or "-"},
        }
        return self._put("authority", encode(after), fields, condition)

    def put_event(self, event: Event) -> None:
        self._put(f"story#{event.version:012d}", encode(event), {}, {})

    def put_presence(self, presence: Presence) -> None:
        self._put(f"presence#{presence.kind}#{presence.region}", encode(presence), {}, {})

    def put_sighting(self, sighting: Sighting) -> None:
        self._put(f"observation#{sighting.region}", encode(sighting), {}, {})

    def history(self, after_version: int = 0) -> list[Event]:
        items = self._query(f"story#{after_version + 1:012d}", "story#~")
        return [decode_item(Event, item) for item in items]

    def was_told(self, version: int, region: str) -> bool:
        """Whether the event with this version was told by whomever, or this region has tried and failed."""
        whole = _told(version)
        found = {item["entry_key"]["S"] for item in self._query(whole, f"{whole}#~")}
        return bool(found & {whole, _told(version, region)})

    def put_told(self, version: int, failed_in: str = "") -> None:
        self._put(_told(version, failed_in), f'{{"version":{version}}}', {}, {})

    def _query(self, first: str, last: str) -> list[dict[str, Any]]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "global_cluster = :cluster AND entry_key BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":cluster": {"S": self._cluster},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            "ConsistentRead": True,
        }
        items: list[dict[str, Any]] = []
        while True:
            try:
                answer = self._dynamodb.query(**request)
            except (BotoCoreError, ClientError) as error:
                raise UnknownOutcomeError(
                    f"the authority table could not be read: {error}. Nothing was changed by it. "
                    "Next: stand in a region that answers (AWS_REGION), then repeat."
                ) from error
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return items
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put(self, sort: str, document: str, fields: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
        item = {
            "global_cluster": {"S": self._cluster},
            "entry_key": {"S": sort},
            "document": {"S": document},
            **fields,
        }
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _LOST:
                return False
            raise _unsure(sort, error) from error
        except BotoCoreError as error:
            raise _unsure(sort, error) from error
        return True


def _unsure(sort: str, error: Exception) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"nobody knows whether {sort} was written to the authority table: {error}. "
        "Next: `farshore history` and `farshore status` show whether it was; repeat only if not."
    )


def _readable(kind: type[T], items: Mapping[str, Mapping[str, Any]], prefix: str) -> list[T]:
    """What a neighbour of another version has written and we cannot read counts as not said."""
    found = []
    for key, item in items.items():
        if key.startswith(prefix):
            try:
                found.append(decode_item(kind, item))
            except JournalDamagedError as error:
                log("unreadable", entry=key, error=str(error))
    return found


def _told(version: int, failed_in: str = "") -> str:
    return f"told#{version:012d}" + (failed_in and f"#{failed_in}")
