"""Who acts in a history: controllers with clocks of their own, that can be crashed or frozen at any point."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from farshore.controller import Controller
from farshore.core.decide import Step
from farshore.core.facts import Facts, Now
from farshore.simulate.plan import Trouble
from farshore.simulate.processes import Sleeper
from farshore.simulate.servers import START_WALL_MS, SimClock
from farshore.simulate.world import SimWorld

if TYPE_CHECKING:
    from farshore.simulate.history import History
    from farshore.simulate.ports import SimJournal


@dataclass
class ProcessClock:
    """A process's own clocks; only the wall clock steps."""

    world: SimWorld
    wall_ms: int
    drift_ppm: int
    _true: SimClock = field(init=False)
    _known: Now | None = None
    _known_at_ms: int = -1

    def __post_init__(self) -> None:
        self._true = self.world.cluster.clock

    def now(self) -> Now:
        """Asked ten times in each tick, and the same as long as the true time is."""
        true_ms = self._true.mono_ms
        known = self._known
        if known is None or true_ms != self._known_at_ms:
            mono_ms = true_ms + true_ms * self.drift_ppm // 1_000_000
            known = self._known = Now(START_WALL_MS + mono_ms + self.wall_ms, mono_ms)
            self._known_at_ms = true_ms
        return known

    def step(self, wall_ms: int) -> None:
        self.wall_ms, self._known = wall_ms, None

    def sleep(self, milliseconds: int) -> None:
        raise AssertionError(f"somebody slept {milliseconds} ms in a simulation")


class WatchedController(Controller):
    """The controller itself; it is only looked at, and its log is kept for the transcript."""

    history: "History"
    _went_through = False

    def tick(self) -> int:
        rest_ms = super().tick()
        if self._went_through and not self.history.held_up:
            journal = cast("SimJournal", self._world.journal)
            self.history.judge.ticked(self._region, self._process, journal.known)
        return rest_ms

    def _take(self, step: Step, facts: Facts) -> bool:
        history, process = self.history, self._process
        if step.record is not None:
            history.judge.decided(self._record, step.record, facts, on_time=not history.held_up)
        history.idle = step.name == "wait"
        if step.name != "wait":
            history.stepped(process, step.name)
        self._went_through = super()._take(step, facts)
        return self._went_through

    def _tell(self, step: Step) -> None:
        """Nobody reads the log of thousands of worlds."""


@dataclass
class Arm:
    """What will happen to a process at the n-th point from now."""

    left: int
    trouble: Trouble


@dataclass
class Process(Sleeper):
    """Runs in a thread of its own only where it is to be frozen."""

    arm: Arm | None = None
    lazy: int = 0
    dead: bool = False

    def act(self, now_ms: int) -> None:
        if self.arm is not None and self.arm.trouble.kind == "freeze":
            super().act(now_ms)
        else:
            super(Sleeper, self).act(now_ms)
