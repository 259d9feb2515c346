"""One PostgreSQL server: its data directory, its process, and what can be asked of it."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from farshore.lab.ports import Address
from farshore.lab.postgres import volume
from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.probe import Probe, Row
from farshore.lab.postgres.settings import ACCESS, Fixed, Live, Upstream, conninfo, live_file, main_file
from farshore.lab.postgres.site import RegionLostError, ServerError, Site, tail
from farshore.lab.postgres.volume import SUPERUSER
from farshore.lab.processes import Child  # noqa: TC001  # one style of import for all of the lab

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PROMOTE_TIMEOUT_S = 30.0
ASK_TIMEOUT_S = 2.0
TICK_S = 0.004
STATUS_LINE = 7  # of postmaster.pid; pg_ctl waits for the same word


class Server:
    """`identifier` is the DB instance's; `data` its volume. Not thread-safe: its cluster's lock guards it."""

    def __init__(self, identifier: str, site: Site, binaries: Binaries, folder: Path, fixed: Fixed) -> None:
        self.identifier = identifier
        self.site = site
        self.fixed = fixed
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.live = Live()
        self.process: Child | None = None
        self.ready = threading.Event()  # set once the volume is whole and others may stream from it
        self._binaries = binaries
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        volume.own(folder, 0o755)
        fixed.socket_dir.mkdir(parents=True, exist_ok=True)
        volume.own(fixed.socket_dir)
        self.log.touch()
        self._probe = Probe(
            f"host={fixed.socket_dir} port={fixed.address.port} user={SUPERUSER} dbname=postgres"
        )

    @property
    def address(self) -> Address:
        return self.fixed.address

    @property
    def application_name(self) -> str:
        return self.fixed.application_name

    def alive(self) -> bool:
        return self.process is not None and self.process.alive()

    # Volume

    def fill_from(self, stopped: Path) -> None:
        """Copy the data directory of a stopped server (or the template)."""
        volume.copy(stopped, self.data)

    def fetch(self, upstream: Upstream, to: Path | None = None) -> Path:
        """A base backup taken over TLS, beside the present volume, which stays in use until `adopt`."""
        fresh = to or self.data.with_name("data.new")
        volume.remove(fresh)
        fresh.mkdir()
        volume.own(fresh)
        self.site.run(
            [
                self._binaries.program("pg_basebackup"),
                *("-D", str(fresh), "-X", "stream", "--checkpoint=fast", "--no-sync"),
                *("-d", conninfo(upstream, self.fixed)),
            ],
            self.log,
        )
        return fresh

    def adopt(self, fresh: Path) -> None:
        """Kill the server and put a fetched volume in place of its old one."""
        self.kill()
        volume.remove(self.data)
        fresh.rename(self.data)

    def configure(self, live: Live) -> None:
        """Write the whole configuration, before a start; a standby is one that has an upstream."""
        _write(self.data / "postgresql.conf", main_file(self.fixed, self._binaries))
        _write(self.data / "postgresql.auto.conf", "")
        _write(self.data / "pg_hba.conf", ACCESS)
        self._write_live(live)
        volume.make_primary(self.data)
        if live.upstream:
            volume.make_standby(self.data)

    def reconfigure(self, live: Live) -> None:
        """Change what a running server takes up without a restart."""
        if live != self.live:
            self._write_live(live)
            self.signal(signal.SIGHUP)

    def _write_live(self, live: Live) -> None:
        _write(self.data / "live.conf", live_file(live, self.fixed))
        self.live = live

    # Process

    def start(self) -> None:
        """Start and wait until it accepts connections (read-only ones, on a standby)."""
        if self.alive():
            return
        volume.release_memory(self.data)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for left in self.fixed.socket_dir.iterdir():
            left.unlink()
        self._probe.forget()
        # A thousand fsyncs before the first connection protect nothing here: the copy itself was not synced.
        live = self.live
        self._write_live(replace(live, fsync=False))
        self.process = self.site.start_server(
            [self._binaries.program("postgres"), "-D", str(self.data)], self.log
        )
        self._await(self._accepts, START_TIMEOUT_S, "accept connections")
        self.reconfigure(live)

    def stop(self) -> bool:
        """Shut down cleanly: connected standbys receive every byte first. False when it took too long."""
        self.signal(signal.SIGINT)
        return self.process is None or self.process.wait(STOP_TIMEOUT_S) is not None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            volume.release_memory(self.data)

    def freeze(self) -> None:
        """SIGSTOP to the whole server, as a stalled machine would look."""
        if self.process is not None:
            self.process.signal_tree(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None:
            self.process.signal_tree(signal.SIGCONT)

    def signal(self, signum: int) -> None:
        if self.process is not None and self.process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)

    def promote(self) -> None:
        """Make a standby a writer; returns when it accepts writes. The checkpoint follows by itself."""
        if self.live.sync_standby:
            # It would hold back the first commit.
            self.reconfigure(replace(self.live, sync_standby=None))
        if self.ask("select pg_promote(false)") is None:
            raise ServerError(f"{self.identifier} did not take the request to promote: {tail(self.log)}")
        self._await(lambda: self.in_recovery() is False, PROMOTE_TIMEOUT_S, "end recovery")
        self.reconfigure(Live(writer_region=self.fixed.region))

    # Questions

    def ask(self, sql: str, timeout_s: float = ASK_TIMEOUT_S) -> list[Row] | None:
        """None when it did not answer in time: dead, frozen or broken."""
        return self._probe.ask(sql, timeout_s) if self.alive() else None

    def value(self, sql: str, timeout_s: float = ASK_TIMEOUT_S) -> str | None:
        rows = self.ask(sql, timeout_s)
        return rows[0][0] if rows else None

    def in_recovery(self) -> bool | None:
        answer = self.value("select pg_is_in_recovery()")
        return None if answer is None else answer == "t"

    def received_lsn(self) -> int | None:
        """A standby's position: the last byte flushed to its own disk, or replayed if that is further."""
        answer = self.value(
            "select greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), '0/0'))"
        )
        return None if answer is None else volume.lsn(answer)

    def streams_to(self, application_name: str) -> bool | None:
        """Whether the named standby streams from here; None when this server is silent."""
        rows = self.ask("select application_name, state from pg_stat_replication", 0.6)
        return None if rows is None else (application_name, "streaming") in rows

    def connect(self, dbname: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """As the lab's superuser, by the socket: for the lab itself, never for the product."""
        return psycopg.connect(
            host=str(self.fixed.socket_dir),
            port=self.address.port,
            user=SUPERUSER,
            dbname=dbname,
            autocommit=True,
            connect_timeout=5,
        )

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[STATUS_LINE].strip() == "ready"
        return False

    def _await(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self.site.lost:
                raise RegionLostError(f"{self.site.region} was lost before {self.identifier} could {what}.")
            if not self.alive() or time.monotonic() > deadline:
                raise ServerError(f"{self.identifier} did not {what}: {tail(self.log)}")
            time.sleep(TICK_S)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    volume.own(beside, 0o600)
    beside.rename(path)
