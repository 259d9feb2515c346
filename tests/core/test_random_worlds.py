"""Random worlds: regions come and go, processes die at any point, freeze, and send late what they meant to send.

Whatever happens, at most one server accepts writes at any instant (P1), and once everything is quiet somebody holds
authority and writes (P5). A failing seed is printed by the test's name: the world is the same each time.
"""

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from farshore.core.authority import Phase
from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Now
from farshore.core.profile import FAST
from farshore.simulate import world
from farshore.simulate.world import HOME, STANDBY, Actor, ProcessCrashed, SimWorld, run

SEEDS = range(60)
TROUBLE_MS, QUIET_MS = 30_000, 90_000


@dataclass
class Late:
    """What was sent and has not arrived yet."""

    world: SimWorld
    dice: random.Random
    waiting: list[tuple[int, Callable[[], object]]] = field(default_factory=list)

    def maybe(self, work: Callable[[], object], at_most_ms: int) -> bool:
        if self.dice.random() > 0.1:
            return False
        self.waiting.append((self.world.clock.mono_ms + self.dice.randrange(at_most_ms), work))
        return True

    def deliver(self) -> None:
        due = [work for at_ms, work in self.waiting if at_ms <= self.world.clock.mono_ms]
        self.waiting = [(at_ms, work) for at_ms, work in self.waiting if at_ms > self.world.clock.mono_ms]
        for work in due:
            with contextlib.suppress(UnknownOutcomeError):
                work()


@dataclass
class SkewedClock:
    """A process's own wall clock; intervals are everybody's."""

    world: SimWorld
    skew_ms: int

    def now(self) -> Now:
        true = self.world.clock.now()
        return Now(true.wall_ms + self.skew_ms, true.mono_ms)


class Trouble:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = SimWorld()
        self.late = Late(self.world, self.dice)
        self.actors: dict[str, Actor] = {}
        self.started = 0
        self.crashing = False
        self.world.at_point = self._maybe_crash
        for region in (HOME, STANDBY):
            self.start(region)

    def start(self, region: str) -> None:
        """A new process in the region; the one before is gone, but not what it has sent."""
        self.started += 1
        controller = self.world.controller(region, f"{region}/{self.started}")
        ports = controller._world
        skew_ms = self.dice.randrange(-3000, 3000)
        object.__setattr__(ports, "clock", SkewedClock(self.world, skew_ms))
        background = ports.background
        object.__setattr__(ports, "background", self._slow_background(background))
        for database in ports.databases.values():
            database.renew = self._slow_renewal(database.renew)
        ports.journal.compare_and_set = self._slow_write(ports.journal.compare_and_set)
        self.actors[region] = Actor(controller, due_ms=self.world.clock.mono_ms)

    def _slow_background(self, background):
        def start(name, work):
            if name == "move" and self.late.maybe(work, 20_000):
                return
            background(name, work)

        return start

    def _slow_renewal(self, renew):
        def slow(*arguments):
            return False if self.late.maybe(lambda: renew(*arguments), 5000) else renew(*arguments)

        return slow

    def _slow_write(self, write):
        def slow(before, after):
            if self.late.maybe(lambda: write(before, after), 3000):
                raise UnknownOutcomeError("no reply came")
            won = write(before, after)
            if self.dice.random() < 0.03:
                raise UnknownOutcomeError("the reply was lost")
            return won

        return slow

    def _maybe_crash(self, _point: str) -> None:
        if self.crashing and self.dice.random() < 0.02:
            raise ProcessCrashed

    def one_writer(self) -> None:
        """A commit that passed its check may stall for the stall margin before it lands (H2)."""
        now_ms = self.world.clock.mono_ms
        writing = [server for server in self.world.servers.values() if server.may_write()]
        assert len(writing) <= 1, f"two writers at {now_ms} ms"
        for server in self.world.servers.values():
            landing = not server.in_recovery and now_ms < server.until_ms + FAST.stall_margin_ms
            assert not landing or writing in ([], [server]), f"a stalled commit lands at {now_ms} ms"

    def pass_time(self, until_ms: int) -> None:
        while self.world.clock.mono_ms < until_ms:
            try:
                self.late.deliver()
                run(self.world, self.actors, self.world.clock.mono_ms + 10, self.one_writer)
            except ProcessCrashed:
                self.start(self.dice.choice((HOME, STANDBY)))

    def console_failover(self) -> None:
        """Somebody fails over in the console; AWS offers only a member that follows."""
        servers = self.world.servers
        if self.world.lost == {HOME} and self.world.writer == HOME and servers[STANDBY].in_recovery:
            servers[STANDBY].in_recovery, servers[HOME].stale, self.world.writer = False, True, STANDBY

    def something(self) -> None:
        region = self.dice.choice((HOME, STANDBY))
        match self.dice.randrange(6):
            case 0:
                self.world.lost = {region}
            case 1:
                self.world.lost = set()
            case 2:
                self.start(region)
            case 3:
                self.actors[region].due_ms = self.world.clock.mono_ms + self.dice.randrange(8000)
            case 5:
                self.console_failover()
            case 4:
                self.world.servers[region].lag_ms = self.dice.choice((None, 5, 20, 9000))


@pytest.fixture(autouse=True)
def quick_promotion(monkeypatch):
    """A slow promotion would hide a wait that is too short."""
    monkeypatch.setattr(world, "PROMOTION_MS", 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_writer_whatever_happens_and_somebody_writes_in_the_end(seed):
    trouble = Trouble(seed)
    trouble.pass_time(2000)
    trouble.crashing = True
    while trouble.world.clock.mono_ms < TROUBLE_MS:
        trouble.something()
        trouble.pass_time(trouble.world.clock.mono_ms + trouble.dice.randrange(200, 4000))
    trouble.crashing = False
    trouble.world.lost = set()
    for region in (HOME, STANDBY):
        trouble.start(region)
    trouble.late.dice = random.Random(0)
    trouble.late.maybe = lambda work, at_most_ms: False
    trouble.pass_time(trouble.world.clock.mono_ms + QUIET_MS)
    record = trouble.world.record
    assert record.phase is Phase.HELD, record
    assert trouble.world.servers[record.holder].may_write()
    assert record.holder == trouble.world.writer
