"""The systems that are compared, each a context in which a fresh one runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.peers import auto_failover, patroni
from benchmarks.peers.auto_failover import AutoFailover
from benchmarks.peers.course import Cluster
from benchmarks.peers.pair import Pair
from benchmarks.peers.patroni import Patroni
from benchmarks.peers.stretch import Farshore, lab_arguments, lab_process
from benchmarks.peers.world import World, world

from farshore.drill import product
from farshore.lab.postgres.binaries import Binaries

Tell = Callable[[str], None]
WAN_ONE_WAY_MS = 40.0


@dataclass(frozen=True, slots=True)
class Setting:
    """The machine's part: the one PostgreSQL, Patroni's programs, and where a run may put its files."""

    binaries: Binaries
    postgres: str
    patroni_dir: Path | None


Start = Callable[[Setting, Path, float, Tell], Iterator[Cluster]]


@dataclass(frozen=True, slots=True)
class System:
    """`needs` names its part of the installation; `group` holds variants of one product together.

    `scenarios` are those that tell something new of a variant; None is all.
    """

    name: str
    label: str
    group: str
    about: str
    needs: str | None
    start: Start
    scenarios: tuple[str, ...] | None = None


def _farshore(
    setting: Setting, root: Path, one_way_ms: float, tell: Tell, *, with_client: bool
) -> Iterator[Cluster]:
    del root
    name, options = lab_arguments(setting.postgres, one_way_ms)
    with product.lab(options, lambda _: None) as info:
        cluster = Farshore(info, lab_process(name), with_client=with_client)
        try:
            cluster.start()
            tell("the lab is up")
            yield cluster
        finally:
            cluster.close()


def _pair(
    make: Callable[[World, Setting], Pair], setting: Setting, root: Path, one_way_ms: float, tell: Tell
) -> Iterator[Cluster]:
    with world(root, one_way_ms) as space:
        cluster = make(space, setting)
        try:
            cluster.start()
            tell("the pair is up")
            yield cluster
        finally:
            cluster.close()


def _patroni(timers: patroni.Timers) -> Start:
    return partial(
        _pair, lambda space, s: Patroni(space, s.binaries, bin_dir=str(s.patroni_dir), timers=timers)
    )


def _auto_failover(timers: auto_failover.Timers) -> Start:
    return partial(_pair, lambda space, s: AutoFailover(space, s.binaries, timers=timers))


ALL = (
    System(
        "farshore",
        "farshore",
        "farshore",
        "profile fast, guard enforcing, the same plain client as its peers",
        None,
        partial(_farshore, with_client=False),
    ),
    System(
        "farshore-client",
        "farshore, farshore.client",
        "farshore",
        "profile fast, guard enforcing; the clients use farshore.client, an acknowledgement is a confirmed commit",
        None,
        partial(_farshore, with_client=True),
        ("region", "switchover", "zombie-cut"),
    ),
    System(
        "patroni-fastest",
        "Patroni, fastest legal",
        "patroni",
        "ttl 20, loop_wait 1, retry_timeout 3; asynchronous standby",
        "patroni",
        _patroni(patroni.FASTEST),
    ),
    System(
        "patroni",
        "Patroni, default",
        "patroni",
        "ttl 30, loop_wait 10, retry_timeout 10; asynchronous standby",
        "patroni",
        _patroni(patroni.DEFAULT),
        ("region", "node", "switchover"),
    ),
    System(
        "paf-short",
        "pg_auto_failover, shortened",
        "paf",
        "timers at 1 to 5 s (benchmarks/peers/auto_failover.py); synchronous standby",
        "auto_failover",
        _auto_failover(auto_failover.SHORTENED),
    ),
    System(
        "paf",
        "pg_auto_failover, default",
        "paf",
        "default timers; synchronous standby",
        "auto_failover",
        _auto_failover(auto_failover.DEFAULT),
        ("region", "node", "switchover"),
    ),
)


@contextmanager
def running(system: System, setting: Setting, root: Path, one_way_ms: float, tell: Tell) -> Iterator[Cluster]:
    yield from system.start(setting, root, one_way_ms, tell)
