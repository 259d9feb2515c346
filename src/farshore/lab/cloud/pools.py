"""Which execution environments exist, who uses them, and how many a function may have.

Rules: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html (a function at its limit is throttled) and
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (a warm environment is used again).
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from farshore.lab.cloud.environments import Environment, Function, Outcome
from farshore.lab.ports import Spawn

UNRESERVED_CONCURRENCY = 10
IDLE_MAX_S = 600.0


class ThrottledError(Exception):
    """The function has no concurrency left."""

    def __init__(self, function: str, *, reserved: bool) -> None:
        super().__init__(function)
        self.reserved = reserved


class RegionLostError(Exception):
    """The function's region is gone."""


@dataclass(slots=True)
class _Pool:
    idle: list[Environment] = field(default_factory=list)
    busy: list[Environment] = field(default_factory=list)
    starting: int = 0


class Pools:
    """Every environment of the lab, by function."""

    def __init__(self, *, spawn: Spawn, runtime_host: str, logs: Path) -> None:
        self._spawn = spawn
        self._runtime_host = runtime_host
        self._logs = logs
        self._pools: dict[str, _Pool] = {}
        self._down: set[str] = set()
        self._throttled: dict[str, int] = {}
        self._closed = False
        self._lock = threading.Lock()

    def run(self, function: Function, payload: bytes, reserved: int | None) -> Outcome:
        """Run one event in a warm or new environment. ThrottledError, RegionLostError: nothing ran."""
        environment = self._take(function, reserved)
        try:
            return environment.run(payload)
        finally:
            self._give_back(environment)

    def region_lost(self, region: str) -> int:
        """Kill every process of the region and start none there; returns how many were alive."""
        with self._lock:
            self._down.add(region)
        return self.kill(lambda function: function.region == region)

    def region_back(self, region: str) -> None:
        with self._lock:
            self._down.discard(region)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.kill(lambda _: True)

    def kill(self, doomed: Callable[[Function], bool]) -> int:
        """Kill the processes of some functions, all at once; returns how many were alive."""
        with self._lock:
            victims = [
                e for pool in self._pools.values() for e in (*pool.idle, *pool.busy) if doomed(e.function)
            ]
            for pool in self._pools.values():
                pool.idle = [e for e in pool.idle if e not in victims]
        return _kill_together(victims)

    def signal(self, wanted: Callable[[Function], bool], signum: int) -> int:
        """Send a signal to the processes of some functions, those of their children too; returns to how many."""
        with self._lock:
            hit = [e for pool in self._pools.values() for e in (*pool.idle, *pool.busy) if wanted(e.function)]
        return sum(environment.signal(signum) for environment in hit)

    def throttle(self, region: str) -> int:
        """No concurrency is left in a region until `release`; returns how often it was refused before."""
        with self._lock:
            return self._throttled.setdefault(region, 0)

    def release(self, region: str) -> int:
        """Returns how often a function of the region was refused meanwhile."""
        with self._lock:
            return self._throttled.pop(region, 0)

    def _take(self, function: Function, reserved: int | None) -> Environment:
        limit = UNRESERVED_CONCURRENCY if reserved is None else reserved
        with self._lock:
            self._refuse_if_lost(function)
            if function.region in self._throttled:
                self._throttled[function.region] += 1
                raise ThrottledError(function.name, reserved=False)
            pool = self._pools.setdefault(function.arn, _Pool())
            fit, stale = _sort_idle(pool.idle, function)
            if len(pool.busy) + pool.starting >= limit:
                raise ThrottledError(function.name, reserved=reserved is not None)
            environment = fit.pop() if fit else None
            pool.idle = fit
            if environment is not None:
                pool.busy.append(environment)
            else:
                pool.starting += 1
        _kill_together(stale)
        return environment or self._start(function, pool)

    def _start(self, function: Function, pool: _Pool) -> Environment:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            environment = Environment(
                function,
                spawn=self._spawn,
                runtime_host=self._runtime_host,
                log=self._logs / f"{function.name}.log",
            )
        except BaseException:
            with self._lock:
                pool.starting -= 1
            raise
        with self._lock:
            pool.starting -= 1
            pool.busy.append(environment)
            survives = function.region not in self._down and not self._closed
        if not survives:
            # The region was lost while its process was being born, unseen by the loss.
            environment.kill()
        return environment

    def _give_back(self, environment: Environment) -> None:
        with self._lock:
            pool = self._pools[environment.function.arn]
            pool.busy.remove(environment)
            if environment.usable:
                pool.idle.append(environment)
                return
        environment.kill()

    def _refuse_if_lost(self, function: Function) -> None:
        if self._closed or function.region in self._down:
            raise RegionLostError(function.region)


def _sort_idle(
    idle: Iterable[Environment], function: Function
) -> tuple[list[Environment], list[Environment]]:
    """Environments that fit the function as it is now, and those that do not."""
    fit: list[Environment] = []
    stale: list[Environment] = []
    oldest = time.monotonic() - IDLE_MAX_S
    for environment in idle:
        fits = environment.function == function and environment.usable and environment.idle_since > oldest
        (fit if fits else stale).append(environment)
    return fit, stale


def _kill_together(environments: Iterable[Environment]) -> int:
    victims = list(environments)
    alive = sum(e.usable for e in victims)
    threads = [threading.Thread(target=e.kill, daemon=True) for e in victims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return alive
