"""One lane per region: its sessions, and the loop that keeps one warm and asks it who may write.

A standby accepts sessions while it is read-only, and the same session becomes writable at the promotion, so a
warm session spares the client the handshake (five round trips or more) when it counts.

Written once for threads and asyncio: everything that waits goes through `Io`. Under threads nothing here ever
suspends (`blocking.finish`); under asyncio no lock is held across an `await`.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, LiteralString, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg import sql

from farshore.client.decide import CommitReply, Standing, backoff_s, probe_pause_s
from farshore.client.names import Found, NameLookupError
from farshore.client.types import Settings, Target
from farshore.client.wire import CONFIRM, DeadlineError, Line

S = TypeVar("S", bound=Line)
Statement: TypeAlias = LiteralString | sql.SQL | sql.Composed
UNREACHABLE = (psycopg.Error, NameLookupError)
_log = logging.getLogger(__name__)
_LOOKUP_S = 0.2
_LOOKUP_PAUSE_S = 1.0


class Event(Protocol):
    """threading.Event or asyncio.Event, with a wait that ends in time whichever it is."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    async def wait(self, timeout_s: float) -> None: ...


class Io(Protocol[S]):
    """Everything that waits. Database failures are psycopg.Error; `deadline` is a time.monotonic() second."""

    def event(self) -> Event: ...

    async def find(self, name: str, within_s: float) -> Found: ...

    async def open(self, target: Target, address: str, deadline: float) -> S: ...

    async def row(
        self, session: S, statement: Statement, values: Sequence[Any] = ()
    ) -> tuple[Any, ...] | None: ...

    async def work(self, session: S, work: Any, *, pipeline: bool) -> Any:
        """BEGIN, then the caller's work."""

    async def commit(self, session: S) -> CommitReply: ...


class Board(Generic[S]):
    """Which lane leads to the writer, as far as is known; may be asked from any thread."""

    def __init__(self, known: Event) -> None:
        self._known = known
        self._standing: Standing[Lane[S]] = Standing(time.monotonic())
        self._lock = threading.Lock()
        self._lanes: tuple[Lane[S], ...] = ()
        self._hinted: set[Lane[S]] = set()  # somebody holds a connection there by DNS's word alone
        self.listeners: list[Callable[[], None]] = []  # called when the writer is lost, by whoever noticed

    def watch(self, lanes: "tuple[Lane[S], ...]") -> None:
        self._lanes = lanes

    @property
    def searching_for_s(self) -> float | None:
        """For how long the writer has not been known; None when it is."""
        since = self._standing.searching_since
        return None if since is None else time.monotonic() - since

    def lent(self, lane: "Lane[S]") -> None:
        """A connection to the lane was given away; while no writer is known, on DNS's word alone."""
        with self._lock:
            if self._standing.writer is None:
                self._hinted.add(lane)

    def found(self, lane: "Lane[S]", epoch: int) -> None:
        with self._lock:
            before = self._standing.writer
            if not self._standing.found(lane, epoch):
                return
            former = ({before} if before is not None else self._hinted) - {lane}
            self._hinted = set()
            lane.demoted = False
            self._known.set()
        for each in former:
            self._tell_of(each)

    def lost(self, lane: "Lane[S]") -> None:
        """The lane failed a caller: look for the writer on every lane at once."""
        with self._lock:
            known = self._standing.lost(lane, time.monotonic())
            news = known or lane in self._hinted
            self._hinted.discard(lane)
            if known:
                self._known.clear()
        self.doubt()
        if news:
            self._tell_of(lane)

    def doubt(self) -> None:
        """Something was slow: have every lane look at once, and let them say what it means."""
        for each in self._lanes:
            each.wake()

    def leads_to(self, lane: "Lane[S]") -> bool:
        return self._standing.writer is lane

    def relies_on(self, lane: "Lane[S]") -> bool:
        """Whether somebody may hold a connection to it as to the writer's."""
        return self.leads_to(lane) or lane in self._hinted

    def _tell_of(self, former: "Lane[S]") -> None:
        former.losses += 1
        former.demoted = True
        former.drop()
        for tell in self.listeners:
            try:
                tell()
            except Exception:  # noqa: BLE001  a callback must not end the thread that looks for the writer
                _log.exception("a callback of on_loss failed")

    async def writer(self, deadline: float) -> "Lane[S] | None":
        """The writer's lane, waiting for one until `deadline`; None if none came."""
        while (lane := self._standing.writer) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            await self._known.wait(left_s)
        return lane


