"""The client: transactions that end ok, failed or unknown before their deadline, wherever the writer is.

Invariants: after a COMMIT was sent, nothing but its reply or the idempotency key decides what became of it;
an attempt is repeated only if it certainly failed, or if the key makes a second landing impossible; `ok` is
said only of a commit that confirm() confirmed.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from farshore.client.lanes import UNREACHABLE, Board, Lane
from farshore.client.names import NameLookupError, Resolver
from farshore.client.session import Session
from farshore.client.types import AlreadyAppliedError, Outcome, Settings, Status, WorkError

T = TypeVar("T")
_HINT_S = 0.3
# Read-only, cannot connect, too many connections, shutting down: another server may do better.
_ELSEWHERE_CLASSES = ("08", "25006", "53", "57P", "58")
# Serialization failure and deadlock: the same server will do better.
_AGAIN = ("40001", "40P01")


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[T]):
    """One attempt: `elsewhere` says that its lane is in doubt, `again` that a retry may help."""

    outcome: Outcome[T]
    elsewhere: bool = False
    again: bool = False


class Client:
    """Finds the writer, and keeps finding it. Shared between threads; close it, or use it in a `with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolver = Resolver(settings.nameservers)
        self._board = Board()
        self._lanes = tuple(
            Lane(target, settings, self._resolver, self._board) for target in settings.targets
        )
        self._board.watch(self._lanes)
        self._asked_dns = False
        for lane in self._lanes:
            lane.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for lane in self._lanes:
            lane.wake()
        for lane in self._lanes:
            lane.close()

    def transact(
        self,
        work: Callable[[Session], T],
        *,
        key: object | None = None,
        deadline_s: float = 5.0,
        pipeline: bool = False,
    ) -> Outcome[T]:
        """Run `work` in a transaction on the writer, commit, confirm; answers within `deadline_s` seconds.

        `work` gets an open transaction and must not end it; it may run several times. `key` is an idempotency
        key that `work` inserts under a unique constraint: it makes unknown attempts safe to repeat.
        `pipeline` sends BEGIN together with the work's first statements (no COPY, one statement a call).
        Exceptions of `work` that are not the database's roll back and pass through.
        """
        deadline = time.monotonic() + deadline_s
        attempts, doubtful = 0, False
        last: Outcome[T] = Outcome("failed", 0, error="no writer found")
        while True:
            lane = self._writer(deadline)
            if lane is None or time.monotonic() >= deadline:
                return replace(last, status="unknown" if doubtful else "failed", attempts=attempts)
            attempts += 1
            until = min(deadline, time.monotonic() + self._settings.attempt_s)
            attempt = self._attempt(lane, work, key, until, pipeline)
            if attempt.elsewhere:
                self._board.lost(lane)
            last = replace(attempt.outcome, attempts=attempts)
            if last.status == "ok":
                return last
            doubtful = doubtful or last.status == "unknown"
            if not attempt.again:
                return replace(last, status="unknown") if doubtful else last

    def _writer(self, deadline: float) -> Lane | None:
        """The lane known to lead to the writer; at first the one DNS names; else wait until one confirms."""
        if self._board.searching and not self._asked_dns:
            self._asked_dns = True
            try:
                found = self._resolver.find(
                    self._settings.writer_name, min(_HINT_S, deadline - time.monotonic())
                )
            except NameLookupError:
                return self._board.writer(deadline)
            for lane in self._lanes:
                if lane.target.host.lower() == found.canonical:
                    return lane
        return self._board.writer(deadline)

    def _attempt(
        self, lane: Lane, work: Callable[[Session], T], key: object | None, deadline: float, pipeline: bool
    ) -> _Attempt[T]:
        try:
            session = lane.take(deadline)
        except UNREACHABLE as error:
            return _failed(error)
        try:
            with _together(session, pipeline):
                session.execute("BEGIN")
                value = work(session)
            _require_open(session)
        except (psycopg.Error, AlreadyAppliedError) as error:
            return self._undo(lane, session, key, error)
        except BaseException:
            session.close()
            raise
        return self._commit(lane, session, key, value)

    def _commit(self, lane: Lane, session: Session, key: object | None, value: T) -> _Attempt[T]:
        reply = session.commit_and_confirm()
        region = lane.target.region
        if reply.state == "committed" and reply.epoch is not None:
            lane.put(session)
            self._board.found(lane, reply.epoch)
            return _Attempt(Outcome("ok", 1, region, reply.epoch, value))
        if reply.state == "refused":
            elsewhere = _is_elsewhere(reply.sqlstate)
            self._give_back(lane, session, demoted=elsewhere)
            outcome: Outcome[T] = Outcome("failed", 1, region, error=reply.sqlstate or reply.text)
            return _Attempt(outcome, elsewhere, elsewhere or reply.sqlstate in _AGAIN)
        self._give_back(lane, session, demoted=True)
        error = reply.sqlstate or reply.text or "unconfirmed"
        return _Attempt(Outcome("unknown", 1, region, error=error), elsewhere=True, again=key is not None)

    def _undo(
        self, lane: Lane, session: Session, key: object | None, error: psycopg.Error | AlreadyAppliedError
    ) -> _Attempt[T]:
        """Roll back after `work` failed; if it failed because it had landed before, confirm that."""
        landed = isinstance(error, AlreadyAppliedError) or _is_duplicate(error, key)
        epoch: int | None = None
        try:
            if not session.closed:
                session.execute("ROLLBACK")
                epoch = session.confirm() if landed else None
        except psycopg.Error:
            session.close()
        if isinstance(error, AlreadyAppliedError) or landed:
            self._give_back(lane, session, demoted=epoch is None)
            status: Status = "unknown" if epoch is None else "ok"
            outcome: Outcome[T] = Outcome(
                status, 1, lane.target.region, epoch, replayed=True, error=None if epoch else "unconfirmed"
            )
            return _Attempt(outcome, elsewhere=epoch is None, again=epoch is None)
        failed: _Attempt[T] = _failed(error, lane.target.region)
        self._give_back(lane, session, demoted=failed.elsewhere)
        return failed

    def _give_back(self, lane: Lane, session: Session, *, demoted: bool) -> None:
        """A server that will not write loses its pool; the session that told us so stays to be asked."""
        if demoted:
            lane.drop()
        lane.put(session)


def _together(session: Session, pipeline: bool) -> AbstractContextManager[Any]:
    return session.pipeline() if pipeline else nullcontext()


def _require_open(session: Session) -> None:
    if session.pgconn.transaction_status == TransactionStatus.IDLE:
        raise WorkError("work ended its transaction; leave COMMIT to transact()")


def _failed(error: BaseException, region: str | None = None) -> _Attempt[T]:
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    elsewhere = sqlstate is None and not isinstance(error, psycopg.ProgrammingError)
    elsewhere = elsewhere or _is_elsewhere(sqlstate)
    text = sqlstate or str(error).partition("\n")[0]
    outcome: Outcome[T] = Outcome("failed", 1, region, error=text, cause=error)
    return _Attempt(outcome, elsewhere, elsewhere or sqlstate in _AGAIN)


def _is_elsewhere(sqlstate: str | None) -> bool:
    return sqlstate is not None and sqlstate.startswith(_ELSEWHERE_CLASSES)


def _is_duplicate(error: BaseException, key: object | None) -> bool:
    """Whether the database names the idempotency key as the one it has already."""
    if key is None or not isinstance(error, psycopg.errors.UniqueViolation):
        return False
    detail = error.diag.message_detail or ""
    return f"({key})" in detail
