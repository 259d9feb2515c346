"""A simulated world around the unmodified controller: one clock, one table, two regions, and faults on demand.

Nothing here waits: time moves only by `advance`, and every part acts at its own next instant. Promises P1 to P5
are checked by whoever drives it (tests now, `farshore simulate` later).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from farshore.controller import Controller, World
from farshore.core.authority import Authority, Event
from farshore.core.facts import Endpoints
from farshore.core.profile import FAST, Profile
from farshore.names import Names
from farshore.ports import Sighting
from farshore.simulate.ports import SimCloud, SimDatabase, SimJournal, SimPublisher
from farshore.simulate.servers import HOME, STANDBY, Move, SimClock, SimCluster, SimServer


@dataclass(frozen=True)
class Asked:
    """A request to move the writer as it was sent; `early`: a planned one that was not yet fit to be sent."""

    at_ms: int
    target: str
    planned: bool
    by: str
    early: str = ""


@dataclass
class SimWorld:
    """`at_point(name, process)` is called around each journal write and action: throw to crash there.

    `aws` decides what becomes of a request to move the writer: "ok", "refused", "cancelled", "throttled", "reply
    lost" or "request lost"; `answers` whether the table or a description answers now. `requests` are those that were
    sent; `stale_failovers` those failovers that took effect although the record did not want them any more (H6).
    """

    profile: Profile = FAST
    cluster: SimCluster = field(default_factory=SimCluster)
    record: Authority | None = None
    events: list[Event] = field(default_factory=list)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    aws: Callable[[], str] = lambda: "ok"
    answers: Callable[[str], bool] = lambda _what: True
    at_point: Callable[[str, str], None] = lambda _point, _process: None
    requests: list[Asked] = field(default_factory=list)
    stale_failovers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.moved = self._moved

    @property
    def clock(self) -> SimClock:
        return self.cluster.clock

    @property
    def names(self) -> Names:
        return self.cluster.names

    @property
    def servers(self) -> dict[str, SimServer]:
        return self.cluster.servers

    @property
    def lost(self) -> set[str]:
        return self.cluster.lost

    @lost.setter
    def lost(self, regions: set[str]) -> None:
        self.cluster.lost = regions

    @property
    def writer(self) -> str:
        return self.cluster.writer

    @property
    def promotions_sent(self) -> int:
        return sum(not asked.planned for asked in self.requests)

    @property
    def switchovers_sent(self) -> int:
        return sum(asked.planned for asked in self.requests)

    def asked(self, target: str, *, planned: bool, by: str) -> None:
        early = self._why_early(target) if planned else ""
        self.requests.append(Asked(self.clock.mono_ms, target, planned, by, early))

    def _why_early(self, target: str) -> str:
        """A planned move is asked for when the source writes no more and the target has its last byte (P2)."""
        source, plan = self.servers[self.names.other(target)], self.record.plan if self.record else None
        if source.may_write():
            return f"{source.region} accepts writes"
        if plan is None or plan.drained_lsn is None:
            return "nothing was drained"
        has = self.servers[target].lsn
        return "" if has >= plan.drained_lsn else f"{target} has {has} of {plan.drained_lsn}"

    def _moved(self, move: Move) -> None:
        plan = self.record.plan if self.record else None
        if not move.planned and (plan is None or plan.target != move.target):
            self.stale_failovers.append(f"to {move.target} at {self.clock.mono_ms} ms, {self.record}")

    def observe(self, region: str) -> None:
        """What that region's monitor would write now."""
        if region in self.lost:
            return
        silent_ms = self.profile.unreachable_after_ms
        self.sightings[region] = Sighting(
            region=region,
            sequence=str(self.clock.mono_ms),
            endpoints={
                r: Endpoints(*([silent_ms if self._is_silent(r) else 0] * 2)) for r in (HOME, STANDBY)
            },
            lag_ms=20,
            at_unix_ms=self.clock.now().wall_ms,
        )

    def _is_silent(self, region: str) -> bool:
        return region in self.lost or self.servers[region].away

    def controller(self, region: str, process: str) -> Controller:
        return Controller(
            names=self.names,
            region=region,
            process=process,
            profile=self.profile,
            mode="auto",
            world=World(
                journal=SimJournal(self, region, process),
                databases={r: SimDatabase(self, region, r, process) for r in (HOME, STANDBY)},
                cloud=SimCloud(self, region, process),
                publisher=SimPublisher(),
                clock=self.clock,
                background=lambda name, work: self._do(name, work, process),
            ),
        )

    def _do(self, name: str, work: Callable[[], None], process: str) -> None:
        """What a process does in the background is done at once; between deciding and sending it may be frozen."""
        if name == "move":
            self.at_point("before the move is sent", process)
        work()

    def one_writer(self) -> None:
        """P1 at this instant; a commit that passed its check may stall for the margin before it lands (H2)."""
        now_ms, servers = self.clock.mono_ms, list(self.servers.values())
        writing = [server for server in servers if server.may_write()]
        if len(writing) > 1:
            raise TwoWritersError(f"two writers at {now_ms} ms: {self.record}")
        for server in servers:
            landing = not server.in_recovery and now_ms < server.until_ms + self.profile.stall_margin_ms
            if landing and writing not in ([], [server]):
                raise TwoWritersError(
                    f"a stalled commit in {server.region} lands at {now_ms} ms: {self.record}"
                )


class TwoWritersError(Exception):
    """Two regions accepted writes at one instant."""
