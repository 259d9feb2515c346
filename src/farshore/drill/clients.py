"""The drill's clients: what a plain application does, what one with farshore.client does, and their pace.

A plain client is bare psycopg on the DNS name: it honours the TTL, keeps one connection, commits with a bare
COMMIT, and has a deadline on every call. An aware client leaves all of that to farshore.client. Both repeat a
write under its idempotency key until it is acknowledged or they give up on it.
"""

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import dns.exception
import dns.nameserver
import dns.resolver
import psycopg

from farshore import client as farshore_client
from farshore.client.wire import leave_by_sync
from farshore.drill.events import Kind, Outcome, Part, Tag
from farshore.drill.history import HistoryWriter
from farshore.drill.ledger import Transfer, Write
from farshore.drill.workloads import LedgerWorkload, Workload

# After these SQLSTATE classes a COMMIT may have happened all the same.
_DOUBTFUL_CLASSES = ("08", "57", "58", "XX", "40003")
AT_COMMIT = " at commit"
"""Said of a plain client's commit that failed: a guard refuses there, a standby at the first write."""

_ATTEMPTS_MAX = 40
_PAUSE_S = 0.05
_LOOKUP_S = 1.0
_LIBPQ_CONNECT_TIMEOUT_MIN_S = 2


@dataclass(frozen=True, slots=True)
class Access:
    """How a client reaches the ledger: names and a resolver, never an address. `endpoints`: region to name."""

    writer_name: str
    endpoints: dict[str, str]
    port: int
    nameserver: str
    dbname: str
    user: str
    password: str
    sslrootcert: str


@dataclass(frozen=True, slots=True)
class Reply:
    """How one attempt ended."""

    outcome: Outcome
    region: str | None = None
    epoch: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a client works: see Part. `hold_s` is how long it keeps a transaction open before its commit."""

    part: Part = "usual"
    hold_s: float = 0.0

    def dwell(self, connection: psycopg.Connection[Any]) -> None:
        """Between the write and the commit, in the transaction that is open."""
        if self.part == "straggler":
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        time.sleep(self.hold_s)


USUAL = Manner()
THE_LEDGER = LedgerWorkload()
Item = Transfer | Write


class LedgerClient(Protocol):
    kind: Kind
    tag: Tag

    def attempt(self, item: Item) -> Reply:
        """Try the write once, within the client's deadline."""

    def close(self) -> None: ...


class AwareClient:
    """farshore.client, committing with confirm()."""

    kind: Kind = "aware"
    tag: Tag = "confirmed"

    def __init__(
        self,
        name: str,
        access: Access,
        *,
        deadline_s: float,
        attempt_s: float,
        manner: Manner = USUAL,
        workload: Workload[Any] = THE_LEDGER,
    ) -> None:
        self._name, self._manner, self._workload = name, manner, workload
        self._deadline_s = deadline_s + manner.hold_s
        targets = (
            farshore_client.Target(region, host, access.port) for region, host in access.endpoints.items()
        )
        self._client = farshore_client.Client(
            farshore_client.Settings(
                writer_name=access.writer_name,
                targets=tuple(targets),
                dbname=access.dbname,
                user=access.user,
                password=access.password,
                sslrootcert=access.sslrootcert,
                nameservers=(access.nameserver,),
                application_name=name,
                attempt_s=attempt_s + manner.hold_s,
            )
        )

    def attempt(self, item: Item) -> Reply:
        key = self._workload.key
        outcome = self._client.transact(
            lambda session: self._write(session, item),
            key=farshore_client.Key(key.table, {key.column: item.key}),
            deadline_s=self._deadline_s,
            pipeline=not self._manner.hold_s,
        )
        return Reply(outcome.status, outcome.region, outcome.epoch, outcome.error)

    def _write(self, session: psycopg.Connection[Any], item: Item) -> None:
        self._workload.write(session, item, self._name)
        if self._manner.hold_s:
            self._manner.dwell(session)

    def close(self) -> None:
        self._client.close()


class Watchdog:
    """Shuts the sockets whose deadline has passed: libpq by itself waits on a silent peer for ever."""

    def __init__(self, tick_s: float = 0.02) -> None:
        self._tick_s = tick_s
        self._watched: dict[int, tuple[socket.socket, float]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def watch(self, connection: socket.socket, deadline: float) -> None:
        """Shut `connection` at `deadline` (time.monotonic() seconds), unless released before."""
        with self._lock:
            self._watched[connection.fileno()] = (connection, deadline)

    def release(self, connection: socket.socket) -> None:
        with self._lock:
            self._watched.pop(connection.fileno(), None)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._tick_s):
            now = time.monotonic()
            with self._lock:
                late = [number for number, (_, deadline) in self._watched.items() if deadline <= now]
                for number in late:
                    _shut(self._watched.pop(number)[0])


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed from the other side first


