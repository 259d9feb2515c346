"""Transactions against a real writer: how they end, and what is in the database afterwards. Both clients."""

import asyncio
import threading
import time
import uuid

import psycopg
import pytest
from payments import connections, keyed, pay, rows, settings
from shells import Tasks

from farshore.client import AlreadyAppliedError, Key, Target, WorkError
from two_servers import HOME, PASSWORD, WRITER_NAME, Relay


@pytest.fixture
def client(shell, servers, names):
    with shell(settings(servers, names)) as client:
        yield client


def eventually(met, within_s=15.0) -> bool:
    limit = time.monotonic() + within_s
    while not (answer := met()) and time.monotonic() < limit:
        time.sleep(0.02)
    return answer


@pytest.mark.parametrize("pipeline", [False, True])
def test_ok_is_committed_and_confirmed_by_the_writer(client, servers, pipeline):
    key = uuid.uuid4()
    outcome = client.transact(pay(key), key=keyed(key), pipeline=pipeline)
    assert (outcome.status, outcome.region, outcome.epoch, outcome.attempts) == ("ok", HOME, servers.epoch, 1)
    assert outcome.value == (1,)
    assert rows(servers.home, key) == 1


@pytest.mark.parametrize("pipeline", [False, True])
def test_a_key_that_has_landed_is_confirmed_not_repeated(client, servers, pipeline):
    key = uuid.uuid4()
    client.transact(pay(key), key=keyed(key))
    again = client.transact(pay(key, amount=7), key=keyed(key), pipeline=pipeline)
    assert (again.status, again.replayed, again.epoch, again.value) == ("ok", True, servers.epoch, None)
    assert servers.home.sql("SELECT amount FROM payment WHERE id = %s", key) == [(1,)]


def test_a_key_that_has_landed_where_nobody_may_write_now_is_not_acknowledged(client, servers):
    key = uuid.uuid4()
    assert client.transact(pay(key), key=keyed(key)).status == "ok"
    servers.keepers[-1].fence()
    again = client.transact(pay(key), key=keyed(key), deadline_s=0.5)
    assert (again.status, again.epoch) == ("unknown", None)


def test_work_may_say_itself_that_its_key_has_landed(client, servers):
    async def found_it(ask):
        raise AlreadyAppliedError

    outcome = client.transact(found_it)
    assert (outcome.status, outcome.replayed, outcome.epoch) == ("ok", True, servers.epoch)


def test_a_unique_violation_of_another_key_is_a_failure(client):
    other, key = uuid.uuid4(), uuid.uuid4()
    client.transact(pay(other), key=keyed(other))
    outcome = client.transact(pay(other), key=keyed(key))
    assert (outcome.status, outcome.error, outcome.attempts) == ("failed", "23505", 1)


def test_another_constraint_with_the_keys_text_does_not_make_it_land(client, servers):
    """The invoice's number reads like the payment's key, and the payment was never made."""

    async def pay_an_invoice_twice(ask):
        await ask.run("INSERT INTO invoice VALUES (%s, '7')", uuid.uuid4())

    servers.home.sql("INSERT INTO invoice VALUES (%s, '7')", uuid.uuid4())
    outcome = client.transact(pay_an_invoice_twice, key=Key("invoice_payment", {"number": 7}))
    assert (outcome.status, outcome.error, outcome.replayed) == ("failed", "23505", False)


def test_a_key_of_several_columns_is_found_in_its_schema_and_column(client, servers):
    async def order(ask):
        await ask.run("INSERT INTO shop.orders VALUES (%s, %s, 'x')", "a (b)", 1)

    key = Key("shop.orders", {"tenant": "a (b)", "number": 1})
    assert not client.transact(order, key=key).replayed
    again = client.transact(order, key=key)
    assert (again.status, again.replayed) == ("ok", True)
    other = client.transact(order, key=Key("shop.orders", {"tenant": "b", "number": 1}))
    assert (other.status, other.error) == ("failed", "23505")


def test_a_key_whose_constraint_is_checked_at_commit_is_found_too(client):
    async def note(ask):
        await ask.run("INSERT INTO note VALUES (5)")

    key = Key("note", {"id": 5})
    assert not client.transact(note, key=key).replayed
    again = client.transact(note, key=key)
    assert (again.status, again.replayed) == ("ok", True)


def test_a_key_that_cannot_be_read_back_is_unknown_and_says_why(client):
    key = uuid.uuid4()
    client.transact(pay(key))
    outcome = client.transact(pay(key), key=Key("no_such_table", {"id": key}))
    assert (outcome.status, outcome.error, outcome.attempts) == ("unknown", "42P01", 1)


