"""One connection with a deadline on every call, also when the peer is a black hole.

psycopg's asynchronous connection never blocks in a socket read, so a deadline can end any wait. A session keeps
one connection, opens it when needed and drops it on any failure.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from farshore.core.errors import FarshoreError

T = TypeVar("T")


class DatabaseUnreachableError(FarshoreError):
    """No answer within the deadline, or the connection failed; the statement may or may not have run."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach one database endpoint; `resolve` gives its address now, None uses the system's resolver."""

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)
    sslrootcert: str
    resolve: Callable[[str], str | None]


class LoopThread:
    """An event loop in a daemon thread, shared by all sessions of a process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="sessions", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float, abandon: Callable[[], None]) -> T:
        """The work's result; at the deadline `abandon` is called on the loop and TimeoutError raised at once."""

        async def bounded() -> T:
            task = asyncio.ensure_future(work)
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
            if done:
                return task.result()
            abandon()
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            task.cancel()
            raise TimeoutError(f"no answer within {timeout_s:.1f} s")

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

    def soon(self, work: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(work)


def _may_be_refused(error: psycopg.OperationalError) -> bool:
    """Whether a server took the password and did not connect; any other failure is no reason to ask for a newer one.

    libpq gives no SQLSTATE of a failed connection, and its words are in the server's language.
    https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQCONNECTIONUSEDPASSWORD
    """
    return error.pgconn is not None and error.pgconn.used_password


class Session:
    """`renewed` gives the login to try after the server refused one: secrets rotate while processes live."""

    def __init__(
        self, login: Login, loop: LoopThread, renewed: Callable[[Login], Login] = lambda login: login
    ) -> None:
        self._login = login
        self._loop = loop
        self._renewed = renewed
        self._refused = False
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._lock = threading.Lock()

    def row(self, statement: sql.SQL, values: Sequence[object], timeout_ms: int) -> tuple[Any, ...]:
        """Run one statement in its own transaction; its first row. Raises DatabaseUnreachableError."""
        with self._lock:
            try:
                return self._loop.run(self._row(statement, values), timeout_ms / 1000, self._drop)
            except (TimeoutError, OSError, psycopg.Error) as error:
                self._drop()
                raise DatabaseUnreachableError(
                    f"{self._login.host}: {error or type(error).__name__}"
                ) from error

    def close(self) -> None:
        """Give the connection up; the next `row` opens one again."""
        with self._lock:
            self._loop.soon(self._drop)

    async def _row(self, statement: sql.SQL, values: Sequence[object]) -> tuple[Any, ...]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        cursor = await self._connection.execute(statement, values)
        found = await cursor.fetchone()
        if found is None:
            raise psycopg.DataError("the statement returned no row")
        return found

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._refused:
            self._login = await asyncio.to_thread(self._renewed, self._login)
            self._refused = False
        try:
            return await self._log_in(self._login)
        except psycopg.OperationalError as error:
            self._refused = _may_be_refused(error)
            raise

    async def _log_in(self, login: Login) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await psycopg.AsyncConnection.connect(
            host=login.host,
            hostaddr=await asyncio.to_thread(login.resolve, login.host),
            port=login.port,
            dbname=login.dbname,
            user=login.user,
            password=login.password,
            sslmode="verify-full",
            sslrootcert=login.sslrootcert,
            application_name="farshore",
            autocommit=True,
            prepare_threshold=0,
            keepalives_idle=5,
        )

    def _drop(self) -> None:
        """Close the socket without a goodbye, before anything is cancelled: psycopg would first try to send the
        peer a cancel request, and wait for a black hole to take it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()
