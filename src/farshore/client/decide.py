"""What the client decides, without I/O or a clock: what an ending means, who the writer is, when to give up.

Both shells (threads and asyncio) obey this file. Invariants: after a COMMIT was sent, nothing but its reply
or the idempotency key decides what became of it; an attempt is repeated only if it certainly failed, or if
the key makes a second landing impossible; `ok` is said only of a commit that confirm() confirmed; a lower
epoch never replaces a higher one.
"""

from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import psycopg

from farshore.client.types import AlreadyAppliedError, Outcome, Status

T = TypeVar("T")
L = TypeVar("L")
# Read-only, cannot connect, too many connections, shutting down: another server may do better.
_ELSEWHERE_CLASSES = ("08", "25006", "53", "57P", "58")
# Serialization failure and deadlock: the same server will do better.
_AGAIN = ("40001", "40P01")
_BACKOFF_S = 0.05
_BACKOFF_MAX_S = 1.0
_SEARCH_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class CommitReply:
    """What became of `COMMIT; SELECT farshore.confirm()`; `epoch` is None when it was not confirmed."""

    state: Literal["committed", "refused", "unknown"]
    epoch: int | None = None
    sqlstate: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One attempt: `elsewhere` says that its lane is in doubt, `again` that a retry may help."""

    outcome: Outcome[T]
    elsewhere: bool = False
    again: bool = False


def is_elsewhere(sqlstate: str | None) -> bool:
    """Whether an SQLSTATE says that this server is not, or no longer, the one to ask."""
    return sqlstate is not None and sqlstate.startswith(_ELSEWHERE_CLASSES)


def after_commit(reply: CommitReply, region: str, value: T, *, keyed: bool) -> Attempt[T]:
    """The work was done and its COMMIT sent."""
    if reply.state == "committed" and reply.epoch is not None:
        return Attempt(Outcome("ok", 1, region, reply.epoch, value))
    if reply.state == "refused":
        elsewhere = is_elsewhere(reply.sqlstate)
        refused: Outcome[T] = Outcome("failed", 1, region, error=reply.sqlstate or reply.text)
        return Attempt(refused, elsewhere, elsewhere or reply.sqlstate in _AGAIN)
    error = reply.sqlstate or reply.text or "unconfirmed"
    return Attempt(Outcome("unknown", 1, region, error=error), elsewhere=True, again=keyed)


def after_error(error: BaseException, region: str | None = None) -> Attempt[T]:
    """Connecting or the work failed before any COMMIT was sent: nothing is left behind."""
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    elsewhere = sqlstate is None and not isinstance(error, psycopg.ProgrammingError)
    elsewhere = elsewhere or is_elsewhere(sqlstate)
    text = sqlstate or first_line(error)
    outcome: Outcome[T] = Outcome("failed", 1, region, error=text, cause=error)
    return Attempt(outcome, elsewhere, elsewhere or sqlstate in _AGAIN)


def may_have_landed_before(error: BaseException, *, keyed: bool) -> bool:
    """Whether the error makes it worth reading back whether the key's row is there."""
    return isinstance(error, AlreadyAppliedError) or (
        keyed and isinstance(error, psycopg.errors.UniqueViolation)
    )


def after_landing(region: str, epoch: int | None) -> Attempt[T]:
    """The key's row is there from an earlier attempt; only a server that may write now can confirm it."""
    if epoch is None:
        return Attempt(
            Outcome("unknown", 1, region, replayed=True, error="unconfirmed"), elsewhere=True, again=True
        )
    return Attempt(Outcome("ok", 1, region, epoch, replayed=True))


def after_silence(error: psycopg.Error, region: str) -> Attempt[T]:
    """The key could not be read back: whether an earlier attempt landed is not known."""
    gone = error.sqlstate is None or is_elsewhere(error.sqlstate)
    text = error.sqlstate or first_line(error)
    return Attempt(Outcome("unknown", 1, region, error=text, cause=error), elsewhere=gone, again=gone)


class Call(Generic[T]):
    """One call of transact(): how often it was tried, and what its attempts together allow it to say.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, deadline: float, attempt_s: float) -> None:
        self.deadline = deadline
        self._attempt_s = attempt_s
        self._attempts = 0
        self._doubtful = False
        self._last: Outcome[T] = Outcome("failed", 0, error="no writer found")

    def begin(self, now: float) -> float | None:
        """The deadline of the next attempt, which begins now; None when there is no time left."""
        if now >= self.deadline:
            return None
        self._attempts += 1
        return min(self.deadline, now + self._attempt_s)

    def end(self, attempt: Attempt[T]) -> Outcome[T] | None:
        """The call's outcome, or None: try again."""
        self._last = replace(attempt.outcome, attempts=self._attempts)
        if self._last.status == "ok":
            return self._last
        self._doubtful = self._doubtful or self._last.status == "unknown"
        return None if attempt.again else self.give_up()

    def give_up(self) -> Outcome[T]:
        """What can be said when nothing more is tried: one attempt in doubt leaves the call in doubt."""
        status: Status = "unknown" if self._doubtful else "failed"
        return replace(self._last, status=status, attempts=self._attempts)


class Standing(Generic[L]):
    """Which lane leads to the writer, as far as is known."""

    def __init__(self, now: float) -> None:
        self.writer: L | None = None
        self.searching_since: float | None = now
        self._epoch = 0

    def found(self, lane: L, epoch: int) -> bool:
        """A lane's server said in which epoch it may write; whether that is news."""
        if epoch < self._epoch or (epoch == self._epoch and self.writer is not None):
            return False
        self.writer, self._epoch, self.searching_since = lane, epoch, None
        return True

    def lost(self, lane: L, now: float) -> bool:
        """The lane failed a caller; whether it was the writer's until now."""
        if self.writer is not lane:
            return False
        self.writer, self.searching_since = None, now
        return True


def probe_pause_s(probe_pause_s: float, searching_for_s: float) -> float:
    """The longest pause between two looks: a fiftieth of the search so far, so that it adds so much at most
    to an outage while a thousand clients do not storm the writer of one that lasts minutes."""
    return max(probe_pause_s, min(_BACKOFF_MAX_S, _SEARCH_SHARE * searching_for_s))


def backoff_s(failures: int, *, searching: bool, probe_pause_s: float) -> float:
    """The longest pause after so many failures in a row; the first after a success costs none."""
    if failures <= 1:
        return 0.0
    most_s = min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(failures, 10))
    return min(most_s, 4 * probe_pause_s) if searching else most_s


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
