"""One measurement: a fresh system, clients at work, one fault, its end, and what the survivor has."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers import world as w
from benchmarks.peers.client import Job
from benchmarks.peers.measure import Attempt, Course, Measured, judge, read
from benchmarks.peers.session import Candidate

WARM_S, AFTER_S = 4.0, 5.0
OUTAGE_S, PROMOTION_S, THAW_AFTER_S = 120.0, 45.0, 10.0
REJOIN_S = 60.0
FIRST_ACK_S, STOP_S, POLL_S = 20.0, 15.0, 0.05


class Cluster(Protocol):
    """A running system whose writer is in `old`; what a measurement does to it."""

    old: str
    candidates: tuple[Candidate, ...]
    by_client: dict[str, Any] | None

    def create_table(self) -> None: ...
    def lose_node(self) -> None: ...
    def lose_region(self) -> None: ...
    def freeze(self) -> None: ...
    def keep_frozen(self) -> None: ...
    def thaw(self) -> None: ...
    def cut_off(self) -> None: ...
    def join(self) -> None: ...
    def switchover(self) -> None: ...
    def promoted(self) -> bool: ...
    def come_back(self) -> None: ...
    def rejoined(self) -> bool: ...
    def writers(self) -> list[str]: ...
    def rows(self, place: str) -> set[int]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured, and how the system ended: `rejoined_s` from the end of the fault, None when it did not."""

    measured: Measured
    rejoined_s: float | None
    writers_at_end: tuple[str, ...]


class Clients:
    """The client process while it writes."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        history, job = directory / "history", directory / "job.json"
        self._words = (directory / "client.log").open("w+b")
        Job(cluster.candidates, by_client=cluster.by_client).write(job)
        history.touch()
        self._history = history.open(encoding="utf-8")
        self._attempts: list[Attempt] = []
        self._rest = ""
        self._last_ack_begun = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.client", str(job), str(history)],
            stdin=subprocess.PIPE,
            stderr=self._words,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )

    def ended(self) -> list[Attempt]:
        """All attempts of clients that have stopped, in the order of their ends."""
        return sorted(self._attempts, key=lambda each: each.ended)

    def acked_since(self, since_ns: int) -> bool:
        """Whether a write that was begun after an instant was acknowledged. NotReadyError: the client broke."""
        if self._process.poll() is not None:
            self._words.seek(0)
            raise w.NotReadyError(f"the client ended: {self._words.read()[-2000:].decode(errors='replace')}")
        self._read_on()
        return self._last_ack_begun > since_ns

    def _read_on(self) -> None:
        whole, newline, self._rest = (self._rest + self._history.read()).rpartition("\n")
        for attempt in read((whole + newline).splitlines(keepends=True)):
            self._attempts.append(attempt)
            if attempt.outcome == "ack":
                self._last_ack_begun = max(self._last_ack_begun, attempt.begun)

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read_on()
        self._history.close()
        self._words.close()


@contextmanager
def working(cluster: Cluster, directory: Path) -> Iterator[Clients]:
    clients = Clients(cluster, directory)
    try:
        yield clients
    finally:
        clients.stop()


def measure(cluster: Cluster, scenario: str, directory: Path, tell: Callable[[str], None]) -> Run:
    """Raises NotReadyError when the system never worked, or its survivor cannot be read."""
    cluster.create_table()
    with working(cluster, directory) as clients:
        begun = time.monotonic_ns()
        w.await_it("a first acknowledgement", lambda: clients.acked_since(begun), FIRST_ACK_S)
        time.sleep(WARM_S)
        course = SCENARIOS[scenario](cluster, clients, tell)
    ended, attempts = time.monotonic(), clients.ended()
    cluster.come_back()
    rejoined_s = _rejoin(cluster, ended)
    writers = _await_writers(cluster)
    survivor = next((place for place in writers if place != cluster.old), writers[0])
    measured = judge(attempts, course, cluster.rows(survivor))
    return Run(measured, rejoined_s, tuple(writers))


def _await_writers(cluster: Cluster) -> list[str]:
    """A look may meet a lease that is just being renewed, or a server that is just busy."""
    found: list[str] = []

    def look() -> bool:
        found[:] = cluster.writers()
        return bool(found)

    w.await_it("somebody takes writes at the end", look, REJOIN_S, 0.25)
    return found


def _rejoin(cluster: Cluster, since: float) -> float | None:
    try:
        w.await_it("the old writer rejoins", cluster.rejoined, REJOIN_S, 0.25)
    except w.NotReadyError:
        return None
    return time.monotonic() - since


def _loss(befall: Callable[[Cluster], None]) -> Callable[[Cluster, Clients, Callable[[str], None]], Course]:
    """A fault after which somebody else must write."""

    def run(cluster: Cluster, clients: Clients, tell: Callable[[str], None]) -> Course:
        fault = time.monotonic_ns()
        befall(cluster)
        struck = time.monotonic_ns()
        promoted = None
        give_up = time.monotonic() + OUTAGE_S
        while not clients.acked_since(struck) and time.monotonic() < give_up:
            if promoted is None and cluster.promoted():
                promoted = time.monotonic_ns()
                tell(f"promoted after {(promoted - fault) / 1e9:.1f} s")
            time.sleep(POLL_S)
        time.sleep(AFTER_S)
        return Course(fault, promoted, time.monotonic_ns(), cluster.old)

    return run


def _switchover(cluster: Cluster, clients: Clients, tell: Callable[[str], None]) -> Course:
    fault = time.monotonic_ns()
    cluster.switchover()
    done = time.monotonic_ns()
    tell(f"the command ended after {(done - fault) / 1e9:.1f} s")
    give_up = time.monotonic() + OUTAGE_S
    while not clients.acked_since(done) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    time.sleep(AFTER_S)
    return Course(fault, None, time.monotonic_ns(), cluster.old)


def _zombie(*, cut: bool) -> Callable[[Cluster, Clients, Callable[[str], None]], Course]:
    """The writer's agents freeze; ten seconds after somebody else was promoted they go on as if nothing had been."""

    def run(cluster: Cluster, clients: Clients, tell: Callable[[str], None]) -> Course:
        del clients
        fault = time.monotonic_ns()
        cluster.freeze()
        if cut:
            cluster.cut_off()
        promoted = _await_promotion(cluster)
        words = (
            "nobody was promoted" if promoted is None else f"promoted after {(promoted - fault) / 1e9:.1f} s"
        )
        tell(words)
        _wait_frozen(cluster, THAW_AFTER_S if promoted is not None else 0.0)
        if cut:
            cluster.join()
        cluster.thaw()
        time.sleep(2 * AFTER_S)
        return Course(fault, promoted, time.monotonic_ns(), cluster.old)

    return run


def _await_promotion(cluster: Cluster) -> int | None:
    give_up = time.monotonic() + PROMOTION_S
    while time.monotonic() < give_up:
        if cluster.promoted():
            return time.monotonic_ns()
        cluster.keep_frozen()
        time.sleep(POLL_S)
    return None


def _wait_frozen(cluster: Cluster, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        cluster.keep_frozen()
        time.sleep(POLL_S)


SCENARIOS: dict[str, Callable[[Cluster, Clients, Callable[[str], None]], Course]] = {
    "region": _loss(lambda cluster: cluster.lose_region()),
    "node": _loss(lambda cluster: cluster.lose_node()),
    "switchover": _switchover,
    "zombie": _zombie(cut=False),
    "zombie-cut": _zombie(cut=True),
}
