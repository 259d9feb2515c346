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
    move; `away`: it restarts (and the region's
    reader with it); `stale`: it was left behind by a failover. Its clock: `ahead_ms` of the true one, with a
    drift, and a lease ends on it.
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
    reader_away: bool = True
    ahead_ms: int = 0
    drift_ppm: int = 0
    slack_ms: int = 0

    def now_ms(self) -> int:
        """By the server's own clock, which drifts and steps."""
        true_ms = self.clock.mono_ms
        return true_ms + self.ahead_ms + true_ms * self.drift_ppm // 1_000_000

    def in_lease(self) -> bool:
        return not self.in_recovery and not self.away and self.now_ms() < self.until_ms

    def left_ms(self) -> int:
        """For how long it accepts writes yet, on the true clock."""
        return max(0, self.until_ms - self.now_ms()) if self.may_write() else 0

    def step_clock(self, milliseconds: int) -> None:
        """Backwards a lease grows by it; `slack_ms` is what the stall margin has to bear."""
        self.ahead_ms += milliseconds
        self.slack_ms = max(0, -milliseconds)

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

    `isolated`: those lost regions that live on for the clients inside; `cuts`: (caller, called) whose calls vanish;
    `dark`: (service, region) that do not answer; `stalled`: replication stands still.
    `lost_by_moves`: what each planned move lost, in transactions; it must stay at nothing (P2).
    """

    names: Names = field(default_factory=lambda: Names("sim"))
    clock: SimClock = field(default_factory=SimClock)
    writer: str = HOME
    lost: set[str] = field(default_factory=set)
    isolated: set[str] = field(default_factory=set)
    cuts: set[tuple[str, str]] = field(default_factory=set)
    dark: set[tuple[str, str]] = field(default_factory=set)
    stalled: bool = False
    link_ms: int = LINK_MS
    rejoin_ms: int = REJOIN_MS
    move: Move | None = None
    moved: Callable[[Move], None] = lambda _move: None
    lost_by_moves: list[int] = field(default_factory=list)
    servers: dict[str, SimServer] = field(init=False)
    _shipped: list[tuple[int, int, int, bool]] = field(default_factory=list)
    _returned_ms: int | None = None
    _applied: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.servers = {
            HOME: SimServer(HOME, self.clock, in_recovery=False),
            STANDBY: SimServer(STANDBY, self.clock, in_recovery=True),
        }

    def advance(self, milliseconds: int) -> None:
        """Time passes; what AWS does meanwhile is done at its own instant."""
        end_ms = self.clock.mono_ms + milliseconds
        while self.move is not None and self.move.until_ms <= end_ms:
            self._pass(self.move.until_ms)
            self.replicate()
            self._finish(self.move)
        self._pass(end_ms)

    def _pass(self, until_ms: int) -> None:
        passed_ms = until_ms - self.clock.mono_ms
        if passed_ms <= 0:
            return
        for server in self.servers.values():
            if server.until_ms >= 0 and (server.region not in self.lost or server.region in self.isolated):
                server.lsn += min(passed_ms, server.left_ms())
        self.clock.mono_ms = until_ms

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
        self._begin_stream(move.target)
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
        elif other.in_recovery and not other.away and not self._stands():
            self._apply(other, now_ms - self.link_ms)

    def _stands(self) -> bool:
        return self.stalled or bool(self.cuts and (self.writer, self.names.other(self.writer)) in self.cuts)

    def _apply(self, other: SimServer, until_ms: int) -> None:
        """Transactions come one each millisecond, so what lies between two looks is known as well."""
        shipped, done = self._shipped, 0
        while done < len(shipped) and shipped[done][0] <= until_ms:
            done += 1
        if done:
            at_ms, other.lsn, other.epoch, other.fenced = shipped[done - 1]
            self._applied = at_ms, other.lsn
            del shipped[:done]
        if shipped:
            at_ms, lsn = self._applied
            other.lsn = max(other.lsn, min(shipped[0][1], lsn + until_ms - at_ms))

    def behind_ms(self) -> int:
        """How old the oldest byte is that stands in a stalled stream."""
        return self.clock.mono_ms - self._shipped[0][0] if self._shipped and self._stands() else 0

    def _rejoin(self, server: SimServer, now_ms: int) -> None:
        """The old writer comes back as a zombie; some time later AWS rebuilds it from the new one."""
        self._returned_ms = self._returned_ms or now_ms
        if now_ms - self._returned_ms >= self.rejoin_ms:
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
        self._begin_stream(region)

    def _begin_stream(self, writer: str) -> None:
        self.writer, self._shipped = writer, []
        self._applied = self.clock.mono_ms, self.servers[self.names.other(writer)].lsn
