"""One lane per region: its sessions, and a thread that keeps one warm and asks it who may write.

A standby accepts sessions while it is read-only, and the same session becomes writable at the promotion, so a
warm session spares the client the handshake (five round trips or more) when it counts.
"""

import random
import threading
import time

import psycopg

from farshore.client.names import NameLookupError, Resolver
from farshore.client.session import Session, open_session
from farshore.client.types import Settings, Target

UNREACHABLE = (psycopg.Error, NameLookupError)
_BACKOFF_S = 0.05
_BACKOFF_MAX_S = 1.0
_CLOSE_S = 0.25
_LOOKUP_S = 0.2


class Board:
    """Which lane leads to the writer, as far as is known. A lower epoch never replaces a higher one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writer: Lane | None = None
        self._epoch = 0
        self._lanes: tuple[Lane, ...] = ()

    def watch(self, lanes: "tuple[Lane, ...]") -> None:
        self._lanes = lanes

    @property
    def searching(self) -> bool:
        return self._writer is None

    def found(self, lane: "Lane", epoch: int) -> None:
        with self._changed:
            if epoch < self._epoch or (epoch == self._epoch and self._writer is not None):
                return
            self._writer, self._epoch = lane, epoch
            self._changed.notify_all()

    def lost(self, lane: "Lane") -> None:
        """The lane failed a caller: look for the writer on every lane at once."""
        with self._changed:
            if self._writer is lane:
                self._writer = None
        for each in self._lanes:
            each.wake()

    def writer(self, deadline: float) -> "Lane | None":
        """The writer's lane, waiting for one until `deadline` (time.monotonic() seconds); None if none came."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._writer is not None, timeout=max(0.0, deadline - time.monotonic())
            )
            return self._writer


class Lane:
    """Sessions to one region's writer endpoint. `take`, `put` and `drop` may be called from any thread."""

    def __init__(self, target: Target, settings: Settings, resolver: Resolver, board: Board) -> None:
        self.target = target
        self._settings = settings
        self._resolver = resolver
        self._board = board
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._failures = 0
        self._jitter = random.Random()
        self._thread = threading.Thread(target=self._keep, name=f"farshore {target.region}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Close the idle sessions and end the thread; returns when it has ended or is stuck in a connect."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)
        self.drop()

    def wake(self) -> None:
        self._wake.set()

    def take(self, deadline: float) -> Session:
        """A session whose waits end at `deadline`; raises one of UNREACHABLE."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = self._open(deadline)
        session.deadline = deadline
        return session

    def put(self, session: Session) -> None:
        """Give a session back; one that is closed or in a transaction is not kept."""
        if session.closed:
            return
        if self._closing or session.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            session.close()
            return
        with self._lock:
            self._idle.append(session)

    def drop(self, moved_from: str | None = None) -> None:
        """Close the idle sessions; with `moved_from`, only those made to another address."""
        with self._lock:
            dropped = [each for each in self._idle if moved_from is None or each.address != moved_from]
            self._idle = [each for each in self._idle if each not in dropped]
        for session in dropped:
            session.close()

    def _open(self, deadline: float) -> Session:
        found = self._resolver.find(self.target.host, deadline - time.monotonic())
        return open_session(self._settings, self.target, found.address, deadline)

    def _keep(self) -> None:
        while not self._closing:
            self._wake.clear()
            pause_s = self._look()
            self._wake.wait(pause_s)

    def _look(self) -> float:
        """Ask one session whether its server may write; returns the seconds until the next look."""
        deadline = time.monotonic() + self._settings.connect_s
        session: Session | None = None
        self._forget_moved()
        try:
            session = self.take(deadline)
            epoch = session.confirm()
        except UNREACHABLE:
            if session is not None:
                session.close()
            return self._backoff_s()
        self._failures = 0
        self.put(session)
        if epoch is not None:
            self._board.found(self, epoch)
        self._fill(deadline)
        if self._board.searching:
            return self._jitter.uniform(0.1, 1.0) * self._settings.probe_pause_s
        return self._settings.idle_check_s

    def _forget_moved(self) -> None:
        """Drop the sessions to where the endpoint no longer points; an open session needs no name."""
        try:
            found = self._resolver.find(self.target.host, _LOOKUP_S)
        except NameLookupError:
            return
        self.drop(moved_from=found.address)

    def _fill(self, deadline: float) -> None:
        while not self._closing and len(self._idle) < self._settings.warm:
            try:
                self.put(self._open(deadline))
            except UNREACHABLE:
                return

    def _backoff_s(self) -> float:
        """Full jitter, bounded; the first failure after a success costs no pause."""
        self._failures += 1
        if self._failures == 1:
            return 0.0
        most_s = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(self._failures, 10))
        if self._board.searching:
            most_s = min(most_s, 4 * self._settings.probe_pause_s)
        return self._jitter.uniform(0.0, most_s)
