"""Children that die with the lab, however it dies.

The kernel's parent-death signal follows the parent *thread*, so every child is started by one thread that lives
as long as the spawner. PostgreSQL's backends call setsid, so a tree is found by parentage, never by process group.
"""

import contextlib
import os
import pwd
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import psutil

from farshore.core.errors import FarshoreError

LEASH = Path(__file__).with_name("leash.py")
GONE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged account that PostgreSQL runs under when the lab runs as root."""

    name: str
    uid: int
    gid: int


@cache
def server_user() -> ServerUser | None:
    """`postgres` or else `nobody` when we are root; None when servers run as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise FarshoreError("PostgreSQL refuses to run as root, and neither user postgres nor nobody exists.")


def _parents() -> dict[int, int]:
    """Every process's parent. Reading /proc by hand takes 3 ms where psutil takes 30."""
    if not sys.platform.startswith("linux"):
        return {process.pid: process.info["ppid"] for process in psutil.process_iter(["ppid"])}
    parents = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  # names are all we need
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_bytes()
                parents[int(entry)] = int(stat[stat.rindex(b")") + 4 :].split(b" ", 1)[0])
    return parents


def _descendants(roots: Iterable[int]) -> list[int]:
    """The roots and all below them, roots first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found = list(roots)
    for pid in found:
        found.extend(child for child in children.get(pid, ()) if child not in found)
    return found


def _send(pids: Iterable[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _gone(pid: int) -> bool:
    """A zombie is gone too: nobody may be there to reap an orphan in a container."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_gone(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    for pid in pids:
        if sys.platform.startswith("linux"):
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
                finally:
                    os.close(handle)
        while not _gone(pid) and time.monotonic() < deadline:
            time.sleep(0.002)
        if not _gone(pid):
            raise FarshoreError(f"Process {pid} survived SIGKILL for {GONE_TIMEOUT_S:g} s.")


class Child:
    """A started child; implements `ports.Process`."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen
        self.pid = popen.pid

    def alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        kill_trees([self])

    def signal_tree(self, signum: int) -> None:
        if self.alive():
            _send(_descendants([self.pid]), signum)

    def wait(self, timeout_s: float) -> int | None:
        """At once where the kernel tells the end (Linux); Popen's own wait looks every 50 ms."""
        if self._popen.poll() is None and hasattr(os, "pidfd_open"):
            self._await_end(timeout_s)
            timeout_s = 0.0
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def _await_end(self, timeout_s: float) -> None:
        try:
            ended = os.pidfd_open(self.pid)
        except ProcessLookupError:  # another thread has reaped it since
            return
        try:
            poller = select.poll()
            poller.register(ended, select.POLLIN)
            poller.poll(timeout_s * 1000)
        finally:
            os.close(ended)


def kill_trees(children: Iterable[Child]) -> int:
    """SIGKILL several trees at one instant; returns how many roots were alive, once all are gone."""
    roots = [child for child in children if child.alive()]
    if not roots:
        return 0
    _send((child.pid for child in roots), signal.SIGSTOP)  # a stopped parent forks nothing we would miss
    doomed = _descendants(child.pid for child in roots)
    _send(doomed, signal.SIGKILL)
    for child in roots:
        child.wait(GONE_TIMEOUT_S)
    _wait_gone(doomed)
    return len(roots)


class Spawner:
    """Starts every child of one lab; implements `ports.Spawn`."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._requests: queue.SimpleQueue[tuple[Callable[[], Child], Future[Child]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        as_server_user: bool = False,
    ) -> Child:
        """Start a command; its output is appended to `log`. With `as_server_user`, under `server_user()`."""
        user = server_user() if as_server_user else None
        uid, gid = (user.uid, user.gid) if user else (-1, -1)
        command = shutil.which(argv[0], path=env.get("PATH", os.defpath))
        if command is None:
            raise FarshoreError(f"No program {argv[0]} to start.")
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(uid), str(gid)]

        def start() -> Child:
            with log.open("ab") as output:
                return Child(
                    subprocess.Popen(
                        [*leash, command, *argv[1:]],
                        env=dict(env),
                        cwd=cwd,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )

        reply: Future[Child] = Future()
        self._requests.put((start, reply))
        return reply.result()

    def close(self) -> None:
        """Kill every child and its descendants, and wait until they are gone."""
        self._requests.put(None)
        self._thread.join()
        with self._lock:
            kill_trees(self._children)
            self._children.clear()

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            start, reply = request
            try:
                child = start()
            except OSError as error:
                reply.set_exception(error)
                continue
            with self._lock:
                self._children = [old for old in self._children if old.alive()]
                self._children.append(child)
            reply.set_result(child)
