"""The guard attacked on a real server: each way past it of docs/holes.md must end in SQLSTATE 25006."""

import threading
import time

import psycopg
import pytest
from psycopg.errors import ReadOnlySqlTransaction

from two_servers import HOME, STANDBY

FOREVER = "interval '1 hour'"


class Guarded:
    """One server with a lease under the test's hand."""

    def __init__(self, server):
        self.server = server
        self.epoch = server.sql("select epoch from farshore.lease")[0][0] + 1
        server.sql("select farshore.grant_epoch(%s, %s)", HOME, self.epoch)
        self.renew()

    def renew(self, ttl=FOREVER):
        return self.server.sql(f"select farshore.renew({self.epoch}, clock_timestamp(), {ttl})")[0][0]

    def fence(self):
        return self.server.sql("select farshore.fence(%s)", self.epoch)[0][0]

    def connect(self):
        connection = self.server.admin()
        connection.autocommit = False
        return connection

    def balances(self):
        return self.server.sql("select sum(balance) from account")[0][0]


@pytest.fixture
def guarded(pair_of_servers):
    return Guarded(pair_of_servers.home)


def test_commits_pass_in_lease_and_are_confirmed_with_the_epoch(guarded):
    with guarded.connect() as connection:
        connection.execute("update account set balance = balance + 1 where id = 1")
        connection.commit()
        assert connection.execute("select farshore.confirm()").fetchone() == (guarded.epoch,)


def test_a_grant_alone_opens_nothing(guarded):
    higher = guarded.epoch + 1
    assert guarded.server.sql("select farshore.grant_epoch(%s, %s)", HOME, higher)[0][0]
    with pytest.raises(ReadOnlySqlTransaction):
        guarded.server.sql("update account set balance = 1")
    assert guarded.server.sql("select farshore.confirm()") == [(None,)]


def test_a_lease_ends_by_itself(guarded):
    higher = guarded.epoch + 1
    guarded.server.sql("select farshore.grant_epoch(%s, %s)", HOME, higher)
    guarded.epoch = higher
    guarded.renew("interval '100 milliseconds'")
    deadline = time.monotonic() + 5
    while guarded.server.sql("select farshore.in_lease()") == [(True,)]:
        assert time.monotonic() < deadline
    with pytest.raises(ReadOnlySqlTransaction):
        guarded.server.sql("update account set balance = balance where id = 1")


def test_a_transaction_that_outlives_the_lease_is_refused(guarded):
    """now() stands still in a transaction; the lease does not."""
    higher = guarded.epoch + 1
    guarded.server.sql("select farshore.grant_epoch(%s, %s)", HOME, higher)
    guarded.epoch = higher
    guarded.renew("interval '300 milliseconds'")
    with guarded.connect() as connection:
        connection.execute("update account set balance = balance where id = 1")
        deadline = time.monotonic() + 5
        while guarded.server.sql("select farshore.in_lease()") == [(True,)]:
            assert time.monotonic() < deadline
        with pytest.raises(ReadOnlySqlTransaction):
            connection.commit()


@pytest.mark.parametrize("other", [-1, 1])
def test_only_the_granted_epoch_is_renewed(guarded, other):
    """A controller frozen over a move wakes and renews what it held."""
    end = guarded.server.sql("select pg_sequence_last_value('farshore.until_us')")
    renewed = f"select farshore.renew({guarded.epoch + other}, clock_timestamp(), interval '2 hours')"
    assert guarded.server.sql(renewed) == [(False,)]
    assert guarded.server.sql("select pg_sequence_last_value('farshore.until_us')") == end


def test_an_old_snapshot_sees_the_fence(guarded):
    """H3: a lease in an ordinary row would still look valid to this transaction."""
    with guarded.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("update account set balance = balance + 1 where id = 2")
        guarded.fence()
        with pytest.raises(ReadOnlySqlTransaction):
            connection.commit()


