"""farshore in its own lab: the stack deployed, the guard enforcing and installed on the benchmark's table."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
from benchmarks.peers import world as w
from benchmarks.peers.client import MAKE_TABLE, READ, TABLE
from benchmarks.peers.session import Candidate
from psycopg.conninfo import make_conninfo

from farshore.client.names import NameLookupError, Resolver
from farshore.drill.product import OUTSIDE, LabInfo
from farshore.lab import control
from farshore.lab.postgres.probe import Probe

LAB_READY_S, LOOK_S, ASK_S = 30.0, 0.5, 2.0


class Farshore:
    """A running lab. Its writer's region has an in-region standby of its own, as Aurora's storage has six copies."""

    def __init__(self, info: LabInfo, process: psutil.Process, *, with_client: bool) -> None:
        self._info, self._process = info, process
        self.old = info.home_region
        self._frozen: dict[int, psutil.Process] = {}
        self._looked = 0.0
        self._probes: dict[tuple[str, str], Probe] = {}
        self.by_client: dict[str, Any] | None = {"writer_name": info.writer_name} if with_client else None
        self.candidates = tuple(
            Candidate(
                region,
                info.endpoints[region]["writer"],
                info.port,
                info.database["dbname"],
                info.database["app_user"],
                info.database["app_password"],
                nameserver=info.dns[OUTSIDE],
                sslmode="verify-full",
                sslrootcert=info.sslrootcert,
            )
            for region in info.regions
        )

    def start(self) -> None:
        w.await_it("farshore's standby follows", self.rejoined, LAB_READY_S)

    def create_table(self) -> None:
        user = self._info.database["app_user"]
        with self._admin(self.old) as admin:
            for sql in MAKE_TABLE:
                admin.execute(sql)
            admin.execute(f"grant usage on schema bench to {user}")
            admin.execute(f"grant select, insert on {TABLE} to {user}")
        self._info.run("guard", "install", "--table", TABLE, "--json")

    def lose_node(self) -> None:
        """kill -9 of the writer's server: the in-region standby takes over. Nothing of farshore's is killed."""
        w.kill([self._postmaster()])

    def lose_region(self) -> None:
        self._fault(fault="region-loss", region=self.old)

    def freeze(self) -> None:
        """SIGSTOP of every monitor and controller of the home region; its PostgreSQL runs on."""
        self.keep_frozen()
        if not self._frozen:
            raise w.NotReadyError("no function of the home region runs")

    def keep_frozen(self) -> None:
        """The schedule starts new ones each minute: they are frozen too. Looking is dear: not at each call."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        for process in self._functions():
            if process.pid not in self._frozen:
                w.send([process], signal.SIGSTOP)
                self._frozen[process.pid] = process

    def thaw(self) -> None:
        w.send(list(self._frozen.values()), signal.SIGCONT)
        self._frozen.clear()

    def cut_off(self) -> None:
        for place in (self._info.standby_region, w.THIRD):
            self._fault(fault="cut", places=[self.old, place])

    def join(self) -> None:
        for place in (self._info.standby_region, w.THIRD):
            self._fault(fault="join", places=[self.old, place])

    def switchover(self) -> None:
        answer = self._info.ask("switchover", "--json", timeout_s=120.0)
        if answer.exit_code != 0:
            raise answer.error()

    def promoted(self) -> bool:
        return self._says(self._info.standby_region, "select not pg_is_in_recovery()")

    def come_back(self) -> None:
        if self.old in self._order(order="status")["lost"]:
            self._fault(fault="heal", region=self.old)

    def rejoined(self) -> bool:
        """One region confirms writes, and the other's writer endpoint is a standby that streams."""
        holders = self.writers()
        others = [region for region in self._info.regions if region not in holders]
        follows = "select exists (select from pg_stat_wal_receiver where status = 'streaming')"
        return len(holders) == 1 and self._says(others[0], follows)

    def writers(self) -> list[str]:
        return [
            region
            for region in self._info.regions
            if self._says(region, "select farshore.confirm() is not null")
        ]

    def rows(self, place: str) -> set[int]:
        with self._admin(place) as admin:
            return {int(row[0]) for row in admin.execute(READ).fetchall()}

    def close(self) -> None:
        self.thaw()
        for probe in self._probes.values():
            probe.forget()

    def _fault(self, **fault: Any) -> None:
        self._order(order="fault", **fault)

    def _order(self, **order: Any) -> Any:
        """Through the lab's control socket: a command's start would blur the instant."""
        return control.ask(Path(f"/tmp/farshore-{os.getuid()}") / self._info.name, order, timeout_s=120.0)  # noqa: S108

    def _functions(self) -> list[psutil.Process]:
        found = []
        for process in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                watches = "lambdas.monitor" in command or "lambdas.controller" in command
                if watches and process.environ().get("AWS_REGION") == self.old:
                    found.append(process)
        return found

    def _postmaster(self) -> psutil.Process:
        with self._admin(self.old) as admin:
            row = admin.execute("select pg_backend_pid()").fetchone()
            parent = psutil.Process(row[0]).parent() if row else None
        if parent is None or "postgres" not in parent.name():
            raise w.NotReadyError("the writer's server was not found")
        return parent

    def _says(self, region: str, sql: str) -> bool:
        try:
            address = self._address(region)
        except NameLookupError:
            return False
        probe = self._probes.setdefault((region, address), Probe(self._conninfo(region, address)))
        rows = probe.ask(sql, ASK_S)
        return bool(rows and rows[0][0] == "t")

    def _admin(self, region: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            self._conninfo(region, self._address(region)), connect_timeout=3, autocommit=True
        )

    def _address(self, region: str) -> str:
        """From within the region, so that links which are cut to others do not matter."""
        resolver = Resolver((self._info.dns[region],))
        return resolver.find(self._info.endpoints[region]["writer"], ASK_S).address

    def _conninfo(self, region: str, address: str) -> str:
        database = self._info.database
        return make_conninfo(
            host=self._info.endpoints[region]["writer"],
            hostaddr=address,
            port=self._info.port,
            dbname=database["dbname"],
            user=database["admin_user"],
            password=database["admin_password"],
            sslmode="verify-full",
            sslrootcert=self._info.sslrootcert,
            gssencmode="disable",
        )


def lab_process(name: str) -> psutil.Process:
    """The lab that this process has just started."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if name in child.cmdline():
                return child
    raise w.NotReadyError(f"no lab named {name} runs as a child")


def lab_arguments(postgres: str, one_way_ms: float) -> tuple[str, list[str]]:
    """A name that no other lab has, and the options of the lab."""
    name = f"peers-{os.getpid() % 100000}-{int(time.monotonic()) % 100000}"
    options = ["--name", name, "--postgres", postgres, "--one-way-ms", str(one_way_ms), "--jitter-ms", "0"]
    return name, options