def test_an_error_of_the_statement_fails_without_a_retry(client):
    key = uuid.uuid4()
    outcome = client.transact(pay(key, amount=0), key=keyed(key))
    assert (outcome.status, outcome.error, outcome.attempts) == ("failed", "23514", 1)
    assert isinstance(outcome.cause, psycopg.errors.CheckViolation)
    assert client.transact(pay(key), key=keyed(key)).status == "ok", "the session must be usable again"


def test_a_swallowed_error_is_never_taken_for_a_commit(client, servers):
    key = uuid.uuid4()

    async def careless(ask):
        await pay(key)(ask)
        with pytest.raises(psycopg.Error):
            await ask.run("SELECT 1 / 0")

    outcome = client.transact(careless, key=keyed(key))
    assert (outcome.status, outcome.error) == ("failed", "25P02")
    assert rows(servers.home, key) == 0


def test_a_constraint_checked_at_commit_is_a_failure_not_an_unknown(client, servers):
    async def twice(ask):
        await ask.run("INSERT INTO note VALUES (1)")
        await ask.run("INSERT INTO note VALUES (1)")

    outcome = client.transact(twice)
    assert (outcome.status, outcome.error) == ("failed", "23505")
    assert servers.home.sql("SELECT count(*) FROM note") == [(0,)]


def test_the_applications_own_exception_passes_through_and_rolls_back(client, servers):
    key = uuid.uuid4()

    async def refuse(ask):
        await pay(key)(ask)
        raise LookupError("no such customer")

    with pytest.raises(LookupError):
        client.transact(refuse, key=keyed(key))
    assert client.transact(pay(uuid.uuid4())).status == "ok"
    assert rows(servers.home, key) == 0


def test_work_may_not_end_its_transaction(client):
    with pytest.raises(WorkError):
        client.transact(lambda ask: ask.run("COMMIT"))


def test_a_lost_commit_reply_is_unknown_without_a_key(shell, servers, names):
    key = uuid.uuid4()
    relay = Relay(servers.home.port)

    async def pay_and_lose(ask):
        await pay(key)(ask)
        relay.mute()

    with shell(settings(servers, names, home_port=relay.port)) as client:
        outcome = client.transact(pay_and_lose)
    relay.close()
    assert (outcome.status, outcome.attempts) == ("unknown", 1)
    assert rows(servers.home, key) == 1, "the commit itself had arrived"


def test_a_lost_commit_reply_is_resolved_by_the_key(shell, servers, names):
    key = uuid.uuid4()
    relay = Relay(servers.home.port)
    lost = []

    async def pay_and_lose(ask):
        await pay(key)(ask)
        if not lost:
            lost.append(relay.mute())

    with shell(settings(servers, names, home_port=relay.port)) as client:
        outcome = client.transact(pay_and_lose, key=keyed(key), deadline_s=5)
    relay.close()
    assert (outcome.status, outcome.replayed, outcome.attempts) == ("ok", True, 2)
    assert rows(servers.home, key) == 1


def test_a_commit_the_guard_refuses_has_failed_and_leaves_nothing(client, servers):
    key = uuid.uuid4()

    async def fenced_meanwhile(ask):
        await pay(key)(ask)
        await ask.block(servers.keepers[-1].fence)

    outcome = client.transact(fenced_meanwhile, key=keyed(key), deadline_s=1)
    assert (outcome.status, outcome.error) == ("failed", "25006")
    assert rows(servers.home, key) == 0


def test_a_session_ended_by_the_server_during_commit_is_unknown(shell, servers, names):
    async def ended_during_commit(ask):
        await ask.run("INSERT INTO slow VALUES (1)")
        end = "SELECT pg_terminate_backend(%s) FROM pg_sleep(0.2)"
        threading.Thread(target=servers.home.sql, args=(end, ask.pid)).start()

    with shell(settings(servers, names, attempt_s=3)) as client:
        outcome = client.transact(ended_during_commit)
    assert (outcome.status, outcome.error) == ("unknown", "57P01")


def test_an_unconfirmed_commit_is_unknown(client, servers):
    async def unguarded_and_fenced(ask):
        await ask.run("INSERT INTO note VALUES (1)")
        await ask.block(servers.keepers[-1].fence)

    outcome = client.transact(unguarded_and_fenced)
    assert (outcome.status, outcome.error) == ("unknown", "unconfirmed")
    assert servers.home.sql("SELECT count(*) FROM note") == [(1,)]


