"""DynamoDB overlay: plain tables as moto keeps them, global tables with strong consistency for real.

Rules for the set-up, from
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html and
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GlobalTableWitnessGroupUpdate.html:
a strongly consistent table has exactly three regions, two replicas beside the first table or one and a witness; it
must be empty when it becomes global and have no local secondary index; transactions on it are errors; a witness
can be neither read nor written; replica and witness are removed together.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.dynamodb import urls
from moto.dynamodb.exceptions import MockValidationException, ResourceInUseException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from farshore.lab.cloud.majority import GlobalTable
from farshore.lab.cloud.overlay import remember_nothing, swap
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.ports import Links

_Method = Callable[[], ActionResult]


class _Tables:
    """The global tables of one lab, by name; every other table is a plain one."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.plain_lock = threading.RLock()
        self._by_name: dict[str, GlobalTable] = {}

    def find(self, name: str, region: str) -> GlobalTable | None:
        """The global table that has a replica in the region; `name` may be an ARN."""
        table = self._by_name.get(name.rpartition("/")[2])
        return table if table is not None and region in table.replicas else None

    def add(self, table: GlobalTable) -> None:
        self._by_name[table.name] = table

    def remove(self, table: GlobalTable) -> None:
        del self._by_name[table.name]


class LabDynamo(DynamoHandler):
    """moto's handlers, sent to the truth, to a region's own copy, or refused."""

    tables: ClassVar[_Tables]
    _truth: DynamoDBBackend | None = None

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        return self._truth or super().dynamodb_backend

    def put_item(self) -> ActionResult:
        return self._write(super().put_item, self.body.get("Item", {}))

    def update_item(self) -> ActionResult:
        return self._write(super().update_item, self.body.get("Key", {}))

    def delete_item(self) -> ActionResult:
        return self._write(super().delete_item, self.body.get("Key", {}))

    def get_item(self) -> ActionResult:
        return self._read(super().get_item)

    def query(self) -> ActionResult:
        return self._read(super().query)

    def scan(self) -> ActionResult:
        return self._read(super().scan)

    def batch_get_item(self) -> ActionResult:
        self._refuse_batches()
        return super().batch_get_item()

    def batch_write_item(self) -> ActionResult:
        self._refuse_batches()
        with self.tables.plain_lock:
            return super().batch_write_item()

    def transact_write_items(self) -> ActionResult:
        self._refuse_transactions()
        with self.tables.plain_lock:
            return super().transact_write_items()

    def transact_get_items(self) -> ActionResult:
        self._refuse_transactions()
        return super().transact_get_items()

    def describe_table(self) -> ActionResult:
        table = self._global()
        if table is not None:
            table.catch_up(self.region)
        return self._with_replicas(super().describe_table(), "Table")

    def update_table(self) -> ActionResult:
        with self.tables.plain_lock:
            replicas = [_region(change) for change in self.body.get("ReplicaUpdates") or []]
            witnesses = [_region(change) for change in self.body.get("GlobalTableWitnessUpdates") or []]
            if replicas or witnesses or self.body.get("MultiRegionConsistency"):
                self._change_regions(replicas, witnesses)
            return self._with_replicas(super().update_table(), "TableDescription")

    def delete_table(self) -> ActionResult:
        with self.tables.plain_lock:
            if self._global() is not None:
                raise MockValidationException(
                    "A replica of a strongly consistent global table cannot be deleted alone; "
                    "remove its other replica and its witness with UpdateTable first."
                )
            return super().delete_table()

    def _global(self) -> GlobalTable | None:
        return self.tables.find(self.body.get("TableName", ""), self.region)

    def _write(self, method: _Method, attributes: Mapping[str, Any]) -> ActionResult:
        table = self._global()
        if table is None:
            with self.tables.plain_lock:
                return method()
        names = table.copies[self.region].table_key_attrs
        if not set(names) <= set(attributes):
            # An incomplete key is moto's to refuse; it touches no item.
            return self._at_truth(method)(table.truth)
        key = {name: attributes[name] for name in names}
        return table.write(self.region, key, self._at_truth(method))

    def _read(self, method: _Method) -> ActionResult:
        table = self._global()
        if table is None:
            return method()
        if self.body.get("ConsistentRead"):
            return table.read(self.region, self._at_truth(method))
        table.catch_up(self.region)
        return method()

    def _at_truth(self, method: _Method) -> Callable[[DynamoDBBackend], ActionResult]:
        def apply(truth: DynamoDBBackend) -> ActionResult:
            self._truth = truth
            return method()

        return apply

    def _refuse_batches(self) -> None:
        for name in self.body.get("RequestItems", {}):
            if self.tables.find(name, self.region):
                raise NotInTheLabError(f"{name} is a global table, and batches on those are not emulated.")

    def _refuse_transactions(self) -> None:
        for action in self.body.get("TransactItems", []):
            for request in action.values():
                if self.tables.find(request.get("TableName", ""), self.region):
                    raise MockValidationException(
                        "Transactions are not supported on a global table with multi-Region strong consistency."
                    )

    def _change_regions(self, replicas: list[tuple[str, str]], witnesses: list[tuple[str, str]]) -> None:
        existing = self._global()
        verbs = {verb for verb, _ in (*replicas, *witnesses)}
        if existing is None:
            if verbs != {"Create"} or self.body.get("MultiRegionConsistency") != "STRONG":
                raise NotInTheLabError(
                    "its global tables are created with MultiRegionConsistency=STRONG only."
                )
            self._make_global(tuple(r for _, r in replicas), tuple(r for _, r in witnesses))
        elif verbs == {"Delete"}:
            self._make_plain(existing, {r for _, r in (*replicas, *witnesses)})
        else:
            raise MockValidationException("The regions and the consistency of a global table are fixed.")

    def _make_global(self, replicas: tuple[str, ...], witnesses: tuple[str, ...]) -> None:
        table = self.dynamodb_backend.get_table(self.body["TableName"])
        _check_regions(self.region, replicas, witnesses)
        _check_table(table)
        backends = dynamodb_backends[self.current_account]
        for region in replicas:
            if table.name in backends[region].tables:
                raise ResourceInUseException(f"Table already exists in {region}: {table.name}")
        made = GlobalTable(
            table,
            home=self.region,
            replicas=replicas,
            witness=witnesses[0] if witnesses else None,
            links=self.tables.links,
        )
        for region, replica in made.copies.items():
            backends[region].tables[table.name] = replica
        self.tables.add(made)

    def _make_plain(self, table: GlobalTable, leaving: set[str]) -> None:
        if leaving != set(table.regions) - {self.region}:
            raise MockValidationException(
                "All other replicas and the witness must be removed in one request: "
                + ", ".join(sorted(set(table.regions) - {self.region}))
            )
        backends = dynamodb_backends[self.current_account]
        for region in table.replicas:
            del backends[region].tables[table.name]
        remaining = table.truth.tables[table.name]
        copied = table.copies[self.region]
        remaining.region_name, remaining.table_arn = copied.region_name, copied.table_arn
        backends[self.region].tables[table.name] = remaining
        self.tables.remove(table)

    def _with_replicas(self, described: ActionResult, member: str) -> ActionResult:
        table = self._global()
        if table is not None:
            description: dict[str, Any] = described.result[member]  # type: ignore[index]
            description["GlobalTableVersion"] = "2019.11.21"
            description["MultiRegionConsistency"] = "STRONG"
            description["Replicas"] = [
                {"RegionName": region, "ReplicaStatus": "ACTIVE"}
                for region in table.replicas
                if region != self.region
            ]
            if table.witness:
                description["GlobalTableWitnesses"] = [
                    {"RegionName": table.witness, "WitnessStatus": "ACTIVE"}
                ]
        return described


def install(links: Links) -> None:
    """Put the overlay into moto's url table; before the first request."""
    remember_nothing()
    handler = type("LabDynamo", (LabDynamo,), {"tables": _Tables(links)})
    swap(urls, handler)


def _region(change: Mapping[str, Any]) -> tuple[str, str]:
    ((verb, action),) = change.items()
    return verb, action["RegionName"]


def _check_regions(home: str, replicas: tuple[str, ...], witnesses: tuple[str, ...]) -> None:
    regions = {home, *replicas, *witnesses}
    shape = (len(replicas), len(witnesses))
    if len(regions) != 1 + sum(shape) or shape not in {(1, 1), (2, 0)}:
        raise MockValidationException(
            "A strongly consistent global table has exactly three regions: two replicas beside this table, "
            f"or one replica and one witness; got replicas {list(replicas)} and witnesses {list(witnesses)}."
        )


def _check_table(table: Table) -> None:
    if len(table):
        raise MockValidationException("The table must be empty before it becomes strongly consistent.")
    if table.indexes:
        raise MockValidationException("Local secondary indexes are not supported with strong consistency.")
