"""The authority table: one DynamoDB global table with multi-region strong consistency.

One partition per global cluster; sort keys `authority`, `observation#<region>`, `presence#...`, and after
them, out of the range that every tick reads, `story#<version>` and `told#<version>` (aws/events.py).
Epoch, phase, lease, plan and step are one item, because transactions are refused on such a table:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.authority import (
    Aftermath,
    Approval,
    Authority,
    Basis,
    Event,
    Evidence,
    Intent,
    Phase,
    Plan,
    PlanKind,
    Proposal,
    Quiet,
)
from farshore.core.errors import FarshoreError, UnknownOutcomeError
from farshore.core.facts import Endpoints
from farshore.ports import Page, Presence, Sighting

_LOST = ("ConditionalCheckFailedException", "ReplicatedWriteConflictException")
_deserialize = TypeDeserializer().deserialize


class JournalDamagedError(FarshoreError):
    """The table holds something this version cannot read; nothing may be decided on it."""


class DynamoJournal:
    def __init__(self, dynamodb: Any, table: str, cluster: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cluster = cluster

    def read(self) -> Page:
        items = self._query("authority", "presence#~")
        by_sort = {item["entry_key"]: item for item in items}
        record = by_sort.get("authority")
        sightings = [decode_sighting(i) for s, i in by_sort.items() if s.startswith("observation#")]
        presences = [
            Presence(**json.loads(i["document"])) for s, i in by_sort.items() if s.startswith("presence#")
        ]
        return Page(
            record=None if record is None else decode_authority(json.loads(record["document"])),
            sightings={sighting.region: sighting for sighting in sightings},
            presences=presences,
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
        return self._put("authority", dataclasses.asdict(after), fields, condition)

    def put_event(self, event: Event) -> None:
        self._put(f"story#{event.version:012d}", dataclasses.asdict(event), {}, {})

    def put_presence(self, presence: Presence) -> None:
        self._put(f"presence#{presence.kind}#{presence.region}", dataclasses.asdict(presence), {}, {})

    def put_sighting(self, sighting: Sighting) -> None:
        self._put(f"observation#{sighting.region}", dataclasses.asdict(sighting), {}, {})

    def history(self, after_version: int = 0) -> list[Event]:
        items = self._query(f"story#{after_version + 1:012d}", "story#~")
        return [decode_event(json.loads(item["document"])) for item in items]

    def was_told(self, version: int) -> bool:
        """Whether somebody has told people of the event with this version."""
        key = f"told#{version:012d}"
        return bool(self._query(key, key))

    def put_told(self, version: int) -> None:
        self._put(f"told#{version:012d}", {"version": version}, {}, {})

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
                raise UnknownOutcomeError(f"the authority table could not be read: {error}") from error
            items += [{key: _deserialize(value) for key, value in item.items()} for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return items
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put(
        self, sort: str, document: Mapping[str, Any], fields: Mapping[str, Any], condition: Mapping[str, Any]
    ) -> bool:
        item = {
            "global_cluster": {"S": self._cluster},
            "entry_key": {"S": sort},
            "document": {"S": json.dumps(document, separators=(",", ":"))},
            **fields,
        }
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _LOST:
                return False
            raise UnknownOutcomeError(f"writing {sort} to the authority table: {error}") from error
        except BotoCoreError as error:
            raise UnknownOutcomeError(f"writing {sort} to the authority table: {error}") from error
        return True


def decode_authority(document: Mapping[str, Any]) -> Authority:
    try:
        plan, quiet, proposal = document["plan"], document.get("quiet"), document.get("proposal")
        return Authority(
            **{
                **document,
                "phase": Phase(document["phase"]),
                "plan": None if plan is None else _decode_plan(plan),
                "last_event": decode_event(document["last_event"]),
                "quiet": None if quiet is None else Quiet(**quiet),
                "proposal": None if proposal is None else _decode_proposal(proposal),
                "aftermaths": tuple(_decode_aftermath(a) for a in document.get("aftermaths", ())),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JournalDamagedError(f"the authority record cannot be read ({error!r}): {document}") from error


def _decode_plan(document: Mapping[str, Any]) -> Plan:
    intent = document["intent"]
    return Plan(
        **{
            **document,
            "kind": PlanKind(document["kind"]),
            "intent": None if intent is None else Intent(**intent),
        }
    )


def _decode_proposal(document: Mapping[str, Any]) -> Proposal:
    approval = document["approval"]
    return Proposal(
        **{
            **document,
            "basis": Basis(document["basis"]),
            "approval": None if approval is None else Approval(**approval),
        }
    )


def _decode_aftermath(document: Mapping[str, Any]) -> Aftermath:
    return Aftermath(**{**document, "evidence": Evidence(document["evidence"])})


def decode_event(document: Mapping[str, Any]) -> Event:
    return Event(**{**document, "phase": Phase(document["phase"])})


def decode_sighting(item: Mapping[str, Any]) -> Sighting:
    document = json.loads(item["document"])
    return Sighting(
        region=document["region"],
        sequence=document["sequence"],
        endpoints={region: Endpoints(**seen) for region, seen in document["endpoints"].items()},
        lag_ms=document["lag_ms"],
        at_unix_ms=document["at_unix_ms"],
        lag_state=document.get("lag_state", ""),
        lag_why=document.get("lag_why", ""),
        lag_doubts=tuple(document.get("lag_doubts", ())),
        lag_told=document.get("lag_told", ""),
        lag_minutes=tuple((minute, least, most) for minute, least, most in document.get("lag_minutes", ())),
        took_ms=document.get("took_ms", 0),
    )
