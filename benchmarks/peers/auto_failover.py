"""pg_auto_failover with its monitor in the third place; commits wait for the standby, as it is set up by default."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from benchmarks.peers import world as w
from benchmarks.peers.pair import SERVER, Node, Pair
from benchmarks.peers.world import HOME, THIRD, World

from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.probe import Probe

if TYPE_CHECKING:
    from farshore.lab.processes import Child


@dataclass(frozen=True, slots=True)
class Timers:
    """Settings of the monitor's server, and of each keeper's configuration (seconds)."""

    monitor: tuple[tuple[str, str], ...] = ()
    network_partition_s: int | None = None


DEFAULT = Timers()
SHORTENED = Timers(
    monitor=(
        ("pgautofailover.health_check_period", "1s"),
        ("pgautofailover.health_check_timeout", "1s"),
        ("pgautofailover.health_check_max_retries", "1"),
        ("pgautofailover.health_check_retry_delay", "500ms"),
        ("pgautofailover.node_considered_unhealthy_timeout", "5s"),
        ("pgautofailover.primary_demote_timeout", "5s"),
        ("pgautofailover.startup_grace_period", "3s"),
    ),
    network_partition_s=5,
)
STATES = "select reportedstate, goalstate from pgautofailover.node order by reportedstate::text"


class AutoFailover(Pair):
    """Two nodes of one formation."""

    def __init__(self, world: World, binaries: Binaries, *, timers: Timers) -> None:
        super().__init__(world, binaries)
        self._timers = timers
        self._monitor_data = world.root / THIRD / "data"
        self._monitor_port = world.port()
        self._monitor: Child | None = None
        self._at_monitor = Probe(
            f"host={world.host(THIRD)} port={self._monitor_port} user=autoctl_node dbname=pg_auto_failover "
            "sslmode=disable gssencmode=disable"
        )

    def start(self) -> None:
        self._start_monitor()
        for node in self.nodes.values():
            self.world.own(node.place)
            self._create(node)
        self._await("pg_auto_failover's primary and secondary", self._both_known)

    def run_agent(self, node: Node) -> None:
        node.agent = self.world.run(
            ["pg_autoctl", "run", "--pgdata", str(node.data)],
            f"pg_autoctl-{node.place}.log",
            self._env(node.place),
        )

    def switchover(self) -> None:
        argv = ["pg_autoctl", "perform", "switchover", "--pgdata", str(self._monitor_data)]
        self.world.finish(argv, "switchover.log", self._env(THIRD))

    def close(self) -> None:
        self._at_monitor.forget()
        super().close()
        if self._monitor is not None and self._monitor.alive():
            server = w.postmaster(self._monitor_data)
            w.kill([each for each in (psutil.Process(self._monitor.pid), server) if each is not None])

    def _both_known(self) -> bool:
        rows = self._at_monitor.ask(STATES, 2.0)
        return rows == [("primary", "primary"), ("secondary", "secondary")]

    def _start_monitor(self) -> None:
        """Its data directory is made here, so that it never listens beyond loopback."""
        self.world.own(THIRD)
        env, data, host = self._env(THIRD), str(self._monitor_data), self.world.host(THIRD)
        initdb = [
            self.binaries.program("initdb"),
            "-D",
            data,
            "-U",
            "postgres",
            "--auth",
            "trust",
            "--no-sync",
        ]
        self.world.finish(initdb, "initdb.log", env)
        settings = (("listen_addresses", host), *self._timers.monitor)
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings)
        with (self._monitor_data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(lines)
        self.world.finish(
            [
                "pg_autoctl", "create", "monitor", "--pgdata", data, "--pgport", str(self._monitor_port),
                "--pgctl", self.binaries.program("pg_ctl"), "--hostname", host, "--no-ssl",
                "--skip-pg-hba",
            ],
            "monitor.log",
            env,
        )  # fmt: skip
        self._monitor = self.world.run(["pg_autoctl", "run", "--pgdata", data], "monitor.log", env)
        self._await(
            "pg_auto_failover's monitor answers", lambda: self._at_monitor.ask(STATES, 1.0) is not None
        )

    def _create(self, node: Node) -> None:
        env, data = self._env(node.place), str(node.data)
        monitor = f"postgres://autoctl_node@{self.world.host(THIRD)}:{self._monitor_port}/pg_auto_failover"
        self.world.finish(
            [
                "pg_autoctl", "create", "postgres", "--pgdata", data, "--pgport", str(node.port),
                "--pgctl", self.binaries.program("pg_ctl"), "--listen", node.host, "--hostname", node.mouth,
                "--username", "postgres", "--name", node.place, "--monitor", f"{monitor}?sslmode=disable",
                "--no-ssl", "--skip-pg-hba",
            ],
            f"create-{node.place}.log",
            env,
        )  # fmt: skip
        if node.place == HOME:
            with (node.data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.writelines(f"{name} = '{_word(value)}'\n" for name, value in SERVER.items())
        if self._timers.network_partition_s is not None:
            argv = ["pg_autoctl", "config", "set", "--pgdata", data, "timeout.network_partition_timeout"]
            self.world.finish([*argv, str(self._timers.network_partition_s)], "config.log", env)
        self.run_agent(node)
        if node.place == HOME:
            self._await("pg_auto_failover's first node takes writes", lambda: self.writers() == [HOME])

    def _env(self, place: str) -> dict[str, str]:
        home = str(self.world.root / place)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/config",
            "XDG_DATA_HOME": f"{home}/share",
            "XDG_RUNTIME_DIR": home,
            "LC_ALL": "C.UTF-8",
        }


def _word(value: str | int | bool) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
