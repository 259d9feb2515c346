"""Both clients behind one face, so that one test judges both: work is an `async def` over `Ask` in either."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self

from farshore.client import AsyncClient, Client
from farshore.client.blocking import finish


class Ask:
    """A session of either kind, as work sees it in these tests."""

    def __init__(self, session) -> None:
        self.session = session

    @property
    def pid(self) -> int:
        return self.session.info.backend_pid

    async def run(self, statement, *values):
        self.session.execute(statement, values or None)

    async def row(self, statement, *values):
        return self.session.execute(statement, values or None).fetchone()

    async def commit(self):
        self.session.commit()

    async def savepoint(self):
        with self.session.transaction():
            await self.run("SELECT 1")

    async def commit_in_a_pipeline(self):
        with self.session.pipeline():
            await self.run("SELECT 1")
            self.session.commit()

    async def idle_after_a_pipeline(self):
        with self.session.pipeline():
            await self.run("SELECT 1")

    async def block(self, function, *values):
        """Call something that blocks, without stopping the client."""
        return function(*values)


class AsyncAsk(Ask):
    async def run(self, statement, *values):
        await self.session.execute(statement, values or None)

    async def row(self, statement, *values):
        return await (await self.session.execute(statement, values or None)).fetchone()

    async def commit(self):
        await self.session.commit()

    async def savepoint(self):
        async with self.session.transaction():
            await self.run("SELECT 1")

    async def commit_in_a_pipeline(self):
        async with self.session.pipeline():
            await self.run("SELECT 1")
            await self.session.commit()

    async def idle_after_a_pipeline(self):
        async with self.session.pipeline():
            await self.run("SELECT 1")

    async def block(self, function, *values):
        return await asyncio.to_thread(function, *values)


class Threads:
    """farshore.client.Client."""

    def __init__(self, settings) -> None:
        self.client = Client(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def run(self, work: Coroutine[Any, Any, Any]):
        return finish(work)

    async def connected(self, **options) -> Ask:
        return Ask(self.client.connect(**options))

    def on_loss(self, callback) -> None:
        self.client.on_loss(callback)

    def transact(self, work, **options):
        return self.client.transact(lambda session: finish(work(Ask(session))), **options)


class Tasks:
    """farshore.client.AsyncClient on a loop of its own thread; calls may come from any thread."""

    def __init__(self, settings) -> None:
        self.client = AsyncClient(settings)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, Any]):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def __enter__(self) -> Self:
        self.run(self.client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.client.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    async def connected(self, **options) -> Ask:
        return AsyncAsk(await self.client.connect(**options))

    def on_loss(self, callback) -> None:
        async def told() -> None:
            callback()

        self.client.on_loss(told)

    def transact(self, work, **options):
        async def worked(session):
            return await work(AsyncAsk(session))

        return self.run(self.client.transact(worked, **options))
