"""One connection whose every wait ends at its deadline, even when the peer is a black hole.

libpq's smallest connect_timeout is 2 s, and a blocked read knows no timeout at all, so psycopg's generators
are driven here: they say what they wait for, and the wait is ours. A session whose deadline passed is
closed: what its server is doing is unknown, and nothing may be sent behind it.
"""

import contextlib
import select
import time
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import generators
from psycopg.waiting import Ready, Wait

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
S = TypeVar("S", bound="Session")
_EVENTS = {
    Wait.R: select.POLLIN,
    Wait.W: select.POLLOUT,
    Wait.RW: select.POLLIN | select.POLLOUT,
}


class Session(psycopg.Connection[tuple[Any, ...]], Line):
    """A psycopg connection with `deadline`, a time.monotonic() second, and the `address` it was made to."""

    def wait(
        self,
        gen: Generator[Any, Any, R],
        interval: float = 0.0,  # noqa: ARG002  psycopg's signature; poll() needs no interval
        timeout: float | None = None,
    ) -> R:
        """Drive a psycopg generator to its end or to the deadline; called by everything psycopg does."""
        deadline = self.deadline if timeout is None else min(self.deadline, time.monotonic() + timeout)
        fileno = self.pgconn.socket
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(_ready(fileno, wanted, deadline))
        except StopIteration as stop:
            value: R = stop.value
            return value
        except (DeadlineError, KeyboardInterrupt, SystemExit):
            self.hang_up()
            raise

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """psycopg's pipeline, which ends with a Sync and nothing behind it."""
        with super().pipeline() as pipeline:
            yield pipeline
            leave_by_sync(pipeline)

    def commit_and_confirm(self) -> CommitReply:
        """Commit and confirm in one message, so that no reply of one can be taken for the other's."""
        self._committing = True
        try:
            self.pgconn.send_query(COMMIT)
            results = self.wait(generators.execute(self.pgconn))
        except psycopg.Error as error:
            return no_reply(error)
        finally:
            self._committing = False
        return judge(results)

    def confirm(self) -> int | None:
        """The epoch in which a commit on this session would be confirmed now; None on all but the writer."""
        row = self.execute(CONFIRM).fetchone()
        return None if row is None or row[0] is None else int(row[0])


def open_session(settings: Settings, target: Target, address: str, deadline: float) -> Session:
    """Connect to `address`, verify that it is `target.host`, and log in; psycopg.Error if not by `deadline`."""
    session = connect(Session, conninfo(settings, target, address), deadline)
    session.address = address
    session.autocommit = True  # BEGIN is explicit; nothing may open a transaction behind the caller's back
    return session


def connect(kind: type[S], conninfo: str, deadline: float) -> S:
    """A connection of that kind, by `deadline`; psycopg.Error if not."""
    return kind(drive(generators.connect(conninfo), deadline))


def drive(attempt: Generator[tuple[int, Wait], Ready, R], deadline: float) -> R:
    """Drive a psycopg generator that names its socket; DeadlineError at the deadline."""
    try:
        fileno, wanted = next(attempt)
        while True:
            fileno, wanted = attempt.send(_ready(fileno, wanted, deadline))
    except StopIteration as stop:
        value: R = stop.value
        return value
    finally:
        attempt.close()


def _ready(fileno: int, wanted: Wait, deadline: float) -> Ready:
    """Wait until the socket can do what is wanted; DeadlineError when the deadline comes first."""
    poller = select.poll()
    poller.register(fileno, _EVENTS[wanted])
    left_s = deadline - time.monotonic()
    events = poller.poll(None if left_s == float("inf") else max(0.0, left_s * 1000))
    if not events:
        raise DeadlineError("the deadline passed while waiting for the server")
    happened = events[0][1]
    if happened & ~(select.POLLIN | select.POLLOUT):
        return Ready(int(wanted))  # hung up or failed: reading or writing will say how
    readable = Ready.R if happened & select.POLLIN else Ready.NONE
    writable = Ready.W if happened & select.POLLOUT else Ready.NONE
    return Ready(readable | writable)
