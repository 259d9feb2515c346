"""A regional cluster: one leader, and standbys in the same region.

In the writer's region the leader writes and one standby is synchronous, so that losing either loses nothing, as
in Aurora. In the other region the leader streams across the WAN and the rest cascade from it.
A watcher does what Aurora does by itself: it stops waiting for a dead standby, fails over to the synchronous
one, and brings dead servers back. Losing the whole region is not its business: `site.lost` keeps it still.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from farshore.lab.postgres import volume
from farshore.lab.postgres.events import Listener, event
from farshore.lab.postgres.server import Server
from farshore.lab.postgres.settings import Live, Upstream
from farshore.lab.postgres.site import RegionLostError, ServerError, Site

WATCH_S = 0.1
PROBE_S = 0.5
STREAMING = "select count(*) from pg_stat_wal_receiver where status = 'streaming'"
log = logging.getLogger(__name__)


class Role(Enum):
    """What the cluster takes itself for; after a failover a returning old writer still says WRITER."""

    WRITER = "writer"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds before the watcher acts on what is not urgent."""

    restart_s: float = 2.0
    rebuild_s: float = 10.0


class Cluster:
    def __init__(
        self,
        identifier: str,
        site: Site,
        role: Role,
        *,
        emit: Listener,
        name_of: Callable[[Server], str],
        patience: Patience | None = None,
    ) -> None:
        self.identifier = identifier
        self.site = site
        self.role = role
        self.members: list[Server] = []
        self.leader: Server | None = None
        self.upstream: Upstream | None = None
        self.writer_region = site.region
        self.fenced = False
        self.stale = False  # of a timeline that lost to another: to be rebuilt from the new writer
        self.lock = threading.RLock()
        self.on_new_leader: Callable[[Cluster], None] = lambda _: None
        self.upstream_answers: Callable[[], bool] = lambda: False
        self._emit = emit
        self._name_of = name_of
        self._patience = patience or Patience()
        self._sync: Server | None = None
        self._since: dict[tuple[str, str], float] = {}
        self._broken: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{site.region}", daemon=True)

    @property
    def region(self) -> str:
        return self.site.region

    @property
    def synchronous(self) -> Server | None:
        """The standby that every commit waits for, or None while writing goes on without one."""
        return self._sync

    def watch(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    @contextlib.contextmanager
    def urgently(self) -> Iterator[None]:
        """Hold the lock; a rebuild that holds it is ended rather than waited for."""
        while not self.lock.acquire(timeout=0.01):
            self.site.stop_tools()
        try:
            yield
        finally:
            self.lock.release()

    # Topology: the caller holds the lock

    def live_for(self, server: Server) -> Live:
        if server is self.leader:
            upstream = self.upstream if self.role is Role.SECONDARY else None
            return Live(upstream=upstream, writer_region=self.writer_region)
        if self.leader is None:
            raise ServerError(f"{self.identifier} has no leader that {server.identifier} could follow.")
        near = Upstream(self._name_of(self.leader), self.leader.address)
        return Live(upstream=near, writer_region=self.writer_region)

    def start(self, server: Server) -> None:
        """Configure for its present place and start."""
        server.configure(self.live_for(server))
        server.start()

    def follow(self, upstream: Upstream, writer_region: str) -> None:
        """Stream from another region's writer from now on; running servers take it up at once."""
        self.role, self.upstream, self.writer_region = Role.SECONDARY, upstream, writer_region
        self._sync = None
        self._since.clear()
        self.refresh()

    def refresh(self) -> None:
        for server in self.members:
            if server.alive():
                live = self.live_for(server)
                if server is self.leader and self._sync:
                    live = replace(live, sync_standby=self._sync.application_name)
                server.reconfigure(live)

    def promote(self, server: Server) -> None:
        """Make a standby this cluster's writer; the others follow it. Returns when it accepts writes."""
        self._sync = None
        server.promote()
        self.leader, self.role, self.upstream = server, Role.WRITER, None
        self.writer_region = self.region
        self._since.clear()
        self.refresh()

    def hand_over(self, wanted: str | None = None) -> None:
        """In-region failover on request: a clean stop loses nothing, so the old writer follows as it is."""
        old, new = self.leader, self._sync
        if old is None or new is None or (wanted is not None and new.identifier != wanted):
            raise ServerError(f"{self.identifier} has no synchronous standby to fail over to.")
        self._emit(event(73, self.region, self.identifier, instance=new.identifier))
        clean = old.stop()
        self.promote(new)
        if not clean:
            old.kill()
            self.mark_broken(old)
        else:
            self.start(old)
        self._emit(event(71, self.region, self.identifier, instance=new.identifier))
        self.on_new_leader(self)

    def most_advanced(self) -> Server:
        """The live member that received most; the leader when they are even."""
        positions = {server: server.received_lsn() for server in self.members}
        known = {server: position for server, position in positions.items() if position is not None}
        if not known:
            raise ServerError(f"No instance of {self.identifier} answers.")
        return max(known, key=lambda server: (known[server], server is self.leader))

    def mark_broken(self, server: Server) -> None:
        """Its volume cannot follow the leader any more: the watcher rebuilds it."""
        self._broken.add(server.identifier)

    def forget(self, server: Server) -> None:
        """Take a deleted instance out."""
        self.members.remove(server)
        if server is self._sync:
            self._set_sync(None)
        if server is self.leader:
            self.leader = None

    def rebuild(self, server: Server) -> None:
        """A new volume from its upstream by base backup; the old server stays up until the copy is whole."""
        upstream = self.live_for(server).upstream
        if upstream is None:
            raise ServerError(
                f"{server.identifier} leads {self.identifier} and has nothing to be rebuilt from."
            )
        server.adopt(server.fetch(upstream))
        self.start(server)
        self._broken.discard(server.identifier)
        self._since.clear()

    def rebuild_all(self) -> None:
        """A secondary's volumes anew: one base backup across the WAN, copied for the others before it starts."""
        leader = self.leader or self.members[0]
        self.leader = leader
        upstream = self.live_for(leader).upstream
        if upstream is None:
            raise ServerError(f"{self.identifier} has no writer to be rebuilt from.")
        fresh = leader.fetch(upstream)
        for server in self.members:
            server.kill()
            if server is not leader:
                server.fill_from(fresh)
        leader.adopt(fresh)
        for server in self.members:
            self.start(server)
        self._broken.clear()
        self._since.clear()

    def streaming(self, server: Server) -> bool:
        """Whether a standby receives WAL now."""
        return server.value(STREAMING, PROBE_S) == "1"

    # The watcher

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_S):
            if self.site.lost or self.fenced or not self.members or not self.lock.acquire(blocking=False):
                continue
            try:
                if not self.site.lost and not self.fenced and self.leader is not None:
                    self._tick(self.leader)
            except RegionLostError:
                pass
            except ServerError as error:
                log.warning("%s: %s", self.identifier, error)
            finally:
                self.lock.release()

    def _tick(self, leader: Server) -> None:
        if not leader.alive():
            self._leader_died(leader)
            return
        if self.role is Role.WRITER:
            self._keep_sync(leader)
        for server in self.members:
            if server.ready.is_set() and (server is not leader or self.role is Role.SECONDARY):
                self._keep_running(server)

    def _keep_sync(self, leader: Server) -> None:
        standby = self._sync
        if standby is not None:
            answers = standby.alive() and standby.ask("select 1", PROBE_S) is not None
            if not answers or leader.streams_to(standby.application_name) is False:
                self._set_sync(None)
            return
        for server in self.members:
            ready = server is not leader and server.alive() and leader.streams_to(server.application_name)
            if ready and server.ask("select 1", PROBE_S) is not None:
                self._set_sync(server)
                return

    def _set_sync(self, standby: Server | None) -> None:
        self._sync = standby
        if self.leader is not None and self.leader.alive():
            name = standby.application_name if standby else None
            self.leader.reconfigure(replace(self.leader.live, sync_standby=name))

    def _leader_died(self, leader: Server) -> None:
        others = [server for server in self.members if server is not leader and server.alive()]
        if self.role is Role.SECONDARY and others:
            self.leader = others[0]
            self.refresh()
        elif self.role is Role.WRITER and self._sync in others and self._sync is not None:
            self.fail_over_to(self._sync)
        elif self._waited(leader, "dead", self._patience.restart_s):
            # Without a synchronous standby only the dead writer's own volume has everything.
            self.start(leader)
            self._emit(event(6, self.region, leader.identifier))
            self.on_new_leader(self)

    def fail_over_to(self, standby: Server) -> None:
        """In-region failover. The old writer may hold bytes the standby never got, so it is rebuilt."""
        old = self.leader
        self._emit(event(73, self.region, self.identifier, instance=standby.identifier))
        self.promote(standby)
        if old is not None and old is not standby:
            self.mark_broken(old)
        self._emit(event(71, self.region, self.identifier, instance=standby.identifier))
        self.on_new_leader(self)

    def _keep_running(self, server: Server) -> None:
        if not server.alive():
            if self._waited(server, "dead", self._patience.restart_s):
                self._bring_back(server)
        elif server.identifier in self._broken:
            self.rebuild(server)
        elif self.streaming(server):
            self._since.pop((server.identifier, "silent"), None)
        elif server.ask("select 1", PROBE_S) is not None and self._source_answers(server):
            if self._waited(server, "silent", self._patience.rebuild_s):
                self.rebuild(server)
        else:
            self._since.pop((server.identifier, "silent"), None)

    def _bring_back(self, server: Server) -> None:
        if server.identifier in self._broken or not (server.data / "PG_VERSION").exists():
            self.rebuild(server)
            return
        try:
            self.start(server)
        except RegionLostError:
            raise
        except ServerError as error:
            log.warning("%s is rebuilt: %s", server.identifier, error)
            self.rebuild(server)

    def _source_answers(self, server: Server) -> bool:
        if server is self.leader:
            return self.upstream_answers()
        return self.leader is not None and self.leader.ask("select 1", PROBE_S) is not None

    def _waited(self, server: Server, what: str, patience_s: float) -> bool:
        now = time.monotonic()
        key = (server.identifier, what)
        if now - self._since.setdefault(key, now) < patience_s:
            return False
        del self._since[key]
        return True


def fork_lsn(server: Server) -> int | None:
    """Where a promoted server left its old timeline; None before its first promotion."""
    text = server.value(
        "select pg_read_file(format('pg_wal/%s.history', left(pg_walfile_name(pg_current_wal_lsn()), 8)), true)"
    )
    lines = [line.split("\t") for line in (text or "").splitlines() if line.strip()]
    return volume.lsn(lines[-1][1]) if lines else None
