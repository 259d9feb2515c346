"""Transactions against a real writer: how they end, and what is in the database afterwards."""

import threading
import time
import uuid

import psycopg
import pytest
from payments import pay, rows, settings

from farshore.client import AlreadyAppliedError, Client, Target, WorkError
from two_servers import HOME, WRITER_NAME, Relay


@pytest.mark.parametrize("pipeline", [False, True])
def test_ok_is_committed_and_confirmed_by_the_writer(servers, names, pipeline):
    key = uuid.uuid4()
    with Client(settings(servers, names)) as client:
        outcome = client.transact(pay(key), key=key, pipeline=pipeline)
    assert (outcome.status, outcome.region, outcome.epoch, outcome.attempts) == ("ok", HOME, servers.epoch, 1)
    assert outcome.value == (1,)
    assert rows(servers.home, key) == 1


@pytest.mark.parametrize("pipeline", [False, True])
def test_a_key_that_has_landed_is_confirmed_not_repeated(servers, names, pipeline):
    key = uuid.uuid4()
    with Client(settings(servers, names)) as client:
        client.transact(pay(key), key=key)
        again = client.transact(pay(key, amount=7), key=key, pipeline=pipeline)
    assert (again.status, again.replayed, again.epoch, again.value) == ("ok", True, servers.epoch, None)
    assert servers.home.sql("SELECT amount FROM payment WHERE id = %s", key) == [(1,)]


def test_a_key_that_has_landed_where_nobody_may_write_now_is_not_acknowledged(servers, names):
    key = uuid.uuid4()
    with Client(settings(servers, names)) as client:
        assert client.transact(pay(key), key=key).status == "ok"
        servers.keepers[-1].fence()
        again = client.transact(pay(key), key=key, deadline_s=0.5)
    assert (again.status, again.epoch) == ("unknown", None)


def test_work_may_say_itself_that_its_key_has_landed(servers, names):
    def found_it(session):
        raise AlreadyAppliedError

    with Client(settings(servers, names)) as client:
        outcome = client.transact(found_it, key=uuid.uuid4())
    assert (outcome.status, outcome.replayed, outcome.epoch) == ("ok", True, servers.epoch)


def test_a_unique_violation_of_another_key_is_a_failure(servers, names):
    other, key = uuid.uuid4(), uuid.uuid4()
    with Client(settings(servers, names)) as client:
        client.transact(pay(other), key=other)
        outcome = client.transact(pay(other), key=key)
    assert (outcome.status, outcome.error, outcome.attempts) == ("failed", "23505", 1)


def test_an_error_of_the_statement_fails_without_a_retry(servers, names):
    key = uuid.uuid4()
    with Client(settings(servers, names)) as client:
        outcome = client.transact(pay(key, amount=0), key=key)
        assert (outcome.status, outcome.error, outcome.attempts) == ("failed", "23514", 1)
        assert isinstance(outcome.cause, psycopg.errors.CheckViolation)
        assert client.transact(pay(key), key=key).status == "ok", "the session must be usable again"


def test_a_swallowed_error_is_never_taken_for_a_commit(servers, names):
    key = uuid.uuid4()

    def careless(session):
        pay(key)(session)
        with pytest.raises(psycopg.Error):
            session.execute("SELECT 1 / 0")

    with Client(settings(servers, names)) as client:
        outcome = client.transact(careless, key=key)
    assert (outcome.status, outcome.error) == ("failed", "25P02")
    assert rows(servers.home, key) == 0


def test_a_constraint_checked_at_commit_is_a_failure_not_an_unknown(servers, names):
    def twice(session):
        session.execute("INSERT INTO note VALUES (1)")
        session.execute("INSERT INTO note VALUES (1)")

    with Client(settings(servers, names)) as client:
        outcome = client.transact(twice)
    assert (outcome.status, outcome.error) == ("failed", "23505")
    assert servers.home.sql("SELECT count(*) FROM note") == [(0,)]


def test_the_applications_own_exception_passes_through_and_rolls_back(servers, names):
    key = uuid.uuid4()

    def refuse(session):
        pay(key)(session)
        raise LookupError("no such customer")

    with Client(settings(servers, names)) as client:
        with pytest.raises(LookupError):
            client.transact(refuse, key=key)
        assert client.transact(pay(uuid.uuid4())).status == "ok"
    assert rows(servers.home, key) == 0


def test_work_may_not_end_its_transaction(servers, names):
    with Client(settings(servers, names)) as client, pytest.raises(WorkError):
        client.transact(lambda session: session.execute("COMMIT"))


