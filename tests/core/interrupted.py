"""A procedure broken into at one point between two steps: what is done there, what must hold afterwards.

A point is the n-th time that any process passes the world's `at_point` once the procedure has begun.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from farshore.core import requests
from farshore.core.authority import Evidence, Phase
from farshore.core.errors import RefusedError
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.processes import Actor, ProcessCrashed, Sleeper, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld

SETTLE_MS = 700_000
AFTER_MS = 1500
ANSWERS = ("ok", "refused", "cancelled", "throttled", "reply lost", "request lost")


@dataclass
class Play:
    """One world with its processes; `passed` are the points since the procedure began, as (name, process)."""

    world: SimWorld = field(default_factory=SimWorld)
    actors: dict[str, Actor] = field(default_factory=dict)
    passed: list[tuple[str, str]] = field(default_factory=list)
    begun: bool = False
    breaking: Callable[[str, str], None] | None = None
    started: int = 0

    def __post_init__(self) -> None:
        self.world.at_point = self._pass
        for region in (HOME, STANDBY):
            self.start(region)
        self.run(2000)

    def start(self, region: str, due_in_ms: int = 0) -> Sleeper:
        self.started += 1
        name = f"{region}/{self.started}"
        actor = Sleeper(self.world.controller(region, name), self.world.clock.mono_ms + due_in_ms)
        self.actors[name] = actor
        return actor

    def _pass(self, point: str, process: str) -> None:
        if self.begun:
            self.passed.append((point, process))
            if self.breaking is not None:
                self.breaking(point, process)

    def run(self, milliseconds: int) -> None:
        until_ms = self.world.clock.mono_ms + milliseconds
        while self.world.clock.mono_ms < until_ms:
            try:
                run(self.world, self.actors, until_ms)
            except ProcessCrashed as crash:
                self.actors.pop(str(crash), None)

    def run_until(self, met: Callable[[], bool], at_most_ms: int) -> bool:
        give_up_ms = self.world.clock.mono_ms + at_most_ms
        while not (is_met := met()) and self.world.clock.mono_ms < give_up_ms:
            self.run(50)
        return is_met

    def settled(self) -> bool:
        """Somebody holds, writes, is AWS's writer, and nobody sleeps over anything."""
        record, world = self.world.record, self.world
        if record is None or record.phase is not Phase.HELD or world.cluster.move is not None:
            return False
        alive = record.holder not in world.lost
        return alive and world.writer == record.holder and world.servers[record.holder].may_write()

    def ask(self, target: str) -> bool:
        """A person asks for a planned move; False when it is refused. An account that is open is settled first."""
        world = self.world
        asked = requests.Asked("alice", world.clock.now(), world.profile)
        journal = SimJournal(world, STANDBY if HOME in world.lost else HOME, "alice")
        record = journal.read().record
        for owed in record.aftermaths:
            if not owed.settled:
                closed = dataclasses.replace(owed, evidence=Evidence.SAVED, orphans_open=0)
                journal.compare_and_set(record, requests.account(record, closed, asked))
                return False
        try:
            after = requests.switchover(
                record, SimCloud(world, target).describe(), (HOME, STANDBY), target, asked
            )
        except RefusedError:
            return False
        return journal.compare_and_set(record, after)


def failover(play: Play) -> None:
    play.begun = True
    play.world.lost.add(HOME)


def switchover(play: Play) -> None:
    assert play.ask(STANDBY)
    play.begun = True


def failback(play: Play) -> None:
    play.world.lost.add(HOME)
    assert play.run_until(play.settled, 10_000)
    play.world.lost.clear()
    assert play.run_until(play.world.cluster.connected, 10_000)
    play.run(2000)
    play.ask(HOME)  # settles the account
    assert play.ask(HOME)
    assert play.world.record.plan.kind == "failback"
    play.begun = True


PROCEDURES = {"failover": failover, "switchover": switchover, "failback": failback}


def begin(procedure: str, answer: str) -> Play:
    play = Play()
    answers = iter([answer])
    PROCEDURES[procedure](play)
    play.world.aws = lambda: next(answers, "ok")
    return play


def points_of(procedure: str, answer: str) -> list[tuple[str, str]]:
    """Every point that the undisturbed procedure passes, to its end and a little beyond."""
    play = begin(procedure, answer)
    play.run(100)
    assert play.run_until(play.settled, 60_000), play.world.record
    play.run(AFTER_MS)
    return play.passed


# --- what is done at a point --------------------------------------------------------------------------------------

Break = Callable[[Play, str], None]
"""Called at the point, by the process named, in the middle of what it does."""


def crash(restart_ms: int) -> Break:
    def at_point(play: Play, process: str) -> None:
        play.start(play.actors[process].region, restart_ms)
        raise ProcessCrashed(process)

    return at_point


def freeze(asleep_ms: int) -> Break:
    """The process sleeps; half a second later another one of its region is at work, as overlapping loops are."""

    def at_point(play: Play, process: str) -> None:
        sleeper = play.actors[process]
        play.start(sleeper.region, 500)
        sleeper.wake_ms = play.world.clock.mono_ms + asleep_ms
        sleeper.freeze()

    return at_point


def repeat(ticks: int) -> Break:
    """Another process of the region comes in between, at this very instant, and stays."""

    def at_point(play: Play, process: str) -> None:
        twin = play.start(play.actors[process].region)
        for _ in range(ticks):
            twin.act(play.world.clock.mono_ms)

    return at_point


BREAKS: dict[str, Break] = {
    "crash": crash(10),
    "crash for 3 s": crash(3000),
    "freeze for 1 s": freeze(1000),
    "freeze past the lease": freeze(3000),
    "freeze past not_after": freeze(9000),
    "freeze past the claim": freeze(100_000),
    "repeat": repeat(1),
    "repeat three ticks": repeat(3),
}


# --- the run ------------------------------------------------------------------------------------------------------


def play_out(procedure: str, answer: str, index: int, how: str) -> Play:
    """Break in at the index-th point, then let it end; while a process sleeps, a person moves the role back."""
    play = begin(procedure, answer)
    broken: list[str] = []

    def breaking(_point: str, process: str) -> None:
        if len(play.passed) == index + 1 and not broken:
            broken.append(process)
            BREAKS[how](play, process)

    play.breaking = breaking
    play.run_until(lambda: bool(broken), 30_000)
    sleeper = play.actors.get(broken[0]) if broken else None
    if isinstance(sleeper, Sleeper) and sleeper.asleep:
        _while_asleep(play, sleeper)
    elif procedure == "failover":
        play.run_until(play.settled, 20_000)
    play.world.lost.clear()
    play.run(100)
    ended = play.run_until(play.settled, SETTLE_MS)
    play.run(AFTER_MS)
    if isinstance(sleeper, Sleeper) and sleeper.asleep:
        sleeper.kill()
    assert ended, f"nobody holds and writes: {play.world.record}"
    assert play.settled(), f"it did not last: {play.world.record}"
    return play


def _while_asleep(play: Play, sleeper: Sleeper) -> None:
    play.run_until(play.settled, min(20_000, max(0, sleeper.wake_ms - play.world.clock.mono_ms)))
    play.world.lost.clear()
    asked = False
    while play.world.clock.mono_ms < sleeper.wake_ms:
        play.run(min(1000, sleeper.wake_ms - play.world.clock.mono_ms))
        if play.settled() and not asked:
            asked = play.ask(play.world.names.other(play.world.record.holder))
    try:
        sleeper.wake()
    except ProcessCrashed:
        play.actors.pop(sleeper.controller._process, None)
