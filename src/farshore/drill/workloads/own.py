"""A team's own workload: four parts from a file, whichever language it is in, and what every such file must prove."""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from farshore.drill.errors import DrillUsageError
from farshore.drill.ledger import Holdings, Write

T = TypeVar("T")
Connection = psycopg.Connection[Any]
_BROKEN_MAX = 1000  # more rows of an invariant say nothing more, and would not fit a report

_PRIMARY_KEY = """
SELECT array_agg(a.attname::text) FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = %s::regclass AND i.indisprimary
"""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """The table whose rows stand for writes, and the column that is its primary key."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What a file gives; `write` takes the key as text and a source of chance that depends on the key alone."""

    guarded: tuple[str, ...]
    key: KeyColumn
    setup: Callable[[Connection], object]
    write: Callable[[Connection, str, random.Random], object]
    probe: Callable[[Connection], Iterable[object]]
    invariant: Callable[[Connection], Iterable[object]]


def refuse(name: str, part: str, fix: str) -> NoReturn:
    """DrillUsageError naming file, part and fix."""
    raise DrillUsageError("--workload", name, f"{part}: {fix}")


def checked_tables(name: str, tables: Iterable[object]) -> tuple[str, ...]:
    """The guarded tables, each once and with its schema; DrillUsageError if not."""
    named = tuple(tables)
    for table in named:
        if not isinstance(table, str) or [bool(word) for word in table.split(".")] != [True, True]:
            refuse(name, "guard", f"{table!r} is not a table's name with its schema; write schema.table")
    if not named:
        refuse(name, "guard", "no table is named; name every table that is written to, as schema.table")
    return tuple(dict.fromkeys(str(table) for table in named))


@dataclass(frozen=True, slots=True)
class OwnWorkload:
    """A file's parts as a drill's workload (see Workload)."""

    name: str
    parts: Parts

    @property
    def about(self) -> str:
        return f"workload {self.name}"

    @property
    def guarded(self) -> tuple[str, ...]:
        return self.parts.guarded

    @property
    def key(self) -> KeyColumn:
        return self.parts.key

    def create(self, connection: Connection, *, user: str) -> None:
        """The file's set-up; then `user` may work in the schemas of its tables, and no more."""
        self._try("setup", lambda: self.parts.setup(connection))
        self._check_tables(connection)
        role = sql.Identifier(user)
        for schema in dict.fromkeys(table.partition(".")[0] for table in self.guarded):
            inside = sql.SQL("IN SCHEMA {} TO {}").format(sql.Identifier(schema), role)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role))
            connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES ") + inside)
            connection.execute(sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES ") + inside)

    def rehearse(self, connection: Connection) -> None:
        """The invariant must hold before the first write; that write must leave its key, and not end its
        transaction."""
        before = self._try("invariant", lambda: self._broken(connection))
        if before:
            refuse(self.name, "invariant", f"broken before the first write ({before[0]}); mend it or setup")
        item = next(self.writes(0, "rehearsal"))
        self._try("write", lambda: self.parts.write(connection, item.key, _chance(item)))
        if connection.info.transaction_status != TransactionStatus.INTRANS:
            refuse(self.name, "write", "it ended its transaction; leave COMMIT and ROLLBACK to the clients")
        if item.key not in self._rows(connection):
            table = f"{self.key.table}.{self.key.column}"
            refuse(self.name, "write", f"its key is not in {table}; insert the key that write is given there")
        if item.key not in self._try("probe", lambda: self._held(connection)):
            refuse(self.name, "probe", "it does not find a key just written; return every key that is there")
        self._try("invariant", lambda: self._broken(connection))
        connection.rollback()

    def writes(self, seed: int, client: str) -> Iterator[Write]:
        """An endless stream that depends on nothing but its arguments."""
        choose = random.Random(f"{seed}/{client}")
        while True:
            yield Write(str(uuid.UUID(int=choose.getrandbits(128), version=4)))

    def write(self, connection: Connection, item: Write, _client: str) -> None:
        """One write; whatever else goes wrong in the file's code is a psycopg.Error too: a failed attempt."""
        _guarded(lambda: self.parts.write(connection, item.key, _chance(item)))

    def read(self, connection: Connection, region: str) -> Holdings:
        """The keys that are there and what the invariant says, in one snapshot; `connection` must be idle."""
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        holdings = _guarded(
            lambda: Holdings(region, tuple(self._held(connection)), tuple(self._broken(connection)))
        )
        connection.rollback()
        return holdings

    def _held(self, connection: Connection) -> list[str]:
        return [str(key) for key in self.parts.probe(connection)]

    def _broken(self, connection: Connection) -> list[str]:
        return [
            str(words) for words, _ in zip(self.parts.invariant(connection), range(_BROKEN_MAX), strict=False)
        ]

    def _rows(self, connection: Connection) -> list[str]:
        question = sql.SQL("SELECT {}::text FROM {}").format(
            sql.Identifier(self.key.column), sql.Identifier(*self.key.table.split("."))
        )
        return [row[0] for row in connection.execute(question)]

    def _check_tables(self, connection: Connection) -> None:
        for table in self.guarded:
            row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            if row is None or row[0] is None:
                refuse(self.name, "guard", f"setup made no table {table}; create it there, or mend its name")
        row = connection.execute(_PRIMARY_KEY, (self.key.table,)).fetchone()
        columns = (row[0] if row else None) or []
        if columns != [self.key.column]:
            has = f"its primary key is {', '.join(columns)}" if columns else "it has no primary key"
            refuse(
                self.name, "guard", f"{self.key.table} key {self.key.column}: {has}; make it the primary key"
            )

    def _try(self, part: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (psycopg.OperationalError, OSError):
            raise  # the lab's trouble, not the file's
        except Exception as error:
            said = str(error).partition("\n")[0] or type(error).__name__
            raise DrillUsageError("--workload", self.name, f"{part}: {said}; mend this part") from error


def _chance(item: Write) -> random.Random:
    return random.Random(item.key)


def _guarded(call: Callable[[], T]) -> T:
    try:
        return call()
    except psycopg.Error:
        raise
    except Exception as error:
        raise psycopg.ProgrammingError(f"the workload's own code: {error!r}") from error
