"""The client's decisions as a table: no server, no clock."""

import psycopg
import pytest
from psycopg import errors

from farshore.client.decide import (
    Attempt,
    Call,
    CommitReply,
    Standing,
    after_commit,
    after_error,
    backoff_s,
    probe_pause_s,
)
from farshore.client.types import Outcome

ELSEWHERE, SAME_SERVER, FINAL = (True, True), (False, True), (False, False)


@pytest.mark.parametrize(
    ("error", "elsewhere_again"),
    [
        (errors.ReadOnlySqlTransaction("a standby, or the guard"), ELSEWHERE),
        (errors.AdminShutdown(), ELSEWHERE),
        (errors.CannotConnectNow(), ELSEWHERE),
        (errors.TooManyConnections(), ELSEWHERE),
        (errors.ConnectionFailure(), ELSEWHERE),
        (psycopg.OperationalError("the connection is lost"), ELSEWHERE),
        (OSError("no such name"), ELSEWHERE),
        (errors.SerializationFailure(), SAME_SERVER),
        (errors.DeadlockDetected(), SAME_SERVER),
        (errors.UniqueViolation(), FINAL),
        (errors.CheckViolation(), FINAL),
        (errors.QueryCanceled(), FINAL),
        (errors.UndefinedTable(), FINAL),
        (psycopg.ProgrammingError("the caller's own mistake"), FINAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_an_error_before_the_commit_means(error, elsewhere_again):
    attempt = after_error(error, "east")
    assert attempt.outcome.status == "failed", "nothing was committed, whatever it was"
    assert (attempt.elsewhere, attempt.again) == elsewhere_again


@pytest.mark.parametrize(
    ("reply", "keyed", "status", "elsewhere_again"),
    [
        (CommitReply("committed", epoch=3), False, "ok", FINAL),
        (CommitReply("committed"), False, "unknown", (True, False)),
        (CommitReply("committed"), True, "unknown", ELSEWHERE),
        (CommitReply("unknown", sqlstate="57P01"), False, "unknown", (True, False)),
        (CommitReply("unknown", text="no reply"), True, "unknown", ELSEWHERE),
        (CommitReply("refused", sqlstate="25006"), False, "failed", ELSEWHERE),
        (CommitReply("refused", sqlstate="40001"), False, "failed", SAME_SERVER),
        (CommitReply("refused", sqlstate="23503"), True, "failed", FINAL),
    ],
)
def test_what_the_reply_to_a_commit_means(reply, keyed, status, elsewhere_again):
    attempt = after_commit(reply, "east", "value", keyed=keyed)
    assert attempt.outcome.status == status
    assert (attempt.elsewhere, attempt.again) == elsewhere_again
    assert attempt.outcome.value == ("value" if status == "ok" else None)


def attempt(status, *, again) -> Attempt:
    return Attempt(Outcome(status, 1, error=status), again=again)


def test_one_attempt_in_doubt_leaves_the_call_in_doubt_until_one_is_ok():
    call = Call(deadline=10.0, attempt_s=1.0)
    assert call.begin(0.0) == 1.0
    assert call.end(attempt("unknown", again=True)) is None
    assert call.begin(9.5) == 10.0, "an attempt ends with its call"
    assert call.end(attempt("failed", again=True)) is None
    assert call.begin(10.0) is None
    given_up = call.give_up()
    assert (given_up.status, given_up.attempts, given_up.error) == ("unknown", 2, "failed")
    certain = call.end(attempt("ok", again=False))
    assert certain is not None
    assert certain.status == "ok"


def test_a_call_without_a_doubt_fails():
    call = Call(deadline=10.0, attempt_s=1.0)
    assert (call.give_up().status, call.give_up().attempts) == ("failed", 0)
    call.begin(0.0)
    outcome = call.end(attempt("failed", again=False))
    assert outcome is not None
    assert outcome.status == "failed"


def test_a_lower_epoch_never_replaces_a_higher_one():
    standing, old, new = Standing(0.0), object(), object()
    assert standing.found(old, 1)
    assert standing.found(new, 2)
    assert not standing.found(old, 1)
    assert standing.writer is new
    assert not standing.lost(old, 1.0), "it was not the writer"
    assert standing.lost(new, 1.0)
    assert not standing.found(old, 1)
    assert (standing.writer, standing.searching_since) == (None, 1.0)
    assert standing.found(new, 2), "the same epoch may be found again"


def test_the_looks_slow_down_as_a_search_grows():
    assert [probe_pause_s(0.05, searched_s) for searched_s in (0, 2, 10, 49, 600)] == [
        0.05,
        0.05,
        0.2,
        0.98,
        1.0,
    ]
    assert probe_pause_s(2.0, 600) == 2.0, "never faster than asked for"


def test_failures_back_off_and_the_first_costs_nothing():
    looks = [backoff_s(n, searching=False, probe_pause_s=0.05) for n in range(1, 8)]
    assert looks == [0.0, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert backoff_s(9, searching=True, probe_pause_s=0.05) == 0.2
