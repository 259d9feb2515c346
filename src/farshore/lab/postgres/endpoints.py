"""Which names the servers have, whom a name leads to at the moment, and where to dial from a view."""

import itertools
import threading
from typing import Protocol

from farshore.lab.ports import Address
from farshore.lab.postgres.cluster import Cluster
from farshore.lab.postgres.server import Server
from farshore.lab.postgres.settings import Upstream
from farshore.lab.postgres.site import ServerError
from farshore.names import Names

ENDPOINT_TTL_S = (
    5  # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.Endpoints.html
)
ENDPOINT_WORD = "farshorelab"  # where AWS has a word of the account's own


class Tunnels(Protocol):
    def open(self, view: str, region: str, target: Address) -> Address: ...


class AddressBook(Protocol):
    pg_port: int

    def instance(self, region: str, number: int) -> str: ...
    def restored(self, number: int) -> str: ...


class Endpoints:
    """The servers that there are, found by name."""

    def __init__(self, names: Names, addresses: AddressBook, tunnels: Tunnels) -> None:
        self.names = names
        self.clusters: dict[str, Cluster] = {}
        self.restored: dict[tuple[str, str], Server] = {}
        self.writer: Cluster | None = None
        self.global_name: str | None = None
        self._addresses = addresses
        self._tunnels = tunnels
        self._lock = threading.RLock()
        self._mouths: dict[tuple[str, Address], Address] = {}

    def cluster_endpoint(self, region: str, cluster: str, *, reader: bool = False) -> str:
        return f"{cluster}.cluster-{'ro-' if reader else ''}{ENDPOINT_WORD}.{region}.rds.amazonaws.com"

    def instance_endpoint(self, region: str, instance: str) -> str:
        return f"{instance}.{ENDPOINT_WORD}.{region}.rds.amazonaws.com"

    def global_endpoint(self, identifier: str) -> str:
        """The name that follows the writer, whatever its region."""
        return f"{identifier}.global-{ENDPOINT_WORD}.global.rds.amazonaws.com"

    def _certified(self, region: str) -> list[str]:
        regional = [self.cluster_endpoint(region, "*", reader=reader) for reader in (False, True)]
        return [
            *regional,
            self.instance_endpoint(region, "*"),
            self.global_endpoint("*"),
            self.names.writer_name,
        ]

    def resolve(self, view: str, name: str) -> tuple[str, int] | None:
        """An RDS endpoint name as an address and a TTL in seconds; None for a name that is not one of ours.

        A cluster endpoint leads to the leader (read-only in a secondary region), a reader endpoint to another
        live member if there is one. In the server's own region that is its own address, elsewhere a tunnel's.
        """
        server = self._named(name.rstrip(".").lower())
        if server is None:
            return None
        return self.reach(view, server).host, ENDPOINT_TTL_S

    def reach(self, view: str, server: Server) -> Address:
        """Where to dial from a view to reach a server."""
        region = server.site.region
        if view == region:
            return server.address
        with self._lock:
            key = (view, server.address)
            if key not in self._mouths:
                self._mouths[key] = self._tunnels.open(view, region, server.address)
            return self._mouths[key]

    def _named(self, name: str) -> Server | None:
        for cluster in self.clusters.values():
            if name == self.cluster_endpoint(cluster.region, cluster.identifier):
                return cluster.leader
            if name == self.cluster_endpoint(cluster.region, cluster.identifier, reader=True):
                readers = [
                    s for s in cluster.members if s is not cluster.leader and (s.alive() or cluster.site.lost)
                ]
                return readers[0] if readers else cluster.leader
        for server in itertools.chain(*(c.members for c in self.clusters.values()), self.restored.values()):
            if name == self.instance_endpoint(server.site.region, server.identifier):
                return server
        for (region, identifier), server in self.restored.items():
            if name in [self.cluster_endpoint(region, identifier, reader=reader) for reader in (False, True)]:
                return server
        if self.writer and self.global_name and name == self.global_endpoint(self.global_name):
            return self.writer.leader
        return None

    @property
    def port(self) -> int:
        """Where every server listens."""
        return self._addresses.pg_port

    def server(self, region: str, identifier: str) -> Server | None:
        """An instance by its DB instance identifier."""
        members = self.clusters[region].members if region in self.clusters else []
        restored = [server for (where, _), server in self.restored.items() if where == region]
        return next((server for server in [*members, *restored] if server.identifier == identifier), None)

    def _upstream_name(self, server: Server) -> str:
        return self.instance_endpoint(server.site.region, server.identifier)

    def upstream_for(self, cluster: Cluster) -> Upstream:
        """Where a secondary cluster's leader streams from: the writer, across the WAN."""
        leader = self.writer.leader if self.writer else None
        if leader is None:
            raise ServerError(f"There is no writer that {cluster.identifier} could stream from.")
        return Upstream(self._upstream_name(leader), self.reach(cluster.region, leader))
