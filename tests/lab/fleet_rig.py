"""A fleet to test with: real servers, and the real relay between the regions."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from farshore.lab.addresses import Addresses
from farshore.lab.links import LinkTable
from farshore.lab.postgres.binaries import find
from farshore.lab.postgres.bootstrap import Master
from farshore.lab.postgres.changes import Saved
from farshore.lab.postgres.cluster import Cluster, Patience
from farshore.lab.postgres.events import Event
from farshore.lab.postgres.fleet import Fleet
from farshore.lab.postgres.server import Server
from farshore.lab.processes import Spawner
from farshore.lab.wan import Tunnels
from farshore.names import Names

EAST, WEST = "us-east-1", "us-west-2"
ROOMY_BYTES = 2**31
PASSWORD = "a-password-for-tests"


@dataclass
class Rig:
    fleet: Fleet
    addresses: Addresses
    links: LinkTable
    names: Names
    volumes: Path
    events: list[Event] = field(default_factory=list)
    saved: list[Saved] = field(default_factory=list)

    def cluster(self, region: str) -> Cluster:
        return self.fleet.clusters[region]

    def member(self, region: str, number: int) -> Server:
        wanted = self.names.instance(region, number)
        return next(server for server in self.cluster(region).members if server.identifier == wanted)

    def connect(self, region: str, *, view: str | None = None, name: str | None = None, **more: Any) -> Any:
        host = name or self.fleet.cluster_endpoint(region, self.names.cluster(region))
        found = self.fleet.resolve(view or region, host)
        assert found is not None
        settings = {"dbname": "ledger", "user": "dbadmin", "password": PASSWORD, "connect_timeout": 3} | more
        return psycopg.connect(
            host=host,
            hostaddr=found[0],
            port=self.addresses.pg_port,
            sslmode="verify-full",
            sslrootcert=str(self.fleet.ca_file),
            autocommit=True,
            **settings,
        )

    def event_ids(self, region: str | None = None) -> list[str]:
        return [event.event_id[-4:] for event in self.events if region in (None, event.region)]

    def lose(self, region: str) -> int:
        self.links.lose(region)
        return self.fleet.region_lost(region)

    def bring_back(self, region: str) -> None:
        self.links.heal(region)
        self.fleet.region_back(region)


def eventually(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """The condition's first true value; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = condition()
        except psycopg.Error as error:
            value, reason = None, error
        else:
            reason = None
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {reason or value}"
        time.sleep(0.005)


def memory() -> Path | None:
    """A file system in memory, where there is a roomy one: the tests are not about the disk."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > ROOMY_BYTES
    return shared if roomy else None


@contextmanager
def rig(*, zombie_s: float = 0.5, patience: Patience | None = None) -> Iterator[Rig]:
    root = Path(tempfile.mkdtemp(prefix="farshore-test-"))
    volumes = Path(tempfile.mkdtemp(prefix="farshore-test-", dir=memory()))
    for folder in (root, volumes):
        folder.chmod(0o755)
    names = Names("t1")
    try:
        with Spawner() as spawn:
            addresses, links = Addresses.claim(root), LinkTable(one_way_ms=5.0, jitter_ms=0.0)
            tunnels = Tunnels(spawn=spawn, root=root, addresses=addresses, links=links)
            fleet = Fleet(
                root=root,
                spawn=spawn,
                binaries=find(os.environ.get("FARSHORE_TEST_POSTGRES")),
                names=names,
                addresses=addresses,
                links=links,
                tunnels=tunnels,
                volumes=volumes,
                zombie_s=zombie_s,
                patience=patience,
            )
            made = Rig(fleet, addresses, links, names, volumes)
            fleet.on_event.append(made.events.append)
            fleet.changes.on_saved = made.saved.append
            try:
                yield made
            finally:
                fleet.close()
                tunnels.shutdown()
                addresses.release()
    finally:
        shutil.rmtree(root)
        shutil.rmtree(volumes)


def boot(made: Rig) -> None:
    """Both regions with two instances each, all streaming."""
    fleet, names = made.fleet, made.names
    fleet.create_cluster(EAST, names.cluster(EAST), Master("dbadmin", PASSWORD, "ledger"))
    fleet.create_cluster(WEST, names.cluster(WEST), None)
    servers = [
        fleet.add_instance(region, names.instance(region, n)) for region in (EAST, WEST) for n in (1, 2)
    ]
    threads = [threading.Thread(target=fleet.start_instance, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled(made, EAST, WEST)


def settled(made: Rig, writer: str, secondary: str) -> None:
    """The writer has its synchronous standby, the other region streams on both servers."""
    eventually(lambda: made.cluster(writer).synchronous)
    eventually(lambda: all(made.cluster(secondary).streaming(s) for s in made.cluster(secondary).members))
