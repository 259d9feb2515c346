"""The operator's guard verbs on a busy database."""

import time
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.rows import dict_row

from farshore.core.errors import RefusedError, UsageError
from farshore.operate import guard
from two_servers import HOME, pair

SCHEMA = """
create table account(id int primary key, balance int not null);
insert into account select n, 0 from generate_series(1, 20) n;
"""


@pytest.fixture(scope="module")
def server():
    with pair(SCHEMA) as servers:
        yield servers.home


def workshop(server):
    def admin(_host):
        return psycopg.connect(
            host=server.host,
            port=server.port,
            user="postgres",
            dbname="postgres",
            password="test",
            autocommit=True,
            row_factory=dict_row,
        )

    return SimpleNamespace(
        admin=admin,
        credentials={"username": "farshore", "password": "a-password"},
        settings=SimpleNamespace(endpoints={HOME: SimpleNamespace(writer="w")}),
    )


def test_installing_on_a_table_in_long_use_gives_up_before_it_holds_up_the_others(server, monkeypatch):
    monkeypatch.setattr(guard, "LOCK_WAIT_MS", 300)
    with server.admin() as busy, busy.transaction():
        busy.execute("update account set balance = 0 where id = 2")
        started = time.monotonic()
        with pytest.raises(RefusedError, match="long transaction"):
            guard.install(workshop(server), HOME, ["public.account"])
        assert time.monotonic() - started < 5
        server.sql("update account set balance = balance + 1 where id = 1")
    assert guard.install(workshop(server), HOME, ["public.account"]).tables == ("account",)


def test_a_table_is_taken_off_the_guard_and_no_other(server):
    """A grant alone opens nothing: with the guard enforcing, no write passes."""
    guard.install(workshop(server), HOME, ["public.account"])
    server.sql("select farshore.set_enforcing(true)")
    server.sql("select farshore.grant_epoch('elsewhere', 99)")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        server.sql("update account set balance = 1 where id = 3")
    with pytest.raises(UsageError, match="guarded are: account"):
        guard.uninstall(workshop(server), HOME, ["public.nothing"])
    assert guard.uninstall(workshop(server), HOME, ["account"]).tables == ()
    server.sql("update account set balance = 1 where id = 3")


def test_changes_of_the_schema_are_guarded_unless_they_are_not_to_be(server):
    """The grant above opened nothing: behind it no table comes and none goes."""
    server.sql("select farshore.set_enforcing(true)")
    guard.uninstall(workshop(server), HOME, [], ddl=True)
    assert guard.install(workshop(server), HOME, [], ddl=False).ddl is False
    found = guard.install(workshop(server), HOME, [])
    assert (found.ddl, found.tables) == (True, ())
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        server.sql("create table refused(id int)")
    assert guard.install(workshop(server), HOME, []).ddl, "installed again without a lease"
    assert guard.uninstall(workshop(server), HOME, [], ddl=True).ddl is False
    server.sql("create table taken(id int)")
