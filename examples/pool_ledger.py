"""A ledger service on psycopg_pool (3.3 or newer) whose every commit is confirmed, wherever the writer is.

The pool keeps the connections; farshore.client tells it where to make them, and when to throw them away.
"""

import time

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from farshore.client import (
    AsyncClient,
    AsyncWriterConnection,
    Client,
    Key,
    Status,
    UnknownOutcomeError,
    WriterConnection,
)

PAY = "INSERT INTO ledger.payment (id, amount) VALUES (%s, %s)"
# A worker of the pool waits `deadline_s` for the next writer, and so connects as soon as there is one.
CONNECTING = {"call_s": 2.0, "deadline_s": 10.0}


def open_pool(client: Client, max_size: int = 8) -> ConnectionPool[WriterConnection]:
    pool = ConnectionPool(
        connection_class=WriterConnection,
        kwargs={"client": client, **CONNECTING},
        min_size=1,
        max_size=max_size,
        timeout=5.0,
        open=True,
    )
    client.on_loss(pool.drain)
    return pool


async def open_async_pool(
    client: AsyncClient, max_size: int = 8
) -> AsyncConnectionPool[AsyncWriterConnection]:
    pool = AsyncConnectionPool(
        connection_class=AsyncWriterConnection,
        kwargs={"client": client, **CONNECTING},
        min_size=1,
        max_size=max_size,
        timeout=5.0,
        open=False,
    )
    await pool.open()
    client.on_loss(pool.drain)
    return pool


def pay(
    pool: ConnectionPool[WriterConnection], payment_id: str, amount: int, deadline_s: float = 10.0
) -> Status:
    """Pay once, however often it takes; `Client.transact` does the same without a pool of your own."""
    key = Key("ledger.payment", {"id": payment_id})
    status: Status = "failed"
    deadline = time.monotonic() + deadline_s
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            with pool.connection(timeout=left_s) as connection:  # commits and confirms at the end
                if status == "unknown" and connection.landed(key):
                    return "ok"
                connection.execute(PAY, (payment_id, amount))
        except UnknownOutcomeError:
            status = "unknown"
        except psycopg.errors.UniqueViolation:
            with pool.connection(timeout=left_s) as connection:
                return "ok" if connection.landed(key) else status
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction):
            continue  # no COMMIT was sent, or the guard refused it: this attempt left nothing behind
        else:
            return "ok"
    return status


async def pay_async(pool: AsyncConnectionPool[AsyncWriterConnection], payment_id: str, amount: int) -> None:
    """Returns if the payment is certain; UnknownOutcomeError if not; any other psycopg.Error: it was not made."""
    async with pool.connection() as connection:
        await connection.execute(PAY, (payment_id, amount))