@dataclass(slots=True)
class _Line:
    """A plain client's one connection, where DNS had led it, and a handle on its socket for the watchdog."""

    connection: psycopg.Connection[tuple[Any, ...]]
    address: str
    region: str | None
    handle: socket.socket

    def close(self) -> None:
        self.connection.close()
        self.handle.close()


class PlainClient:
    """Bare psycopg on the DNS name, committing with a bare COMMIT."""

    kind: Kind = "plain"
    tag: Tag = "bare"

    def __init__(
        self,
        name: str,
        access: Access,
        watchdog: Watchdog,
        *,
        deadline_s: float,
        manner: Manner = USUAL,
        workload: Workload[Any] = THE_LEDGER,
    ) -> None:
        self._name, self._manner, self._workload = name, manner, workload
        self._access = access
        self._watchdog = watchdog
        self._deadline_s = deadline_s + manner.hold_s
        self._line: _Line | None = None
        self._regions = {host.lower(): region for region, host in access.endpoints.items()}
        host, _, port = access.nameserver.rpartition(":")
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, int(port))]
        self._resolver.cache = dns.resolver.Cache()  # keeps an answer for its TTL
        self._resolver.timeout = _LOOKUP_S / 2

    def attempt(self, item: Item) -> Reply:
        deadline = time.monotonic() + self._deadline_s
        commit_sent = False
        line: _Line | None = None
        try:
            line = self._connected()
            self._watchdog.watch(line.handle, deadline)
            with line.connection.pipeline() as pipeline:
                line.connection.execute("BEGIN")
                self._workload.write(line.connection, item, self._name)
                leave_by_sync(pipeline)
            if self._manner.hold_s:
                self._manner.dwell(line.connection)
            commit_sent = True
            commit = line.connection.execute("COMMIT")
        except (psycopg.Error, dns.exception.DNSException) as error:
            self._hang_up()
            if _is_there(error, self._workload.key.table):
                return Reply("ok", line.region if line else None)  # an attempt called unknown had committed
            said = _short(error) + (AT_COMMIT if commit_sent else "")
            return Reply(_after(error, commit_sent), line.region if line else None, error=said)
        finally:
            if line is not None:
                self._watchdog.release(line.handle)
        if commit.statusmessage != "COMMIT":
            return Reply("failed", line.region, error=commit.statusmessage)
        return Reply("ok", line.region)

    def close(self) -> None:
        self._hang_up()

    def _connected(self) -> _Line:
        """The connection to where DNS points now; a new one when the old is gone or DNS has moved on."""
        answer = self._resolver.resolve(self._access.writer_name, "A", lifetime=_LOOKUP_S, search=False)
        address = answer[0].to_text()
        if self._line is not None and self._line.address == address and not self._line.connection.broken:
            return self._line
        self._hang_up()
        host = answer.canonical_name.to_text(omit_final_dot=True).lower()
        connection = psycopg.connect(
            host=host,
            hostaddr=address,
            port=self._access.port,
            dbname=self._access.dbname,
            user=self._access.user,
            password=self._access.password,
            sslmode="verify-full",
            sslrootcert=self._access.sslrootcert,
            application_name=self._name,
            connect_timeout=max(_LIBPQ_CONNECT_TIMEOUT_MIN_S, int(self._deadline_s)),
            autocommit=True,
        )
        handle = socket.socket(fileno=os.dup(connection.fileno()))
        self._line = _Line(connection, address, self._regions.get(host), handle)
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _is_there(error: Exception, table: str) -> bool:
    """Whether it says that the key is in the table already; other unique constraints say nothing of the key."""
    if not isinstance(error, psycopg.errors.UniqueViolation):
        return False
    return f"{error.diag.schema_name}.{error.diag.table_name}" == table


def _after(error: Exception, commit_sent: bool) -> Outcome:
    if not commit_sent:
        return "failed"
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    if sqlstate is None or sqlstate.startswith(_DOUBTFUL_CLASSES):
        return "unknown"
    return "failed"


def _short(error: Exception) -> str:
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    return sqlstate or str(error).partition("\n")[0][:200] or type(error).__name__


def work(
    client: LedgerClient,
    items: Iterator[Item],
    history: HistoryWriter,
    *,
    per_second: float,
    stop: threading.Event,
) -> None:
    """Make writes until `stop`, at most `per_second`, each repeated under its key until it is acknowledged."""
    jitter = random.Random()
    due = time.monotonic()
    for item in items:
        for number in range(1, _ATTEMPTS_MAX + 1):
            if stop.is_set():
                return
            history.invoke(item)
            reply = client.attempt(item)
            history.returned(
                item.key,
                reply.outcome,
                client.tag,
                attempt=number,
                region=reply.region,
                epoch=reply.epoch,
                error=reply.error,
            )
            if reply.outcome == "ok":
                break
            stop.wait(jitter.uniform(0.2, 1.0) * _PAUSE_S)
        due = max(due + 1 / per_second, time.monotonic())
        stop.wait(max(0.0, due - time.monotonic()))
