"""Both kinds of client against real servers: what they call ok, failed and unknown, and their deadlines."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from ledger_kit import ACCOUNTS, access, read_ledger

from farshore.drill import workload
from farshore.drill.books import audit
from farshore.drill.client_process import Config, Spec
from farshore.drill.clients import AwareClient, PlainClient, Reply, Watchdog, work
from farshore.drill.doubts import GUARD_REFUSED
from farshore.drill.events import Meta
from farshore.drill.history import HistoryWriter, read_histories
from two_servers import HOME, NAMES, STANDBY, WRITER_NAME, Relay

DEADLINE_S = 1.0


@pytest.fixture
def watchdog():
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


@pytest.fixture
def make(names, watchdog):
    """Makes clients of either kind, and closes them."""
    made = []

    def make(kind, servers, port=None):
        where = access(servers, names, port=port)
        if kind == "plain":
            client = PlainClient("c1", where, watchdog, deadline_s=DEADLINE_S)
        else:
            client = AwareClient("c1", where, deadline_s=DEADLINE_S, attempt_s=0.5)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def some(seed):
    return workload.transfers(seed, "c1", ACCOUNTS)


def held(server, transfer) -> bool:
    return server.sql("SELECT count(*) FROM ledger.transfer WHERE id = %s", transfer.key) == [(1,)]


@pytest.mark.parametrize("kind", ["plain", "aware"])
def test_an_acknowledged_transfer_is_in_the_books(ledger, make, kind):
    client, stream = make(kind, ledger), some(1)
    for _ in range(3):
        transfer = next(stream)
        reply = client.attempt(transfer)
        assert (reply.outcome, reply.region) == ("ok", HOME)
        assert reply.epoch == (ledger.epoch if kind == "aware" else None)
        assert held(ledger.home, transfer)
    assert audit(read_ledger(ledger.home, HOME)).balanced


@pytest.mark.parametrize("kind", ["plain", "aware"])
def test_a_fenced_writer_acknowledges_nothing(ledger, make, kind):
    client, transfer = make(kind, ledger), next(some(2))
    assert client.attempt(next(some(3))).outcome == "ok"
    ledger.keepers[-1].fence()
    reply = client.attempt(transfer)
    assert (reply.outcome, reply.error) == ("failed", GUARD_REFUSED if kind == "plain" else "25006")
    assert not held(ledger.home, transfer)


@pytest.mark.parametrize("kind", ["plain", "aware"])
def test_the_deadline_holds_in_silence(ledger, make, kind):
    relay = Relay(ledger.home.port)
    client = make(kind, ledger, relay.port)
    assert client.attempt(next(some(4))).outcome == "ok"
    relay.silence()
    started = time.monotonic()
    assert client.attempt(next(some(5))).outcome == "failed"
    assert time.monotonic() - started < DEADLINE_S + 1
    relay.close()


def test_a_plain_commit_without_reply_is_unknown_and_ok_when_it_is_found_to_have_landed(ledger, make):
    relay = Relay(ledger.home.port)
    client, transfer = make("plain", ledger, relay.port), next(some(6))
    assert client.attempt(next(some(7))).outcome == "ok"
    connection = client._line.connection
    commit = connection.execute

    def execute(query, *arguments):
        if query == "COMMIT":
            relay.mute()
        return commit(query, *arguments)

    connection.execute = execute
    reply = client.attempt(transfer)
    assert (reply.outcome, reply.region) == ("unknown", HOME)
    assert held(ledger.home, transfer)
    assert client.attempt(transfer) == Reply("ok", HOME)
    relay.close()


def test_a_plain_client_follows_dns_when_its_ttl_has_expired_and_not_before(ledger, names, make):
    client, stream = make("plain", ledger), some(8)
    assert client.attempt(next(stream)) == Reply("ok", HOME)
    names.aliases[WRITER_NAME] = NAMES[STANDBY]
    asked = names.asked.count(WRITER_NAME)
    assert client.attempt(next(stream)) == Reply("ok", HOME), "the old answer is still valid"
    assert names.asked.count(WRITER_NAME) == asked
    time.sleep(names.ttl_s + 0.1)
    assert client.attempt(next(stream)) == Reply("failed", STANDBY, error="25006")


class Scripted:
    """A client that answers from a list."""

    kind, tag = "plain", "bare"

    def __init__(self, outcomes, stop):
        self.outcomes, self.stop, self.seen = list(outcomes), stop, []

    def attempt(self, transfer):
        self.seen.append(transfer.key)
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.stop.set()
        return Reply(outcome, "x", error=None if outcome == "ok" else "why")

    def close(self):
        pass


def test_a_transfer_is_repeated_under_its_key_and_every_attempt_is_written_down(tmp_path):
    stop = threading.Event()
    client = Scripted(["unknown", "failed", "ok", "ok"], stop)
    with HistoryWriter(tmp_path, Meta("c1", "plain", "x", 1, 1)) as history:
        work(client, some(9), history, per_second=1000, stop=stop)
    first, second = (transfer.key for transfer, _ in zip(some(9), range(2), strict=False))
    assert client.seen == [first, first, first, second]
    events = read_histories(tmp_path)[0].events
    returns = events[1::2]
    assert [event.op for event in events[::2]] == [event.op for event in returns] == client.seen
    assert [(event.outcome, event.attempt) for event in returns] == [
        ("unknown", 1),
        ("failed", 2),
        ("ok", 3),
        ("ok", 1),
    ]


def test_the_pace_is_kept(tmp_path):
    stop = threading.Event()
    client = Scripted(["ok"] * 20, stop)
    started = time.monotonic()
    with HistoryWriter(tmp_path, Meta("c1", "plain", "x", 1, 1)) as history:
        work(client, some(10), history, per_second=50, stop=stop)
    assert 0.3 < time.monotonic() - started < 5


@pytest.fixture
def process(ledger, names, tmp_path):
    config = Config(
        view=HOME,
        seed=11,
        accounts=ACCOUNTS,
        directory=str(tmp_path),
        clients=(Spec("p1", "plain", 30), Spec("a1", "aware", 30)),
        access=access(ledger, names),
        deadline_s=1,
        attempt_s=0.5,
    )
    config.save(tmp_path / "config.json")
    argv = [sys.executable, "-m", "farshore.drill.client_process", str(tmp_path / "config.json")]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.wait()


def acks(directory):
    return [
        sum(1 for event in history.events if getattr(event, "outcome", None) == "ok")
        for history in read_histories(directory)
    ]


def wait_for_acks(directory, wanted):
    limit = time.monotonic() + 20
    while len(counts := acks(directory)) < 2 or min(counts) < wanted:
        assert time.monotonic() < limit, counts
        time.sleep(0.05)


def test_a_process_of_clients_writes_histories_that_agree_with_the_books(process, ledger, tmp_path):
    wait_for_acks(tmp_path, 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    found = {transfer.key for transfer in read_ledger(ledger.home, HOME).transfers}
    histories = read_histories(tmp_path)
    assert {(history.meta.client, history.meta.kind) for history in histories} == {
        ("p1", "plain"),
        ("a1", "aware"),
    }
    acked = {
        event.op
        for history in histories
        for event in history.events
        if getattr(event, "outcome", None) == "ok"
    }
    assert acked == found


def test_clients_do_not_outlive_the_drill(process, tmp_path):
    wait_for_acks(tmp_path, 1)
    process.stdin.close()
    assert process.wait(5) == 4
