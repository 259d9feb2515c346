"""Two regions and a third place on loopback for the peers, farshore's own relay between them."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from farshore.core.errors import FarshoreError
from farshore.lab.addresses import Addresses
from farshore.lab.links import LinkTable
from farshore.lab.ports import Address
from farshore.lab.processes import Child, Spawner, server_user
from farshore.lab.wan import Tunnels

HOME, STANDBY, THIRD = "us-east-1", "us-west-2", "us-east-2"
PLACES = (HOME, STANDBY)
GONE_S = 10.0


class NotReadyError(FarshoreError):
    """A system did not come up, or did not do what it was told, in time."""


@dataclass
class World:
    """What a system is built in. `root` is world-readable, because servers run as another user when we are root."""

    root: Path
    addresses: Addresses
    links: LinkTable
    tunnels: Tunnels
    spawn: Spawner

    def host(self, place: str) -> str:
        return self.addresses.restored(1) if place == THIRD else self.addresses.instance(place, 1)

    def port(self) -> int:
        """A port that nobody listens on anywhere."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def seen_from(self, view: str, place: str, port: int) -> Address:
        """Where to dial from `view` to reach a server in `place`."""
        return self.tunnels.open(view, place, Address(self.host(place), port))

    def own(self, name: str) -> Path:
        """A new directory that belongs to the servers' user."""
        path = self.root / name
        path.mkdir(mode=0o700)
        give(path)
        return path

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text, "utf-8")
        path.chmod(0o644)
        return path

    def run(self, argv: list[str], log: str, env: dict[str, str]) -> Child:
        return self.spawn(argv, env=env, cwd=self.root, log=self.root / log, as_server_user=True)

    def finish(self, argv: list[str], log: str, env: dict[str, str], within_s: float = 90.0) -> None:
        """Run to its end. NotReadyError: it failed, or took too long."""
        child = self.run(argv, log, env)
        code = child.wait(within_s)
        if code != 0:
            child.kill()
            raise NotReadyError(f"{' '.join(argv[:3])} ended with {code}:\n{tail(self.root / log)}")

    def cut_off(self) -> None:
        """Home's links to the other region and the third place hold every packet; clients still reach it."""
        for place in (STANDBY, THIRD):
            self.links.cut(HOME, place)

    def join(self) -> None:
        for place in (STANDBY, THIRD):
            self.links.join(HOME, place)


def tail(path: Path, lines: int = 12) -> str:
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:]) if path.exists() else ""


def give(path: Path) -> None:
    if user := server_user():
        os.chown(path, user.uid, user.gid)


@contextmanager
def world(root: Path, one_way_ms: float) -> Iterator[World]:
    """Ends every process that was started in it."""
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    with ExitStack() as closing:
        addresses = Addresses.claim(root)
        closing.callback(addresses.release)
        links = LinkTable(jitter_ms=0, one_way_ms=one_way_ms)
        spawn = closing.enter_context(Spawner())
        tunnels = closing.enter_context(Tunnels(spawn=spawn, root=root, addresses=addresses, links=links))
        yield World(root, addresses, links, tunnels, spawn)


def postmaster(data: Path) -> psutil.Process | None:
    """The server of a data directory, if it runs."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        process = psutil.Process(int(lines[0]))
        runs_here = any("postgres" in word for word in process.cmdline()) and process.cwd() == str(data)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if runs_here else None


def kill(roots: list[psutil.Process]) -> None:
    """SIGKILL whole trees at one instant."""
    send(roots, signal.SIGSTOP)
    doomed = [*roots, *(child for root in roots for child in _below(root))]
    send(doomed, signal.SIGKILL)
    give_up = time.monotonic() + GONE_S
    while any(_lives(each) for each in doomed) and time.monotonic() < give_up:
        time.sleep(0.005)


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: in a container nobody may reap an orphan."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def send(processes: list[psutil.Process], signum: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            process.send_signal(signum)


def agents(root: psutil.Process, server: psutil.Process | None) -> list[psutil.Process]:
    """An agent's processes without the PostgreSQL server among them."""
    spared = {server.pid, *(child.pid for child in _below(server))} if server else set()
    return [each for each in (root, *_below(root)) if each.pid not in spared]


def _below(root: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(root.children(recursive=True))
    return []


def await_it(what: str, met: Callable[[], bool], within_s: float, every_s: float = 0.05) -> float:
    """Seconds it took. NotReadyError when it never came."""
    begun = time.monotonic()
    while not met():
        if time.monotonic() - begun > within_s:
            raise NotReadyError(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - begun
