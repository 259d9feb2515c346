"""A simulated world around the unmodified controller: one clock, one table, two regions, and faults on demand.

Nothing here waits: time moves only by `advance`, and every part acts at its own next instant. Promises P1 and P3
to P5 are checked by whoever drives it (tests now, `farshore simulate` later).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from farshore.controller import Controller, World
from farshore.core.authority import Authority, Event
from farshore.core.errors import MoveRefusedError, UnknownOutcomeError
from farshore.core.facts import Endpoints, GlobalCluster, Now, Server
from farshore.core.profile import FAST, Profile
from farshore.names import Names
from farshore.ports import Page, Presence, Sighting

HOME, STANDBY = "us-east-1", "us-west-2"
PROMOTION_MS = 150
SWITCHOVER_MS = 300
LINK_MS = 30
REJOIN_MS = 2000
START_WALL_MS = 1_800_000_000_000


class ProcessCrashed(BaseException):
    """Thrown through a controller to end it between two steps; nothing in the product may catch it."""


@dataclass
class SimClock:
    """Milliseconds since the start; `sleep` is never called, the driver moves time."""

    mono_ms: int = 0

    def now(self) -> Now:
        return Now(wall_ms=START_WALL_MS + self.mono_ms, mono_ms=self.mono_ms)

    def sleep(self, milliseconds: int) -> None:
        raise AssertionError(f"somebody slept {milliseconds} ms in a simulation")


@dataclass
class SimServer:
    """One region's writer endpoint with the guard's rules (guard.sql), epoch and fence included."""

    region: str
    clock: SimClock
    in_recovery: bool
    epoch: int = 0
    fenced: bool = True
    until_ms: int = -1
    lag_ms: int | None = 20
    lsn: int = 0
    stale: bool = False

    def may_write(self) -> bool:
        return not self.in_recovery and self.clock.mono_ms < self.until_ms

    def grant_and_renew(self, epoch: int, started_us: int, ttl_ms: int) -> bool:
        if epoch > self.epoch:
            self.epoch, self.fenced, self.until_ms = epoch, False, -1
        if self.epoch != epoch or self.fenced:
            return False
        self.until_ms = max(self.until_ms, started_us // 1000 + ttl_ms)
        return True


@dataclass(frozen=True)
class Move:
    """AWS moving the writer: what was asked, until when it takes, and whether AWS will take it back."""

    target: str
    until_ms: int
    planned: bool
    cancelled: bool = False


@dataclass
class SimWorld:
    """`at_point` is called with the name of each journal write or action: throw to crash there.

    `aws` decides what becomes of a request to move the writer: "ok", "refused", "cancelled", "reply lost" or
    "request lost". A writer that may write acknowledges one transaction every millisecond.
    """

    profile: Profile = FAST
    names: Names = field(default_factory=lambda: Names("sim"))
    clock: SimClock = field(default_factory=SimClock)
    record: Authority | None = None
    events: list[Event] = field(default_factory=list)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    move: Move | None = None
    promotions_sent: int = 0
    switchovers_sent: int = 0
    aws: Callable[[], str] = lambda: "ok"
    shipped: list[tuple[int, int, int, bool]] = field(default_factory=list)
    returned_ms: int | None = None
    at_point: Callable[[str], None] = lambda _point: None
    servers: dict[str, SimServer] = field(init=False)
    writer: str = HOME

    def __post_init__(self) -> None:
        self.servers = {
            HOME: SimServer(HOME, self.clock, in_recovery=False),
            STANDBY: SimServer(STANDBY, self.clock, in_recovery=True),
        }

    def advance(self, milliseconds: int) -> None:
        for server in self.servers.values():
            if server.may_write() and server.region not in self.lost:
                server.lsn += milliseconds
        self.clock.mono_ms += milliseconds
        if self.move is not None and self.clock.mono_ms >= self.move.until_ms:
            self._finish(self.move)

    def _finish(self, move: Move) -> None:
        """AWS's own rules: a planned move waits for the last byte and is taken back when it cannot have it."""
        old, new = self.servers[self.writer], self.servers[move.target]
        self.move = None
        impossible = move.planned and (bool(self.lost) or new.lsn < old.lsn)
        if move.cancelled or impossible or move.target in self.lost:
            return
        new.in_recovery, self.writer, self.shipped = False, move.target, []
        if move.planned:
            old.in_recovery = True
        else:
            old.stale = True

    def received_lsn(self, region: str) -> int | None:
        """How far the other region is, by the word of this one's writer."""
        other = self.servers[self.names.other(region)]
        connected = not self.lost and not other.stale and other.in_recovery
        return other.lsn if connected and not self.servers[region].in_recovery else None

    def observe(self, region: str) -> None:
        """What that region's monitor would write now."""
        if region in self.lost:
            return
        silent = {
            r: None if r not in self.lost else self.profile.unreachable_after_ms for r in (HOME, STANDBY)
        }
        self.sightings[region] = Sighting(
            region=region,
            sequence=str(self.clock.mono_ms),
            endpoints={r: Endpoints(silent[r] or 0, silent[r] or 0) for r in (HOME, STANDBY)},
            lag_ms=20,
            at_unix_ms=self.clock.now().wall_ms,
        )

    def replicate(self) -> None:
        """Physical replication carries the guard's rows to whoever still streams."""
        source, other = self.servers[self.writer], self.servers[self.names.other(self.writer)]
        if self.lost:
            self.returned_ms = None
            return
        now_ms = self.clock.mono_ms
        self.shipped.append((now_ms, source.lsn, source.epoch, source.fenced))
        if other.stale:
            self._rejoin(other, now_ms)
        elif other.in_recovery:
            while self.shipped and self.shipped[0][0] <= now_ms - LINK_MS:
                _, other.lsn, other.epoch, other.fenced = self.shipped.pop(0)

    def _rejoin(self, server: SimServer, now_ms: int) -> None:
        """The old writer comes back as a zombie; some time later AWS rebuilds it from the new one."""
        self.returned_ms = self.returned_ms or now_ms
        if now_ms - self.returned_ms >= REJOIN_MS:
            server.stale, server.in_recovery, server.until_ms, self.returned_ms = False, True, -1, None

    def controller(self, region: str, process: str) -> Controller:
        return Controller(
            names=self.names,
            region=region,
            process=process,
            profile=self.profile,
            mode="auto",
            world=World(
                journal=SimJournal(self, region),
                databases={r: SimDatabase(self, region, r) for r in (HOME, STANDBY)},
                cloud=SimCloud(self, region),
                publisher=SimPublisher(),
                clock=self.clock,
                background=lambda _name, work: work(),
            ),
        )


