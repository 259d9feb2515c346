"""A drill's private directory, removed when it ends; those of killed drills are removed by the next one."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "farshore-drill-"
_LOCK = "lock"


@contextlib.contextmanager
def workdir() -> Iterator[Path]:
    """The directory; its lock says that its drill lives, whatever happens to the process."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_dead(left)
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    unnamed = path / f".{_LOCK}"
    lock = os.open(unnamed, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unnamed.rename(path / _LOCK)  # nobody sees it unlocked
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _remove_if_dead(path: Path) -> None:
    try:
        lock = os.open(path / _LOCK, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # it is being made, is gone already, or is not ours
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
