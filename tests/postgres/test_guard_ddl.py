"""Changes of the schema, refused as writes are: at commit, behind the fence, whatever way they go."""

import psycopg
import pytest
from psycopg.errors import ReadOnlySqlTransaction

from two_servers import HOME, pair

SCHEMA = """
create table account(id int primary key, balance int not null);
create table old(id int); create index old_id on old(id);
create view seen as select 1;
select farshore.guard('account'), farshore.guard_ddl(), farshore.set_enforcing(true);
create role owner_of_things login password 'test';
grant create on schema public to owner_of_things;
"""
COMMANDS = [
    "create table new(id int)",
    "create table new as select 1 as id",
    "alter table account add column note text",
    "alter table account alter column balance type bigint using balance * 2",
    "drop table old",
    "drop index old_id",
    "create index on account(balance)",
    "create or replace view seen as select 1",
    "create function f() returns int language sql as 'select 1'",
    "comment on table account is 'changed'",
    "grant select on account to public",
    "create sequence counter",
    "do $$ begin execute 'create table new(id int)'; end $$",
]


@pytest.fixture(scope="module")
def server():
    with pair(SCHEMA) as servers:
        servers.keepers[-1].stopped.set()
        servers.keepers[-1].join()
        yield servers.home


@pytest.fixture
def granted(server):
    """An epoch with an hour of lease; returns its number."""
    epoch = server.sql("select epoch + 1 from farshore.lease")[0][0]
    server.sql("select farshore.grant_epoch(%s, %s)", HOME, epoch)
    server.sql("select farshore.renew(%s, clock_timestamp(), interval '1 hour')", epoch)
    return epoch


def noted(server):
    return server.sql("select count(*) from farshore.ddl")[0][0]


def shape(server):
    """What the catalogue says, for telling whether anything has changed."""
    return server.sql(
        "select (select count(*) from pg_class), (select count(*) from pg_proc), (select count(*) from pg_attribute),"
        " obj_description('account'::regclass), (select relacl::text from pg_class where relname = 'account')"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_change_behind_the_fence_is_refused(server, granted, command):
    before = shape(server)
    server.sql("select farshore.fence(%s)", granted)
    with pytest.raises(ReadOnlySqlTransaction):
        server.sql(command)
    assert shape(server) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_change_within_the_lease_is_noted(server, granted, command):
    before = noted(server)
    with server.admin() as connection, connection.transaction(force_rollback=True):
        connection.execute(command)
        assert connection.execute("select count(*) from farshore.ddl").fetchone()[0] > before
    assert noted(server) == before


def test_a_change_that_outlives_its_lease_is_refused_at_commit(server, granted):
    with server.admin() as connection:
        connection.autocommit = False
        connection.execute("create table stale(id int)")
        server.sql("select farshore.fence(%s)", granted)
        with pytest.raises(ReadOnlySqlTransaction):
            connection.commit()
    assert server.sql("select to_regclass('stale')") == [(None,)]


def test_a_change_past_its_check_holds_up_the_barrier(server, granted):
    with server.admin() as connection:
        connection.autocommit = False
        connection.execute("create table gated(id int)")
        connection.execute("set constraints all immediate")
        server.sql("select farshore.fence(%s)", granted)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            server.sql("set lock_timeout = '100ms'; select farshore.barrier()")
        connection.rollback()


def test_another_owner_is_refused_too(server, granted):
    server.sql("select farshore.fence(%s)", granted)
    with psycopg.connect(
        host=server.host, port=server.port, user="owner_of_things", password="test", dbname="postgres"
    ) as owner:
        owner.execute("create table theirs(id int)")
        with pytest.raises(ReadOnlySqlTransaction):
            owner.commit()


def test_replica_role_goes_no_way_round(server, granted):
    server.sql("select farshore.fence(%s)", granted)
    with pytest.raises(ReadOnlySqlTransaction):
        server.sql("set session_replication_role = replica; create table new(id int)")


def test_temporary_tables_are_nobodys(server, granted):
    server.sql("select farshore.fence(%s)", granted)
    server.sql(
        "create temporary table scratch(id int); alter table scratch add column more int; drop table scratch"
    )


def test_break_glass_and_back_need_no_lease(server, granted):
    server.sql("select farshore.fence(%s)", granted)
    server.sql("select farshore.set_enforcing(false)")
    server.sql("create table by_hand(id int); drop table by_hand")
    server.sql("select farshore.set_enforcing(true)")
    with pytest.raises(ReadOnlySqlTransaction):
        server.sql("create table by_hand(id int)")


def test_uninstalled_it_holds_nothing_back(server, granted):
    server.sql("select farshore.fence(%s)", granted)
    server.sql("select farshore.unguard_ddl()")
    try:
        server.sql("create table free(id int); drop table free")
    finally:
        assert server.sql("select farshore.guard_ddl()") == [(True,)]
    with pytest.raises(ReadOnlySqlTransaction):
        server.sql("create table free(id int)")


def test_who_may_not_create_event_triggers_is_told_so(server, granted):
    """Its tables are guarded all the same."""
    server.sql("select farshore.unguard_ddl()")
    server.sql("create role plain; grant usage on schema farshore to plain")
    server.sql("grant all on all tables in schema farshore to plain; alter table farshore.ddl owner to plain")
    server.sql(
        "grant execute on all functions in schema farshore to plain; grant create on schema farshore to plain"
    )
    try:
        with server.admin() as connection:
            connection.execute("set role plain")
            assert connection.execute("select farshore.guard_ddl()").fetchone() == (False,)
    finally:
        server.sql("alter table farshore.ddl owner to postgres")
        assert server.sql("select farshore.guard_ddl()") == [(True,)]
