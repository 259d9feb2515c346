"""What can be done to a running lab on purpose, beyond losing a region: each harm with its mending.

Harms are real: signals to real processes, links that hold packets, a disk whose kernel says that it is full. `do`
and `undo` return how much of what was hit; a harm that shows only while it lasts is counted by `undo`. A zero means
that what it counts was not hit.
"""

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from farshore.core.errors import RefusedError, UsageError
from farshore.lab import setup
from farshore.lab.cloud.mishaps import Kind, Mishap
from farshore.lab.dns import Mode

if TYPE_CHECKING:
    from farshore.lab.lab import Lab
    from farshore.lab.postgres.server import Server

Counts = Mapping[str, int]
Do = Callable[["Harms", str], Counts]

FULL_DEVICE = Path("/dev/full")
_FLAP_S = 0.7
_SLOW_MS = 250
_MISFORTUNES_EVERY = 5
RECOVERY_CALLS = (
    "dynamodb:Query",
    "dynamodb:PutItem",
    "rds:DescribeGlobalClusters",
    "rds:FailoverGlobalCluster",
    "monitoring:PutMetricData",
)
"""What a region asks of AWS while it takes over."""
_WAL_SEGMENT_BYTES = 16 * 2**20
_DISK_S = 10.0
_ROTATION_S = 30.0


@dataclass(frozen=True, slots=True)
class Harm:
    """`words` say what it is; `undo` None: it ends by itself, or the lab mends it as AWS would."""

    words: str
    do: Do
    undo: Do | None = None


