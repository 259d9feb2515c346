"""Two regions' servers under the guard's rules, the stream between them, and AWS moving the role."""

from collections.abc import Callable
from dataclasses import dataclass, field

from farshore.core.facts import Now
from farshore.names import Names

HOME, STANDBY = "us-east-1", "us-west-2"
PROMOTION_MS = 150
SWITCHOVER_MS = 300
RETURN_MS = 500
LINK_MS = 30
REJOIN_MS = 2000
START_WALL_MS = 1_800_000_000_000


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
    """One region's writer endpoint with the guard's rules (guard.sql), epoch and fence included.

    `lsn` counts acknowledged transactions, one each millisecond; `halted`: AWS has stopped its writes for a planned
    move; `away`: it restarts as a reader; `stale`: it was left behind by a failover.
    """

    region: str
    clock: SimClock
    in_recovery: bool
    epoch: int = 0
    fenced: bool = True
    until_ms: int = -1
    lag_ms: int | None = 20
    lsn: int = 0
    stale: bool = False
    halted: bool = False
    away: bool = False

    def in_lease(self) -> bool:
        return not self.in_recovery and self.clock.mono_ms < self.until_ms

    def may_write(self) -> bool:
        return self.in_lease() and not self.halted

    def grant_and_renew(self, epoch: int, started_us: int, ttl_ms: int) -> bool:
        if self.in_recovery:
            return False
        if epoch > self.epoch:
            self.epoch, self.fenced, self.until_ms = epoch, False, -1
        if self.epoch != epoch or self.fenced:
            return False
        self.until_ms = max(self.until_ms, started_us // 1000 + ttl_ms)
        return True

    def fence(self, epoch: int) -> bool:
        if self.in_recovery or self.epoch != epoch:
            return False
        self.fenced, self.until_ms = True, -1
        return True

    def become(self, *, in_recovery: bool) -> None:
        """A restart or a promotion: a lease is bound to the server's process, so none outlives it (H5)."""
        self.in_recovery, self.until_ms, self.halted = in_recovery, -1, False


@dataclass(frozen=True)
class Move:
    """AWS moving the writer: what was asked, until when it takes, and whether AWS will take it back."""

    target: str
    until_ms: int
    planned: bool
    cancelled: bool = False
    returning: bool = False

    @property
    def status(self) -> str:
        return "switching-over" if self.planned else "failing-over"


@dataclass
class SimCluster:
    """The global cluster: both regions' servers, who is its writer, and which of the regions are lost.

    `lost_by_moves`: what each planned move lost, in transactions; it must stay at nothing (P2).
    """

    names: Names = field(default_factory=lambda: Names("sim"))
    clock: SimClock = field(default_factory=SimClock)
    writer: str = HOME
    lost: set[str] = field(default_factory=set)
    move: Move | None = None
    moved: Callable[[Move], None] = lambda _move: None
    lost_by_moves: list[int] = field(default_factory=list)
    servers: dict[str, SimServer] = field(init=False)
    _shipped: list[tuple[int, int, int, bool]] = field(default_factory=list)
    _returned_ms: int | None = None

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

    def begin(self, move: Move) -> None:
        """A planned move stops the old writer's writes first: AWS promises that it loses nothing.

        https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
        """
        self.move = move
        self.servers[self.writer].halted = move.planned

    def _finish(self, move: Move) -> None:
        old, new = self.servers[self.names.other(move.target)], self.servers[move.target]
        self.move = None
        if move.returning:
            old.away = False
            return
        impossible = move.planned and (bool(self.lost) or new.lsn < old.lsn)
        if move.cancelled or impossible or move.target in self.lost or not new.in_recovery:
            old.halted = False
            return
        self.moved(move)
        new.become(in_recovery=False)
        self.writer, self._shipped = move.target, []
        if move.planned:
            self.lost_by_moves.append(old.lsn - new.lsn)
            old.become(in_recovery=True)
            old.away = True
            self.move = Move(move.target, self.clock.mono_ms + RETURN_MS, planned=True, returning=True)
        else:
            old.stale = True

    def connected(self) -> bool:
        return not self.lost and not any(server.stale or server.away for server in self.servers.values())

    def received_lsn(self, region: str) -> int | None:
        """How far the other region is, by the word of this one's writer."""
        other = self.servers[self.names.other(region)]
        streams = not self.lost and not other.stale and not other.away and other.in_recovery
        return other.lsn if streams and not self.servers[region].in_recovery else None

    def replicate(self) -> None:
        """Physical replication carries the guard's rows to whoever still streams."""
        source, other = self.servers[self.writer], self.servers[self.names.other(self.writer)]
        if self.lost:
            self._returned_ms = None
            return
        now_ms = self.clock.mono_ms
        self._shipped.append((now_ms, source.lsn, source.epoch, source.fenced))
        if other.stale:
            self._rejoin(other, now_ms)
        elif other.in_recovery and not other.away:
            while self._shipped and self._shipped[0][0] <= now_ms - LINK_MS:
                _, other.lsn, other.epoch, other.fenced = self._shipped.pop(0)

    def _rejoin(self, server: SimServer, now_ms: int) -> None:
        """The old writer comes back as a zombie; some time later AWS rebuilds it from the new one."""
        self._returned_ms = self._returned_ms or now_ms
        if now_ms - self._returned_ms >= REJOIN_MS:
            server.become(in_recovery=True)
            server.stale, self._returned_ms = False, None

    def move_by_hand(self, region: str) -> None:
        """Somebody moves the role in the console: a failover when the writer's region is lost, else a switchover."""
        old, new = self.servers[self.writer], self.servers[region]
        new.become(in_recovery=False)
        if self.lost:
            old.stale = True
        else:
            new.lsn, new.epoch, new.fenced = old.lsn, old.epoch, old.fenced
            old.become(in_recovery=True)
        self.writer, self._shipped = region, []
