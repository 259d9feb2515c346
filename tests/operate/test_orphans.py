"""Orphans on two real servers whose histories part: named exactly, neither more nor fewer."""

import datetime as dt
import uuid
from dataclasses import replace

import psycopg
import pytest
from psycopg.rows import dict_row

from farshore.core.authority import Aftermath, Authority, Event, Evidence, Phase
from farshore.operate.orphans import compare, fork_of, open_account
from two_servers import HOME, STANDBY, pair

SCHEMA = """
create table transfer(id uuid primary key, amount int not null);
create table account(id int primary key, balance int not null);
create table note(what text);
insert into account select n, 0 from generate_series(1, 20) n;
select farshore.guard('transfer'), farshore.guard('account'), farshore.guard('note');
select farshore.set_enforcing(true);
"""

BOOT = Event(1, 0, 1, Phase.HELD, HOME, "first-boot", "a test", "p")
RECORD = Authority(1, 1, Phase.HELD, HOME, 1, 0, 0, "auto", False, False, None, BOOT)
OPEN_AT_THE_FORK = str(uuid.uuid4())
"""Of a transaction with an older id than others that were replicated; it commits when nothing is replicated now."""


def transfer(server, account):
    """One transaction over two guarded tables; returns its key."""
    key = uuid.uuid4()
    with server.admin() as connection, connection.transaction():
        connection.execute("insert into transfer values (%s, 5)", (key,))
        connection.execute("update account set balance = balance + 5 where id = %s", (account,))
        connection.execute("insert into note values ('paid')")
    return str(key)


def rows(server):
    return psycopg.connect(
        host=server.host, port=server.port, user="postgres", dbname="postgres", password="test",
        autocommit=True, row_factory=dict_row,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["off", "on"])
def parted(request):
    """Replicated, lost and later transfers; the survivor has gone on writing. With and without kept commit times."""
    kept = f"track_commit_timestamp={request.param}\n"
    with pair(SCHEMA, kept) as servers, servers.home.admin() as slow:
        slow.autocommit = False
        slow.execute("insert into transfer values (%s, 5)", (OPEN_AT_THE_FORK,))
        slow.execute("insert into note values ('paid')")
        replicated = [transfer(servers.home, account) for account in range(1, 6)]
        servers.caught_up()
        servers.standby.sql("alter system set primary_conninfo = ''")
        servers.standby.sql("select pg_reload_conf()")
        while servers.standby.sql("select count(*) from pg_stat_wal_receiver") != [(0,)]:
            pass
        lost = [transfer(servers.home, account) for account in range(1, 4)]
        slow.commit()
        lost.insert(0, OPEN_AT_THE_FORK)
        servers.promote()
        keeper = servers.keep(servers.standby, STANDBY, 2, ttl_s=60)
        later = [transfer(servers.standby, account) for account in range(1, 10)]
        yield servers, replicated, lost, later
        keeper.stopped.set()


def keys(orphans):
    return [row.key["id"] for orphan in orphans for row in orphan.rows if row.table == "transfer"]


def found(servers):
    with rows(servers.home) as old, rows(servers.standby) as survivor:
        fork = fork_of(survivor)
        assert fork["region"] == STANDBY
        return list(compare(old, survivor, fork))


def test_exactly_the_lost_transfers_are_named(parted):
    servers, _replicated, lost, _later = parted
    orphans = found(servers)
    assert keys(orphans) == lost
    assert {row.state for orphan in orphans for row in orphan.rows if row.table == "transfer"} == {"missing"}


def test_commits_out_of_the_order_of_their_times_are_named_too(parted):
    """One that had begun before others and reached the stream after them; by the times all was replayed."""
    servers, _replicated, lost, _later = parted
    with rows(servers.home) as old, rows(servers.standby) as survivor:
        fork = fork_of(survivor)
        later = {**fork, "replayed_at": fork["replayed_at"] + dt.timedelta(seconds=30)}
        assert keys(compare(old, survivor, later)) == lost


def test_a_volume_saved_before_the_new_epoch_was_granted_is_evidence(parted):
    servers, *_ = parted
    with rows(servers.home) as old, rows(servers.standby) as survivor:
        (began,) = old.execute("select granted_at from farshore.epochs where epoch = 1").fetchall()
        fork = fork_of(survivor)
        assert fork["lost_since"] == began["granted_at"] < fork["granted_at"]


def test_a_replayed_transfer_is_told_from_a_missing_one(parted):
    servers, _replicated, lost, _later = parted
    servers.standby.sql("insert into transfer values (%s, 5)", lost[0])
    states = {row.key["id"]: row.state for o in found(servers) for row in o.rows if row.table == "transfer"}
    assert states[lost[0]] == "replayed"
    assert states[lost[1]] == "missing"


def test_rows_without_a_key_are_counted(parted):
    """Nine equal ones stood on the old volume, four of them orphans; the survivor has the five and nine more."""
    servers, replicated, lost, later = parted

    def states():
        return sorted(row.state for o in found(servers) for row in o.rows if row.table == "note")

    servers.standby.sql(
        "update note set what = 'later' where ctid in (select ctid from note limit %s)", len(later)
    )
    assert states() == ["missing"] * len(lost)
    servers.standby.sql("insert into note values ('paid')")
    assert states() == ["missing", "missing", "missing", "replayed"]
    assert (len(replicated), len(lost), len(later)) == (5, 4, 9)


def test_the_oldest_open_account_is_read_first():
    first, second = Aftermath(3, HOME), Aftermath(5, STANDBY)
    record = replace(RECORD, aftermaths=(first, second))
    assert open_account(record) == first
    settled = replace(first, evidence=Evidence.SAVED, orphans_open=0)
    assert open_account(replace(record, aftermaths=(settled, second))) == second
    assert open_account(RECORD) is None


def test_without_a_failover_there_is_no_fork(parted):
    servers, *_ = parted
    with rows(servers.home) as home:
        assert home.execute("select region from farshore.epochs").fetchall() == [{"region": HOME}]
        assert fork_of(home) is None
