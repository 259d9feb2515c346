"""Ask a server one question with a hard deadline, over a connection that is kept.

A frozen server accepts connections and never answers, so every step here waits on the socket with a deadline;
the usual blocking calls would wait for ever.
"""

import contextlib
import select
import threading
import time

from psycopg import pq

Row = tuple[str | None, ...]


class Probe:
    """Not answered is None; an answer without rows is an empty list."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo.encode()
        self._connection: pq.abc.PGconn | None = None
        self._lock = threading.Lock()

    def ask(self, sql: str, timeout_s: float) -> list[Row] | None:
        deadline = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            return None
        try:
            connection = self._connection or self._connect(deadline)
            rows = _query(connection, sql, deadline) if connection else None
            self._connection = connection
            if rows is None:
                self.forget()
            return rows
        finally:
            self._lock.release()

    def forget(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.finish()
        self._connection = None

    def _connect(self, deadline: float) -> "pq.abc.PGconn | None":
        connection = pq.PGconn.connect_start(self._conninfo)
        status: int = pq.PollingStatus.WRITING
        while connection.status != pq.ConnStatus.BAD:
            if not _ready(connection.socket, status == pq.PollingStatus.WRITING, deadline):
                break
            status = connection.connect_poll()
            if status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return connection
            if status == pq.PollingStatus.FAILED:
                break
        connection.finish()
        return None


def _ready(socket: int, writing: bool, deadline: float) -> bool:
    waiting = select.poll()
    waiting.register(socket, select.POLLOUT if writing else select.POLLIN)
    return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _query(connection: "pq.abc.PGconn", sql: str, deadline: float) -> list[Row] | None:
    try:
        connection.send_query(sql.encode())
        while connection.flush():
            if not _ready(connection.socket, True, deadline):
                return None
        rows: list[Row] = []
        while True:
            while connection.is_busy():
                if not _ready(connection.socket, False, deadline):
                    return None
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                return rows
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                return None
            rows = [
                tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                for row in range(result.ntuples)
            ]
    except Exception:  # noqa: BLE001  # libpq's errors all mean the same here: no answer
        return None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
