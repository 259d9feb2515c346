"""The client for threads: a thread per region keeps looking, callers wait where they stand."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import generators
from psycopg.pq.abc import PGcancelConn

from farshore.client import session as sessions
from farshore.client.decide import CommitReply
from farshore.client.lanes import Lane, Statement
from farshore.client.names import Found, Resolver
from farshore.client.session import Session
from farshore.client.transact import Engine
from farshore.client.types import Key, Outcome, Settings, Target
from farshore.client.wire import conninfo
from farshore.client.writers import WriterConnection

T = TypeVar("T")
W = TypeVar("W", bound=WriterConnection)
_CLOSE_S = 0.25
_CANCELS_MAX = 64


class Client:
    """Finds the writer, and keeps finding it. Shared between threads; close it, or use it in a `with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._io = _Threads(settings)
        self._engine: Engine[Session] = Engine(settings, self._io)
        self._threads = [
            threading.Thread(
                target=lambda lane=lane: finish(lane.keep()),
                name=f"farshore {lane.target.region}",
                daemon=True,
            )
            for lane in self._engine.lanes
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle sessions and end the threads; one that is stuck in a connect ends after it."""
        for lane in self._engine.lanes:
            lane.end()
        until = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for lane in self._engine.lanes:
            lane.drop()
        self._io.cancels.close()

    def transact(
        self,
        work: Callable[[Session], T],
        *,
        key: Key | None = None,
        deadline_s: float = 5.0,
        pipeline: bool = False,
    ) -> Outcome[T]:
        """Run `work` in a transaction on the writer, commit, confirm; answers within `deadline_s` seconds.

        `work` gets an open transaction and must not end it; it may run several times. `key` names the row by
        which a repeated attempt finds that an earlier one had landed: it makes unknown attempts safe to repeat.
        `pipeline` sends BEGIN together with the work's first statements (no COPY, one statement a call).
        Exceptions of `work` that are not the database's roll back and pass through.
        """
        return finish(self._engine.transact(work, key=key, deadline_s=deadline_s, pipeline=pipeline))

    def connect(
        self,
        *,
        deadline_s: float = 5.0,
        call_s: float = 5.0,
        user: str | None = None,
        password: str | None = None,
    ) -> WriterConnection:
        """A connection to the writer for a pool of your own; psycopg.Error when none came in `deadline_s`.

        Its commit() confirms. Each of its calls ends within `call_s` seconds. `user` and `password` replace
        those of the settings.
        """
        return self._open(WriterConnection, deadline_s, call_s, user, password)

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Have `callback` called each time the writer is lost, by the thread that noticed: it must be quick.

        Made for `pool.drain`, so that no pool hands out connections to a demoted writer.
        """
        self._engine.board.listeners.append(callback)

    def _open(
        self, kind: type[W], deadline_s: float, call_s: float, user: str | None, password: str | None
    ) -> W:
        deadline = time.monotonic() + deadline_s

        async def opened(lane: Lane[Session], address: str) -> W:
            info = conninfo(self._settings, lane.target, address, user=user, password=password)
            connection = sessions.connect(kind, info, deadline)
            connection.adopt(lane, self._engine.board, call_s, self._io.cancels)
            return connection

        return finish(self._engine.connect(deadline, opened))


def finish(flow: Coroutine[Any, Any, T]) -> T:
    """Run a flow whose every wait blocks this thread, so that it never suspends."""
    try:
        flow.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    flow.close()
    raise RuntimeError("a flow of the blocking client suspended")


class _Event:
    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        self._event.wait(timeout_s)


class _Threads:
    """The waits of `lanes.Io`, each of them blocking."""

    def __init__(self, settings: Settings) -> None:
        self.cancels = _Cancels(settings.connect_s)
        self._settings = settings
        self._resolver = Resolver(settings.nameservers)

    def event(self) -> _Event:
        return _Event()

    async def find(self, name: str, within_s: float) -> Found:
        return self._resolver.find(name, within_s)

    async def open(self, target: Target, address: str, deadline: float) -> Session:
        session = sessions.open_session(self._settings, target, address, deadline)
        session.abandon = self.cancels
        return session

    async def row(
        self, session: Session, statement: Statement, values: Sequence[Any] = ()
    ) -> tuple[Any, ...] | None:
        cursor = session.execute(statement, values or None)
        return cursor.fetchone() if cursor.description else None

    async def work(self, session: Session, work: Callable[[Session], T], *, pipeline: bool) -> T:
        together: AbstractContextManager[Any] = session.pipeline() if pipeline else nullcontext()
        with together:
            session.execute("BEGIN")
            return work(session)

    async def commit(self, session: Session) -> CommitReply:
        return session.commit_and_confirm()


class _Cancels:
    """Delivers cancel requests, one after the other, from a thread that starts with the first of them."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._requests: queue.Queue[PGcancelConn | None] = queue.Queue(_CANCELS_MAX)
        self._started = threading.Lock()

    def __call__(self, request: PGcancelConn) -> None:
        with contextlib.suppress(queue.Full):
            self._requests.put_nowait(request)
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="farshore cancels", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(queue.Full):
            self._requests.put_nowait(None)

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            with contextlib.suppress(psycopg.Error):
                request.start()
                sessions.drive(generators.cancel(request), time.monotonic() + self._within_s)
            request.finish()
