"""The asyncio session: every wait ends at its deadline, and a cancelled wait closes the session."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import generators, waiting

from farshore.client.decide import CommitReply
from farshore.client.types import Settings, Target
from farshore.client.wire import (
    COMMIT,
    CONFIRM,
    DeadlineError,
    Line,
    conninfo,
    judge,
    leave_by_sync,
    no_reply,
)

R = TypeVar("R")
S = TypeVar("S", bound="AsyncSession")
_INTERVAL_S = 1.0  # how often psycopg looks up from a quiet socket; the deadline is not its business


class AsyncSession(psycopg.AsyncConnection[tuple[Any, ...]], Line):
    """A psycopg connection with `deadline`, a time.monotonic() second, and the `address` it was made to."""

    async def wait(
        self,
        gen: Generator[Any, Any, R],
        interval: float = _INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109  psycopg's signature
    ) -> R:
        """Drive a psycopg generator to its end or to the deadline; called by everything psycopg does."""
        deadline = self.deadline if timeout is None else min(self.deadline, time.monotonic() + timeout)
        try:
            async with until(deadline):
                return await waiting.wait_async(gen, self.pgconn.socket, interval=interval or _INTERVAL_S)
        except (DeadlineError, asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.hang_up()
            raise

    @contextlib.asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """psycopg's pipeline, which ends with a Sync and nothing behind it."""
        async with super().pipeline() as pipeline:
            yield pipeline
            leave_by_sync(pipeline)

    async def commit_and_confirm(self) -> CommitReply:
        """Commit and confirm in one message, so that no reply of one can be taken for the other's."""
        self._committing = True
        try:
            self.pgconn.send_query(COMMIT)
            results = await self.wait(generators.execute(self.pgconn))
        except psycopg.Error as error:
            return no_reply(error)
        finally:
            self._committing = False
        return judge(results)

    async def confirm(self) -> int | None:
        """The epoch in which a commit on this session would be confirmed now; None on all but the writer."""
        row = await (await self.execute(CONFIRM)).fetchone()
        return None if row is None or row[0] is None else int(row[0])


@contextlib.asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """DeadlineError when the body has not ended by `deadline` (time.monotonic() seconds)."""
    left_s = deadline - time.monotonic()
    try:
        async with asyncio.timeout(None if left_s == float("inf") else max(0.0, left_s)):
            yield
    except TimeoutError as error:
        raise DeadlineError("the deadline passed while waiting for the server") from error


async def open_session(settings: Settings, target: Target, address: str, deadline: float) -> AsyncSession:
    """Connect to `address`, verify that it is `target.host`, and log in; psycopg.Error if not by `deadline`."""
    session = await connect(AsyncSession, conninfo(settings, target, address), deadline)
    session.address = address
    await session.set_autocommit(True)  # BEGIN is explicit; nothing may open a transaction behind it
    return session


async def connect(kind: type[S], conninfo: str, deadline: float) -> S:
    """A connection of that kind, by `deadline`; psycopg.Error if not."""
    async with until(deadline):
        return kind(await waiting.wait_conn_async(generators.connect(conninfo), interval=_INTERVAL_S))
