"""Moving the writer to another region: switchover, failover, and the old region's return.

Switchover loses nothing: the old writer is shut down first, the target must hold its very last byte, and until
then everything can be taken back. Failover waits for nothing in the region being left.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from farshore.lab.postgres import volume
from farshore.lab.postgres.cluster import Cluster, Role
from farshore.lab.postgres.events import event
from farshore.lab.postgres.server import Server
from farshore.lab.postgres.site import RegionLostError, ServerError

if TYPE_CHECKING:
    from farshore.lab.postgres.fleet import Fleet

CATCH_UP_TIMEOUT_S = 30.0
LAST_BYTE_TIMEOUT_S = 5.0
LAG_REPORT_S = 5.0
LAG_SMALL_BYTES = 2**20
REJOIN_TIMEOUT_S = 60.0
RETRY_S = 1.0
TICK_S = 0.01
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A switchover or failover in progress; `status` in the words of AWS's FailoverState."""

    status: str
    source: Cluster
    target: Cluster
    data_loss: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A volume put aside: what an automated cluster snapshot holds."""

    identifier: str
    cluster: str
    region: str
    path: Path


class CancelledError(ServerError):
    """A switchover that could not finish and was taken back."""


class Changes:
    """Runs one change of writer at a time, each in a thread of its own."""

    def __init__(self, fleet: "Fleet", zombie_s: float) -> None:
        self.current: Change | None = None
        self.on_saved: Callable[[Saved], None] = lambda _: None
        self.saved: dict[str, Saved] = {}  # the newest one of each region
        self._fleet = fleet
        self.catch_up_timeout_s = CATCH_UP_TIMEOUT_S
        self.last_byte_timeout_s = LAST_BYTE_TIMEOUT_S
        self._zombie_s = zombie_s
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, target: Cluster, *, data_loss: bool) -> bool:
        """Start moving the writer; False when a change is in progress. The caller has checked AWS's rules."""
        with self._lock:
            source = self._fleet.writer
            if self.current is not None or source is None or source is target:
                return False
            self.current = Change("pending", source, target, data_loss)
        self._spawn(self._fail_over if data_loss else self._switch_over, self.current)
        return True

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _spawn(self, work: Callable[[Change], None], change: Change) -> None:
        thread = threading.Thread(target=work, args=(change,), name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _status(self, change: Change, status: str) -> None:
        self.current = Change(status, change.source, change.target, change.data_loss)

    def _emit(self, number: int, at: Cluster, cluster: Cluster, **words: str) -> None:
        named = {"cluster": cluster.identifier, "region": cluster.region} | words
        self._fleet.emit(event(number, at.region, at.identifier, **named))

    # Failover

    def _fail_over(self, change: Change) -> None:
        source, target = change.source, change.target
        self._status(change, "failing-over")
        try:
            fenced = self._fence(source, target)
            with target.urgently():
                target.promote(target.most_advanced())
                self._fleet.writer = target
                source.stale = True
            self._emit(238, target, target)
            self._emit(397, target, target)
            self._spawn(lambda again: self._reintegrate(again, fenced=fenced), change)
        except ServerError:
            log.exception("Failover to %s failed", target.identifier)
            source.fenced = False
            self._emit(239, target, target)
        finally:
            self.current = None

    def _fence(self, source: Cluster, target: Cluster) -> bool:
        """Kill the old writer if it can be reached from the target's region; never wait for it otherwise."""
        if source.site.lost or not self._reachable(source, target):
            self._emit(391, target, source)
            return False
        with source.urgently():
            source.fenced = True
            for server in source.members:
                server.kill()
        self._emit(390, source, source)
        return True

    def _reachable(self, a: Cluster, b: Cluster) -> bool:
        links = self._fleet.links
        return not links.lost(a.region) and not links.lost(b.region) and links.connected(a.region, b.region)

    # The old region's return

    def _reintegrate(self, change: Change, *, fenced: bool) -> None:
        """Save what the old writer holds, then rebuild its cluster from the new one; again until it is done."""
        source, target = change.source, change.target
        saved = False
        while not self._closing.is_set():
            if not self._wait_for_return(source, target, 0.0 if fenced else self._zombie_s):
                continue
            try:
                if not saved:
                    self._save(source)
                    saved = True
                self._rejoin(source, target)
            except (ServerError, OSError) as error:
                log.warning("%s could not rejoin yet: %s", source.identifier, error)
                self._closing.wait(RETRY_S)
            else:
                return

    def _wait_for_return(self, source: Cluster, target: Cluster, zombie_s: float) -> bool:
        """True once the old region has been back, and reachable, for `zombie_s`."""
        since: float | None = None
        while not self._closing.wait(TICK_S):
            back = not source.site.lost and self._reachable(source, target)
            if not back:
                since = None
                continue
            since = since or time.monotonic()
            if time.monotonic() - since >= zombie_s:
                return True
        return False

    def _save(self, source: Cluster) -> None:
        """The old writer's volume as it was stopped: rebuilding it destroys the only copy of what was lost."""
        with source.urgently():
            source.fenced = True
            for server in source.members:
                server.kill()
            leader = source.leader
            if leader is None:
                return
            stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d-%H-%M-%S")
            identifier = f"rds:unplanned-global-failover-{source.identifier}-{stamp}"
            fleet = self._fleet
            fleet.emit(event(168, source.region, identifier))
            path = fleet.volumes / "snapshots" / f"{source.region}-{stamp}-{source.identifier}"
            volume.copy(leader.data, path)
            self.saved[source.region] = saved = Saved(identifier, source.identifier, source.region, path)
            self.on_saved(saved)
            fleet.emit(event(169, source.region, identifier))

    def _rejoin(self, source: Cluster, target: Cluster) -> None:
        self._emit(240, target, source)
        with source.urgently():
            source.role, source.leader, source.writer_region = (
                Role.SECONDARY,
                source.members[0],
                target.region,
            )
            source.upstream = self._fleet.upstream_for(source)
            try:
                source.rebuild_all()
            except ServerError:
                source.role = Role.WRITER  # of the old timeline still
                raise
            source.follow(source.upstream, target.region)
            source.fenced = False
        leader = source.members[0]
        self._await(lambda: source.streaming(leader), REJOIN_TIMEOUT_S, source)
        source.stale = False
        self._emit(241, target, source)

    # Switchover

    def _switch_over(self, change: Change) -> None:
        source, target = change.source, change.target
        self._emit(181, source, target)
        try:
            self._status(change, "switching-over")
            old = source.leader
            if old is None:
                raise CancelledError(f"{source.identifier} has no writer.")
            _wait_for_disk(source, old, wait=False)
            try:
                self._await_small_lag(source, target)
            except ServerError:
                _wait_for_disk(source, old, wait=True)
                raise
            with source.urgently(), target.urgently():
                try:
                    new = self._drain(source, old, target)
                except ServerError:
                    self._status(change, "cancelling")
                    source.start(old)
                    raise
                self._emit(182, source, source)
                target.promote(new)
                self._fleet.writer = target
                self._emit(184, target, target)
                self._demote(source, target, old)
            self._emit(185, target, target)
            self._emit(397, target, target)
        except ServerError as error:
            log.warning("Switchover to %s was taken back: %s", target.identifier, error)
            self._emit(187 if isinstance(error, RegionLostError) else 186, source, target)
        finally:
            self.current = None

    def _await_small_lag(self, source: Cluster, target: Cluster) -> None:
        """Writing goes on while the target catches up, so that the pause is short."""
        deadline = time.monotonic() + self.catch_up_timeout_s
        reported = time.monotonic()
        while True:
            lag = _lag_bytes(source, target)
            if lag is not None and lag <= LAG_SMALL_BYTES and _streams(source, target):
                return
            if source.site.lost or target.site.lost or time.monotonic() > deadline:
                raise CancelledError(f"{target.identifier} does not catch up: {lag} bytes behind.")
            if time.monotonic() - reported > LAG_REPORT_S:
                reported = time.monotonic()
                self._emit(183, source, target, reason=f"{target.identifier} {lag} bytes")
            self._closing.wait(TICK_S)

    def _drain(self, source: Cluster, old: Server, target: Cluster) -> Server:
        """Shut the old writer down and return the server that holds its very last byte."""
        stopped = old.stop()
        control = volume.control(self._fleet.binaries, old.data)
        if not stopped or not control.stopped_cleanly:
            old.kill()
            raise CancelledError(f"{old.identifier} did not shut down cleanly.")
        if source.site.lost:
            raise RegionLostError(f"{source.region} was lost during the switchover.")
        last = control.checkpoint_lsn
        new = target.most_advanced()
        deadline = time.monotonic() + self.last_byte_timeout_s
        while (new.received_lsn() or 0) <= last:
            if time.monotonic() > deadline or target.site.lost:
                raise CancelledError(f"{new.identifier} lacks the last bytes of {old.identifier}.")
            time.sleep(TICK_S)
        return new

    def _demote(self, source: Cluster, target: Cluster, old: Server) -> None:
        """The old writer stopped cleanly and the new one has all of it, so its volume can follow as it is."""
        source.leader = old
        source.follow(self._fleet.upstream_for(source), target.region)
        try:
            source.start(old)
        except ServerError as error:
            log.warning("%s is left to its cluster's watcher: %s", old.identifier, error)

    def _await(self, condition: Callable[[], bool], timeout_s: float, cluster: Cluster) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if cluster.site.lost or time.monotonic() > deadline or self._closing.is_set():
                raise ServerError(f"{cluster.identifier} did not begin to stream.")
            time.sleep(TICK_S)


def _wait_for_disk(source: Cluster, old: Server, *, wait: bool) -> None:
    """Aurora's writer has no data files to write back before it stops, so this one need not wait for its disk."""
    with source.urgently():
        old.reconfigure(replace(old.live, fsync=wait))


def _streams(source: Cluster, target: Cluster) -> bool:
    if source.leader is None or target.leader is None:
        return False
    return source.leader.streams_to(target.leader.application_name) is True


def _lag_bytes(source: Cluster, target: Cluster) -> int | None:
    written = source.leader.value("select pg_current_wal_lsn()") if source.leader else None
    received = target.leader.received_lsn() if target.leader else None
    if written is None or received is None:
        return None
    return volume.lsn(written) - received