class Harms:
    """Done to one lab. One harm of a kind at a time in a region; the caller undoes what it did."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self._undoing: dict[tuple[str, str], Callable[[], Counts]] = {}
        self._lock = threading.Lock()

    def do(self, kinds: str, region: str) -> Counts:
        """Several kinds, joined by commas, are done at one instant; returns what they hit together."""
        hit: Counter[str] = Counter()
        for kind in _known(kinds):
            hit.update(KINDS[kind].do(self, region))
        return hit

    def undo(self, kinds: str, region: str) -> Counts:
        """RefusedError when a kind was not done, or has no mending."""
        hit: Counter[str] = Counter()
        for kind in _known(kinds):
            mend = KINDS[kind].undo
            if mend is None:
                raise RefusedError(f"{kind} ends by itself.", "`farshore lab fault harm --help`")
            hit.update(mend(self, region))
        return hit

    # Servers

    def crash(self, region: str) -> Counts:
        """SIGKILL to the region's leading server and all its processes."""
        leader = self._leader(region)
        alive = leader.alive()
        leader.kill()
        return {"servers": int(alive)}

    def freeze_writer(self, region: str) -> Counts:
        leader = self._leader(region)
        leader.freeze()
        return self._keep("frozen-writer", region, [leader])

    def freeze_servers(self, region: str) -> Counts:
        servers = list(self._lab.fleet.clusters[region].members)
        for server in servers:
            server.freeze()
        return self._keep("frozen-servers", region, servers)

    def freeze_backends(self, region: str) -> Counts:
        """SIGSTOP to each backend of a client named straggler that waits for its client's next words."""
        leader = self._leader(region)
        rows = leader.ask(_IDLE_STRAGGLERS)
        pids = [int(pid) for (pid,) in rows or () if pid]
        _signal(pids, signal.SIGSTOP)

        def thaw() -> Counts:
            _signal(pids, signal.SIGCONT)
            return {}

        return self._remember("frozen-backend", region, thaw, {"backends": len(pids)})

    def stall_replication(self, region: str) -> Counts:
        """SIGSTOP to the process that receives WAL in a standby region: nothing more arrives on its disk."""
        receiver = self._leader(region).value("select pid from pg_stat_wal_receiver")
        pids = [int(receiver)] if receiver else []
        writer = self._lab.fleet.writer
        source = writer.leader if writer else None
        name = self._leader(region).application_name
        _signal(pids, signal.SIGSTOP)

        def go_on() -> Counts:
            behind = source.value(_BEHIND.format(name=name)) if source and source.alive() else None
            _signal(pids, signal.SIGCONT)
            return {} if behind is None else {"bytes behind": int(float(behind))}

        return self._remember("stalled-replication", region, go_on, {} if pids else {"receivers": 0})

    def fill_disk(self, region: str) -> Counts:
        """The writer's next WAL segment lies on a device that is full: the kernel refuses each byte (ENOSPC).

        It works for any user on Linux; elsewhere there is no such device.
        """
        if not FULL_DEVICE.exists():
            raise UsageError(
                f"full-disk is not in the lab here: there is no {FULL_DEVICE}, and a small file system of its "
                "own needs root; run it on Linux."
            )
        leader = self._leader(region)
        logged = leader.log.stat().st_size
        current = leader.value("select pg_walfile_name(pg_current_wal_insert_lsn())")
        if current is None:
            return {"writes refused": 0}
        segment = leader.data / "pg_wal" / _next_segment(current)
        segment.unlink(missing_ok=True)
        segment.symlink_to(FULL_DEVICE)
        leader.ask("select pg_switch_wal()", 1.0)
        return {"writes refused": _await_refusals(leader.log, logged)}

    # Links

    def cut_wan(self, region: str) -> Counts:
        self._lab.links.cut(region, self._other(region))
        return {}

    def join_wan(self, region: str) -> Counts:
        self._lab.links.join(region, self._other(region))
        return {}

    def cut_one_way(self, region: str) -> Counts:
        self._lab.links.cut(region, self._other(region), one_way=True)
        return {}

    def isolate(self, region: str) -> Counts:
        for place in self._elsewhere(region):
            self._lab.links.cut(region, place)
        return {}

    def unite(self, region: str) -> Counts:
        for place in self._elsewhere(region):
            self._lab.links.join(region, place)
        return {}

    def flap(self, region: str) -> Counts:
        """The link to the other region is cut and joined again and again."""
        over, links, other = threading.Event(), self._lab.links, self._other(region)
        flaps = 0

        def run() -> None:
            nonlocal flaps
            for change in itertools.cycle((links.cut, links.join)):
                change(region, other)
                flaps += 1
                if over.wait(_FLAP_S):
                    return

        thread = threading.Thread(target=run, name=f"flapping-{region}", daemon=True)
        thread.start()

        def settle() -> Counts:
            over.set()
            thread.join()
            links.join(region, other)
            return {"changes of the link": flaps}

        return self._remember("flapping-wan", region, settle, {})

    # DNS

    def darken_dns(self, region: str) -> Counts:
        return self._dns("dark-dns", region, "silent", "unanswered")

    def keep_old_dns(self, region: str) -> Counts:
        return self._dns("stale-dns", region, "stale", "outdated")

    def _dns(self, kind: str, region: str, mode: Mode, counted: str) -> Counts:
        server = self._lab.dns[region]
        before, server.mode = server.counts[counted], mode

        def answer_again() -> Counts:
            server.mode = "answers"
            return {f"queries {counted}": server.counts[counted] - before}

        return self._remember(kind, region, answer_again, {})

    # The authority table and AWS's APIs

    def darken_table(self, region: str) -> Counts:
        return self._misfortune("dark-table", region, Mishap("dynamodb", "*", Kind.REQUEST_LOST, None))

    def slow_table(self, region: str) -> Counts:
        return self._misfortune(
            "slow-table", region, Mishap("dynamodb", "*", Kind.SLOW, None, delay_ms=_SLOW_MS)
        )

    def spoil_api(self, region: str) -> Counts:
        """The first call of each operation and every so many after it: throttled, failed, or lost on its way."""
        kinds = (Kind.THROTTLE, Kind.ERROR, Kind.REPLY_LOST, Kind.REQUEST_LOST)
        mishap = Mishap("*", "*", kinds, None, every=_MISFORTUNES_EVERY)
        return self._misfortune("api-errors", region, mishap, RECOVERY_CALLS)

    def _misfortune(self, kind: str, region: str, mishap: Mishap, wanted: Iterable[str] = ()) -> Counts:
        """Those wanted are counted one by one, the others together."""
        calls = self._lab.cloud.calls
        calls.arrange(mishap)

        def end() -> Counts:
            calls.end(mishap)
            hit = Counter(mishap.befallen)
            counted = {operation: hit.pop(operation, 0) for operation in wanted}
            return {**counted, "other calls" if counted else "calls": hit.total()}

        return self._remember(kind, region, end, {})

    # Functions

    def freeze_controller(self, region: str) -> Counts:
        return self._freeze("frozen-controller", region, {self._lab.names.controller_function(region)})

    def freeze_functions(self, region: str) -> Counts:
        names = self._lab.names
        wanted = {names.monitor_function(region), names.controller_function(region)}
        return self._freeze("frozen-functions", region, wanted)

    def _freeze(self, kind: str, region: str, functions: Iterable[str]) -> Counts:
        pools, wanted = self._lab.cloud.lambdas.pools, set(functions)
        stopped = pools.signal(lambda function: function.name in wanted, signal.SIGSTOP)

        def thaw() -> Counts:
            pools.signal(lambda function: function.name in wanted, signal.SIGCONT)
            return {}

        return self._remember(kind, region, thaw, {"functions": stopped})

    def delay_functions(self, region: str) -> Counts:
        """Those that run end, and the schedule's next events come late: when this is undone.

        Of a schedule of a minute none need have fallen into the seconds between; to have held none is no miss.
        """
        lab = self._lab
        lab.cloud.schedules.hold(region)
        killed = lab.cloud.lambdas.pools.kill(lambda function: function.region == region)

        def come() -> Counts:
            late = lab.cloud.schedules.let_go(region)
            setup.start_functions(lab.names, _client, (region,))
            return {"events late": late} if late else {}

        return self._remember("late-functions", region, come, {"functions": killed})

    def throttle_functions(self, region: str) -> Counts:
        """Those that run end, and no concurrency is left for the next ones."""
        lab, pools = self._lab, self._lab.cloud.lambdas.pools
        before = pools.throttle(region)
        killed = pools.kill(lambda function: function.region == region)
        setup.start_functions(lab.names, _client, (region,))

        def release() -> Counts:
            return {"events throttled": pools.release(region) - before}

        return self._remember("throttled-functions", region, release, {"functions": killed})

    # Credentials

    def rotate(self, region: str) -> Counts:
        """The stack's own function rotates the functions' login; open sessions end, so that the new one must serve."""
        manager, secret = _client("secretsmanager", region), self._lab.names.controller_secret
        version = manager.rotate_secret(SecretId=secret)["VersionId"]
        rotated = _await_current(manager, secret, version)
        user = json.loads(manager.get_secret_value(SecretId=secret)["SecretString"])["username"]
        with self._leader(region).connect() as connection:
            ended = connection.execute(_END_SESSIONS, (user,)).fetchall()
        return {"logins": int(rotated), "sessions": len(ended)}

    # What they rest on

    def _keep(self, kind: str, region: str, servers: "list[Server]") -> Counts:
        def thaw() -> Counts:
            for server in servers:
                server.thaw()
            return {}

        return self._remember(kind, region, thaw, {"servers": sum(server.alive() for server in servers)})

    def _remember(self, kind: str, region: str, undo: Callable[[], Counts], hit: Counts) -> Counts:
        with self._lock:
            self._undoing[kind, region] = undo
        return hit

    def end(self, kind: str, region: str) -> Counts:
        with self._lock:
            undo = self._undoing.pop((kind, region), None)
        if undo is None:
            raise RefusedError(
                f"{kind} was not done to {region}.", f"`farshore lab fault harm {kind} {region}`"
            )
        return undo()

    def _leader(self, region: str) -> "Server":
        cluster = self._lab.fleet.clusters.get(region)
        if cluster is None or cluster.leader is None:
            raise RefusedError(f"{region} has no server.", "`farshore lab status`")
        return cluster.leader

    def _other(self, region: str) -> str:
        return self._lab.names.other(region)

    def _elsewhere(self, region: str) -> tuple[str, str]:
        return self._other(region), self._lab.names.witness_region


