"""What Patroni and pg_auto_failover have in common here: two nodes, each an agent that minds one PostgreSQL server."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from benchmarks.peers import world as w
from benchmarks.peers.client import MAKE_TABLE, READ
from benchmarks.peers.session import Candidate
from benchmarks.peers.world import HOME, PLACES, STANDBY, World

from farshore.lab.ports import OUTSIDE
from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.probe import Probe
from farshore.lab.postgres.settings import SHARED
from farshore.lab.processes import Child

READY_S, REJOIN_S, ASK_S = 90.0, 60.0, 2.0
FOLLOWS = "select 1 from pg_stat_replication where state = 'streaming'"
WRITES = "select 1 where not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off'"
SERVER = {
    name: value
    for name, value in SHARED.items()
    if not name.startswith(("ssl", "password", "log_", "hot_standby", "wal_level", "synchronous"))
}
"""The lab's own settings for its servers, without TLS and what the agents insist on deciding."""


@dataclass
class Node:
    """A server and its agent; `mouth` is where the other places dial to reach it."""

    place: str
    data: Path
    port: int
    host: str
    mouth: str
    probe: Probe
    agent: Child | None = None
    frozen: list[psutil.Process] = field(default_factory=list)


class Pair(ABC):
    """A running pair whose writer is in the home region."""

    old = HOME
    by_client: dict[str, Any] | None = None
    dbname = "postgres"

    def __init__(self, world: World, binaries: Binaries) -> None:
        self.world, self.binaries = world, binaries
        self.nodes = {place: self._node(place) for place in PLACES}
        outside = {place: world.seen_from(OUTSIDE, place, node.port) for place, node in self.nodes.items()}
        self.candidates = tuple(
            Candidate(place, mouth.host, mouth.port, self.dbname, "postgres")
            for place, mouth in outside.items()
        )

    def _node(self, place: str) -> Node:
        other = STANDBY if place == HOME else HOME
        host, port = self.world.host(place), self.world.port()
        probe = Probe(
            f"host={host} port={port} user=postgres dbname={self.dbname} sslmode=disable gssencmode=disable"
        )
        mouth = self.world.seen_from(other, place, port).host
        return Node(place, self.world.root / place / "data", port, host, mouth, probe)

    @abstractmethod
    def start(self) -> None:
        """Bring up both nodes, home first, and wait until the standby follows."""

    @abstractmethod
    def run_agent(self, node: Node) -> None:
        """Start a node's agent, which starts its server."""

    @abstractmethod
    def switchover(self) -> None:
        """Ask for the planned move to the other region; returns when the command has."""

    def create_table(self) -> None:
        for sql in MAKE_TABLE:
            if self.nodes[HOME].probe.ask(sql, 10.0) is None:
                raise w.NotReadyError(f"the writer did not take: {sql}")

    def lose_node(self) -> None:
        """kill -9 of server and agent; the machine lives and resets its connections."""
        node = self.nodes[HOME]
        w.kill([each for each in (self._agent(node), w.postmaster(node.data)) if each is not None])

    def lose_region(self) -> None:
        """The links go dark first: nothing that the dying say gets out."""
        self.world.links.lose(HOME)
        self.lose_node()

    def freeze(self) -> None:
        """SIGSTOP of the writer's agent; its PostgreSQL runs on."""
        node = self.nodes[HOME]
        agent = self._agent(node)
        if agent is None:
            raise w.NotReadyError("there is no agent to freeze")
        node.frozen = w.agents(agent, w.postmaster(node.data))
        w.send(node.frozen, signal.SIGSTOP)

    def keep_frozen(self) -> None:
        """Nothing starts a second agent here, so there is nothing to do again."""
        return

    def thaw(self) -> None:
        node = self.nodes[HOME]
        w.send(node.frozen, signal.SIGCONT)
        node.frozen = []

    def cut_off(self) -> None:
        self.world.cut_off()

    def join(self) -> None:
        self.world.join()

    def promoted(self) -> bool:
        return self._says(STANDBY, "select 1 where not pg_is_in_recovery()")

    def come_back(self) -> None:
        """End the loss: the links work, and the agent is started again, as a service manager would."""
        node = self.nodes[HOME]
        self.world.links.heal(HOME)
        if node.agent is None or not node.agent.alive():
            self.run_agent(node)

    def rejoined(self) -> bool:
        """One takes writes, and the other streams from it."""
        return any(self._says(place, WRITES) and self._says(place, FOLLOWS) for place in PLACES)

    def writers(self) -> list[str]:
        return [place for place in PLACES if self._says(place, WRITES)]

    def rows(self, place: str) -> set[int]:
        found = self.nodes[place].probe.ask(READ, 30.0)
        if found is None:
            raise w.NotReadyError(f"the rows in {place} could not be read")
        return {int(row[0]) for row in found if row[0] is not None}

    def close(self) -> None:
        """The spawner ends the agents; a server that its agent has let go of is ended here."""
        self.thaw()
        for node in self.nodes.values():
            node.probe.forget()
            doomed = [each for each in (self._agent(node), w.postmaster(node.data)) if each is not None]
            w.kill(doomed)

    def _await(self, what: str, met: Callable[[], bool], within_s: float = READY_S) -> None:
        try:
            w.await_it(what, met, within_s)
        except w.NotReadyError as error:
            logs = "\n".join(f"{log.name}:\n{w.tail(log)}" for log in sorted(self.world.root.glob("*.log")))
            raise w.NotReadyError(f"{error}\n{logs}") from error

    def _says(self, place: str, sql: str) -> bool:
        return bool(self.nodes[place].probe.ask(sql, ASK_S))

    def _agent(self, node: Node) -> psutil.Process | None:
        if node.agent is None or not node.agent.alive():
            return None
        return psutil.Process(node.agent.pid)
