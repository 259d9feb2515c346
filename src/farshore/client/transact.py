"""Transactions that end ok, failed or unknown before their deadline, wherever the writer is.

Written once for threads and asyncio, like `lanes`; what the endings mean is decided in `decide`.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from farshore.client.decide import (
    Attempt,
    Call,
    after_commit,
    after_error,
    after_landing,
    after_silence,
    may_have_landed_before,
)
from farshore.client.lanes import UNREACHABLE, Board, Io, Lane
from farshore.client.names import NameLookupError
from farshore.client.types import AlreadyAppliedError, Key, Outcome, Settings, WorkError
from farshore.client.wire import DeadlineError, Line, key_question

S = TypeVar("S", bound=Line)
C = TypeVar("C")
_HINT_S = 0.3
_UNIQUE_VIOLATION = psycopg.errors.UniqueViolation.sqlstate
_SEEN = sql.SQL("SELECT true, farshore.confirm()")


class Engine(Generic[S]):
    """Finds the writer, keeps finding it, and runs transactions there; a shell gives it its `io`."""

    def __init__(self, settings: Settings, io: Io[S]) -> None:
        self._settings = settings
        self._io = io
        self.board: Board[S] = Board(io.event())
        self.lanes = tuple(Lane(target, settings, io, self.board) for target in settings.targets)
        self.board.watch(self.lanes)
        self._asked_dns = False

    async def transact(
        self, work: Any, *, key: Key | None, deadline_s: float, pipeline: bool
    ) -> Outcome[Any]:
        call: Call[Any] = Call(time.monotonic() + deadline_s, self._settings.attempt_s)
        while (lane := await self._writer(call.deadline)) is not None:
            until = call.begin(time.monotonic())
            if until is None:
                break
            attempt = await self._attempt(lane, work, key, until, pipeline=pipeline)
            if attempt.elsewhere:
                self.board.lost(lane)
            if (outcome := call.end(attempt)) is not None:
                return outcome
        return call.give_up()

    async def connect(self, deadline: float, opened: Callable[[Lane[S], str], Awaitable[C]]) -> C:
        """What `opened` makes of the writer's lane and address; psycopg.Error when none came by `deadline`."""
        error: Exception | None = None
        while (lane := await self._writer(deadline)) is not None and time.monotonic() < deadline:
            try:
                return await opened(lane, (await lane.find(deadline)).address)
            except UNREACHABLE as failed:
                error = failed
                self.board.lost(lane)
        raise DeadlineError("no writer was found in time") from error

    async def _writer(self, deadline: float) -> Lane[S] | None:
        """The lane known to lead to the writer; at first the one DNS names; else wait until one confirms."""
        if self.board.searching_for_s is not None and not self._asked_dns:
            self._asked_dns = True
            try:
                within_s = min(_HINT_S, deadline - time.monotonic())
                found = await self._io.find(self._settings.writer_name, within_s)
            except NameLookupError:
                return await self.board.writer(deadline)
            for lane in self.lanes:
                if lane.target.host.lower() in found.names:
                    return lane
        return await self.board.writer(deadline)

    async def _attempt(
        self, lane: Lane[S], work: Any, key: Key | None, deadline: float, *, pipeline: bool
    ) -> Attempt[Any]:
        try:
            session = await lane.take(deadline)
        except UNREACHABLE as error:
            return after_error(error)
        try:
            value = await self._io.work(session, work, pipeline=pipeline)
            _require_open(session)
        except (psycopg.Error, AlreadyAppliedError) as error:
            return await self._undo(lane, session, key, error)
        except BaseException:
            session.hang_up()
            raise
        return await self._commit(lane, session, key, value)

    async def _commit(self, lane: Lane[S], session: S, key: Key | None, value: Any) -> Attempt[Any]:
        reply = await self._io.commit(session)
        attempt: Attempt[Any] = after_commit(reply, lane.target.region, value, keyed=key is not None)
        if attempt.outcome.epoch is not None:
            self.board.found(lane, attempt.outcome.epoch)
        elif key is not None and reply.state == "refused" and reply.sqlstate == _UNIQUE_VIOLATION:
            return await self._read_back(lane, session, key, attempt)
        lane.give_back(session, demoted=attempt.elsewhere)
        return attempt

    async def _undo(
        self, lane: Lane[S], session: S, key: Key | None, error: psycopg.Error | AlreadyAppliedError
    ) -> Attempt[Any]:
        """Roll back after `work` failed; if that may be because it had landed before, see whether it had."""
        failed: Attempt[Any] = after_error(error, lane.target.region)
        try:
            if not session.closed:
                await self._io.row(session, "ROLLBACK")
        except psycopg.Error:
            session.hang_up()
        if may_have_landed_before(error, keyed=key is not None):
            wanted = None if isinstance(error, AlreadyAppliedError) else key
            return await self._read_back(lane, session, wanted, failed)
        lane.give_back(session, demoted=failed.elsewhere)
        return failed

    async def _read_back(
        self, lane: Lane[S], session: S, key: Key | None, otherwise: Attempt[Any]
    ) -> Attempt[Any]:
        """Ask for the key's row, and in the same breath whether this server may speak; without a key its row
        has been seen already. `otherwise` is what the attempt was if the row is not there."""
        try:
            row = await self._io.row(session, *(key_question(key) if key is not None else (_SEEN, ())))
        except psycopg.Error as error:
            attempt: Attempt[Any] = after_silence(error, lane.target.region)
        else:
            landed, epoch = row or (False, None)
            attempt = after_landing(lane.target.region, epoch) if landed else otherwise
        lane.give_back(session, demoted=attempt.elsewhere)
        return attempt


def _require_open(session: Line) -> None:
    if session.pgconn.transaction_status == TransactionStatus.IDLE:
        raise WorkError("work ended its transaction; leave COMMIT to transact()")
