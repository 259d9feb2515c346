"""Connections to the writer for somebody else's pool: commit() confirms, and a demoted writer's are refused.

psycopg_pool and SQLAlchemy keep connections by their own rules. These tell them, at once and without a round
trip, what the client knows: a connection whose server is not the writer any more is closed when an error says
so, and is `stale` when anybody else's error said so.
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
from farshore.client.wire import Line

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

    @property
    def region(self) -> str | None:
        return None if self._lane is None else self._lane.target.region

    @property
    def stale(self) -> bool:
        """Whether it is closed, or its server was given up by anybody since it was made."""
        return self.closed or (self._lane is not None and self._lane.losses != self._losses)

    def require_fresh(self) -> None:
        """Raises psycopg.OperationalError if stale: what a pool's check calls. No round trip."""
        if self.stale:
            raise psycopg.OperationalError(f"{self.region}: the writer was lost; connect again")

    def _begin_call(self) -> None:
        self.deadline = time.monotonic() + self._call_s

    def _notice(self, error: psycopg.Error) -> None:
        """An error that says that the server is gone or may not write ends the connection, and tells the client."""
        if not (self.closed or is_elsewhere(error.sqlstate)):
            return
        self.hang_up()
        if self._lane is not None and self._lane.losses == self._losses:
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
        **login: str,
    ) -> Self:
        """See Client.connect."""
        return client._open(cls, deadline_s, call_s, _login(conninfo, login))  # noqa: SLF001  one library

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

    @contextlib.contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """A savepoint in the transaction that is open; refused outside of one."""
        self._require_transaction()
        with super().transaction(savepoint_name, force_rollback) as savepoint:
            yield savepoint

    @staticmethod
    def check(connection: "WriterConnection") -> None:
        """psycopg_pool's `check`."""
        connection.require_fresh()


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
        **login: str,
    ) -> Self:
        """See AsyncClient.connect."""
        return await client._open(cls, deadline_s, call_s, _login(conninfo, login))  # noqa: SLF001  one library

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

    @contextlib.asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """A savepoint in the transaction that is open; refused outside of one."""
        self._require_transaction()
        async with super().transaction(savepoint_name, force_rollback) as savepoint:
            yield savepoint

    @staticmethod
    async def check(connection: "AsyncWriterConnection") -> None:
        """psycopg_pool's `check`."""
        connection.require_fresh()


def _login(conninfo: str, login: dict[str, str]) -> dict[str, str]:
    if conninfo:
        raise ValueError(f"conninfo = {conninfo!r}: leave it empty; the client knows where the writer is")
    if unknown := sorted(login.keys() - {"user", "password"}):
        raise ValueError(
            f"{', '.join(unknown)}: only user and password may differ from the client's settings"
        )
    return login


def _refusal(reply: CommitReply) -> psycopg.Error:
    text = reply.text or "the commit was refused"
    try:
        return psycopg.errors.lookup(reply.sqlstate or "")(text)
    except KeyError:
        return psycopg.DatabaseError(f"{text} (SQLSTATE {reply.sqlstate})")