def test_a_lost_commit_reply_is_unknown_without_a_key(servers, names):
    key = uuid.uuid4()
    relay = Relay(servers.home.port)

    def pay_and_lose(session):
        pay(key)(session)
        relay.mute()

    with Client(settings(servers, names, home_port=relay.port)) as client:
        outcome = client.transact(pay_and_lose)
    relay.close()
    assert (outcome.status, outcome.attempts) == ("unknown", 1)
    assert rows(servers.home, key) == 1, "the commit itself had arrived"


def test_a_lost_commit_reply_is_resolved_by_the_key(servers, names):
    key = uuid.uuid4()
    relay = Relay(servers.home.port)
    lost = []

    def pay_and_lose(session):
        pay(key)(session)
        if not lost:
            lost.append(relay.mute())

    with Client(settings(servers, names, home_port=relay.port)) as client:
        outcome = client.transact(pay_and_lose, key=key, deadline_s=5)
    relay.close()
    assert (outcome.status, outcome.replayed, outcome.attempts) == ("ok", True, 2)
    assert rows(servers.home, key) == 1


def test_a_commit_the_guard_refuses_has_failed_and_leaves_nothing(servers, names):
    key = uuid.uuid4()

    def fenced_meanwhile(session):
        pay(key)(session)
        servers.keepers[-1].fence()

    with Client(settings(servers, names)) as client:
        outcome = client.transact(fenced_meanwhile, key=key, deadline_s=1)
    assert (outcome.status, outcome.error) == ("failed", "25006")
    assert rows(servers.home, key) == 0


def test_a_session_ended_by_the_server_during_commit_is_unknown(servers, names):
    def ended_during_commit(session):
        session.execute("INSERT INTO slow VALUES (1)")
        end = "SELECT pg_terminate_backend(%s) FROM pg_sleep(0.2)"
        pid = session.info.backend_pid
        threading.Thread(target=servers.home.sql, args=(end, pid)).start()

    with Client(settings(servers, names, attempt_s=3)) as client:
        outcome = client.transact(ended_during_commit)
    assert (outcome.status, outcome.error) == ("unknown", "57P01")


def test_an_unconfirmed_commit_is_unknown(servers, names):
    def unguarded_and_fenced(session):
        session.execute("INSERT INTO note VALUES (1)")
        servers.keepers[-1].fence()

    with Client(settings(servers, names)) as client:
        outcome = client.transact(unguarded_and_fenced)
    assert (outcome.status, outcome.error) == ("unknown", "unconfirmed")
    assert servers.home.sql("SELECT count(*) FROM note") == [(1,)]


def test_the_pool_of_a_demoted_writer_is_dropped_but_for_the_session_that_said_so(servers, names):
    def connections() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'farshore-client'"
        return servers.home.sql(query)[0][0]

    barrier = threading.Barrier(4)

    def together(session):
        barrier.wait(5)
        return pay(uuid.uuid4())(session)

    with Client(settings(servers, names)) as client:
        threads = [threading.Thread(target=client.transact, args=(together,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert connections() >= 4
        servers.keepers[-1].fence()
        assert client.transact(pay(uuid.uuid4()), deadline_s=0.3).status == "failed"
        limit = time.monotonic() + 3
        while connections() > 1 and time.monotonic() < limit:
            time.sleep(0.02)
        assert connections() == 1


def test_threads_share_a_client(servers, names):
    keys = [uuid.uuid4() for _ in range(40)]
    outcomes = []
    with Client(settings(servers, names)) as client:

        def worker(mine):
            outcomes.extend(client.transact(pay(key), key=key) for key in mine)

        threads = [threading.Thread(target=worker, args=(keys[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [outcome.status for outcome in outcomes] == ["ok"] * 40
    assert servers.home.sql("SELECT count(*) FROM payment WHERE id = ANY(%s)", keys) == [(40,)]


def test_a_server_with_another_name_in_its_certificate_gets_no_password(servers, names):
    names.names["elsewhere.test"] = "127.0.0.1"
    impostor = (Target(HOME, "elsewhere.test", servers.home.port),)
    names.aliases[WRITER_NAME] = "elsewhere.test"
    with Client(settings(servers, names, targets=impostor)) as client:
        outcome = client.transact(pay(uuid.uuid4()), deadline_s=0.5)
    assert outcome.status == "failed"
    assert "certificate" in outcome.error