BYPASSES = {
    "statement, then idling": ["update account set balance = balance + 1 where id = 3"],
    "with hold cursor": [
        "update account set balance = balance + 1 where id = 3",
        "declare c cursor with hold for select 1",
    ],
    "replica role": ["set session_replication_role = replica", "update account set balance = balance + 1"],
    "copy": ["insert into account select n, 1 from generate_series(100, 105) n"],
    "delete": ["delete from account where id = 9"],
    "into a partition": ["insert into parted_a values (1, 'a')"],
    "into a partition made later": ["insert into parted_b values (1, 'b')"],
    "a first row that is taken back": [
        "savepoint s",
        "delete from account where id = 8",
        "rollback to s",
        "delete from account where id = 7",
    ],
    "a first row that fails": [
        (
            "do $$ begin begin delete from account where id = 8; perform 1 / 0; exception when others then null; end; "
            "delete from account where id = 7; end $$"
        )
    ],
    "a first row in a function's settings": [
        (
            "create function pg_temp.f() returns void language sql set work_mem = '1MB' set farshore.check_due = '' "
            "as 'delete from account where id = 8'"
        ),
        "select pg_temp.f()",
    ],
    "a mark left in the session": [
        "select set_config('farshore.check_due', pg_current_xact_id()::text, false)",
        "commit",
        "delete from account where id = 7",
    ],
    "merge": [
        "merge into account a using (values (4)) v(id) on a.id = v.id when matched then update set balance = 7"
    ],
}


@pytest.mark.parametrize("statements", BYPASSES.values(), ids=BYPASSES.keys())
def test_no_way_round_the_fence(guarded, statements):
    with guarded.connect() as connection:
        for statement in statements:
            connection.execute(statement)
        guarded.fence()
        with pytest.raises(ReadOnlySqlTransaction):
            connection.commit()
        connection.rollback()


def test_a_row_after_an_early_check_is_checked_too(guarded):
    with guarded.connect() as connection:
        connection.execute("set constraints all immediate")
        connection.execute("update account set balance = balance + 1 where id = 2")
        guarded.fence()
        with pytest.raises(ReadOnlySqlTransaction):
            connection.execute("update account set balance = balance + 1 where id = 2")


def test_a_row_that_a_deferred_trigger_writes_after_the_check_is_checked_too(guarded):
    with guarded.connect() as connection:
        connection.execute(
            "create function pg_temp.late() returns trigger language plpgsql as "
            "$$ begin perform farshore.fence(new.id); update account set balance = 0 where id = 3; return null; end $$"
        )
        connection.execute(
            "create constraint trigger late after insert on free deferrable initially deferred "
            "for each row execute function pg_temp.late()"
        )
        connection.execute("update account set balance = balance + 1 where id = 2")
        connection.execute("insert into free values (%s)", [guarded.epoch])
        with pytest.raises(ReadOnlySqlTransaction):
            connection.commit()


def test_truncate_is_refused_even_in_lease(guarded):
    with pytest.raises(ReadOnlySqlTransaction):
        guarded.server.sql("truncate account")


def test_prepared_transactions_are_off(guarded):
    assert guarded.server.sql("show max_prepared_transactions") == [("0",)]


def test_a_fence_is_sticky_for_its_epoch(guarded):
    """H7: a late renewal must not undo it."""
    guarded.fence()
    assert guarded.renew() is False
    assert guarded.server.sql("select farshore.in_lease()") == [(False,)]


def test_a_lower_or_equal_epoch_is_never_granted(guarded):
    assert guarded.server.sql("select farshore.grant_epoch(%s, %s)", STANDBY, guarded.epoch)[0][0] is False
    assert (
        guarded.server.sql("select farshore.grant_epoch(%s, %s)", STANDBY, guarded.epoch - 1)[0][0] is False
    )
    assert guarded.server.sql("select region from farshore.lease") == [(HOME,)]


def test_the_barrier_waits_for_whoever_has_passed_the_check(guarded):
    """SET CONSTRAINTS runs the check early; the barrier must not return before that transaction has ended."""
    early = guarded.connect()
    early.execute("update account set balance = balance + 1 where id = 5")
    early.execute("set constraints all immediate")
    guarded.fence()
    passed = threading.Event()

    def wait() -> None:
        guarded.server.sql("select farshore.barrier()")
        passed.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not passed.wait(0.3)
    early.commit()
    early.close()
    waiting.join(5)
    assert passed.is_set()


def drained(guarded, patience):
    return guarded.server.sql(f"select farshore.drain({guarded.epoch}, interval '{patience}')")[0][0]


