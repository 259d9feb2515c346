"""Orphans: transactions committed in the lost region that never reached the survivor, read from the old volume.

A volume that streams physically shares transaction ids with its source, so a transaction of the old volume is an
orphan exactly when it is not visible in the snapshot that the survivor took when its epoch began. Row contents
decide only whether somebody has replayed it since. Aurora tries to save the old volume as a snapshot:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from farshore.aws.old_volume import OldVolume
from farshore.core.authority import Aftermath, Authority
from farshore.core.errors import RefusedError
from farshore.workshop import Workshop

Connection = psycopg.Connection[dict[str, Any]]

# xmin has 32 bits; its epoch is the present one, or the one before when it lies ahead of the present counter.
_NUMBERED = """
    with present as (
        select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xid8
    ), row_version as (
        select ({row})::jsonb as row, xmin::text::bigint as xid32, to_jsonb({commit_time}) as committed_at,
               {commit_time} as committed
        from {table} t
    ), numbered as (
        select r.*, case when xid32 > (p.xid8 & 4294967295) then ((p.xid8 >> 32) - 1) * 4294967296 + xid32
                         else (p.xid8 >> 32) * 4294967296 + xid32 end as xid
        from row_version r, present p
    )
"""
_CANDIDATES = """
    select xid, row, committed_at from numbered
    where xid > 2 and (not pg_visible_in_snapshot(xid::text::xid8, %(snapshot)s::pg_snapshot)
                       or committed > %(replayed_at)s::timestamptz
                       or xid = any(%(unfinished)s::bigint[]))
    order by xid
"""
# Commit records need not be in the order of commit times; where times were kept, they part by less than this.
_IDS = """
    select distinct xid from numbered
    where xid > 2 and (committed is null or %(replayed_at)s::timestamptz = 'infinity'
                       or committed > %(replayed_at)s::timestamptz - interval '1 minute')
"""
# Of a transaction that the stream had begun and not ended, the survivor knows only that it did not commit.
# https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-PG-SNAPSHOT
_UNFINISHED = """
    select xid from unnest(%s::bigint[]) xid
    where xid < pg_snapshot_xmax(%s::pg_snapshot)::text::bigint and pg_xact_status(xid::text::xid8) <> 'committed'
"""


@dataclass(frozen=True, slots=True)
class OrphanRow:
    """`state`: missing on the survivor, replayed (there with the same content) or differs.

    `key`: the primary key's columns; of a table without one the whole row, which is missing or replayed.
    """

    table: str
    key: dict[str, Any]
    row: dict[str, Any]
    state: str


@dataclass(frozen=True, slots=True)
class Orphan:
    xid: int
    committed_at: str | None
    rows: tuple[OrphanRow, ...]


@dataclass(frozen=True, slots=True)
class OrphanReport:
    """`complete` is false while the evidence cannot be read; `why` then says what is known and what to do."""

    epoch: int
    lost_region: str | None
    source: str | None
    complete: bool
    why: str
    orphans: tuple[Orphan, ...]


def orphans(workshop: Workshop) -> OrphanReport:
    """Compare the lost region's saved volume with the survivor. Raises RefusedError while a move is under way."""
    record = workshop.journal.read().record
    if record is None or record.holder is None:
        raise RefusedError("no region holds authority now.", "wait for the move to end (`farshore status`).")
    with workshop.admin(workshop.settings.endpoints[record.holder].writer) as survivor:
        owed = open_account(record)
        fork = fork_of(survivor, owed.epoch if owed else 0)
        if fork is None:
            return OrphanReport(record.epoch, None, None, True, "no failover has happened", ())
        lost_region = workshop.settings.names.other(fork["region"])
        volume = OldVolume(workshop.rds(lost_region), workshop.settings.names, lost_region)
        snapshot = volume.saved_since(fork["lost_since"])
        if snapshot is None and owed is None:
            return OrphanReport(record.epoch, None, None, True, "no region's loss is open", ())
        if snapshot is None:
            why = f"no snapshot of the old volume of {lost_region} can be read yet; repeat when the region answers"
            return OrphanReport(fork["epoch"], lost_region, None, False, why, ())
        with volume.opened(snapshot) as host, workshop.admin(host) as old:
            found = tuple(compare(old, survivor, fork))
    return OrphanReport(fork["epoch"], lost_region, snapshot, True, "the old volume was read", found)


def open_account(record: Authority) -> Aftermath | None:
    """The oldest account that is not settled; the newest one when all are."""
    unsettled = [account for account in record.aftermaths if not account.settled]
    return next(iter((*unsettled, *reversed(record.aftermaths))), None)