class Lane(Generic[S]):
    """Sessions to one region's writer endpoint. `losses` counts how often it ceased to be the writer's.

    While it is `demoted`, one session is kept, to be asked; those that were out when the pool was dropped are not.
    """

    def __init__(self, target: Target, settings: Settings, io: Io[S], board: Board[S]) -> None:
        self.target = target
        self.losses = 0
        self.demoted = False
        self._settings = settings
        self._io = io
        self._board = board
        self._idle: list[S] = []  # the last one given back is the first one taken
        self._lock = threading.Lock()
        self._wake = io.event()
        self._closing = False
        self._failures = 0
        self._lookup_due = 0.0
        self._jitter = random.Random()

    def end(self) -> None:
        """End the loop, if not in the middle of a connect, and keep no session from here on."""
        self._closing = True
        self._wake.set()
        self.drop()

    def wake(self) -> None:
        self._wake.set()

    async def take(self, deadline: float) -> S:
        """A session whose waits end at `deadline`; raises one of UNREACHABLE."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = await self._open(deadline)
        session.deadline = deadline
        return session

    def put(self, session: S) -> None:
        """Give a session back; one that is closed or in a transaction is not kept."""
        if self._closing or not session.resting:
            session.hang_up()
            return
        session.used = time.monotonic()
        with self._lock:
            is_kept = not (self.demoted and self._idle)
            if is_kept:
                self._idle.append(session)
        if not is_kept:
            session.hang_up()

    def give_back(self, session: S, *, demoted: bool) -> None:
        """A server that will not write loses its pool; the session that told us so stays to be asked."""
        if demoted:
            self.drop()
        self.put(session)

    def drop(self) -> None:
        """Close the idle sessions."""
        self._drop(self._idle)

    async def find(self, deadline: float) -> Found:
        """Where the endpoint's name leads to now."""
        return await self._io.find(self.target.host, deadline - time.monotonic())

    async def keep(self) -> None:
        """Keep a session warm and look who may write, until `end`."""
        while not self._closing:
            self._wake.clear()
            pause_s = await self._look()
            if not self._closing:
                await self._wake.wait(pause_s)

    async def _open(self, deadline: float) -> S:
        return await self._io.open(self.target, (await self.find(deadline)).address, deadline)

    async def _look(self) -> float:
        """Ask one session whether its server may write; returns the seconds until the next look."""
        await self._forget_moved()
        deadline = time.monotonic() + self._settings.connect_s
        session: S | None = None
        try:
            session = await self.take(deadline)
            row = await self._io.row(session, CONFIRM)
        except UNREACHABLE as error:
            if session is not None:
                session.hang_up()
            self._failures += 1
            if self._failures > 1 or isinstance(error, DeadlineError):
                self._ceased()
            self.drop()  # an idle session may have broken by itself, and the others with it: ask a new one
            searching = self._board.searching_for_s is not None
            most_s = backoff_s(self._failures, searching=searching, probe_pause_s=self._probe_pause_s())
            return self._jitter.uniform(0.0, most_s)
        self._failures = 0
        self.put(session)
        if row is not None and row[0] is not None:
            self._board.found(self, int(row[0]))
        else:
            self._ceased()
        self._forget_spare()
        await self._fill(deadline)
        if self._board.searching_for_s is not None:
            return self._jitter.uniform(0.1, 1.0) * self._probe_pause_s()
        return self._settings.idle_check_s

    def _ceased(self) -> None:
        """What this lane's own look found: its server is not, or not any more, the writer."""
        if self._board.relies_on(self):
            self._board.lost(self)

    def _probe_pause_s(self) -> float:
        return probe_pause_s(self._settings.probe_pause_s, self._board.searching_for_s or 0.0)

    async def _forget_moved(self) -> None:
        """Drop the sessions to where the endpoint no longer points; an open session needs no name."""
        now = time.monotonic()
        if now < self._lookup_due:
            return
        try:
            found = await self.find(now + _LOOKUP_S)
        except NameLookupError:
            self._lookup_due = time.monotonic() + _LOOKUP_PAUSE_S  # silence costs a look only now and then
            return
        self._drop([each for each in self._idle if each.address != found.address])

    def _forget_spare(self) -> None:
        """Close what a busy hour left behind: sessions above `warm` that nobody took for `spare_s`."""
        since = time.monotonic() - self._settings.spare_s
        spare = self._idle[: -self._settings.warm]
        self._drop([each for each in spare if each.used < since])

    def _drop(self, unwanted: Sequence[S]) -> None:
        with self._lock:
            dropped = [each for each in self._idle if each in unwanted]
            self._idle = [each for each in self._idle if each not in dropped]
        for session in dropped:
            session.hang_up()

    async def _fill(self, deadline: float) -> None:
        while not self._closing and len(self._idle) < self._settings.warm:
            try:
                self.put(await self._open(deadline))
            except UNREACHABLE:
                return
