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
from farshore.ports import Clock, Sighting
from farshore.simulate.ports import Fate, SimCloud, SimDatabase, SimJournal, SimPublisher, Word
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
    """`at_point(name, process)` is called around each journal write and action: throw to crash there; `at_look` after
    each read, description and inspection.

    `aws` decides what becomes of a request to move the writer: "ok", "refused", "cancelled", "throttled", "reply
    lost" or "request lost"; `answers` whether the table or a description answers now. `requests` are those that were
    sent; `stale_failovers` those failovers that took effect although the record did not want them any more (H6).
    `fates`: by (channel, region) what becomes of the next messages there, and `met` hears of each; `later` does
    something in so many ms; `slow_ms`: how much longer AWS takes than usual, `takes_ms` for a promotion and a
    switchover; `ordered`, `written` and `published` hear of every request, every change of the record and every word
    to DNS; `watched`: the sightings are real monitors', and a dark table keeps them from being written.
    """

    profile: Profile = FAST
    cluster: SimCluster = field(default_factory=SimCluster)
    record: Authority | None = None
    events: list[Event] = field(default_factory=list)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    aws: Callable[[], str] = lambda: "ok"
    answers: Callable[[str], bool] = lambda _what: True
    at_point: Callable[[str, str], None] = lambda _point, _process: None
    at_look: Callable[[str, str], None] = lambda _point, _process: None
    requests: list[Asked] = field(default_factory=list)
    stale_failovers: list[str] = field(default_factory=list)
    fates: dict[tuple[str, str], list[Fate]] = field(default_factory=dict)
    later: Callable[[int, Callable[[], object]], None] = lambda _ms, _work: None
    ordered: Callable[[str], None] = lambda _early: None
    met: Callable[[str, Fate], None] = lambda _channel, _fate: None
    slow_ms: int = 0
    takes_ms: tuple[int, int] | None = None
    written: Callable[[Authority | None, Authority], None] | None = None
    published: Callable[[str, Word], None] | None = None
    watched: bool = False
    sighted_ms: dict[str, int] = field(default_factory=dict)

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

    def asked(self, target: str, known: Authority | None, *, planned: bool, by: str) -> None:
        early = self._why_early(target, known) if planned else ""
        self.requests.append(Asked(self.clock.mono_ms, target, planned, by, early))
        self.ordered(early)

    def answers_in(self, what: str, region: str) -> bool:
        return (what, region) not in self.cluster.dark and self.answers(what)

    def reached(self, caller: str, region: str) -> SimServer | None:
        """The region's server, if a call from `caller` reaches it; an isolated region reaches its own."""
        server = self.cluster.servers[region]
        return server if not server.away and self.reached_region(caller, region) else None

    def reached_region(self, caller: str, region: str) -> bool:
        cluster = self.cluster
        if cluster.cuts and (caller, region) in cluster.cuts:
            return False
        if not cluster.lost or (caller == region and region in cluster.isolated):
            return True
        return caller not in cluster.lost and region not in cluster.lost

    def fate_of(self, channel: str, region: str) -> Fate | None:
        if not self.fates:
            return None
        waiting = self.fates.get((channel, region))
        if not waiting:
            return None
        fate = waiting.pop(0)
        self.met(channel, fate)
        return fate

    def seen(self, sighting: Sighting) -> None:
        before = self.sightings.get(sighting.region)
        if before is None or before.sequence != sighting.sequence:
            self.sighted_ms[sighting.region] = self.clock.mono_ms
        self.sightings[sighting.region] = sighting

    def _why_early(self, target: str, known: Authority | None) -> str:
        """A planned move is asked for when the source writes no more and the target has its last byte (P2).

        By the record as the asking process knows it: it may have been overtaken, which loses nothing.
        """
        source, plan = self.servers[self.names.other(target)], known.plan if known else None
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

    def controller(
        self, region: str, process: str, clock: Clock | None = None, kind: type[Controller] = Controller
    ) -> Controller:
        clock = clock or self.clock
        journal = SimJournal(self, region, process, clock)
        return kind(
            names=self.names,
            region=region,
            process=process,
            profile=self.profile,
            mode="auto",
            world=World(
                journal=journal,
                databases={r: SimDatabase(self, region, r, process, clock) for r in (HOME, STANDBY)},
                cloud=SimCloud(self, region, process, journal),
                publisher=SimPublisher(self, region, journal),
                clock=clock,
                background=lambda name, work: self._do(name, work, process),
            ),
        )

    def _do(self, name: str, work: Callable[[], None], process: str) -> None:
        """What a process does in the background is done at once; between deciding and sending it may be frozen."""
        if name == "move":
            self.at_point("before the move is sent", process)
            fate = self.fate_of("send", process.partition("/")[0]) if self.fates else None
            if fate is not None:
                self.later(fate.later_ms, work)
                return
        work()

    def one_writer(self) -> None:
        """P1 at this instant; a commit that passed its check may stall for the margin before it lands (H2)."""
        home, standby = self.cluster.servers[HOME], self.cluster.servers[STANDBY]
        if home.until_ms < 0 or standby.until_ms < 0:
            return
        now_ms = self.clock.mono_ms
        if home.may_write() and standby.may_write():
            raise TwoWritersError(f"two writers at {now_ms} ms: {self.record}")
        for server, other in ((home, standby), (standby, home)):
            margin_ms = self.profile.stall_margin_ms - server.slack_ms
            landing = not server.in_recovery and server.now_ms() < server.until_ms + margin_ms
            if landing and other.may_write():
                raise TwoWritersError(
                    f"a stalled commit in {server.region} lands at {now_ms} ms: {self.record}"
                )


class TwoWritersError(Exception):
    """Two regions accepted writes at one instant."""
