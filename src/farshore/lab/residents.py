"""Processes of others that live in a region (a drill's clients): they die with it."""

import contextlib
import os
import signal
import threading

import psutil


class Residents:
    """Knows each by pid and start time, so that a reused pid is never killed."""

    def __init__(self) -> None:
        self._known: dict[str, list[psutil.Process]] = {}
        self._lock = threading.Lock()

    def add(self, region: str, pid: int) -> None:
        with self._lock:
            self._known.setdefault(region, []).append(psutil.Process(pid))

    def kill(self, region: str) -> int:
        """SIGKILL all that still run; returns how many."""
        with self._lock:
            doomed = self._known.pop(region, [])
        killed = 0
        for process in doomed:
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                if process.is_running():
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
        return killed

    def kill_all(self) -> None:
        for region in list(self._known):
            self.kill(region)
