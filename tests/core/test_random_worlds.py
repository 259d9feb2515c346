"""Random worlds: regions come and go, processes die at any point, freeze, and send late what they meant to send.

People move the role, abort, approve and pause at random times; AWS refuses, cancels, throttles and loses replies.
Whatever happens, at most one server accepts writes at any instant (P1; the simulation itself looks), a planned move
loses nothing (P2), a failover takes effect only while the record wants it, and once everything is quiet somebody
holds authority and writes (P5). A failing seed is printed by the test's name: the world is the same each time.
"""

import contextlib
import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from farshore import controller
from farshore.core import requests
from farshore.core.authority import Evidence, Phase
from farshore.core.errors import MoveRefusedError, RefusedError, UnknownOutcomeError
from farshore.core.facts import Now
from farshore.simulate import servers
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.processes import Actor, ProcessCrashed, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld

SEEDS = (*range(60), 337, 365, 1087)
"""The last three once ended with a writer that nobody adopted."""
SOAK_SEEDS = int(os.environ.get("FARSHORE_SEEDS", "4000"))
TROUBLE_MS, QUIET_MS = 30_000, 700_000
ARRIVES_LATE_MS = 120_000
AWS_SAYS = ["ok"] * 12 + ["refused", "cancelled", "throttled", "reply lost", "request lost"]


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
            with contextlib.suppress(UnknownOutcomeError, MoveRefusedError):
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
        self.world.aws = lambda: self.dice.choice(AWS_SAYS)
        self.world.answers = lambda _what: not self.throttling or self.dice.random() > 0.05
        self.throttling = False
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
        ports.cloud.promote = self._slow_request(ports.cloud.promote)
        ports.cloud.switch = self._slow_request(ports.cloud.switch)
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

    def _slow_request(self, request):
        def slow(region):
            if self.late.maybe(lambda: request(region), ARRIVES_LATE_MS):
                raise UnknownOutcomeError("no reply came")
            request(region)

        return slow

    def _maybe_crash(self, _point: str, _process: str) -> None:
        if self.crashing and self.dice.random() < 0.02:
            raise ProcessCrashed

    def pass_time(self, until_ms: int) -> None:
        while self.world.clock.mono_ms < until_ms:
            try:
                self.late.deliver()
                run(self.world, self.actors, self.world.clock.mono_ms + 10)
            except ProcessCrashed:
                self.start(self.dice.choice((HOME, STANDBY)))

    def console(self) -> None:
        """Somebody moves the role in the console; AWS offers only a member that follows.

        Not while a request of farshore is on its way: AWS takes requests in any order, and nobody could prevent that.
        """
        cluster, target = self.world.cluster, self.world.names.other(self.world.writer)
        follows = cluster.servers[target].in_recovery and target not in cluster.lost
        connected = cluster.connected() or cluster.lost == {cluster.writer}
        if follows and connected and cluster.move is None and not self.late.waiting:
            cluster.move_by_hand(target)

    def person(self) -> None:
        """Somebody asks for something, sensible or not; a refusal is an answer too."""
        world, record = self.world, self.world.record
        region = self.dice.choice((HOME, STANDBY))
        if record is None or region in world.lost:
            return
        true = world.clock.now()
        now = Now(true.wall_ms + self.dice.randrange(-3000, 3000), true.mono_ms)
        asked = requests.Asked("alice", now, world.profile)
        target = self.dice.choice((HOME, STANDBY))
        with contextlib.suppress(RefusedError, UnknownOutcomeError, ProcessCrashed):
            after = self._request(region, target, asked)
            SimJournal(world, region, "alice").compare_and_set(record, after)

    def _request(self, region, target, asked):
        record, profile = self.world.record, self.world.profile
        match self.dice.randrange(12):
            case 0 | 1 | 2 | 3 | 4:
                return requests.switchover(record, SimCloud(self.world, region).describe(), target, asked)
            case 5:
                return requests.failover(record, target, requests.loss_statement(record, profile), asked)
            case 6:
                return requests.approve(record, None, asked, second_person=True)
            case 7 | 8:
                return requests.abort(record, asked)
            case 9:
                return requests.resume(record, asked) if record.paused else requests.pause(record, asked)
            case 10:
                return requests.set_mode(record, self.dice.choice(("auto", "approve", "manual")), asked)
        owed = next((account for account in record.aftermaths if not account.settled), None)
        if owed is None:
            raise RefusedError("no account is open.", "nothing to do.")
        settled = dataclasses.replace(owed, evidence=Evidence.WAIVED, orphans_open=0)
        return requests.account(record, settled, asked)

    def something(self) -> None:
        region = self.dice.choice((HOME, STANDBY))
        match self.dice.randrange(13):
            case 0:
                self.world.lost = {region}
            case 1 | 2:
                self.world.lost = set()
            case 3:
                self.start(region)
            case 4:
                self.actors[region].due_ms = self.world.clock.mono_ms + self.dice.randrange(8000)
            case 5:
                self.console()
            case 6:
                self.world.servers[region].lag_ms = self.dice.choice((None, 5, 20, 9000))
            case _:
                self.person()

    def settled(self) -> bool:
        record, world = self.world.record, self.world
        return (
            record.phase is Phase.HELD
            and record.holder == world.writer
            and world.servers[record.holder].may_write()
            and world.cluster.move is None
            and not self.late.waiting
        )


def live(seed: int) -> Trouble:
    """Trouble for half a minute, then none; the world as it is once somebody holds and writes for good."""
    trouble = Trouble(seed)
    trouble.pass_time(2000)
    trouble.crashing = trouble.throttling = True
    while trouble.world.clock.mono_ms < TROUBLE_MS:
        trouble.something()
        trouble.pass_time(trouble.world.clock.mono_ms + trouble.dice.randrange(100, 2500))
    trouble.crashing = trouble.throttling = False
    trouble.world.lost = set()
    trouble.world.aws = lambda: "ok"
    for region in (HOME, STANDBY):
        trouble.start(region)
    trouble.late.maybe = lambda work, at_most_ms: False
    until_ms = trouble.world.clock.mono_ms + QUIET_MS
    while trouble.world.clock.mono_ms < until_ms and not trouble.settled():
        trouble.pass_time(trouble.world.clock.mono_ms + 200)
    trouble.pass_time(trouble.world.clock.mono_ms + 2000)
    return trouble


def judge(seed: int) -> Trouble:
    trouble = live(seed)
    world = trouble.world
    assert trouble.settled(), world.record
    assert not world.stale_failovers
    assert not any(world.cluster.lost_by_moves), world.cluster.lost_by_moves
    return trouble


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A slow promotion would hide a wait that is too short; nobody reads the log of thousands of worlds."""
    monkeypatch.setattr(servers, "PROMOTION_MS", 10)
    monkeypatch.setattr(controller, "log", lambda *_words, **_more: None)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_writer_whatever_happens_and_somebody_writes_in_the_end(seed):
    judge(seed)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_thousands_of_worlds():
    told: Counter[str] = Counter()
    for seed in range(1000, 1000 + SOAK_SEEDS):
        try:
            told.update(str(event.action) for event in judge(seed).world.events)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    print(f"{SOAK_SEEDS} worlds survived; what happened in them: {dict(told.most_common())}")
    for action in ("promoted", "drained", "rolled-back", "call-off", "claim-expired", "claim-approved"):
        assert told[action], f"{action} never happened"
