"""One history: processes, messages and troubles, each at its instant; after each of them the promises are looked at."""

import contextlib
import heapq
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from farshore import controller as controller_module
from farshore import monitor as monitor_module
from farshore.core.authority import Authority, Phase
from farshore.core.errors import MoveRefusedError, UnknownOutcomeError
from farshore.simulate.cast import Process, ProcessClock, WatchedController
from farshore.simulate.monitors import SimMonitor
from farshore.simulate.plan import LONG_MS, PROFILES, Plan, Trouble
from farshore.simulate.ports import Fate
from farshore.simulate.processes import ProcessCrashed
from farshore.simulate.promises import BrokenPromiseError, Judge, oldest_word_ms
from farshore.simulate.servers import HOME, STANDBY, Move
from farshore.simulate.world import SimWorld

EVENTS_MIN = 50
SETTLED_WITHIN_MS = 2_500_000
LAZY_REST_MS = 20_000


@dataclass
class Outcome:
    """What became of a history. `broken`: the promise and the words, empty when all were kept."""

    events: int = 0
    broken: str = ""
    promise: str = ""
    digest: int = 0
    simulated_ms: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failovers: int = 0
    planned: int = 0
    lost: int = 0
    transcript: list[str] = field(default_factory=list)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the product's log: a line for each step of a million histories is read by nobody."""
    modules: tuple[Any, ...] = (controller_module, monitor_module)
    before = [module.log for module in modules]
    for module in modules:
        module.log = lambda *_words, **_more: None
    try:
        yield
    finally:
        for module, log in zip(modules, before, strict=True):
            module.log = log


def play(plan: Plan, *, told: bool = False) -> Outcome:
    """Run the plan to its end, or to the first broken promise; `told`: with a transcript."""
    with quietly():
        history = History(plan, told=told)
        return history.run()


