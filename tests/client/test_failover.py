"""Deadlines against black holes, and finding the new writer after a promotion. Both clients."""

import asyncio
import socket
import time
import uuid

import pytest
from payments import keyed, pay, rows, settings
from shells import Tasks, Threads

from farshore.client import Key, NameLookupError, Target
from farshore.client.names import AsyncResolver, Resolver
from two_servers import HOME, HOSTS, NAMES, STANDBY, WRITER_NAME, Relay

only_threads = pytest.mark.parametrize(
    "shell", [Threads], indirect=True
)  # what it asks is not the shell's doing


@pytest.fixture
def hole():
    """Listeners in both regions on one port that take connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as home:
        port = home.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)):
            yield port


def took(call):
    started = time.monotonic()
    result = call()
    return result, time.monotonic() - started


@pytest.mark.parametrize("deadline_s", [0.2, 0.8])
def test_the_deadline_holds_when_everything_is_a_black_hole(shell, servers, names, hole, deadline_s):
    with shell(settings(servers, names, home_port=hole, standby_port=hole)) as client:
        outcome, seconds = took(lambda: client.transact(pay(uuid.uuid4()), deadline_s=deadline_s))
    assert outcome.status == "failed"
    assert deadline_s - 0.05 < seconds < deadline_s + 0.5


def test_the_deadline_holds_when_the_server_falls_silent_at_work(shell, servers, names):
    relay = Relay(servers.home.port)

    async def silenced(ask):
        relay.silence()
        return await pay(uuid.uuid4())(ask)

    with shell(settings(servers, names, home_port=relay.port)) as client:
        outcome, seconds = took(lambda: client.transact(silenced, deadline_s=1))
    relay.close()
    assert outcome.status == "failed"
    assert seconds < 1.5


def test_the_deadline_holds_when_commit_is_sent_into_silence(shell, servers, names):
    relay = Relay(servers.home.port)
    key = uuid.uuid4()

    async def silenced(ask):
        await pay(key)(ask)
        relay.silence()

    with shell(settings(servers, names, home_port=relay.port)) as client:
        outcome, seconds = took(lambda: client.transact(silenced, key=keyed(key), deadline_s=1))
    relay.close()
    assert outcome.status == "unknown"
    assert seconds < 1.5


@only_threads
def test_a_silent_name_server_does_not_stop_a_client_that_knows_the_endpoints(shell, servers, names):
    with shell(settings(servers, names)) as client:
        assert client.transact(pay(uuid.uuid4())).status == "ok"
        names.silent = True
        time.sleep(names.ttl_s + 0.1)
        outcome, seconds = took(lambda: client.transact(pay(uuid.uuid4()), deadline_s=1))
    assert (outcome.status, outcome.region) == ("ok", HOME)
    assert seconds < 0.3


SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'farshore-client'"


def pay_by(used, key):
    """A payment that notes which session it was made by."""

    async def work(ask):
        used.append(ask.pid)
        return await pay(key)(ask)

    return work


@pytest.mark.parametrize(
    ("shell", "warm"),
    [(Threads, True), (Tasks, True), (Threads, False)],
    indirect=["shell"],
    ids=["warm session", "warm session, asyncio", "handshake"],
)
def test_the_new_writer_is_found_while_dns_still_names_the_dead_one(shell, doomed_servers, names, warm):
    home = Relay(doomed_servers.home.port, one_way_s=0.03)
    standby = Relay(doomed_servers.standby.port, one_way_s=0.03, host=HOSTS[STANDBY])
    ports = {"home_port": home.port, "standby_port": standby.port}
    with shell(settings(doomed_servers, names, **ports)) as client:
        before = client.transact(pay(uuid.uuid4()), deadline_s=3)
        assert (before.status, before.region) == ("ok", HOME)
        doomed_servers.caught_up()
        home.silence()
        doomed_servers.home.kill()
        during = client.transact(pay(uuid.uuid4()), deadline_s=1)
        assert during.status != "ok"
        opened_before = {pid for (pid,) in doomed_servers.standby.sql(SESSIONS)}
        doomed_servers.promote()
        if not warm:
            doomed_servers.standby.sql(f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS}) AS session")
        keeper = doomed_servers.keep(doomed_servers.standby, STANDBY, 2)
        key = uuid.uuid4()
        after = client.transact(pay_by(used := [], key), key=keyed(key), deadline_s=3)
        seconds = time.monotonic() - keeper.opened
    home.close()
    standby.close()
    assert (after.status, after.region, after.epoch) == ("ok", STANDBY, 2)
    assert names.aliases[WRITER_NAME] == NAMES[HOME], "DNS still names the dead region"
    assert rows(doomed_servers.standby, key) == 1
    assert seconds < 1.5
    if warm:
        assert used[-1] in opened_before, "the session from before the promotion was used"
    print(f"first acknowledgement {seconds * 1000:.0f} ms after the lease opened, warm={warm}")


@only_threads
def test_the_new_writer_is_found_without_any_name_server(shell, doomed_servers, names):
    with shell(settings(doomed_servers, names)) as client:
        assert client.transact(pay(uuid.uuid4())).status == "ok"
        doomed_servers.caught_up()
        names.silent = True
        doomed_servers.home.kill()
        doomed_servers.promote()
        doomed_servers.keep(doomed_servers.standby, STANDBY, 2)
        time.sleep(names.ttl_s)
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=3)
    assert (outcome.status, outcome.region) == ("ok", STANDBY)


@only_threads
def test_a_transaction_caught_by_the_promotion_ends_on_the_new_writer(shell, doomed_servers, names):
    key = uuid.uuid4()
    with shell(settings(doomed_servers, names)) as client:
        assert client.transact(pay(uuid.uuid4())).status == "ok"
        doomed_servers.caught_up()

        def move():
            doomed_servers.keepers[0].fence()
            doomed_servers.promote()
            doomed_servers.keep(doomed_servers.standby, STANDBY, 2)

        async def caught(ask):
            if not doomed_servers.keepers[0].stopped.is_set():
                await ask.block(move)
            return await pay(key)(ask)

        outcome = client.transact(caught, key=keyed(key), deadline_s=4)
    assert (outcome.status, outcome.region, outcome.epoch) == ("ok", STANDBY, 2)
    assert outcome.attempts > 1
    assert (rows(doomed_servers.home, key), rows(doomed_servers.standby, key)) == (0, 1)


@only_threads
def test_dns_decides_where_a_new_client_looks_first(shell, servers, names, hole):
    names.aliases[WRITER_NAME] = NAMES[HOME]
    with shell(settings(servers, names, standby_port=hole, attempt_s=2)) as client:
        outcome, seconds = took(lambda: client.transact(pay(uuid.uuid4()), deadline_s=3))
    assert (outcome.status, outcome.attempts) == ("ok", 1)
    assert WRITER_NAME in names.asked
    assert seconds < 0.5


@only_threads
def test_a_client_told_wrongly_by_dns_finds_the_writer_by_the_other_endpoint(shell, servers, names):
    names.aliases[WRITER_NAME] = NAMES[STANDBY]
    with shell(settings(servers, names)) as client:
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=3)
    assert (outcome.status, outcome.region) == ("ok", HOME)


class BlockingAsync:
    """AsyncResolver, asked like Resolver."""

    def __init__(self, nameservers):
        self._resolver = AsyncResolver(nameservers)

    def find(self, name, within_s):
        return asyncio.run(self._resolver.find(name, within_s))


@pytest.fixture(params=[Resolver, BlockingAsync], ids=["threads", "asyncio"])
def resolver(request, names):
    return request.param((names.address,))


def test_an_answer_is_kept_for_its_ttl_and_no_longer(resolver, names):
    first = resolver.find(WRITER_NAME, 1)
    assert (first.canonical, first.address) == (NAMES[HOME], "127.0.0.1")
    names.aliases[WRITER_NAME] = NAMES[STANDBY]
    assert resolver.find(WRITER_NAME, 1) is first
    time.sleep(names.ttl_s + 0.05)
    assert resolver.find(WRITER_NAME, 1).canonical == NAMES[STANDBY]
    assert names.asked.count(WRITER_NAME) == 2


def test_an_expired_answer_is_not_used_when_the_name_server_is_silent(resolver, names):
    resolver.find(WRITER_NAME, 1)
    names.silent = True
    resolver.find(WRITER_NAME, 1)
    time.sleep(names.ttl_s + 0.05)
    started = time.monotonic()
    with pytest.raises(NameLookupError):
        resolver.find(WRITER_NAME, 0.3)
    assert time.monotonic() - started < 0.45


@only_threads
def test_the_endpoint_may_be_an_alias_itself_as_on_aurora(shell, servers, names):
    """The writer's name leads to the cluster's endpoint, and that to an instance: DNS alone says which region."""
    names.aliases |= {NAMES[HOME]: "instance-1.home.ledger.test"}
    names.names["instance-1.home.ledger.test"] = "127.0.0.1"
    assert Resolver((names.address,)).find(WRITER_NAME, 1).names == {
        WRITER_NAME,
        NAMES[HOME],
        "instance-1.home.ledger.test",
    }
    too_short_to_look_s = 0.0001
    with shell(settings(servers, names, connect_s=too_short_to_look_s, attempt_s=2)) as client:
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=3)
    assert (outcome.status, outcome.region, outcome.attempts) == ("ok", HOME, 1)


def test_settings_that_cannot_work_are_refused(servers, names):
    with pytest.raises(ValueError, match="targets is empty"):
        settings(servers, names, targets=())
    with pytest.raises(ValueError, match="attempt_s"):
        settings(servers, names, attempt_s=0)
    with pytest.raises(ValueError, match="warm"):
        settings(servers, names, targets=(Target(HOME, "a"),), warm=0)
    with pytest.raises(ValueError, match="columns is empty"):
        Key("payment", {})
