"""One connection to one candidate, every wait bounded by a deadline of our own.

A lost region is silence: libpq's connect_timeout is 2 s at least, and a statement_timeout ends nothing for a client
whose server no longer answers. So the socket is waited on here, the same way for every system.
"""

import select
import time
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import pq

from farshore.client.names import NameLookupError, Resolver

TCP_USER_TIMEOUT_MS = 1000


class SilentError(Exception):
    """No answer within the deadline, or the connection went away: what was asked may have been done."""


class RefusedError(Exception):
    """The server said no: what was asked was not done."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a writer may be. A `nameserver` ("address:port") resolves `host`; answers are kept for their TTL."""

    name: str
    host: str
    port: int
    dbname: str
    user: str
    password: str = ""
    nameserver: str = ""
    sslmode: str = "disable"
    sslrootcert: str = ""

    def conninfo(self, address: str) -> str:
        words = {
            "host": self.host,
            "hostaddr": address,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
            "gssencmode": "disable",
            "application_name": "peers",
            "target_session_attrs": "read-write",
            "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        }
        return " ".join(f"{key}='{value}'" for key, value in words.items() if value != "")


class Session:
    """An open connection to a server that takes writes."""

    def __init__(self, connection: "pq.abc.PGconn") -> None:
        self._connection = connection

    @classmethod
    def open(cls, candidate: Candidate, resolver: Resolver, within_s: float) -> Self:
        """Raises SilentError in time, also for a server that is read-only: nothing was asked of it."""
        deadline = time.monotonic() + within_s
        try:
            address = resolver.find(candidate.host, within_s).address
        except NameLookupError as error:
            raise SilentError(str(error)) from error
        connection = pq.PGconn.connect_start(candidate.conninfo(address).encode())
        status: int = pq.PollingStatus.WRITING
        while connection.status != pq.ConnStatus.BAD and status != pq.PollingStatus.FAILED:
            if not _ready(connection, status == pq.PollingStatus.WRITING, deadline):
                break
            status = connection.connect_poll()
            if status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return cls(connection)
        words = connection.error_message.decode(errors="replace").strip()
        connection.finish()
        raise SilentError(words or f"no answer within {within_s:g} s")

    def ask(self, sql: str, values: tuple[object, ...], within_s: float) -> list[tuple[Any, ...]]:
        """One statement, one commit. After an error the session is of no use any more."""
        deadline = time.monotonic() + within_s
        connection = self._connection
        try:
            connection.send_query_params(sql.encode(), [str(value).encode() for value in values] or None)
            result = None
            while (each := self._next(deadline)) is not None:
                result = each
        except psycopg.Error as error:
            raise SilentError(str(error)) from error
        if result is None:
            raise SilentError("the connection ended without an answer")
        if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
            return [
                tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                for row in range(result.ntuples)
            ]
        if result.error_field(pq.DiagnosticField.SQLSTATE) is None:
            raise SilentError(connection.error_message.decode(errors="replace").strip())
        raise _said_no(result)

    def _next(self, deadline: float) -> "pq.abc.PGresult | None":
        connection = self._connection
        while connection.flush():
            if not _ready(connection, True, deadline):
                raise SilentError("the statement was not taken in time")
        while connection.is_busy():
            if not _ready(connection, False, deadline):
                raise SilentError("no answer to the statement in time")
            connection.consume_input()
        return connection.get_result()

    def close(self) -> None:
        self._connection.finish()


def _said_no(result: "pq.abc.PGresult") -> Exception:
    """A server that is being stopped says 57P01 perhaps after its commit: that is no no."""
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    words = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
    kind = SilentError if state.startswith(("08", "57P")) else RefusedError
    return kind(f"{state} {words}")


def _ready(connection: "pq.abc.PGconn", writing: bool, deadline: float) -> bool:
    left = deadline - time.monotonic()
    if left <= 0:
        return False
    socket = [connection.socket]
    readable, writable, _ = select.select([] if writing else socket, socket if writing else [], [], left)
    return bool(readable or writable)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
