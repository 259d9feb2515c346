"""One connection whose every wait ends at its deadline, even when the peer is a black hole.

libpq's smallest connect_timeout is 2 s, and a blocked read knows no timeout at all, so psycopg's generators
are driven here: they say what they wait for, and the wait is ours. A session whose deadline passed is
closed: what its server is doing is unknown, and nothing may be sent behind it.
"""

import select
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import generators, pq
from psycopg.conninfo import make_conninfo
from psycopg.waiting import Ready, Wait

from farshore.client.types import Settings, Target

R = TypeVar("R")
_COMMIT = b"COMMIT; SELECT farshore.confirm()"
_EVENTS = {
    Wait.R: select.POLLIN,
    Wait.W: select.POLLOUT,
    Wait.RW: select.POLLIN | select.POLLOUT,
}
# After these the server may have committed before it told us otherwise.
_DOUBTFUL_CLASSES = ("08", "57", "58", "XX")
_STATEMENT_COMPLETION_UNKNOWN = "40003"


class DeadlineError(psycopg.OperationalError):
    """The deadline passed while waiting for the server; the connection is closed."""


@dataclass(frozen=True, slots=True)
class CommitReply:
    """What became of `COMMIT; SELECT farshore.confirm()`; `epoch` is None when it was not confirmed."""

    state: Literal["committed", "refused", "unknown"]
    epoch: int | None = None
    sqlstate: str | None = None
    text: str | None = None


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection with `deadline`, a time.monotonic() second, and the `address` it was made to."""

    deadline: float = float("inf")
    address: str = ""

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
            self.close()
            raise

    def commit_and_confirm(self) -> CommitReply:
        """Commit and confirm in one message, so that no reply of one can be taken for the other's."""
        try:
            self.pgconn.send_query(_COMMIT)
            results = self.wait(generators.execute(self.pgconn))
        except psycopg.Error as error:
            return CommitReply("unknown", sqlstate=error.sqlstate, text=_first_line(error))
        return _judge(results)

    def confirm(self) -> int | None:
        """The epoch in which a commit on this session would be confirmed now; None on all but the writer."""
        row = self.execute("SELECT farshore.confirm()").fetchone()
        return None if row is None or row[0] is None else int(row[0])


def open_session(settings: Settings, target: Target, address: str, deadline: float) -> Session:
    """Connect to `address`, verify that it is `target.host`, and log in; psycopg.Error if not by `deadline`."""
    conninfo = make_conninfo(
        "",
        host=target.host,
        hostaddr=address,
        port=target.port,
        dbname=settings.dbname,
        user=settings.user,
        password=settings.password,
        sslmode="verify-full",
        sslrootcert=settings.sslrootcert,
        gssencmode="disable",
        application_name=settings.application_name,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    session = Session(_connect(conninfo, deadline))
    session.address = address
    session.autocommit = True  # BEGIN is explicit; nothing may open a transaction behind the caller's back
    return session


def _connect(conninfo: str, deadline: float) -> pq.abc.PGconn:
    attempt = generators.connect(conninfo)
    try:
        fileno, wanted = next(attempt)
        while True:
            fileno, wanted = attempt.send(_ready(fileno, wanted, deadline))
    except StopIteration as stop:
        connection: pq.abc.PGconn = stop.value
        return connection
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


def _judge(results: list[pq.abc.PGresult]) -> CommitReply:
    commit = results[0]
    if commit.status == pq.ExecStatus.FATAL_ERROR:
        sqlstate, text = _field(commit, pq.DiagnosticField.SQLSTATE), commit.get_error_message()
        return CommitReply("refused" if _certain(commit) else "unknown", None, sqlstate, text)
    if commit.command_status == b"ROLLBACK":
        return CommitReply("refused", None, "25P02", "the transaction had failed; COMMIT rolled it back")
    confirmation = results[1] if len(results) > 1 else None
    if confirmation is None or confirmation.status != pq.ExecStatus.TUPLES_OK:
        text = "no reply to confirm()" if confirmation is None else confirmation.get_error_message()
        return CommitReply("committed", None, None, text)
    value = confirmation.get_value(0, 0)
    return CommitReply("committed", None if value is None else int(value))


def _certain(failure: pq.abc.PGresult) -> bool:
    """Whether a failed COMMIT certainly left nothing behind: an ordinary error, not the end of the session."""
    sqlstate = _field(failure, pq.DiagnosticField.SQLSTATE)
    severity = _field(failure, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    if sqlstate is None or severity != "ERROR":
        return False
    return not sqlstate.startswith(_DOUBTFUL_CLASSES) and sqlstate != _STATEMENT_COMPLETION_UNKNOWN


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode(errors="replace")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
