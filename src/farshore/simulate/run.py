"""Many histories over many cores. Each has its own seed, so what comes out does not depend on who runs which."""

import gc
import hashlib
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from farshore.core.transitions import TABLE
from farshore.simulate.history import Outcome, play
from farshore.simulate.plan import FAULTS, plan_of

BATCH = 50
KEPT_MAX = 20
"""Of the failing seeds: the first ones."""
SEEDS_APART = 1_000_000_000
ROWS = ("first-boot", *(row.name for row in TABLE))
EDGES = {row.name: f"{row.source} -> {row.target}" for row in TABLE} | {"first-boot": "nothing -> HELD"}


@dataclass(slots=True)
class Broken:
    seed: int
    promise: str
    words: str


@dataclass(slots=True)
class Totals:
    """`rows`, `faults`: how often each was taken, or struck; `cpu_s` of the histories alone."""

    histories: int = 0
    events: int = 0
    events_min: int = 0
    simulated_ms: int = 0
    failovers: int = 0
    planned: int = 0
    lost: int = 0
    cpu_s: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken_count: int = 0
    broken: list[Broken] = field(default_factory=list)
    digest: str = ""

    @property
    def edges(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for name, edge in EDGES.items():
            counted[edge] += self.rows[name]
        return counted

    @property
    def uncovered(self) -> list[str]:
        rows = [f"row {name}" for name in ROWS if not self.rows[name]]
        return rows + [f"fault {kind}" for kind in FAULTS if not self.faults[kind]]

    @property
    def exit_code(self) -> int:
        """0 kept and covered, 1 broken, 3 kept so far, but something was never tried."""
        return 1 if self.broken_count else 3 if self.uncovered else 0

    def add(self, outcome: Outcome, seed: int) -> None:
        self.histories += 1
        self.events += outcome.events
        self.events_min = min(self.events_min or outcome.events, outcome.events)
        self.simulated_ms += outcome.simulated_ms
        self.failovers += outcome.failovers
        self.planned += outcome.planned
        self.lost += outcome.lost
        self.rows.update(outcome.rows)
        self.faults.update(outcome.faults)
        if outcome.broken:
            self.broken_count += 1
            self.broken.append(Broken(seed, outcome.promise, outcome.broken))

    def take(self, other: "Totals") -> None:
        for name in (
            "histories", "events", "simulated_ms", "failovers", "planned", "lost", "cpu_s", "broken_count"
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.events_min = min(self.events_min or other.events_min, other.events_min)
        self.rows.update(other.rows)
        self.faults.update(other.faults)
        self.broken = (self.broken + other.broken)[:KEPT_MAX]


def batch(task: tuple[int, int]) -> Totals:
    """The histories of so many seeds from the first one on; its digest is of all that happened in them."""
    first, count = task
    totals, digest, began_s = Totals(), hashlib.sha256(), time.process_time()
    for seed in range(first, first + count):
        outcome = play(plan_of(seed))
        totals.add(outcome, seed)
        digest.update(outcome.digest.to_bytes(4, "big"))
    totals.cpu_s = time.process_time() - began_s
    totals.digest = digest.hexdigest()
    return totals


def simulate(histories: int, seed: int, jobs: int, progress: Callable[[Totals], None]) -> Totals:
    """Run them all; `progress` hears of every batch. Ctrl-C ends the workers too."""
    totals, digest = Totals(), hashlib.sha256()
    first = seed * SEEDS_APART
    tasks = [(first + done, min(BATCH, histories - done)) for done in range(0, histories, BATCH)]
    with _workers(jobs) as over:
        for done in over(batch, tasks):
            totals.take(done)
            digest.update(done.digest.encode())
            progress(totals)
    totals.digest = digest.hexdigest()
    return totals


@contextmanager
def _workers(jobs: int) -> Iterator[Callable[..., Any]]:
    if jobs == 1:
        yield map
        return
    pool = multiprocessing.get_context("spawn").Pool(jobs, _deaf)
    try:
        yield pool.imap
        pool.close()
    finally:
        pool.terminate()
        pool.join()


def _deaf() -> None:
    """Ctrl-C is for the parent, which ends its workers; what a history leaves behind is collected now and then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