def test_a_drain_waits_for_whoever_has_passed_the_check_and_ends_who_takes_too_long(guarded):
    slow = guarded.connect()
    slow.execute("update account set balance = balance + 1 where id = 5")
    slow.execute("set constraints all immediate")
    guarded.fence()
    found = []
    waiting = threading.Thread(target=lambda: found.append(drained(guarded, "60 seconds")))
    waiting.start()
    waiting.join(0.3)
    assert not found
    slow.execute("insert into free values (%s)", [-1000 - guarded.epoch])
    slow.commit()
    waiting.join(30)
    assert found[0] is not None
    guarded.epoch += 1
    guarded.server.sql("select farshore.grant_epoch(%s, %s)", HOME, guarded.epoch)
    guarded.renew()
    slow.execute("update account set balance = balance + 1 where id = 5")
    slow.execute("set constraints all immediate")
    guarded.fence()
    assert drained(guarded, "100 milliseconds") > found[0]
    with pytest.raises(psycopg.OperationalError):
        slow.commit()


def test_unguarded_tables_are_left_alone(guarded):
    guarded.fence()
    guarded.server.sql("insert into free values (%s)", guarded.epoch)


def test_an_application_cannot_move_the_lease(guarded):
    guarded.server.sql("drop role if exists app")
    guarded.server.sql("create role app login password 'app'")
    with psycopg.connect(
        host=guarded.server.host, port=guarded.server.port, user="app", password="app", dbname="postgres"
    ) as app:
        for attack in (
            "select farshore.fence(1)",
            "select setval('farshore.until_us', 9)",
            "update farshore.lease set fenced = true",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(attack)
            app.rollback()


def test_advisory_mode_only_warns(guarded):
    notices = []
    guarded.server.sql("select farshore.set_enforcing(false)")
    try:
        with guarded.server.admin() as connection:
            connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            guarded.fence()
            connection.execute("update account set balance = balance where id < 6")
    finally:
        guarded.server.sql("select farshore.set_enforcing(true)")
    assert ["would refuse" in notice for notice in notices] == [True], "one check a transaction"


def test_a_promoted_standby_does_not_inherit_the_lease(pair_of_servers):
    """H5: the standby holds a replicated, unexpired lease; its postmaster is another one."""
    pair = pair_of_servers
    guarded = Guarded(pair.home)
    pair.home.sql("insert into free values (%s)", -guarded.epoch)  # a renewal alone waits for no disk
    pair.caught_up()
    until = "select pg_sequence_last_value('farshore.until_us')"
    assert pair.standby.sql(until) == pair.home.sql(until)
    pair.promote()
    assert pair.standby.sql("select farshore.in_lease()") == [(False,)]
    with pytest.raises(ReadOnlySqlTransaction):
        pair.standby.sql("update account set balance = balance where id = 7")
    assert pair.standby.sql("select farshore.grant_epoch(%s, %s)", STANDBY, guarded.epoch + 1)[0][0]
    pair.standby.sql(f"select farshore.renew({guarded.epoch + 1}, clock_timestamp(), {FOREVER})")
    pair.standby.sql("update account set balance = balance where id = 7")
    forks = pair.standby.sql("select region, snapshot from farshore.epochs order by epoch desc limit 1")
    assert forks[0][0] == STANDBY


def test_a_clock_that_stepped_back_leaves_no_lease_longer_than_the_next_renewals(guarded):
    """H8: the old end lies in a future that honest clocks never allowed; the next renewal takes it back."""
    guarded.renew("interval '1 hour'")
    assert guarded.renew("interval '100 milliseconds'")
    left_us = "pg_sequence_last_value('farshore.until_us') - date_part('epoch', clock_timestamp()) * 1e6"
    assert guarded.server.sql(f"select {left_us}")[0][0] <= 100_000


def test_a_late_renewal_does_not_shorten_a_newer_one(guarded):
    guarded.renew("interval '20 seconds'")
    end = guarded.server.sql("select pg_sequence_last_value('farshore.until_us')")
    guarded.server.sql(
        f"select farshore.renew({guarded.epoch}, clock_timestamp() - interval '5 s', interval '20 s')"
    )
    assert guarded.server.sql("select pg_sequence_last_value('farshore.until_us')") == end
