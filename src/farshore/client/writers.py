"""Connections to the writer for somebody else's pool: commit() confirms, and a demoted writer's are refused.

psycopg_pool and SQLAlchemy keep connections by their own rules. A connection is closed here when an error says
that its server is not the writer, and `stale` as soon as anybody else's error said so; the pool is told by
`on_loss`, or asks for `stale`.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGcancelConn

from farshore.client.decide import CommitReply, is_elsewhere
from farshore.client.lanes import Board, Lane
from farshore.client.session import Session
from farshore.client.session_async import AsyncSession
from farshore.client.types import Key
from farshore.client.wire import DeadlineError, Line, key_question

if TYPE_CHECKING:
    from farshore.client.aio import AsyncClient
    from farshore.client.blocking import Client

R = TypeVar("R")
_BARE = "transaction() commits without confirming; use commit(), or the block of the connection or the pool"


class UnknownOutcomeError(psycopg.OperationalError):
    """COMMIT was sent, and nothing proves what became of it, or that the server was the only writer.

    Look for the transaction by its idempotency key before doing it again.
    """


class Writer(Line):
    """What a connection knows of the writer it was made to. `epoch` is that of its last confirmed commit."""

    epoch: int | None = None
    _call_s: float = float("inf")
    _lane: Lane[Any] | None = None
    _board: Board[Any]
    _losses: int = 0

    def adopt(
        self, lane: Lane[Any], board: Board[Any], call_s: float, abandon: Callable[[PGcancelConn], None]
    ) -> None:
        self._lane, self._board, self._losses = lane, board, lane.losses
        self._call_s, self.abandon = call_s, abandon
        board.lent(lane)

    @property
    def region(self) -> str | None:
        return None if self._lane is None else self._lane.target.region

    @property
    def stale(self) -> bool:
        """Whether it is closed, or its server was given up by anybody since it was made. No round trip."""
        return self.closed or self._forsaken

    @property
    def _forsaken(self) -> bool:
        return self._lane is not None and self._lane.losses != self._losses

    def _begin_call(self) -> None:
        self.deadline = time.monotonic() + self._call_s

    def _notice(self, error: psycopg.Error) -> None:
        """Tell the client what an error says of the server; one that will not write loses the connection too.

        A call that took too long says little: it may have been a slow statement.
        """
        gone = self.closed or is_elsewhere(error.sqlstate)
        if gone:
            self.hang_up()
        if self._lane is None or not gone or self._forsaken:
            return
        if isinstance(error, DeadlineError):
            self._board.doubt()
        else:
            self._board.lost(self._lane)

    def _may_commit(self) -> bool:
        """Whether there is anything to commit."""
        if self.pgconn.pipeline_status != PipelineStatus.OFF:
            raise psycopg.ProgrammingError("commit() inside a pipeline cannot be confirmed; leave it first")
        return self.pgconn.transaction_status != TransactionStatus.IDLE

    def _settle(self, reply: CommitReply) -> None:
        """Return if the commit was confirmed; otherwise raise what became of it."""
        self.epoch = reply.epoch
        if reply.state == "committed" and reply.epoch is not None:
            return
        if reply.state == "refused":
            error = _refusal(reply)
        else:
            error = UnknownOutcomeError(reply.text or "committed, but not confirmed as the only writer's")
            self.hang_up()
        self._notice(error)
        raise error

    def _answered(self, row: tuple[Any, ...] | None) -> bool:
        landed, epoch = row or (False, None)
        if landed and epoch is None:
            raise UnknownOutcomeError("its row is there, but this server may not be the writer")
        return bool(landed)

    def _require_transaction(self) -> None:
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            raise psycopg.NotSupportedError(_BARE)


class WriterConnection(Session, Writer):
    """A psycopg connection to the writer, by `Client.connect` or as psycopg_pool's `connection_class`."""

    @classmethod
    def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        client: "Client",
        deadline_s: float = 5.0,
        call_s: float = 5.0,
        connect_timeout: float | None = None,
    ) -> Self:
        """See Client.connect; made for psycopg_pool, which gives an empty `conninfo`, and may give a
        `connect_timeout` that replaces `deadline_s`."""
        _require_empty(conninfo)
        deadline_s = connect_timeout or deadline_s
        return client._open(cls, deadline_s, call_s, None, None)  # noqa: SLF001  one library

    def wait(self, gen: Generator[Any, Any, R], interval: float = 0.0, timeout: float | None = None) -> R:
        self._begin_call()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.Error as error:
            self._notice(error)
            raise

    def commit(self) -> None:
        """Commit and confirm. Returns if both succeeded.

        Raises UnknownOutcomeError, or the database's own error if the commit was certainly refused.
        """
        if self._may_commit():
            with self.lock:
                self._settle(self.commit_and_confirm())

    def landed(self, key: Key) -> bool:
        """Whether the key's row is there, as this connection's server may vouch for.

        Raises UnknownOutcomeError if it is there and the server may not vouch for it.
        """
        return self._answered(self.execute(*key_question(key)).fetchone())

    @contextlib.contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """A savepoint in the transaction that is open; refused outside of one."""
        self._require_transaction()
        with super().transaction(savepoint_name, force_rollback) as savepoint:
            yield savepoint


class AsyncWriterConnection(AsyncSession, Writer):
    """A psycopg connection to the writer, by `AsyncClient.connect` or as psycopg_pool's `connection_class`."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        client: "AsyncClient",
        deadline_s: float = 5.0,
        call_s: float = 5.0,
        connect_timeout: float | None = None,
    ) -> Self:
        """As WriterConnection.connect."""
        _require_empty(conninfo)
        deadline_s = connect_timeout or deadline_s
        return await client._open(cls, deadline_s, call_s, None, None)  # noqa: SLF001  one library

    async def wait(
        self,
        gen: Generator[Any, Any, R],
        interval: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109  psycopg's signature
    ) -> R:
        self._begin_call()
        try:
            return await super().wait(gen, interval, timeout)
        except psycopg.Error as error:
            self._notice(error)
            raise

    async def commit(self) -> None:
        """As WriterConnection.commit."""
        if self._may_commit():
            async with self.lock:
                self._settle(await self.commit_and_confirm())

    async def landed(self, key: Key) -> bool:
        """As WriterConnection.landed."""
        return self._answered(await (await self.execute(*key_question(key))).fetchone())

    @contextlib.asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """A savepoint in the transaction that is open; refused outside of one."""
        self._require_transaction()
        async with super().transaction(savepoint_name, force_rollback) as savepoint:
            yield savepoint


def _require_empty(conninfo: str) -> None:
    if conninfo:
        raise ValueError(f"conninfo = {conninfo!r}: leave it empty; the client knows where the writer is")


def _refusal(reply: CommitReply) -> psycopg.Error:
    text = reply.text or "the commit was refused"
    try:
        return psycopg.errors.lookup(reply.sqlstate or "")(text)
    except KeyError:
        return psycopg.DatabaseError(f"{text} (SQLSTATE {reply.sqlstate})")
