"""Install, switch and show the guard in the writer's database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from farshore.core.authority import Phase
from farshore.core.errors import RefusedError, UsageError
from farshore.workshop import Workshop

RENEWALS_BEFORE_ENFORCING = 3
LOCK_WAIT_MS = 3000


@dataclass(frozen=True, slots=True)
class GuardStatus:
    epoch: int
    region: str | None
    fenced: bool
    enforcing: bool
    in_lease: bool
    tables: tuple[str, ...]
    ddl: bool = False


def install(
    workshop: Workshop, writer_region: str, tables: Sequence[str], *, ddl: bool = True
) -> GuardStatus:
    """Create the guard's schema and role if needed, then guard `tables` (schema-qualified). Safe to repeat.

    `ddl`: changes of the schema too, where this server lets its master user create event triggers.
    """
    with _master(workshop, writer_region) as connection:
        missing = [
            t for t in tables if _one(connection, "select to_regclass(%s) as found", t)["found"] is None
        ]
        if missing:
            raise UsageError(f"--table {missing[0]}: there is no such table; name it as schema.table.")
        connection.execute(resources.files("farshore.postgres").joinpath("guard.sql").read_text().encode())
        with connection.transaction():
            connection.execute("select farshore.own_ddl()")
            _create_role(connection, workshop.credentials)
        with _short_locks(connection):
            for table in tables:
                connection.execute("select farshore.guard(%s::regclass)", (table,))
            if ddl:
                connection.execute("select farshore.guard_ddl()")
        return _status(connection)


def uninstall(
    workshop: Workshop, writer_region: str, tables: Sequence[str], *, ddl: bool = False
) -> GuardStatus:
    """Take the guard off `tables`; the lease stays as it is. Whoever writes there is held back by nothing then.

    `ddl`: off changes of the schema, as before an upgrade to another major version.
    """
    with _master(workshop, writer_region) as connection:
        guarded = _status(connection).tables
        unknown = [table for table in tables if table not in guarded]
        if unknown or not (tables or ddl):
            names = ", ".join(guarded) or "none"
            raise UsageError(f"--table {unknown[0] if unknown else ''} is not guarded; guarded are: {names}.")
        with _short_locks(connection):
            for table in tables:
                connection.execute("select farshore.unguard(%s::regclass)", (table,))
            if ddl:
                connection.execute("select farshore.unguard_ddl()")
        return _status(connection)


def status(workshop: Workshop, writer_region: str) -> GuardStatus:
    with _master(workshop, writer_region) as connection:
        return _status(connection)


def set_enforcing(workshop: Workshop, writer_region: str, *, enforcing: bool) -> GuardStatus:
    """Enforcing before the lease is kept would stop production, so it waits for three renewals (H17)."""
    record = workshop.journal.read().record
    if enforcing and (
        record is None or record.phase is not Phase.HELD or record.renewals < RENEWALS_BEFORE_ENFORCING
    ):
        renewals = 0 if record is None else record.renewals
        raise RefusedError(
            f"the lease has been renewed {renewals} times, {RENEWALS_BEFORE_ENFORCING} are needed before the guard "
            "may refuse commits.",
            "see that the controllers run (`farshore status`), then repeat.",
        )
    with _master(workshop, writer_region) as connection:
        with _short_locks(connection):
            connection.execute("select farshore.set_enforcing(%s)", (enforcing,))
        return _status(connection)


def _master(workshop: Workshop, writer_region: str) -> psycopg.Connection[dict[str, Any]]:
    return workshop.admin(workshop.settings.endpoints[writer_region].writer)


@contextmanager
def _short_locks(connection: psycopg.Connection[dict[str, Any]]) -> Iterator[None]:
    """A trigger needs its table alone for a moment; whoever waits long for that holds up all writes behind it."""
    connection.execute("select set_config('lock_timeout', %s, false)", (str(LOCK_WAIT_MS),))
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise RefusedError(
            f"a table was in use by a long transaction for {LOCK_WAIT_MS} ms; what was done before it stays, "
            "this table is as it was.",
            "end that transaction or wait for a quieter moment, then repeat: repeating is safe.",
        ) from error


def _status(connection: psycopg.Connection[dict[str, Any]]) -> GuardStatus:
    lease = _one(connection, "select *, farshore.in_lease() as in_lease from farshore.lease")
    tables = connection.execute(
        "select guarded::text as name from farshore.guarded where guarded <> 'farshore.ddl'::regclass order by 1"
    ).fetchall()
    ddl = _one(
        connection, "select count(*) as triggers from pg_event_trigger where evtname = 'zz_farshore_ddl'"
    )
    return GuardStatus(
        epoch=lease["epoch"],
        region=lease["region"],
        fenced=lease["fenced"],
        enforcing=lease["enforcing"],
        in_lease=lease["in_lease"],
        tables=tuple(table["name"] for table in tables),
        ddl=bool(ddl["triggers"]),
    )


def _one(connection: psycopg.Connection[dict[str, Any]], query: str, *values: object) -> dict[str, Any]:
    row = connection.execute(query.encode(), values).fetchone()
    if row is None:
        raise psycopg.DataError(f"no row for: {query}")
    return row


def _create_role(connection: psycopg.Connection[dict[str, Any]], credentials: dict[str, Any]) -> None:
    """The controllers' own role: it may look and keep the lease, and nothing else."""
    role = sql.Identifier(credentials["username"])
    known = connection.execute(
        "select from pg_roles where rolname = %s", (credentials["username"],)
    ).fetchone()
    verb = sql.SQL("create role" if known is None else "alter role")
    password = sql.Literal(credentials["password"])
    connection.execute(sql.SQL("{} {} login password {}").format(verb, role, password))
    for grant in (
        "grant pg_monitor to {}",
        (
            "grant execute on function farshore.grant_epoch(text, bigint), "
            "farshore.renew(bigint, timestamptz, interval), farshore.fence(bigint), farshore.barrier(), "
            "farshore.drain(bigint, interval) to {}"
        ),
    ):
        connection.execute(sql.SQL(grant).format(role))