class History:
    def __init__(self, plan: Plan, *, told: bool = False) -> None:
        self.plan, self.told = plan, told
        self.out = Outcome()
        self.world = world = SimWorld(profile=PROFILES[plan.profile], watched=True)
        self.cluster = world.cluster
        self.idle = False
        self.processes: dict[str, Process] = {}
        self.lasting: set[str] = set()
        self.in_flight = 0
        self.held_up = self._arriving = False
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = self._started = 0
        self._pending: list[Trouble] = []
        self._trace: list[object] = []
        self._changed_ms = 0
        self.healing = False
        for server, ppm in zip(world.servers.values(), plan.server_ppm, strict=True):
            server.drift_ppm = ppm
        world.takes_ms = plan.promotion_ms, plan.switchover_ms
        world.met, world.ordered = self._met, self._ordered
        world.later, world.at_point, world.at_look = self._later, self._point, self._point
        self.monitors = {
            region: SimMonitor(world, region, f"{region}/m", self._clock(number))
            for number, region in enumerate((HOME, STANDBY))
        }
        self.stopped_until_ms = dict.fromkeys((HOME, STANDBY), -1)
        self.judge = Judge(world, self.monitors)
        world.written, world.published = self._written, self.judge.published
        self.cluster.moved = self._moved

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.cluster.clock.mono_ms

    def at(self, at_ms: int, work: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at_ms, self._order, work))

    def run(self) -> Outcome:
        from farshore.simulate.troubles import begin, calm  # noqa: PLC0415 - each needs the other

        for region in (HOME, STANDBY):
            self.start(region)
            self._watch(region)
        for trouble in self.plan.troubles:
            self.at(trouble.at_ms, lambda t=trouble: begin(self, t))  # type: ignore[misc]
        try:
            self._until(self.plan.until_ms)
            calm(self)
            self._settle()
            self._agree()
            while self.out.events < EVENTS_MIN:
                self._until(self.now_ms + self.world.profile.renew_ms)
        except BrokenPromiseError as error:
            self._fail(error.promise, str(error))
        except Exception as error:  # noqa: BLE001 - whatever the product raises here would end its process
            self._fail("P5", f"P5: {type(error).__name__}: {error}")
        self._end()
        return self.out

    def _until(self, until_ms: int) -> None:
        heap, cluster = self._heap, self.cluster
        while heap and heap[0][0] <= until_ms:
            at_ms, _, work = heapq.heappop(heap)
            cluster.advance(max(0, at_ms - cluster.clock.mono_ms))
            cluster.replicate()
            work()
            self.out.events += 1
            self.judge.look()
        cluster.advance(max(0, until_ms - cluster.clock.mono_ms))

    def _settle(self) -> None:
        """P5: once everything is quiet somebody holds, writes and is AWS's writer, and it lasts."""
        ttl_ms, give_up_ms = self.world.profile.lease_ttl_ms, self.now_ms + SETTLED_WITHIN_MS
        while self.now_ms < give_up_ms:
            self._until(self.now_ms + (ttl_ms // 3 if not self._all_lazy() else LAZY_REST_MS))
            if self.settled():
                self._until(self.now_ms + ttl_ms // 2)
                if self.settled():
                    return
        raise BrokenPromiseError("P5", f"nobody holds and writes in the end: {self.world.record}")

    def _agree(self) -> None:
        """P6: once a slow process has looked again, both regions tell DNS what the table says."""
        profile = self.world.profile
        due_ms = max([self.now_ms, *(process.due_ms for process in self.processes.values())])
        give_up_ms = due_ms + oldest_word_ms(profile) + profile.renew_ms + profile.metric_ms
        while (words := self.judge.disagreeing()) and self.now_ms < give_up_ms:
            self._until(self.now_ms + profile.renew_ms)
        if words:
            raise BrokenPromiseError("P6", words)

    def settled(self) -> bool:
        record, cluster = self.world.record, self.cluster
        if record is None or record.phase is not Phase.HELD or record.holder != cluster.writer:
            return False
        return cluster.servers[cluster.writer].may_write() and cluster.move is None and not self.in_flight

    def _fail(self, promise: str, words: str) -> None:
        self.out.promise, self.out.broken = promise, words
        self.tell(f"BROKEN {words}")

    def _end(self) -> None:
        for process in list(self.processes.values()):
            if process.asleep:
                self.kill(process)
        out, judge = self.out, self.judge
        out.simulated_ms, out.failovers, out.planned, out.lost = (
            self.now_ms, judge.failovers, judge.planned, judge.lost,
        )  # fmt: skip
        out.digest = zlib.crc32(repr((self._trace, out.events, out.broken, out.lost)).encode())

    # --- processes -----------------------------------------------------------------------------------------------

    def _clock(self, number: int) -> ProcessClock:
        plan = self.plan
        wall_ms = plan.wall_ms[number % len(plan.wall_ms)]
        return ProcessClock(self.world, wall_ms, plan.drift_ppm[number % len(plan.drift_ppm)])

    def start(self, region: str, in_ms: int = 0) -> Process:
        self._started += 1
        name = f"{region}/{self._started}"
        built = self.world.controller(region, name, self._clock(self._started), WatchedController)
        assert isinstance(built, WatchedController)
        built.history = self
        process = Process(built)
        self.processes[name] = process
        self._due(process, self.now_ms + in_ms)
        return process

    def of(self, region: str) -> list[Process]:
        return [process for process in self.processes.values() if process.region == region]

    def _due(self, process: Process, at_ms: int) -> None:
        process.due_ms = at_ms
        self.at(at_ms, lambda: self._act(process, at_ms))

    def _act(self, process: Process, at_ms: int) -> None:
        if process.dead or process.asleep or process.due_ms != at_ms:
            self.out.events -= 1
            return
        self.idle = False
        self._run(process, lambda: process.act(self.now_ms))

    def _run(self, process: Process, work: Callable[[], None]) -> None:
        """Let it run until its tick ends, it falls asleep, or it crashes."""
        try:
            work()
        except ProcessCrashed:
            return
        if process.asleep or process.dead:
            return
        unchanged_ms = self.now_ms - self._changed_ms
        process.lazy = (
            process.lazy + 1 if self.idle and unchanged_ms > 4 * self.world.profile.lease_ttl_ms else 0
        )
        rest_ms = max(1, process.due_ms - self.now_ms)
        if process.lazy:
            rest_ms = min(LAZY_REST_MS, rest_ms << min(process.lazy, 8))
        self._due(process, self.now_ms + rest_ms)

    def bury(self, process: Process) -> None:
        process.dead = True
        self.processes.pop(process.controller._process, None)  # noqa: SLF001 - it has no other name

    def kill(self, process: Process) -> None:
        self.bury(process)
        if process.asleep:
            process.kill()

    def _point(self, _point: str, name: str) -> None:
        """A process passes between two steps: it may crash here, or fall asleep, but not over a request that waited:
        that is sent beside its ticks, and only a tick can be frozen."""
        process = self.processes.get(name)
        arm = process.arm if process is not None else None
        if process is None or arm is None:
            return
        arm.left -= 1
        if arm.left >= 0 or (self._arriving and arm.trouble.kind == "freeze"):
            return
        trouble, process.arm = arm.trouble, None
        self.happened(trouble, f"{trouble.kind} {_point}")
        if trouble.kind == "crash":
            self.at(self.now_ms + trouble.for_ms, lambda: self.ensure(process.region))
            self.bury(process)
            raise ProcessCrashed
        self.at(self.now_ms + trouble.for_ms, lambda: self._wake(process))
        if trouble.how == "with a twin":
            self.start(process.region, self.world.profile.renew_ms)
        self.in_flight += 1
        process.freeze()

    def _wake(self, process: Process) -> None:
        if process.dead:
            self.in_flight -= 1
            return
        self.in_flight -= 1
        self.held_up = True
        self._run(process, process.wake)
        self.held_up = False

    def ensure(self, region: str) -> None:
        """Lambda starts another one where none is left."""
        alive = region not in self.cluster.lost or region in self.cluster.isolated
        if alive and not self.of(region):
            self.start(region)

    # --- monitors ------------------------------------------------------------------------------------------------

    def _watch(self, region: str) -> None:
        profile, now_ms = self.world.profile, self.now_ms
        cluster = self.cluster
        alive = region not in cluster.lost or region in cluster.isolated
        if alive and self.stopped_until_ms[region] <= now_ms:
            self.monitors[region].tick()
        next_ms = now_ms + profile.probe_ms
        if self._all_lazy():
            look_ms = profile.unreachable_after_ms + 2 * profile.probe_ms
            next_ms = max(next_ms, min(p.due_ms for p in self.processes.values()) - look_ms)
        self.at(next_ms, lambda: self._watch(region))

    def _all_lazy(self) -> bool:
        return bool(self.processes) and all(process.lazy for process in self.processes.values())

    def stir(self) -> None:
        """Something has changed: nobody rests for long any more."""
        self._changed_ms = now_ms = self.now_ms
        for process in self.processes.values():
            if process.lazy and not process.asleep:
                process.lazy = 0
                self._due(process, now_ms + self.world.profile.tick_ms)

    # --- what is heard of ----------------------------------------------------------------------------------------

    def _later(self, in_ms: int, work: Callable[[], object]) -> None:
        self.in_flight += 1

        def arrives() -> None:
            self.in_flight -= 1
            self.held_up = self._arriving = True
            with contextlib.suppress(UnknownOutcomeError, MoveRefusedError, ProcessCrashed):
                work()
            self.held_up = self._arriving = False

        self.at(self.now_ms + in_ms, arrives)

    def stepped(self, process: str, name: str) -> None:
        self.out.rows[name] += 1
        if name != "renew":
            self._trace.append((self.now_ms, process, name))

    def _written(self, before: Authority | None, after: Authority) -> None:
        self.judge.written(before, after)
        self.stir()
        event = after.last_event
        if event.version == after.version:
            self._trace.append((event.version, event.action))
            self.tell(f"{event.by}: {event.action}: {event.reason}")
        if self._pending and (before is None or before.phase is not after.phase):
            self._at_phase(after.phase)

    def _at_phase(self, phase: Phase) -> None:
        from farshore.simulate.troubles import strike  # noqa: PLC0415 - each needs the other

        due = [trouble for trouble in self._pending if trouble.phase == phase]
        for trouble in due:
            self._pending.remove(trouble)
            self.at(self.now_ms + trouble.nth, lambda t=trouble: strike(self, t))  # type: ignore[misc]

    def wait_for_phase(self, trouble: Trouble) -> None:
        self._pending.append(trouble)

    def forget_pending(self) -> None:
        self._pending.clear()

    def _moved(self, move: Move) -> None:
        self.judge.moved(move)
        self.world._moved(move)  # noqa: SLF001 - its own account of stale failovers
        self.stir()
        self.tell(f"AWS: {move.target} is the writer")

    def happened(self, trouble: Trouble, words: str = "") -> None:
        self.struck(trouble.name)
        self.tell(f"* {words or trouble.words}")

    def struck(self, name: str) -> None:
        self.out.faults[name] += 1
        self._trace.append((self.now_ms, name))

    def _ordered(self, early: str) -> None:
        self.judge.asked_to_move(early, on_time=not self.held_up)

    def _met(self, channel: str, fate: Fate) -> None:
        """A message is counted when it fares so, not when that was planned."""
        kind = fate.how if fate.how == "reply lost" else f"message {fate.how}"
        self.struck("request waits" if channel == "send" else f"{kind}: {channel}")
        self.tell(f"* {kind}: {channel}")

    def tell(self, words: str) -> None:
        if self.told:
            self.out.transcript.append(f"{self.now_ms:>7} ms  {words}")


__all__ = ["LONG_MS", "History", "Outcome", "play"]
