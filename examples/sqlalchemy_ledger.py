"""A ledger service on SQLAlchemy 2 whose every commit is confirmed, wherever the writer is.

An error of a connection that farshore.client has closed makes SQLAlchemy invalidate its whole pool; the checkout
event does the same when somebody else was first to notice that the writer had moved. Neither costs a round trip.
"""

import functools
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from farshore.client import AsyncClient, Client, Status, UnknownOutcomeError

CALL_S = 2.0


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payment"
    __table_args__ = {"schema": "ledger"}  # noqa: RUF012  SQLAlchemy's own form

    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]


def make_engine(client: Client) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://", creator=functools.partial(client.connect, call_s=CALL_S), pool_size=4
    )
    event.listen(engine, "checkout", _refuse_stale)
    return engine


def make_async_engine(client: AsyncClient) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=functools.partial(client.connect, call_s=CALL_S), pool_size=4
    )
    event.listen(engine.sync_engine, "checkout", _refuse_stale)
    return engine


def _refuse_stale(_: Any, record: Any, __: Any) -> None:
    if record.driver_connection.stale:
        raise InvalidatePoolError


def pay(engine: Engine, payment: Payment) -> Status:
    try:
        with Session(engine) as session, session.begin():  # commits and confirms at the end
            session.add(payment)
    except DBAPIError as error:
        return status_of(error)
    return "ok"


async def pay_async(engine: AsyncEngine, payment: Payment) -> Status:
    try:
        async with AsyncSession(engine) as session, session.begin():
            session.add(payment)
    except DBAPIError as error:
        return status_of(error)
    return "ok"


def status_of(error: DBAPIError) -> Status:
    """What became of a transaction that ended with this error."""
    return "unknown" if isinstance(error.orig, UnknownOutcomeError) else "failed"
