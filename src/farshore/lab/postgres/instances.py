"""Clusters and instances: how they are created, saved, restored, restarted and deleted."""

import itertools
import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from farshore.lab.ports import OUTSIDE, Address, Links
from farshore.lab.postgres import bootstrap, volume
from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.cluster import Cluster, Patience, Role, fork_lsn
from farshore.lab.postgres.endpoints import AddressBook, Endpoints, Tunnels
from farshore.lab.postgres.events import Event, Listener, event
from farshore.lab.postgres.server import Server
from farshore.lab.postgres.settings import APPLICATION_NAME_MAX, WAL_KEPT_MB, Fixed, Upstream
from farshore.lab.postgres.site import ServerError, Site
from farshore.lab.postgres.tls import Authority
from farshore.lab.processes import Spawner
from farshore.names import Names

INSTANCES_MAX = 2
READY_TIMEOUT_S = 60.0
log = logging.getLogger(__name__)


class Instances(Endpoints):
    """Volumes and snapshots live under `volumes`; sockets, certificates and logs of tools under `root`."""

    def __init__(
        self,
        *,
        root: Path,
        volumes: Path,
        spawn: Spawner,
        binaries: Binaries,
        names: Names,
        addresses: AddressBook,
        links: Links,
        tunnels: Tunnels,
        patience: Patience,
    ) -> None:
        super().__init__(names, addresses, tunnels)
        self.root = root
        self.volumes = volumes
        self.binaries = binaries
        self.links = links
        self.on_event: list[Listener] = []
        self.sites = {region: Site(region, spawn) for region in names.regions}
        self._patience = patience
        self._replication_password = secrets.token_urlsafe(24)
        self._masters: dict[str, bootstrap.Master] = {}
        for folder in (root / "run", volumes / "pg", volumes / "snapshots"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            folder.chmod(0o755)
        authority = Authority(root / "tls")
        self.ca_file = authority.ca_file
        self._tls = {region: authority.issue(region, self._certified(region)) for region in names.regions}

    # Creation

    def create_cluster(self, region: str, identifier: str, master: bootstrap.Master | None) -> Cluster:
        """A cluster without instances: the writer's when a master user is given, else a secondary."""
        with self._lock:
            if region in self.clusters:
                raise ServerError(f"{region} already has a cluster; the lab holds one per region.")
            role = Role.WRITER if master else Role.SECONDARY
            site = self.sites[region]
            cluster = Cluster(
                identifier, site, role, emit=self.emit, name_of=self._upstream_name, patience=self._patience
            )
            cluster.on_new_leader = self._new_leader
            cluster.upstream_answers = lambda: self._writer_answers(cluster)
            self.clusters[region] = cluster
            if master:
                self._masters[region] = master
                self.writer = cluster
            self.emit(event(170, region, identifier))
            return cluster

    def add_instance(self, region: str, identifier: str) -> Server:
        """Claim an instance's place in its region's cluster; `start_instance` makes it run."""
        with self._lock:
            cluster = self.clusters[region]
            taken = {server.address.host for server in cluster.members}
            hosts = [self._addresses.instance(region, number + 1) for number in range(INSTANCES_MAX)]
            free = next((host for host in hosts if host not in taken), None)
            if free is None:
                raise ServerError(
                    f"{cluster.identifier} already has {INSTANCES_MAX} instances; the lab holds no more."
                )
            if len(f"{region}/{identifier}") > APPLICATION_NAME_MAX:
                raise ServerError(
                    f"{identifier} is too long for the lab: {region}/{identifier} passes 63 characters."
                )
            server = self._server(region, identifier, f"{region}-{hosts.index(free) + 1}", free)
            cluster.members.append(server)
            return server

    def start_instance(self, server: Server) -> None:
        """Give a new instance its volume and start it; a standby waits until its upstream runs."""
        cluster = self.clusters[server.site.region]
        if server is cluster.members[0] and cluster.leader is None:
            if cluster.role is Role.WRITER:
                self._start_first(cluster, server)
            else:
                self._await_upstream(lambda: self.writer.leader if self.writer else None)
                cluster.leader = server
                cluster.follow(self.upstream_for(cluster), self._writer_region())
                self._start_standby(cluster, server)
        else:
            self._await_upstream(lambda: cluster.leader)
            self._start_standby(cluster, server)
        for view in (*self.names.regions, OUTSIDE):
            self.reach(view, server)
        cluster.watch()
        self.emit(event(5, server.site.region, server.identifier))

    def _start_first(self, cluster: Cluster, server: Server) -> None:
        server.fill_from(volume.template(self.binaries))
        with cluster.lock:
            cluster.leader = server
            cluster.start(server)
            bootstrap.fill(server, self._masters[cluster.region], self._replication_password)
            server.ready.set()

    def _start_standby(self, cluster: Cluster, server: Server) -> None:
        # As long as the writer keeps all WAL since initdb, the template is as good a beginning as a base backup.
        upstream = cluster.live_for(server).upstream
        written = (
            self.writer.leader.value("select pg_current_wal_lsn()")
            if self.writer and self.writer.leader
            else None
        )
        template = volume.template(self.binaries)
        begin = volume.control(self.binaries, template).checkpoint_lsn
        if upstream and (written is None or volume.lsn(written) - begin > WAL_KEPT_MB * 2**20 // 2):
            server.adopt(server.fetch(upstream))
        else:
            server.fill_from(template)
        with cluster.lock:
            cluster.start(server)
            server.ready.set()

    def _await_upstream(self, upstream: Callable[[], Server | None]) -> None:
        waiting = threading.Event()
        for _ in range(int(READY_TIMEOUT_S / 0.01)):
            server = upstream()
            if server is not None and server.ready.is_set():
                return
            waiting.wait(0.01)
        raise ServerError("The instance this one replicates from did not start.")

    def _server(self, region: str, identifier: str, folder: str, host: str) -> Server:
        fixed = Fixed(
            region=region,
            application_name=f"{region}/{identifier}",
            address=Address(host, self._addresses.pg_port),
            socket_dir=self.root / "run" / folder,
            tls=self._tls[region],
            replication_password=self._replication_password,
        )
        return Server(identifier, self.sites[region], self.binaries, self.volumes / "pg" / folder, fixed)

    # Restored snapshots

    def restore(self, region: str, cluster: str, identifier: str, saved: Path) -> Server:
        """A server of its own on a copy of a saved volume: writable, streaming to and from nobody."""
        with self._lock:
            taken = {server.address.host for server in self.restored.values()}
            number = next(n for n in itertools.count(1) if self._addresses.restored(n) not in taken)
            server = self._server(region, identifier, f"restored-{number}", self._addresses.restored(number))
            self.restored[region, cluster] = server
        server.fill_from(saved)
        server.configure(server.live)
        server.start()
        server.ready.set()
        self.emit(event(5, region, identifier))
        return server

    def save(self, region: str, identifier: str) -> Path:
        """A manual snapshot: a base backup of the region's leader, put aside."""
        leader = self.clusters[region].leader
        if leader is None:
            raise ServerError(f"There is no running instance in {region} to take a snapshot of.")
        self.emit(event(74, region, identifier))
        path = self.volumes / "snapshots" / f"{region}-manual-{identifier}"
        leader.fetch(Upstream(self._upstream_name(leader), leader.address), path)
        self.emit(event(75, region, identifier))
        return path

    # Restart and end

    def fail_over_in_region(self, region: str, wanted: str | None = None) -> None:
        """FailoverDBCluster: the writer stops cleanly, its synchronous standby takes over, it follows."""
        cluster = self.clusters[region]
        with cluster.urgently():
            cluster.hand_over(wanted)

    def reboot(self, server: Server) -> None:
        """Stop and start an instance where it is; a writer stays the writer."""
        cluster = self.clusters.get(server.site.region)
        if cluster is None or server not in cluster.members:
            raise ServerError(f"{server.identifier} is not an instance of the global database.")
        with cluster.urgently():
            if not server.stop():
                server.kill()
            cluster.start(server)
        self.emit(event(6, server.site.region, server.identifier))

    def delete_instance(self, server: Server) -> None:
        """Stop an instance for good and drop its volume."""
        with self._lock:
            cluster = self.clusters.get(server.site.region)
            self.restored = {key: kept for key, kept in self.restored.items() if kept is not server}
        if cluster is not None and server in cluster.members:
            with cluster.urgently():
                server.kill()
                cluster.forget(server)
        else:
            server.kill()
        volume.remove(server.data.parent)
        self.emit(event(3, server.site.region, server.identifier))

    def delete_cluster(self, region: str) -> None:
        cluster = self.clusters.pop(region)
        cluster.close()
        if self.writer is cluster:
            self.writer = None
        self.emit(event(171, region, cluster.identifier))

    # Following the writer

    def emit(self, happened: Event) -> None:
        log.info("%s %s %s", happened.event_id, happened.region, happened.message)
        for listener in list(self.on_event):
            listener(happened)

    def _writer_region(self) -> str:
        return self.writer.region if self.writer else ""

    def _writer_answers(self, secondary: Cluster) -> bool:
        writer = self.writer
        if writer is None or writer is secondary or writer.leader is None:
            return False
        return (
            self.links.connected(secondary.region, writer.region)
            and not self.links.lost(writer.region)
            and writer.leader.ask("select 1", 0.5) is not None
        )

    def _new_leader(self, cluster: Cluster) -> None:
        """An in-region failover moved the writer: the other region follows it, rebuilt if it had run ahead."""
        if cluster is not self.writer or cluster.leader is None:
            return
        fork = fork_lsn(cluster.leader)
        for secondary in self.clusters.values():
            if secondary is cluster or secondary.role is not Role.SECONDARY or secondary.leader is None:
                continue
            with secondary.urgently():
                for server in secondary.members:
                    received = server.received_lsn()
                    if fork is not None and received is not None and received > fork:
                        secondary.mark_broken(server)
                secondary.follow(self.upstream_for(secondary), cluster.region)
