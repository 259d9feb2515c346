"""One region's processes: what dies when the region is lost, and what may not start until it is back."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from farshore.core.errors import FarshoreError
from farshore.lab.processes import Child, Spawner, kill_trees

TOOL_TIMEOUT_S = 120.0


class ServerError(FarshoreError):
    """A PostgreSQL server or tool did not do what was asked; the message holds the end of its log."""


class RegionLostError(ServerError):
    """The region is lost: nothing in it can be started or asked."""


class Site:
    """A region as a place for processes. Losing it needs no lock that slow work may hold."""

    def __init__(self, region: str, spawn: Spawner) -> None:
        self.region = region
        self.lost = False
        self._spawn = spawn
        self._servers: list[Child] = []
        self._tools: list[Child] = []
        self._lock = threading.Lock()

    def start_server(self, argv: Sequence[str], log: Path) -> Child:
        with self._lock:
            child = self._start(argv, log, {})
            self._servers = [old for old in self._servers if old.alive()] + [child]
            return child

    def run(self, argv: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        """Run a tool to its end as the server user; raises ServerError with the end of its log."""
        with self._lock:
            child = self._start(argv, log, env or {})
            self._tools = [old for old in self._tools if old.alive()] + [child]
        code = child.wait(TOOL_TIMEOUT_S)
        if self.lost:
            raise RegionLostError(f"{self.region} was lost while {Path(argv[0]).name} ran.")
        if code != 0:
            child.kill()
            outcome = f"exit code {code}" if code is not None else f"no end after {TOOL_TIMEOUT_S:g} s"
            raise ServerError(f"{Path(argv[0]).name} failed ({outcome}): {tail(log)}")

    def lose(self) -> int:
        """SIGKILL everything here at one instant; returns how many servers died."""
        with self._lock:
            self.lost = True
            servers = sum(child.alive() for child in self._servers)
            kill_trees([*self._servers, *self._tools])
            self._servers, self._tools = [], []
            return servers

    def stop_tools(self) -> None:
        """End running tools, so that something more urgent need not wait for them."""
        with self._lock:
            kill_trees(self._tools)

    def back(self) -> None:
        self.lost = False

    def _start(self, argv: Sequence[str], log: Path, env: dict[str, str]) -> Child:
        if self.lost:
            raise RegionLostError(f"{self.region} is lost.")
        plain = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **env}
        return self._spawn(argv, env=plain, cwd=Path("/"), log=log, as_server_user=True)


def tail(log: Path, characters: int = 800) -> str:
    try:
        return log.read_text(errors="replace")[-characters:].strip()
    except OSError:
        return "(no log)"
