"""Patroni with one etcd in the third place."""

import json
import os
from dataclasses import dataclass

from benchmarks.peers.pair import SERVER, Node, Pair
from benchmarks.peers.world import HOME, PLACES, STANDBY, THIRD, World

from farshore.lab.postgres.binaries import Binaries

SCOPE = "peers"


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds, as in Patroni's dynamic configuration; ttl >= loop_wait + 2 * retry_timeout, and 20 at least."""

    ttl: int = 30
    loop_wait: int = 10
    retry_timeout: int = 10


DEFAULT, FASTEST = Timers(), Timers(20, 1, 3)


class Patroni(Pair):
    """Asynchronous replication, pg_rewind, as its documentation begins."""

    def __init__(self, world: World, binaries: Binaries, *, bin_dir: str, timers: Timers) -> None:
        super().__init__(world, binaries)
        self._bin_dir, self._timers = bin_dir, timers
        self._etcd = (world.port(), world.port())
        self._rest = {place: world.port() for place in PLACES}

    def start(self) -> None:
        self._start_etcd()
        for node in self.nodes.values():
            self.world.own(node.place)
            self._configure(node)
        home, standby = self.nodes[HOME], self.nodes[STANDBY]
        self.run_agent(home)
        self._await("Patroni's leader takes writes", lambda: self.writers() == [HOME])
        self.run_agent(standby)
        self._await("Patroni's standby follows", self.rejoined)
        self._await("Patroni knows both members", self._both_known)

    def run_agent(self, node: Node) -> None:
        node.agent = self.world.run(
            [f"{self._bin_dir}/patroni", str(self.world.root / f"{node.place}.yml")],
            f"patroni-{node.place}.log",
            self._env(),
        )

    def switchover(self) -> None:
        self._ctl("switchover", "--leader", HOME, "--candidate", STANDBY, "--force")

    def _both_known(self) -> bool:
        self._ctl("list", "-f", "json")
        lines = (self.world.root / "patronictl.log").read_text("utf-8").strip().splitlines()
        members = json.loads(lines[-1])
        return sorted((each["Role"], each["State"]) for each in members) == [
            ("Leader", "running"),
            ("Replica", "streaming"),
        ]

    def _ctl(self, *words: str) -> None:
        argv = [f"{self._bin_dir}/patronictl", "-c", str(self.world.root / f"{STANDBY}.yml"), words[0], SCOPE]
        self.world.finish([*argv, *words[1:]], "patronictl.log", self._env())

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.world.root), "LC_ALL": "C.UTF-8"}

    def _start_etcd(self) -> None:
        host, (client, peer) = self.world.host(THIRD), self._etcd
        self.world.own("etcd")
        self.world.run(
            [
                "etcd", "--name", "third", "--data-dir", str(self.world.root / "etcd" / "data"),
                "--listen-client-urls", f"http://{host}:{client}", "--advertise-client-urls", f"http://{host}:{client}",
                "--listen-peer-urls", f"http://{host}:{peer}", "--initial-advertise-peer-urls", f"http://{host}:{peer}",
                "--initial-cluster", f"third=http://{host}:{peer}",
            ],
            "etcd.log",
            {**self._env(), "ETCD_UNSUPPORTED_ARCH": "arm64" if os.uname().machine == "aarch64" else ""},
        )  # fmt: skip

    def _configure(self, node: Node) -> None:
        """JSON is YAML."""
        other = STANDBY if node.place == HOME else HOME
        rest = self.world.seen_from(other, node.place, self._rest[node.place])
        trust = [f"{kind} all all {where}trust" for kind, where in (("local", ""), ("host", "127.0.0.0/8 "))]
        document = {
            "scope": SCOPE,
            "name": node.place,
            "restapi": {"listen": f"{node.host}:{self._rest[node.place]}", "connect_address": str(rest)},
            "etcd3": {"hosts": f"{self.world.host(THIRD)}:{self._etcd[0]}"},
            "bootstrap": {
                "dcs": {
                    "ttl": self._timers.ttl,
                    "loop_wait": self._timers.loop_wait,
                    "retry_timeout": self._timers.retry_timeout,
                    "postgresql": {"use_pg_rewind": True, "parameters": SERVER},
                },
                "initdb": [{"encoding": "UTF8"}, "data-checksums", {"wal-segsize": "4"}, "no-sync"],
            },
            "postgresql": {
                "listen": f"{node.host}:{node.port}",
                "connect_address": f"{node.mouth}:{node.port}",
                "data_dir": str(node.data),
                "bin_dir": str(self.binaries.bin_dir),
                "pgpass": str(self.world.root / node.place / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres", "password": "lab"},
                    "replication": {"username": "replicator", "password": "lab"},
                },
                "parameters": {"unix_socket_directories": str(self.world.root / node.place)},
                "pg_hba": [*trust, "host replication all 127.0.0.0/8 trust"],
            },
        }
        self.world.file(f"{node.place}.yml", json.dumps(document, indent=1))
