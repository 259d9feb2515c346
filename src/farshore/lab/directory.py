"""Where a lab lives on disk, and which labs are alive: a lock held by the lab's process tells."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from farshore.core.errors import FarshoreError, RefusedError, UsageError
from farshore.lab.postgres.volume import release_all_memory

LOCK = "lock"


def home() -> Path:
    """This user's labs; world-readable because servers may run as another user, writable by us alone."""
    path = Path(f"/tmp/farshore-{os.getuid()}")  # noqa: S108 - ownership is checked
    path.mkdir(mode=0o755, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise UsageError(f"{path} belongs to somebody else; remove it.")
    return path


def valid_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
        raise UsageError(
            f"--name {name!r}: use a lower case letter, then up to 19 lower case letters, digits or hyphens."
        )
    return name


class LabDirectory:
    """A directory held by one lab process; the kernel frees the lock however it dies."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def take(cls, name: str) -> "LabDirectory":
        """Remove what dead labs left, then take the name. RefusedError: a living lab has it."""
        sweep()
        path = home() / valid_name(name)
        while True:
            path.mkdir(mode=0o755, exist_ok=True)
            lock = (path / LOCK).open("a")
            if _locked(lock):
                if _still_there(lock):
                    return cls(path, lock)
                lock.close()
                continue
            lock.close()
            raise RefusedError(
                f"a lab named {name} is running.", f"use another name, or `farshore lab down --lab {name}`."
            )

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def alive() -> Iterator[Path]:
    """Directories of the labs that run now."""
    for path in sorted(home().iterdir()):
        if path.is_dir() and _is_held(path):
            yield path


def sweep() -> None:
    """Remove the directories of labs that died without cleaning up."""
    for path in home().iterdir():
        if path.is_dir() and (path / LOCK).exists() and not _is_held(path):
            release_all_memory(path)
            shutil.rmtree(path, ignore_errors=True)


def find(name: str | None) -> Path:
    """The directory of a running lab; without a name the only one there is."""
    running = list(alive())
    if name is not None:
        for path in running:
            if path.name == name:
                return path
        raise RefusedError(f"no lab named {name} is running.", "`farshore lab up` starts one.")
    if len(running) != 1:
        names = ", ".join(path.name for path in running) or "none"
        raise RefusedError(
            f"which lab? Running: {names}.", "name one with --lab, or start one with `farshore lab up`."
        )
    return running[0]


def await_end(path: Path, timeout_s: float = 30.0) -> None:
    """Return once a lab that was told to stop has gone. FarshoreError: it still runs."""
    give_up = time.monotonic() + timeout_s
    while path.exists() and _is_held(path):
        if time.monotonic() > give_up:
            raise FarshoreError(
                f"the lab in {path} still runs after {timeout_s:.0f} s; end its process by pid."
            )
        time.sleep(0.05)


def _is_held(path: Path) -> bool:
    try:
        with (path / LOCK).open("a") as lock:
            return not _locked(lock)
    except OSError:
        return False


def _still_there(lock: IO[str]) -> bool:
    """False when somebody swept the directory between our opening the lock and our holding it."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
    except FileNotFoundError:
        return False


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
