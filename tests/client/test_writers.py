"""Connections for a pool of one's own: what commit() says, and how they learn of a move. Both clients."""

import time
import uuid

import psycopg
import pytest
from payments import connections, pay, rows, settings
from test_transact import eventually

from farshore.client import DeadlineError, UnknownOutcomeError, WriterConnection
from two_servers import HOME, Relay


@pytest.fixture
def client(shell, servers, names):
    with shell(settings(servers, names)) as client:
        yield client


@pytest.fixture
def losses(client):
    """One entry each time the client said that the writer was lost."""
    told = []
    client.on_loss(lambda: told.append(time.monotonic()))
    return told


def test_commit_is_confirmed(client, servers):
    key = uuid.uuid4()

    async def flow():
        connection = await client.connected()
        await pay(key)(connection)
        await connection.commit()
        await connection.commit()  # nothing to commit: nothing to say
        return connection.session

    connection = client.run(flow())
    assert (connection.epoch, connection.region, connection.stale) == (servers.epoch, HOME, False)
    assert rows(servers.home, key) == 1


def test_every_connection_notices_a_peer_that_is_gone_and_bytes_that_nobody_acknowledges(client):
    """The table in docs/clients.md; of connections for pools, and of those that transact opens."""

    async def parameters(ask):
        return ask.session.info.get_parameters()

    async def of_a_pools():
        return await parameters(await client.connected())

    wanted = {
        "keepalives": "1",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }
    for found in (client.run(of_a_pools()), client.transact(parameters).value):
        assert {name: found.get(name) for name in wanted} == wanted


def test_a_refused_commit_raises_the_guards_error_and_ends_every_connection_to_that_writer(
    client, servers, losses
):
    async def flow():
        one, other = await client.connected(), await client.connected()
        await pay(uuid.uuid4())(one)
        await one.block(servers.keepers[-1].fence)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await one.commit()
        return one.session, other.session

    one, other = client.run(flow())
    assert (one.closed, one.stale) == (True, True)
    assert (other.closed, other.stale) == (False, True)
    assert eventually(lambda: len(losses) == 1)


def test_a_demoted_writer_is_noticed_without_a_caller(shell, servers, names):
    with shell(settings(servers, names, idle_check_s=0.1)) as client:
        told = []
        client.on_loss(lambda: told.append(1))
        connection = client.run(client.connected()).session
        assert eventually(lambda: client.transact(pay(uuid.uuid4())).status == "ok")
        servers.keepers[-1].fence()
        assert eventually(lambda: told)
        assert connection.stale


def test_a_warm_session_that_breaks_by_itself_is_replaced_and_no_loss(shell, servers, names):
    with shell(settings(servers, names, idle_check_s=0.1)) as client:
        told = []
        client.on_loss(lambda: told.append(1))
        assert eventually(lambda: client.transact(pay(uuid.uuid4())).status == "ok")
        ended = servers.home.sql(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farshore-client'"
        )
        fresh = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'farshore-client' AND pid <> ALL (%s)"
        assert eventually(lambda: servers.home.sql(fresh, [pid for pid, _ in ended]) == [(1,)])
        assert client.transact(pay(uuid.uuid4())).attempts == 1
    assert told == []


def test_a_callback_that_fails_does_not_stop_the_search(client, servers):
    client.on_loss(lambda: 1 / 0)
    assert eventually(lambda: client.transact(pay(uuid.uuid4())).status == "ok")
    servers.keepers[-1].fence()
    assert client.transact(pay(uuid.uuid4()), deadline_s=0.3).status == "failed"
    servers.keep(servers.home, HOME, servers.epoch + 1)
    assert client.transact(pay(uuid.uuid4()), deadline_s=3).status == "ok"


def test_an_unconfirmed_commit_raises_unknown(client, servers, losses):
    async def flow():
        connection = await client.connected()
        await connection.run("INSERT INTO note VALUES (1)")
        await connection.block(servers.keepers[-1].fence)
        with pytest.raises(UnknownOutcomeError):
            await connection.commit()
        return connection.session

    assert client.run(flow()).closed
    assert servers.home.sql("SELECT count(*) FROM note") == [(1,)]
    assert eventually(lambda: losses)


def test_a_lost_commit_reply_raises_unknown_in_time(shell, servers, names):
    key = uuid.uuid4()
    relay = Relay(servers.home.port)

    async def flow():
        connection = await client.connected(call_s=0.4)
        await pay(key)(connection)
        relay.mute()
        started = time.monotonic()
        with pytest.raises(UnknownOutcomeError):
            await connection.commit()
        return time.monotonic() - started

    with shell(settings(servers, names, home_port=relay.port)) as client:
        seconds = client.run(flow())
    relay.close()
    assert seconds < 1.2
    assert rows(servers.home, key) == 1


def test_a_failed_transaction_is_not_silently_rolled_back(client, servers):
    key = uuid.uuid4()

    async def flow():
        connection = await client.connected()
        await pay(key)(connection)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.run("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await connection.commit()
        await pay(key)(connection)
        await connection.commit()

    client.run(flow())
    assert rows(servers.home, key) == 1


def test_a_commit_that_could_not_be_confirmed_is_not_sent(client, servers):
    key = uuid.uuid4()

    async def flow():
        connection = await client.connected()
        with pytest.raises(psycopg.NotSupportedError):
            await connection.savepoint()
        await pay(key)(connection)
        await connection.savepoint()
        with pytest.raises(psycopg.ProgrammingError):
            await connection.commit_in_a_pipeline()
        await connection.block(time.sleep, 0)
        return connection.session

    client.run(flow())
    assert rows(servers.home, key) == 0


def test_a_client_that_falls_silent_after_a_pipeline_keeps_no_locks(client, servers):
    """A message behind the pipeline's Sync would stop PostgreSQL's idle-in-transaction timer."""

    async def flow():
        connection = await client.connected()
        await connection.run("SET idle_in_transaction_session_timeout = 200")
        await connection.commit()
        await connection.idle_after_a_pipeline()
        return connection.pid

    pid = client.run(flow())
    assert eventually(lambda: servers.home.sql(f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}") == [])


def test_a_slow_statement_ends_its_connection_and_nobody_elses(client, servers, losses):
    async def flow():
        slow, other = await client.connected(call_s=0.3), await client.connected()
        with pytest.raises(DeadlineError):
            await slow.run("SELECT pg_sleep(21)")
        return slow.session, other.session

    slow, other = client.run(flow())
    assert slow.closed
    assert eventually(lambda: connections(servers.home, active="pg_sleep(21)") == 0), "cancelled"
    assert client.transact(pay(uuid.uuid4())).status == "ok"
    assert not other.stale
    assert losses == []


def test_no_writer_in_time_is_an_error_in_time(client, servers):
    servers.keepers[-1].fence()
    assert client.transact(pay(uuid.uuid4()), deadline_s=0.3).status == "failed"
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="no writer"):
        client.run(client.connected(deadline_s=0.3))
    assert time.monotonic() - started < 1.2


def test_a_pool_may_not_say_where_to_connect():
    with pytest.raises(ValueError, match="leave it empty"):
        WriterConnection.connect("host=elsewhere", client=None)