_IDLE_STRAGGLERS = (
    "select pid from pg_stat_activity "
    "where application_name like '%straggler%' and state = 'idle in transaction'"
)
_END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s"
_BEHIND = (
    "select max(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)) from pg_stat_replication "
    "where application_name = '{name}'"
)


def _mending(kind: str) -> Do:
    return lambda harms, region: harms.end(kind, region)


KINDS: Mapping[str, Harm] = {
    "crashed-writer": Harm("the region's leading server dies", Harms.crash),
    "frozen-writer": Harm("SIGSTOP to the leading server", Harms.freeze_writer, _mending("frozen-writer")),
    "frozen-servers": Harm(
        "SIGSTOP to every server of the region", Harms.freeze_servers, _mending("frozen-servers")
    ),
    "frozen-backend": Harm(
        "SIGSTOP to each backend of a client named *straggler* that is idle in a transaction",
        Harms.freeze_backends,
        _mending("frozen-backend"),
    ),
    "stalled-replication": Harm(
        "SIGSTOP to the standby region's WAL receiver",
        Harms.stall_replication,
        _mending("stalled-replication"),
    ),
    "full-disk": Harm("the writer's next WAL segment lies on a full device", Harms.fill_disk),
    "cut-wan": Harm("the link to the other region is cut", Harms.cut_wan, Harms.join_wan),
    "cut-one-way": Harm("what the region sends to the other one is held", Harms.cut_one_way, Harms.join_wan),
    "flapping-wan": Harm("that link is cut and joined in turn", Harms.flap, _mending("flapping-wan")),
    "isolated": Harm("the links to all other regions are cut", Harms.isolate, Harms.unite),
    "dark-dns": Harm("the region's resolver answers nothing", Harms.darken_dns, _mending("dark-dns")),
    "stale-dns": Harm(
        "the region's resolver goes on answering what it knows", Harms.keep_old_dns, _mending("stale-dns")
    ),
    "dark-table": Harm(
        "no call to DynamoDB is answered, anywhere", Harms.darken_table, _mending("dark-table")
    ),
    "slow-table": Harm(
        f"every call to DynamoDB takes {_SLOW_MS} ms more", Harms.slow_table, _mending("slow-table")
    ),
    "api-errors": Harm(
        f"of each AWS operation the first call and each {_MISFORTUNES_EVERY}th after it is throttled, fails or is lost",
        Harms.spoil_api,
        _mending("api-errors"),
    ),
    "frozen-controller": Harm(
        "SIGSTOP to the region's controller", Harms.freeze_controller, _mending("frozen-controller")
    ),
    "frozen-functions": Harm(
        "SIGSTOP to the region's monitor and controller",
        Harms.freeze_functions,
        _mending("frozen-functions"),
    ),
    "late-functions": Harm(
        "the region's functions end, the next events are late",
        Harms.delay_functions,
        _mending("late-functions"),
    ),
    "throttled-functions": Harm(
        "the region's functions end, the next ones are throttled",
        Harms.throttle_functions,
        _mending("throttled-functions"),
    ),
    "rotated-login": Harm("Secrets Manager rotates the functions' database login", Harms.rotate),
}