def fork_of(survivor: Connection, lost_epoch: int = 0) -> dict[str, Any] | None:
    """Where the histories part: the first epoch after the lost one in another region.

    `lost_since` is when the lost epoch began: AWS may save the old volume before the new one is granted. Without a
    lost epoch (0), the newest one that began in another region than the one before.
    """
    return survivor.execute(
        """
        select epoch, region, granted_at, lost_since, snapshot::text, coalesce(replayed_at, 'infinity') as replayed_at
        from (select *, lag(region) over (order by epoch) as region_before,
                     lag(granted_at) over (order by epoch) as lost_since from farshore.epochs) e
        where region_before is not null and region_before <> region and epoch > %(lost)s
        order by case when %(lost)s > 0 then epoch else -epoch end limit 1
        """,
        {"lost": lost_epoch},
    ).fetchone()


def compare(old: Connection, survivor: Connection, fork: dict[str, Any]) -> Iterator[Orphan]:
    rows: dict[int, list[OrphanRow]] = {}
    committed: dict[int, str | None] = {}
    guarded = old.execute("select guarded::text as name from farshore.guarded order by 1").fetchall()
    for table in (entry["name"] for entry in guarded):
        for xid, row, committed_at in _orphan_rows(old, survivor, table, fork):
            rows.setdefault(xid, []).append(row)
            committed[xid] = committed_at
    for xid in sorted(rows):
        yield Orphan(xid, committed[xid], tuple(rows[xid]))


def _orphan_rows(
    old: Connection, survivor: Connection, table: str, fork: dict[str, Any]
) -> Iterator[tuple[int, OrphanRow, str | None]]:
    keys = _key_columns(old, table)
    tracks = _tracks_commit_time(old)
    commit_time = "pg_xact_commit_timestamp(xmin)" if tracks else "null::timestamptz"
    numbered = _NUMBERED.format(row="to_jsonb(t)", commit_time=commit_time, table=table)
    unfinished = _unfinished(old, survivor, numbered, fork)
    found = old.execute((numbered + _CANDIDATES).encode(), {**fork, "unfinished": unfinished}).fetchall()
    states = (_by_key if keys else _by_count)(old, survivor, table, keys, [entry["row"] for entry in found])
    for entry, state in zip(found, states, strict=True):
        key = {column: entry["row"][column] for column in keys} or entry["row"]
        yield entry["xid"], OrphanRow(table, key, entry["row"], state), entry["committed_at"]


def _unfinished(old: Connection, survivor: Connection, numbered: str, fork: dict[str, Any]) -> list[int]:
    """What was under way at the fork, by the survivor's own account."""
    ids = [entry["xid"] for entry in old.execute((numbered + _IDS).encode(), fork).fetchall()]
    return [entry["xid"] for entry in survivor.execute(_UNFINISHED, (ids, fork["snapshot"])).fetchall()]


def _by_key(
    _old: Connection, survivor: Connection, table: str, keys: list[str], rows: list[dict[str, Any]]
) -> Iterator[str]:
    now = _present_rows(survivor, table, keys, rows)
    for row in rows:
        there = now.get(tuple(str(row[column]) for column in keys))
        yield "missing" if there is None else "replayed" if there == row else "differs"


def _by_count(
    old: Connection, survivor: Connection, table: str, _keys: list[str], rows: list[dict[str, Any]]
) -> Iterator[str]:
    """Rows without a key are told apart by content: of equal ones, as many are missing as the survivor has fewer."""
    before, now = _copies(old, table, rows), _copies(survivor, table, rows)
    short = {content: before[content] - now[content] for content in before}
    for content in map(_canonical, rows):
        short[content] -= 1
        yield "missing" if short[content] >= 0 else "replayed"


def _copies(connection: Connection, table: str, rows: list[dict[str, Any]]) -> Counter[str]:
    query = sql.SQL("select to_jsonb(t) as row from {name} t where to_jsonb(t) = any(%s::jsonb[])")
    found = connection.execute(
        query.format(name=sql.SQL(cast("Any", table))), ([Jsonb(row) for row in rows],)
    ).fetchall()
    return Counter(_canonical(entry["row"]) for entry in found)


def _canonical(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _tracks_commit_time(connection: Connection) -> bool:
    row = connection.execute("select current_setting('track_commit_timestamp') as value").fetchone()
    return row is not None and row["value"] == "on"


def _key_columns(connection: Connection, table: str) -> list[str]:
    rows = connection.execute(
        """
        select a.attname from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)
        """,
        (table,),
    ).fetchall()
    return [row["attname"] for row in rows]


def _present_rows(
    survivor: Connection, table: str, keys: list[str], rows: list[dict[str, Any]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    columns = sql.SQL(", ").join(map(sql.Identifier, keys))
    name = sql.SQL(cast("Any", table))
    query = sql.SQL(
        "select to_jsonb(s) as row from (select {columns} from jsonb_populate_recordset(null::{name}, %s)) k "
        "join {name} s using ({columns})"
    ).format(columns=columns, name=name)
    found = survivor.execute(query, (Jsonb(rows),)).fetchall()
    return {tuple(str(entry["row"][column]) for column in keys): entry["row"] for entry in found}