def test_a_statement_nobody_waits_for_is_cancelled_on_the_server(client, servers):
    async def too_long(ask):
        await ask.run("SELECT pg_sleep(20)")

    outcome = client.transact(too_long, deadline_s=0.5)
    assert outcome.status == "failed"
    assert eventually(lambda: connections(servers.home, active="pg_sleep(20)") == 0)


def test_a_commit_nobody_waits_for_is_not_cancelled(client, servers):
    """It might be waiting for its synchronous standby: cancelled, it would be seen and then lost."""
    servers.home.sql("DELETE FROM slow")
    outcome = client.transact(lambda ask: ask.run("INSERT INTO slow VALUES (2)"), deadline_s=0.5)
    assert outcome.status == "unknown"
    assert eventually(lambda: servers.home.sql("SELECT count(*) FROM slow") == [(1,)]), "it committed later"


def test_a_cancelled_call_ends_its_statement_and_leaves_the_client_usable(servers, names):
    async def flow(client):
        work = client.transact(lambda session: session.execute("SELECT pg_sleep(22)"), deadline_s=20)
        call = asyncio.create_task(work)
        running = lambda: connections(servers.home, active="pg_sleep(22)") == 1  # noqa: E731
        assert await asyncio.to_thread(eventually, running)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with Tasks(settings(servers, names, attempt_s=20)) as shell:
        shell.run(flow(shell.client))
        assert eventually(lambda: connections(servers.home, active="pg_sleep(22)") == 0)
        assert shell.transact(pay(uuid.uuid4()), deadline_s=3).status == "ok"


def busy(client, tasks):
    """So many transactions at the same time."""
    barrier = threading.Barrier(tasks)

    async def together(ask):
        await ask.block(barrier.wait, 5)
        return await pay(uuid.uuid4())(ask)

    threads = [threading.Thread(target=client.transact, args=(together,)) for _ in range(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_pool_of_a_demoted_writer_is_dropped_but_for_the_session_that_said_so(client, servers):
    busy(client, 4)
    assert connections(servers.home) >= 4
    servers.keepers[-1].fence()
    assert client.transact(pay(uuid.uuid4()), deadline_s=3).status == "failed"
    assert eventually(lambda: connections(servers.home) == 1), connections(servers.home)


def test_a_pool_shrinks_when_the_busy_hour_is_over(shell, servers, names):
    with shell(settings(servers, names, spare_s=0.3, idle_check_s=0.1)) as client:
        busy(client, 4)
        assert connections(servers.home) >= 4
        assert eventually(lambda: connections(servers.home) == 1)
        assert client.transact(pay(uuid.uuid4())).status == "ok"


def test_threads_share_a_client(client, servers):
    keys = [uuid.uuid4() for _ in range(40)]
    outcomes = []

    def worker(mine):
        outcomes.extend(client.transact(pay(key), key=keyed(key)) for key in mine)

    threads = [threading.Thread(target=worker, args=(keys[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.status for outcome in outcomes] == ["ok"] * 40
    assert servers.home.sql("SELECT count(*) FROM payment WHERE id = ANY(%s)", keys) == [(40,)]


def test_a_server_with_another_name_in_its_certificate_gets_no_password(shell, servers, names):
    names.names["elsewhere.test"] = "127.0.0.1"
    impostor = (Target(HOME, "elsewhere.test", servers.home.port),)
    names.aliases[WRITER_NAME] = "elsewhere.test"
    with shell(settings(servers, names, targets=impostor)) as client:
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=0.5)
    assert outcome.status == "failed"
    assert "certificate" in outcome.error


def test_the_password_is_asked_for_anew_by_each_session(shell, servers, names):
    secret = ["wrong"]
    with shell(settings(servers, names, password=lambda target: secret[-1])) as client:
        assert client.transact(pay(uuid.uuid4()), deadline_s=0.5).status == "failed"
        secret.append(PASSWORD)
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=3)
    assert outcome.status == "ok"


def test_whoever_keeps_the_password_may_fail(shell, servers, names):
    def keeper(target):
        if not keys:
            raise LookupError("no such secret")
        return keys[-1]

    keys = []
    with shell(settings(servers, names, password=keeper)) as client:
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=0.3)
        assert (outcome.status, "no such secret" in outcome.error) == ("failed", True)
        keys.append(PASSWORD)
        assert client.transact(pay(uuid.uuid4()), deadline_s=3).status == "ok"
