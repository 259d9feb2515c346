"""Both regions' clusters as one global database, and its faults. Changes of writer are in `changes`.

One global database, with one cluster of up to two instances per region, and any number of restored snapshots.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from farshore.lab.ports import Links
from farshore.lab.postgres import volume
from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.changes import Change, Changes
from farshore.lab.postgres.cluster import Cluster, Patience, Role
from farshore.lab.postgres.endpoints import AddressBook, Tunnels
from farshore.lab.postgres.instances import Instances
from farshore.lab.postgres.server import Server
from farshore.lab.postgres.site import ServerError
from farshore.lab.processes import Spawner
from farshore.names import Names

log = logging.getLogger(__name__)


class Fleet(Instances):
    """The lab's PostgreSQL. Thread-safe; `on_event` hears of every RDS event, from whichever thread made it.

    Volumes and snapshots live under `volumes` (default: `root`), which its owner removes; sockets, certificates
    and logs of tools under `root`. A returning old writer stays up for `zombie_s` before its volume is saved.
    """

    def __init__(
        self,
        *,
        root: Path,
        spawn: Spawner,
        binaries: Binaries,
        names: Names,
        addresses: AddressBook,
        links: Links,
        tunnels: Tunnels,
        volumes: Path | None = None,
        zombie_s: float = 3.0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(
            root=root,
            volumes=volumes or root,
            spawn=spawn,
            binaries=binaries,
            names=names,
            addresses=addresses,
            links=links,
            tunnels=tunnels,
            patience=patience or Patience(),
        )
        self.changes = Changes(self, zombie_s)

    # The global database

    def change(self) -> Change | None:
        """The switchover or failover in progress."""
        return self.changes.current

    def connected(self, cluster: Cluster) -> bool:
        """AWS's SynchronizationStatus: False until a member of the old timeline is rebuilt and streams again."""
        return not cluster.stale

    def detach(self, region: str) -> None:
        """RemoveFromGlobalCluster: a secondary becomes a writer of its own, a primary only leaves."""
        cluster = self.clusters[region]
        if cluster.role is Role.SECONDARY and cluster.members:
            with cluster.urgently():
                cluster.promote(cluster.most_advanced())

    # Faults

    def region_lost(self, region: str) -> int:
        """SIGKILL every server of a region at one instant; returns how many were running."""
        return self.sites[region].lose()

    def region_back(self, region: str) -> None:
        """Start a lost region's servers as they were. If another region writes by now, `changes` replaces them."""
        site = self.sites[region]
        cluster = self.clusters.get(region)
        # Without the lock the watcher would take a server that is only starting for a dead one.
        with cluster.urgently() if cluster else contextlib.nullcontext():
            site.back()
            servers = [server for server in self.restored.values() if server.site is site]
            _each(_start_as_it_was, [*(cluster.members if cluster else ()), *servers])

    def close(self) -> None:
        """Kill every server, then end the threads that would have restarted them."""
        for site in self.sites.values():
            site.lose()
        self.changes.close()
        for cluster in self.clusters.values():
            cluster.close()
        volume.release_all_memory(self.volumes)


def _start_as_it_was(server: Server) -> None:
    if not server.ready.is_set() or not (server.data / "PG_VERSION").exists():
        return
    try:
        server.start()
    except ServerError as error:
        log.warning("%s did not come back: %s", server.identifier, error)


def _each(work: Callable[[Server], None], servers: list[Server]) -> None:
    """Do the same to several servers at once."""
    threads = [threading.Thread(target=work, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
