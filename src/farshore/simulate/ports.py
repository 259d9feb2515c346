"""The controller's ports into the simulated world; every journal write and every act is a point to break in at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from farshore.core.authority import Authority, Event
from farshore.core.errors import MoveRefusedError, MoveTooLateError, UnknownOutcomeError
from farshore.core.facts import GlobalCluster, Server
from farshore.core.profile import SIGNATURE_LIFE_MS
from farshore.ports import Clock, InTime, Page, Presence, Sighting
from farshore.simulate import servers
from farshore.simulate.servers import Move, SimServer

if TYPE_CHECKING:
    from farshore.simulate.world import SimWorld

T = TypeVar("T")


@dataclass(frozen=True)
class Fate:
    """What becomes of a message: "lost", "late", "twice" or "reply lost"; `later_ms` for the second and the third."""

    how: str
    later_ms: int = 0


def carry(world: "SimWorld", fate: Fate, work: Callable[[], T], missing: Callable[[], T]) -> T:
    """`work` as its message fares; `missing` is what the sender has instead of a reply."""
    if fate.how in ("late", "twice"):
        world.later(fate.later_ms, work)
    if fate.how in ("lost", "late"):
        return missing()
    done = work()
    return missing() if fate.how == "reply lost" else done


@dataclass(frozen=True, slots=True)
class Word:
    """What a process told its region's DNS, and what that rests on: the record's version, how it stood at
    `read_at_ms` (true time), and by how much its stamp is later than the question that was answered so."""

    process: str
    is_home: bool
    version: int
    read_at_ms: int
    said_at_ms: int
    stamp_late_ms: int


@dataclass
class SimJournal:
    """`known`: the record that this process last read or wrote, when it stood so, and the process's wall clock when
    it asked."""

    world: "SimWorld"
    region: str
    process: str = ""
    clock: Clock | None = None
    known: Authority | None = None
    known_at_ms: int = 0
    asked_wall_ms: int = 0

    def _reach(self) -> None:
        if self.region in self.world.cluster.lost or not self.world.answers_in("table", self.region):
            raise UnknownOutcomeError("the table does not answer")

    def _silence(self) -> bool:
        raise UnknownOutcomeError("no reply came")

    def read(self) -> Page:
        self._reach()
        page = Page(self.world.record, dict(self.world.sightings), ())
        self._know(page.record, self._wall_ms())
        self.world.at_look("after read", self.process)
        return page

    def _wall_ms(self) -> int:
        return (self.clock or self.world.clock).now().wall_ms

    def _know(self, record: Authority | None, asked_wall_ms: int) -> None:
        self.known, self.known_at_ms, self.asked_wall_ms = record, self.world.clock.mono_ms, asked_wall_ms

    def compare_and_set(self, before: Authority | None, after: Authority) -> bool:
        asked_wall_ms = self._wall_ms()
        self._reach()
        self.world.at_point(f"before {after.phase}", self.process)
        self._reach()
        fate = self.world.fate_of("write", self.region)
        if fate is None:
            won = self._write(before, after)
        else:
            won = carry(self.world, fate, lambda: self._write(before, after), self._silence)
        if won:
            self._know(after, asked_wall_ms)
            self.world.at_point(f"after {after.phase}", self.process)
        return won

    def _write(self, before: Authority | None, after: Authority) -> bool:
        there = self.world.record
        if (there.version if there else None) != (before.version if before else None):
            return False
        self.world.record = after
        if self.world.written is not None:
            self.world.written(there, after)
        return True

    def put_event(self, event: Event) -> None:
        if event not in self.world.events:
            self.world.events.append(event)

    def put_presence(self, presence: Presence) -> None:
        raise NotImplementedError(presence)

    def put_sighting(self, sighting: Sighting) -> None:
        if self.world.watched:
            self._reach()
        fate = self.world.fate_of("sighting", self.region)
        if fate is None:
            self._see(sighting)
        else:
            carry(self.world, fate, lambda: self._see(sighting), self._silence)

    def _see(self, sighting: Sighting) -> bool:
        self.world.seen(sighting)
        return True

    def history(self, after_version: int = 0) -> list[Event]:
        return [event for event in self.world.events if event.version > after_version]


@dataclass
class SimDatabase:
    world: "SimWorld"
    caller: str
    region: str
    process: str = ""
    clock: Clock | None = None
    _clocks: tuple[int, int] | None = None

    def _server(self) -> SimServer | None:
        return self.world.reached(self.caller, self.region)

    def _step_ms(self, clock_ms: int) -> int:
        """How far the server's clock moved against this process's since the last look."""
        mono_ms = (self.clock or self.world.clock).now().mono_ms
        before, self._clocks = self._clocks, (clock_ms, mono_ms)
        return 0 if before is None else (clock_ms - before[0]) - (mono_ms - before[1])

    def inspect(self, timeout_ms: int) -> Server | None:  # noqa: ARG002 - an answer takes no time here
        server = self._server()
        if server is None:
            self._clocks = None
            return None
        cluster, clock_ms = self.world.cluster, server.now_ms()
        received_lsn = cluster.received_lsn(self.region)
        known = received_lsn is not None and server.lag_ms is not None
        found = Server(
            region=self.region,
            in_recovery=server.in_recovery,
            epoch=server.epoch,
            fenced=server.fenced,
            enforcing=True,
            clock_us=clock_ms * 1000,
            clock_step_ms=self._step_ms(clock_ms),
            lag_ms=max(server.lag_ms or 0, cluster.behind_ms()) if known else None,
            received_lsn=received_lsn,
            writes_per_s=10,
        )
        self.world.at_look("after inspect", self.process)
        return found

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:  # noqa: ARG002
        self.world.at_point("before renew", self.process)

        def arrives() -> bool:
            server = self._server()
            return server is not None and server.grant_and_renew(epoch, started_us, ttl_ms)

        renewed = self._carried("renewal", arrives)
        self.world.at_point("after renew", self.process)
        return renewed

    def _carried(self, channel: str, work: Callable[[], bool]) -> bool:
        fate = self.world.fate_of(channel, self.caller)
        return work() if fate is None else carry(self.world, fate, work, lambda: False)

    def fence(self, epoch: int, timeout_ms: int) -> bool:  # noqa: ARG002 - the port's signature
        self.world.at_point("before fence", self.process)

        def arrives() -> bool:
            server = self._server()
            return server is not None and server.fence(epoch)

        return self._carried("fence", arrives)

    def drain(self, epoch: int, barrier_ms: int, timeout_ms: int) -> int | None:  # noqa: ARG002
        self.world.at_point("before drain", self.process)

        def arrives() -> int | None:
            server = self._server()
            return server.lsn if server is not None and server.fence(epoch) else None

        fate = self.world.fate_of("fence", self.caller)
        lsn = arrives() if fate is None else carry(self.world, fate, arrives, lambda: None)
        self.world.at_point("after drain", self.process)
        return lsn


@dataclass
class SimCloud:
    """AWS as its page describes it; a request reaches it at once, or late, or never, as the world says.

    `journal`: of the process that asks; what it has read there is what it asks for.
    """

    world: "SimWorld"
    region: str
    process: str = ""
    journal: SimJournal | None = None

    def describe(self) -> GlobalCluster | None:
        cluster = self.world.cluster
        if self.region in cluster.lost or not self.world.answers_in("describe", self.region):
            return None
        moving = cluster.move.status if cluster.move else None
        found = GlobalCluster(cluster.writer, moving, synchronized=cluster.connected())
        self.world.at_look("after describe", self.process)
        return found

    def promote(self, region: str, in_time: InTime) -> None:
        self._ask(region, in_time, planned=False)

    def switch(self, region: str, in_time: InTime) -> None:
        self._ask(region, in_time, planned=True)

    def _ask(self, region: str, in_time: InTime, *, planned: bool) -> None:
        world, what = self.world, "switchover" if planned else "promotion"
        signed_ms = world.clock.mono_ms
        world.at_point(f"before {what} is sent", self.process)
        if not in_time():
            raise MoveTooLateError("its time has passed")
        known = self.journal.known if self.journal else world.record
        world.asked(region, known, planned=planned, by=self.process)
        world.at_point(f"before {what} arrives", self.process)
        if self.region in world.cluster.lost:
            raise UnknownOutcomeError("no reply")
        fate = world.fate_of("request", self.region)
        if fate is None:
            self._arrive(region, signed_ms, planned=planned)
        else:
            carry(world, fate, lambda: self._arrive(region, signed_ms, planned=planned), self._silence)
        world.at_point(f"after {what} arrived", self.process)

    def _silence(self) -> None:
        raise UnknownOutcomeError("no reply")

    def _arrive(self, region: str, signed_ms: int, *, planned: bool) -> None:
        world, answer = self.world, self.world.aws()
        if answer == "request lost":
            self._silence()
        if answer == "throttled" or world.clock.mono_ms - signed_ms > SIGNATURE_LIFE_MS:
            raise MoveRefusedError("AWS took no notice of it")
        self._begin(region, answer, planned=planned)
        if answer == "reply lost":
            self._silence()

    def _begin(self, region: str, answer: str, *, planned: bool) -> None:
        """Only a reader that follows can be asked for, and only while nothing else moves."""
        cluster = self.world.cluster
        unfit = planned and not cluster.connected()
        if answer == "refused" or cluster.move is not None or cluster.writer == region or unfit:
            raise MoveRefusedError("AWS said no")
        takes_ms = self.world.slow_ms + (servers.SWITCHOVER_MS if planned else servers.PROMOTION_MS)
        if self.world.takes_ms is not None:
            takes_ms = self.world.slow_ms + self.world.takes_ms[planned]
        until_ms = self.world.clock.mono_ms + takes_ms
        cluster.begin(Move(region, until_ms, planned, answer == "cancelled"))


@dataclass
class SimPublisher:
    """Where DNS would hear it, with what the word rests on."""

    world: "SimWorld"
    region: str
    journal: SimJournal

    def authority_home(self, *, is_home: bool, read_at_ms: int) -> None:
        journal = self.journal
        if self.world.published is None:
            return
        version = journal.known.version if journal.known else 0
        late_ms = read_at_ms - journal.asked_wall_ms
        now_ms = self.world.clock.mono_ms
        word = Word(journal.process, is_home, version, journal.known_at_ms, now_ms, late_ms)
        self.world.published(self.region, word)
