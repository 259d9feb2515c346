"""The client for asyncio: a task per region keeps looking, callers wait on the loop."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.pq.abc import PGcancelConn

from farshore.client import session_async as sessions
from farshore.client.decide import CommitReply
from farshore.client.lanes import Lane, Statement
from farshore.client.names import AsyncResolver, Found
from farshore.client.session_async import AsyncSession
from farshore.client.transact import Engine
from farshore.client.types import Key, Outcome, Settings, Target
from farshore.client.wire import conninfo
from farshore.client.writers import AsyncWriterConnection

T = TypeVar("T")
W = TypeVar("W", bound=AsyncWriterConnection)
_CANCELS_MAX = 64


class AsyncClient:
    """Finds the writer, and keeps finding it. Shared between tasks of one loop; use it in an `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._io = _Tasks(settings)
        self._engine: Engine[AsyncSession] = Engine(settings, self._io)
        self._tasks: list[asyncio.Task[None]] = []
        self._told: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle sessions and end the tasks."""
        for lane in self._engine.lanes:
            lane.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._engine.lanes:
            lane.drop()
        await self._io.cancels.close()

    async def transact(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        key: Key | None = None,
        deadline_s: float = 5.0,
        pipeline: bool = False,
    ) -> Outcome[T]:
        """As Client.transact. A cancelled call closes its session; whether its COMMIT landed is then unknown."""
        self._start()
        return await self._engine.transact(work, key=key, deadline_s=deadline_s, pipeline=pipeline)

    async def connect(
        self,
        *,
        deadline_s: float = 5.0,
        call_s: float = 5.0,
        user: str | None = None,
        password: str | None = None,
    ) -> AsyncWriterConnection:
        """As Client.connect."""
        return await self._open(AsyncWriterConnection, deadline_s, call_s, user, password)

    def on_loss(self, callback: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `callback` run in a task each time the writer is lost: made for `pool.drain`."""

        def told() -> None:
            task = asyncio.get_running_loop().create_task(callback())
            self._told.add(task)
            task.add_done_callback(self._told.discard)

        self._engine.board.listeners.append(told)

    async def _open(
        self, kind: type[W], deadline_s: float, call_s: float, user: str | None, password: str | None
    ) -> W:
        self._start()
        deadline = time.monotonic() + deadline_s

        async def opened(lane: Lane[AsyncSession], address: str) -> W:
            info = conninfo(self._settings, lane.target, address, user=user, password=password)
            connection = await sessions.connect(kind, info, deadline)
            connection.adopt(lane, self._engine.board, call_s, self._io.cancels)
            return connection

        return await self._engine.connect(deadline, opened)

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(lane.keep(), name=f"farshore {lane.target.region}")
                for lane in self._engine.lanes
            ]


class _Event:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()


class _Tasks:
    """The waits of `lanes.Io`, each of them on the loop."""

    def __init__(self, settings: Settings) -> None:
        self.cancels = _Cancels(settings.connect_s)
        self._settings = settings
        self._resolver = AsyncResolver(settings.nameservers)

    def event(self) -> _Event:
        return _Event()

    async def find(self, name: str, within_s: float) -> Found:
        return await self._resolver.find(name, within_s)

    async def open(self, target: Target, address: str, deadline: float) -> AsyncSession:
        session = await sessions.open_session(self._settings, target, address, deadline)
        session.abandon = self.cancels
        return session

    async def row(
        self, session: AsyncSession, statement: Statement, values: Sequence[Any] = ()
    ) -> tuple[Any, ...] | None:
        cursor = await session.execute(statement, values or None)
        return await cursor.fetchone() if cursor.description else None

    async def work(
        self, session: AsyncSession, work: Callable[[AsyncSession], Awaitable[T]], *, pipeline: bool
    ) -> T:
        async with session.pipeline() if pipeline else contextlib.nullcontext():
            await session.execute("BEGIN")
            return await work(session)

    async def commit(self, session: AsyncSession) -> CommitReply:
        return await session.commit_and_confirm()


class _Cancels:
    """Delivers cancel requests, each in a task of its own."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, request: PGcancelConn) -> None:
        if len(self._tasks) < _CANCELS_MAX:
            task = asyncio.get_running_loop().create_task(self._deliver(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, request: PGcancelConn) -> None:
        try:
            async with sessions.until(time.monotonic() + self._within_s):
                request.start()
                await waiting.wait_conn_async(generators.cancel(request), interval=self._within_s)
        except psycopg.Error:
            return  # best effort: the statement ends by itself
        finally:
            request.finish()
