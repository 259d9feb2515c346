"""The recipes' pools when the writer moves: what they keep, and what they never hand out again."""

import asyncio
import threading
import time
import uuid

import pytest
from payments import connections, pay, settings
from pool_ledger import open_async_pool, open_pool
from shells import Tasks, Threads
from sqlalchemy import text
from sqlalchemy_ledger import make_async_engine, make_engine
from test_transact import eventually

PID = "SELECT pg_backend_pid()"
OTHERS_ARE_IDLE = 4


class PsycopgPool:
    """psycopg_pool with farshore.client."""

    shell = Threads

    def __init__(self, shell) -> None:
        self.pool = open_pool(shell.client, OTHERS_ARE_IDLE)

    def pids(self, barrier) -> int:
        with self.pool.connection() as connection:
            barrier.wait(5)
            return connection.execute(PID).fetchone()[0]

    def close(self) -> None:
        self.pool.close()


class AsyncPsycopgPool:
    """psycopg_pool on asyncio with farshore.client."""

    shell = Tasks

    def __init__(self, shell) -> None:
        self.run = shell.run
        self.pool = self.run(open_async_pool(shell.client, OTHERS_ARE_IDLE))

    def pids(self, barrier) -> int:
        async def ask() -> int:
            async with self.pool.connection() as connection:
                await asyncio.to_thread(barrier.wait, 5)
                return (await (await connection.execute(PID)).fetchone())[0]

        return self.run(ask())

    def close(self) -> None:
        self.run(self.pool.close())


class Sqlalchemy:
    shell = Threads

    def __init__(self, shell) -> None:
        self.engine = make_engine(shell.client)

    def pids(self, barrier) -> int:
        with self.engine.connect() as connection:
            barrier.wait(5)
            return connection.execute(text(PID)).scalar_one()

    def close(self) -> None:
        self.engine.dispose()


class AsyncSqlalchemy:
    shell = Tasks

    def __init__(self, shell) -> None:
        self.run = shell.run
        self.engine = make_async_engine(shell.client)

    def pids(self, barrier) -> int:
        async def ask() -> int:
            async with self.engine.connect() as connection:
                await asyncio.to_thread(barrier.wait, 5)
                return (await connection.execute(text(PID))).scalar_one()

        return self.run(ask())

    def close(self) -> None:
        self.run(self.engine.dispose())


def together(pool) -> set[int]:
    """The backends that the pool's connections lead to, all of them taken at the same time."""
    barrier, found = threading.Barrier(OTHERS_ARE_IDLE), []
    threads = [
        threading.Thread(target=lambda: found.append(pool.pids(barrier))) for _ in range(OTHERS_ARE_IDLE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return set(found)


@pytest.mark.parametrize("kind", [PsycopgPool, AsyncPsycopgPool, Sqlalchemy, AsyncSqlalchemy])
def test_no_connection_from_before_a_demotion_is_handed_out_after_it(kind, servers, names):
    with kind.shell(settings(servers, names)) as shell:
        pool = kind(shell)
        assert eventually(lambda: shell.transact(pay(uuid.uuid4())).status == "ok")
        before = together(pool)
        assert len(before) == OTHERS_ARE_IDLE
        servers.keepers[-1].fence()
        assert shell.transact(pay(uuid.uuid4()), deadline_s=0.2).status == "failed", (
            "the pool sees nothing of this"
        )
        servers.keep(servers.home, "us-east-1", servers.epoch + 1)
        after = together(pool)
        pool.close()
    assert len(after) == OTHERS_ARE_IDLE
    assert before & after == set()


@pytest.mark.parametrize("kind", [PsycopgPool, AsyncPsycopgPool])
def test_psycopgs_pool_of_a_demoted_writer_is_closed_at_once(kind, servers, names):
    with kind.shell(settings(servers, names)) as shell:
        pool = kind(shell)
        assert eventually(lambda: shell.transact(pay(uuid.uuid4())).status == "ok")
        together(pool)
        assert connections(servers.home) >= OTHERS_ARE_IDLE + 1
        servers.keepers[-1].fence()
        assert shell.transact(pay(uuid.uuid4()), deadline_s=0.2).status == "failed"
        fenced = time.monotonic()
        assert eventually(lambda: connections(servers.home) == 1)
        assert time.monotonic() - fenced < 5
        servers.keep(servers.home, "us-east-1", servers.epoch + 1)
        pool.close()
