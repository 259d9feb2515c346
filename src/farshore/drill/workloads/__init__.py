"""What a drill's clients write: the ledger, or a team's own schema from a file (docs/workloads.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg

from farshore.drill import workload
from farshore.drill.errors import DrillUsageError
from farshore.drill.ledger import LEDGER, Ledger, Survivor, Transfer
from farshore.drill.workloads.own import KeyColumn, OwnWorkload
from farshore.drill.workloads.pyfile import from_python
from farshore.drill.workloads.sqlfile import from_sql

SHIPPED = {"tpcb": Path(__file__).with_name("tpcb.sql")}
W = TypeVar("W")
_LEDGER_KEY = KeyColumn("ledger.transfer", "id")


class Workload(Protocol[W]):
    """What clients write and how it is read back; `W` is one write, with its idempotency key in `key`.

    `name` is what --workload was given, `guarded` are the tables ("schema.table") that the guard is set on, and
    the rows of `key.table` stand for the writes: its primary key is the one column `key.column`.
    """

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def guarded(self) -> tuple[str, ...]: ...
    @property
    def key(self) -> KeyColumn: ...

    def create(self, connection: psycopg.Connection[Any], *, user: str) -> None:
        """Its schema and first rows, by the database's owner, open to `user`; the caller commits."""

    def rehearse(self, connection: psycopg.Connection[Any]) -> None:
        """One write as the clients make it, rolled back; DrillUsageError when it shows that the file is wrong."""

    def writes(self, seed: int, client: str) -> Iterator[W]:
        """An endless stream that depends on nothing but its arguments."""

    def write(self, connection: psycopg.Connection[Any], item: W, client: str, /) -> None:
        """One write, in the transaction that is open; psycopg.Error when it fails."""

    def read(self, connection: psycopg.Connection[Any], region: str) -> Survivor:
        """What this database holds, in one snapshot; psycopg.Error when that cannot be read."""


@dataclass(frozen=True, slots=True)
class LedgerWorkload:
    """The double-entry ledger: the default, and the only one whose content the checker knows."""

    accounts: int = workload.ACCOUNTS
    name: str = LEDGER
    guarded: tuple[str, ...] = workload.GUARDED_TABLES
    key: KeyColumn = _LEDGER_KEY

    @property
    def about(self) -> str:
        return f"a ledger of {self.accounts} accounts"

    def create(self, connection: psycopg.Connection[Any], *, user: str) -> None:
        workload.create(connection, user=user, accounts=self.accounts)

    def rehearse(self, connection: psycopg.Connection[Any]) -> None:
        """Nothing: its tests are its rehearsal."""

    def writes(self, seed: int, client: str) -> Iterator[Transfer]:
        return workload.transfers(seed, client, self.accounts)

    def write(self, connection: psycopg.Connection[Any], item: Transfer, client: str) -> None:
        workload.write(connection, item, client)

    def read(self, connection: psycopg.Connection[Any], region: str) -> Ledger:
        return workload.read(connection, region, accounts=self.accounts)


def load(name: str, *, accounts: int = workload.ACCOUNTS) -> Workload[Any]:
    """The workload of that name, or of that file; DrillUsageError naming file, part and fix."""
    if name == LEDGER:
        return LedgerWorkload(accounts)
    path = SHIPPED.get(name, Path(name))
    known = ", ".join((LEDGER, *SHIPPED))
    if path.suffix not in {".py", ".sql"}:
        raise DrillUsageError("--workload", name, f"use a FILE.py, a FILE.sql or one of {known}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DrillUsageError(
            "--workload", name, f"{reason.lower()}; use a file that can be read, or one of {known}"
        ) from error
    parts = from_sql(name, text) if path.suffix == ".sql" else from_python(name, path, text)
    return OwnWorkload(name, parts)


def whole_name(name: str) -> str:
    """The same workload for a process that works elsewhere."""
    return name if name == LEDGER or name in SHIPPED else str(Path(name).resolve())
