"""Controller processes in the simulated world: run, crash, and freeze in the middle of what they were doing."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from farshore.controller import Controller
from farshore.core.errors import UnknownOutcomeError
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld

STEP_MS = 10


class ProcessCrashed(BaseException):
    """Thrown through a controller to end it between two steps; nothing in the product may catch it."""


@dataclass
class Actor:
    """A controller process with its own next instant."""

    controller: Controller
    due_ms: int = 0

    @property
    def region(self) -> str:
        return self.controller._region  # noqa: SLF001 - the simulation looks inside

    @property
    def asleep(self) -> bool:
        return False

    def act(self, now_ms: int) -> None:
        self.due_ms = now_ms + max(STEP_MS, _tick(self.controller))


@dataclass
class Sleeper(Actor):
    """A process that can be frozen in the middle of a tick: each tick has a thread, one of all runs at any time."""

    _asleep: bool = False
    _doomed: bool = False
    _error: BaseException | None = None

    @cached_property
    def _woken(self) -> threading.Semaphore:
        return threading.Semaphore(0)

    @cached_property
    def _paused(self) -> threading.Semaphore:
        return threading.Semaphore(0)

    @property
    def asleep(self) -> bool:
        return self._asleep

    def act(self, now_ms: int) -> None:
        threading.Thread(target=self._live, args=(now_ms,), daemon=True).start()
        self._until_paused()

    def freeze(self) -> None:
        """Called by the process itself, at a point: everybody else goes on until `wake`."""
        self._asleep = True
        self._paused.release()
        self._woken.acquire()
        if self._doomed:
            raise ProcessCrashed

    def wake(self) -> None:
        self._asleep = False
        self._woken.release()
        self._until_paused()

    def kill(self) -> None:
        """End it where it sleeps."""
        self._doomed = True
        try:
            self.wake()
        except ProcessCrashed:
            return

    def _live(self, now_ms: int) -> None:
        try:
            super().act(now_ms)
        except BaseException as error:  # noqa: BLE001 - it is raised where the world is driven
            self._error = error
        self._paused.release()

    def _until_paused(self) -> None:
        self._paused.acquire()
        error, self._error = self._error, None
        if error is not None:
            raise error


def run(
    world: SimWorld, actors: dict[str, Actor], until_ms: int, watch: Callable[[], None] | None = None
) -> None:
    """Let monitors and controllers act, 10 ms by 10 ms, looking after each instant that one at most writes."""
    while world.clock.mono_ms < until_ms:
        now_ms = world.clock.mono_ms
        if now_ms % world.profile.probe_ms == 0:
            for region in (HOME, STANDBY):
                world.observe(region)
        world.cluster.replicate()
        for actor in list(actors.values()):
            if not actor.asleep and actor.region not in world.lost and now_ms >= actor.due_ms:
                actor.act(now_ms)
        world.one_writer()
        if watch is not None:
            watch()
        world.cluster.advance(STEP_MS)


def _tick(controller: Controller) -> int:
    try:
        return controller.tick()
    except UnknownOutcomeError:
        return 50