def _known(kinds: str) -> list[str]:
    wanted = kinds.split(",")
    for kind in wanted:
        if kind not in KINDS:
            raise UsageError(f"the lab knows no harm {kind!r}; use {', '.join(KINDS)}.")
    return wanted


def _signal(pids: Iterable[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _next_segment(name: str) -> str:
    """WAL files are timeline, high and low part, eight hexadecimal digits each; 256 of 16 MB make a high part."""
    timeline, high, low = name[:8], int(name[8:16], 16), int(name[16:], 16)
    per_high = 2**32 // _WAL_SEGMENT_BYTES
    high, low = divmod(high * per_high + low + 1, per_high)
    return f"{timeline}{high:08X}{low:08X}"


def _await_refusals(log: Path, since: int) -> int:
    give_up = time.monotonic() + _DISK_S
    while True:
        with log.open("rb") as file:
            file.seek(since)
            refused = file.read().count(b"No space left on device")
        if refused or time.monotonic() > give_up:
            return refused
        time.sleep(0.02)


def _await_current(manager: Any, secret: str, version: str) -> bool:
    """Whether a rotation's four steps came to their end: its version is the current one."""
    give_up = time.monotonic() + _ROTATION_S
    while time.monotonic() < give_up:
        stages = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
        if "AWSCURRENT" in stages.get(version, ()):
            return True
        time.sleep(0.05)
    return False


def _client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)