@dataclass
class SimJournal:
    world: SimWorld
    region: str

    def _reach(self) -> None:
        if self.region in self.world.lost:
            raise UnknownOutcomeError("the table does not answer")

    def read(self) -> Page:
        self._reach()
        return Page(self.world.record, dict(self.world.sightings), ())

    def compare_and_set(self, before: Authority | None, after: Authority) -> bool:
        self._reach()
        there = self.world.record
        if (there.version if there else None) != (before.version if before else None):
            return False
        self.world.at_point(f"before {after.phase}")
        self.world.record = after
        self.world.at_point(f"after {after.phase}")
        return True

    def put_event(self, event: Event) -> None:
        if event not in self.world.events:
            self.world.events.append(event)

    def put_presence(self, presence: Presence) -> None:
        raise NotImplementedError(presence)

    def put_sighting(self, sighting: Sighting) -> None:
        self.world.sightings[sighting.region] = sighting

    def history(self, after_version: int = 0) -> list[Event]:
        return [event for event in self.world.events if event.version > after_version]


@dataclass
class SimDatabase:
    world: SimWorld
    caller: str
    region: str

    def _server(self) -> SimServer | None:
        return None if {self.caller, self.region} & self.world.lost else self.world.servers[self.region]

    def inspect(self, timeout_ms: int) -> Server | None:  # noqa: ARG002 - an answer takes no time here
        server = self._server()
        if server is None:
            return None
        return Server(
            region=self.region,
            in_recovery=server.in_recovery,
            epoch=server.epoch,
            fenced=server.fenced,
            enforcing=True,
            clock_us=self.world.clock.mono_ms * 1000,
            lag_ms=server.lag_ms if not server.in_recovery else None,
            received_lsn=self.world.received_lsn(self.region),
            writes_per_s=10,
        )

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:  # noqa: ARG002
        self.world.at_point("before renew")
        server = self._server()
        renewed = server is not None and server.grant_and_renew(epoch, started_us, ttl_ms)
        self.world.at_point("after renew")
        return renewed

    def fence(self, epoch: int, timeout_ms: int) -> bool:  # noqa: ARG002 - the port's signature
        server = self._server()
        if server is None or server.epoch != epoch:
            return False
        server.fenced, server.until_ms = True, -1
        return True

    def drain(self, epoch: int, barrier_ms: int, timeout_ms: int) -> int | None:  # noqa: ARG002
        self.world.at_point("before drain")
        server = self._server()
        drained = server is not None and not server.in_recovery and self.fence(epoch, timeout_ms)
        self.world.at_point("after drain")
        return server.lsn if server is not None and drained else None


