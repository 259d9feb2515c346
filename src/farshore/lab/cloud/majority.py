"""A strongly consistent DynamoDB global table: one truth, held by any two of three regions.

Rules, from https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
(consistency modes): a write or a strongly consistent read is answered once one more region has taken part; an item
being modified from another region gives ReplicatedWriteConflictException; an eventually consistent read shows
the region's own copy, which may be stale.
Every request that applies here had a majority at that instant, and any two majorities share a region; hence one
store under one lock behaves as the three would.
"""

import copy
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from werkzeug.exceptions import HTTPException

from farshore.lab.cloud.wire import Silence
from farshore.lab.ports import Links

Attributes = Mapping[str, Any]
Apply = Callable[[DynamoDBBackend], ActionResult]


class ReplicatedWriteConflictError(DynamodbException):
    """The item is being modified from another region; the request may be repeated."""

    def __init__(self) -> None:
        super().__init__(
            "com.amazonaws.dynamodb.v20120810#ReplicatedWriteConflictException",
            "One or more items in this request are being modified by a request in another Region.",
        )


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A new version of an item on its way to a copy; `arrives` is None while the way there is cut."""

    arrives: float | None
    key: Attributes
    item: Any


class _Flights:
    """Writes under way, oldest first."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._open: dict[int, tuple[str, str]] = {}

    @contextmanager
    def fly(self, region: str, key: str) -> Iterator[int]:
        number = next(self._numbers)
        self._open[number] = (region, key)
        try:
            yield number
        finally:
            del self._open[number]

    def conflict(self, number: int) -> bool:
        """Whether an earlier write to the same item is still under way from another region."""
        region, key = self._open[number]
        return any(
            other < number and at != region and item == key for other, (at, item) in self._open.copy().items()
        )


class GlobalTable:
    """`truth` is what a majority holds, `copies` what each replica shows to eventually consistent reads."""

    def __init__(
        self, table: Table, *, home: str, replicas: tuple[str, ...], witness: str | None, links: Links
    ) -> None:
        self.name = table.name
        self.replicas = (home, *replicas)
        self.witness = witness
        self.regions = self.replicas if witness is None else (*self.replicas, witness)
        self.copies = {region: _empty_copy(table, region) for region in self.replicas}
        self.truth = DynamoDBBackend(home, table.account_id)
        self.truth.tables[table.name] = table
        self._links = links
        self._lock = threading.Lock()
        self._flights = _Flights()
        self._under_way: dict[str, dict[str, _Delivery]] = {region: {} for region in self.replicas}

    def write(self, region: str, key: Attributes, apply: Apply) -> ActionResult:
        """Apply with a majority. Silence: without one, nothing was applied; cut off since, it was.

        Raises ReplicatedWriteConflictError, and whatever `apply` raises, after the same round trip.
        """
        self._require_majority(region)
        with self._flights.fly(region, _canonical(key)) as number:

            def apply_unless_conflicting(truth: DynamoDBBackend) -> ActionResult:
                if self._flights.conflict(number):
                    raise ReplicatedWriteConflictError
                result = apply(truth)
                self._replicate(region, key)
                return result

            return self._round_trip(region, apply_unless_conflicting)

    def read(self, region: str, apply: Apply) -> ActionResult:
        """A strongly consistent read, under the same conditions as a write."""
        self._require_majority(region)
        return self._round_trip(region, apply)

    def catch_up(self, region: str) -> None:
        """Bring a region's own copy to what has arrived there by now."""
        with self._lock:
            self._deliver(region)

    def _require_majority(self, region: str) -> None:
        if not self._has_majority(region):
            raise Silence(over=lambda: self._has_majority(region))

    def _has_majority(self, region: str) -> bool:
        return any(self._links.connected(region, other) for other in self.regions if other != region)

    def _round_trip(self, region: str, apply: Apply) -> ActionResult:
        there, back = self._fastest(region)
        time.sleep(there)
        with self._lock:
            self._require_majority(region)
            result, refusal = _outcome(apply, self.truth)
        time.sleep(back)
        self._require_majority(region)
        if refusal is not None:
            raise refusal
        return result

    def _fastest(self, region: str) -> tuple[float, float]:
        journeys = [
            (self._links.one_way_s(region, other), self._links.one_way_s(other, region))
            for other in self.regions
            if other != region and self._links.connected(region, other)
        ]
        return min(journeys, key=sum, default=(0.0, 0.0))

    def _replicate(self, region: str, key: Attributes) -> None:
        # moto changes items in place; copies are only read, so they may share one.
        item = copy.deepcopy(_find(self.truth.tables[self.name], key))
        for replica in self.replicas:
            self._deliver(replica)
            if replica == region:
                self._under_way[replica].pop(_canonical(key), None)
                _set(self.copies[replica], key, item)
                continue
            connected = self._links.connected(region, replica)
            arrives = time.monotonic() + self._links.one_way_s(region, replica) if connected else None
            self._under_way[replica][_canonical(key)] = _Delivery(arrives, key, item)

    def _deliver(self, replica: str) -> None:
        under_way = self._under_way[replica]
        for name, delivery in list(under_way.items()):
            arrived = (
                self._has_majority(replica)
                if delivery.arrives is None
                else delivery.arrives <= time.monotonic()
            )
            if arrived:
                _set(self.copies[replica], delivery.key, delivery.item)
                del under_way[name]


def _outcome(apply: Apply, truth: DynamoDBBackend) -> tuple[ActionResult, Exception | None]:
    try:
        return apply(truth), None
    except (ServiceException, HTTPException) as refusal:
        return ActionResult({}), refusal


def _canonical(key: Attributes) -> str:
    return json.dumps(key, sort_keys=True, default=str)


def _empty_copy(table: Table, region: str) -> Table:
    replica = copy.copy(table)
    replica.items = defaultdict(dict)
    replica.region_name = region
    replica.table_arn = table.table_arn.replace(f":{table.region_name}:", f":{region}:")
    return replica


def _values(table: Table, key: Attributes) -> tuple[DynamoType, DynamoType | None]:
    hash_value = DynamoType(key[table.hash_key_attr])
    return hash_value, DynamoType(key[table.range_key_attr]) if table.range_key_attr else None


def _find(table: Table, key: Attributes) -> Any:
    return table.get_item(*_values(table, key))


def _set(table: Table, key: Attributes, item: Any) -> None:
    hash_value, range_value = _values(table, key)
    items: Any = table.items
    if range_value is None:
        items.pop(hash_value, None)
        if item is not None:
            items[hash_value] = item
    else:
        items[hash_value].pop(range_value, None)
        if item is not None:
            items[hash_value][range_value] = item
