"""A deadline holds whatever the peer does."""

import dataclasses
import socket
import threading
import time
from contextlib import closing

import pytest
from psycopg import sql

from farshore.clock import SystemClock
from farshore.core.profile import FAST
from farshore.monitor import Monitor
from farshore.postgres.guarded import GuardedDatabase
from farshore.postgres.session import DatabaseUnreachableError, Login, LoopThread, Session
from two_servers import HOME, HOSTS, NAMES, PASSWORD, Relay

ONE = sql.SQL("select 1")


@pytest.fixture(scope="module")
def loop():
    return LoopThread()


def login(pair, **changes):
    values = {
        "host": NAMES[HOME],
        "port": pair.home.port,
        "dbname": "postgres",
        "user": "postgres",
        "password": PASSWORD,
        "sslrootcert": str(pair.certificate),
        "resolve": lambda _name: HOSTS[HOME],
        **changes,
    }
    return Login(**values)


@pytest.fixture
def black_hole():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_row_over_verified_tls(pair_of_servers, loop):
    assert Session(login(pair_of_servers), loop).row(ONE, (), 5000) == (1,)


def test_a_connect_into_a_black_hole_ends_at_the_deadline(pair_of_servers, loop, black_hole):
    session = Session(login(pair_of_servers, port=black_hole), loop)
    started = time.monotonic()
    with pytest.raises(DatabaseUnreachableError):
        session.row(ONE, (), 200)
    assert time.monotonic() - started < 1


def test_a_hanging_statement_ends_at_the_deadline_and_the_next_one_works(pair_of_servers, loop):
    session = Session(login(pair_of_servers), loop)
    started = time.monotonic()
    with pytest.raises(DatabaseUnreachableError):
        session.row(sql.SQL("select pg_sleep(30)"), (), 300)
    assert time.monotonic() - started < 2
    assert session.row(ONE, (), 5000) == (1,)


def test_a_connection_that_falls_silent_ends_at_the_deadline(pair_of_servers, loop):
    """Established, then a black hole: not even a cancel request would be answered."""
    relay = Relay(pair_of_servers.home.port)
    try:
        session = Session(login(pair_of_servers, port=relay.port, resolve=lambda _name: relay.host), loop)
        assert session.row(ONE, (), 5000) == (1,)
        relay.silence()
        started = time.monotonic()
        with pytest.raises(DatabaseUnreachableError):
            session.row(ONE, (), 300)
        assert time.monotonic() - started < 1
    finally:
        relay.close()


def test_one_black_hole_does_not_delay_others_on_the_same_loop(pair_of_servers, loop, black_hole):
    stuck = Session(login(pair_of_servers, port=black_hole), loop)

    def wait() -> None:
        with pytest.raises(DatabaseUnreachableError):
            stuck.row(ONE, (), 3000)

    waiting = threading.Thread(target=wait)
    waiting.start()
    started = time.monotonic()
    Session(login(pair_of_servers), loop).row(ONE, (), 5000)
    assert time.monotonic() - started < 2
    assert waiting.is_alive()
    waiting.join()


def test_a_name_that_does_not_resolve_is_unreachable(pair_of_servers, loop):
    def nowhere(_name):
        raise OSError("no such name")

    with pytest.raises(DatabaseUnreachableError, match="no such name"):
        Session(login(pair_of_servers, resolve=nowhere), loop).row(ONE, (), 1000)


def test_a_slow_network_is_no_clock_step_but_a_step_is():
    database = GuardedDatabase(HOME, session=None)
    assert database._clock_step_ms(1_000_000, 500_000, 500_100) == 0
    assert database._clock_step_ms(3_000_000, 2_000_000, 2_900_000) == 0
    assert database._clock_step_ms(9_000_000, 3_000_000, 3_100_000) == pytest.approx(4900, abs=20)
    assert database._clock_step_ms(5_000_000, 3_200_000, 3_300_000) == pytest.approx(-4100, abs=20)


def test_a_rotated_password_is_fetched_again(pair_of_servers, loop):
    """A secret rotates while the process lives; without this every new connection fails until the process ends."""
    fetched = []

    def renewed(refused):
        fetched.append(refused.password)
        return dataclasses.replace(refused, password=PASSWORD)

    session = Session(login(pair_of_servers, password="before the rotation"), loop, renewed)
    with pytest.raises(DatabaseUnreachableError, match="password authentication failed"):
        session.row(ONE, (), 5000)
    assert session.row(ONE, (), 5000) == (1,)
    assert fetched == ["before the rotation"]


def test_a_dead_server_is_no_reason_to_fetch_a_password(pair_of_servers, loop, black_hole):
    def renewed(refused):
        raise AssertionError("asked for a new password")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    for port, said in ((black_hole, "no answer"), (closed, "refused")):
        session = Session(login(pair_of_servers, port=port), loop, renewed)
        for _ in range(2):
            with pytest.raises(DatabaseUnreachableError, match=said):
                session.row(ONE, (), 200)


def test_a_monitor_that_ends_leaves_no_connection_and_no_thread(pair_of_servers, loop):
    """Lambda keeps the process warm: what each invocation leaves behind adds up."""
    server = pair_of_servers.home
    server.sql(
        "create or replace function aurora_global_db_status() returns table "
        "(aws_region text, rpo_lag_in_msec bigint, last_lag_calculation_time timestamptz) "
        "language sql as $$ select 'us-west-2', 5::bigint, clock_timestamp() $$"
    )
    sessions = (Session(login(pair_of_servers), loop), Session(login(pair_of_servers), loop))
    pids = [session.row(sql.SQL("select pg_backend_pid()"), (), 5000)[0] for session in sessions]

    def connected():
        return server.sql("select count(*) from pg_stat_activity where pid = any(%s)", pids)[0][0]

    def probing():
        return [each for each in threading.enumerate() if each.name.startswith(f"probe {HOME}")]

    monitor = Monitor(
        region=HOME,
        process="p",
        sessions={HOME: sessions},
        profile=FAST,
        journal=Unread(),
        clock=SystemClock(),
    )
    assert (connected(), len(probing())) == (2, 2)
    monitor.stop()
    deadline = time.monotonic() + 20
    while connected() or probing():
        assert time.monotonic() < deadline, (connected(), probing())
        time.sleep(0.05)


@pytest.mark.parametrize(("age_s", "told"), [("1", 15), ("29", 15), ("31", None), ("null", None)])
def test_a_lag_calculated_long_ago_is_not_told_and_the_last_byte_is(pair_of_servers, loop, age_s, told):
    """H11: nothing comes through any more, and the last figure stands."""
    server = pair_of_servers.home
    server.sql("drop function if exists aurora_global_db_status()")
    server.sql(
        "create function aurora_global_db_status() returns table (rpo_lag_in_msec bigint, "
        "highest_lsn_written bigint, last_lag_calculation_time timestamptz) language sql as "
        f"$$ select 15::bigint, 4711::bigint, clock_timestamp() - {age_s} * interval '1 s' $$"
    )
    with closing(Session(login(pair_of_servers), loop)) as session:
        seen = GuardedDatabase(HOME, session).inspect(5000)
    server.sql("drop function aurora_global_db_status()")
    assert (seen.lag_ms, seen.received_lsn) == (told, 4711)


class Unread:
    def put_sighting(self, sighting):
        """Nobody reads it here."""