@dataclass
class SimCloud:
    world: SimWorld
    region: str

    def describe(self) -> GlobalCluster | None:
        world = self.world
        if self.region in world.lost:
            return None
        stale = any(server.stale for server in world.servers.values())
        moving = None
        if world.move is not None:
            moving = "switching-over" if world.move.planned else "failing-over"
        return GlobalCluster(world.writer, moving, synchronized=not world.lost and not stale)

    def promote(self, region: str) -> None:
        self.world.at_point("before promotion is sent")
        self.world.promotions_sent += 1
        self._ask(region, PROMOTION_MS, planned=False)
        self.world.at_point("after promotion is sent")

    def switch(self, region: str) -> None:
        self.world.at_point("before switchover is sent")
        self.world.switchovers_sent += 1
        self._ask(region, SWITCHOVER_MS, planned=True)
        self.world.at_point("after switchover is sent")

    def _ask(self, region: str, takes_ms: int, *, planned: bool) -> None:
        world, answer = self.world, self.world.aws()
        if self.region in world.lost or answer == "request lost":
            raise UnknownOutcomeError("no reply")
        if answer == "refused" or world.move is not None or world.writer == region:
            raise MoveRefusedError("AWS said no")
        world.move = Move(region, world.clock.mono_ms + takes_ms, planned, answer == "cancelled")
        if answer == "reply lost":
            raise UnknownOutcomeError("no reply")


class SimPublisher:
    """Where DNS would hear it; the simulated clients look at the servers themselves."""

    def authority_home(self, *, is_home: bool, read_at_ms: int) -> None:
        """Nobody listens yet."""


@dataclass
class Actor:
    """A controller process with its own next instant; `None` while it is dead or its region is lost."""

    controller: Controller
    due_ms: int = 0


def run(world: SimWorld, actors: dict[str, Actor], until_ms: int, watch: Callable[[], None]) -> None:
    """Let monitors and controllers act, 10 ms by 10 ms, calling `watch` after each instant."""
    while world.clock.mono_ms < until_ms:
        now_ms = world.clock.mono_ms
        for region in (HOME, STANDBY):
            if now_ms % world.profile.probe_ms == 0:
                world.observe(region)
        world.replicate()
        for region, actor in actors.items():
            if region not in world.lost and now_ms >= actor.due_ms:
                actor.due_ms = now_ms + max(10, _tick(actor.controller))
        watch()
        world.advance(10)


def _tick(controller: Controller) -> int:
    try:
        return controller.tick()
    except UnknownOutcomeError:
        return 50
