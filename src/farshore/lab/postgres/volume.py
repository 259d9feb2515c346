"""Data directories: an initialised template made once per PostgreSQL, and copies that the server user owns."""

import ctypes
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from farshore.lab.postgres.binaries import Binaries, cache_dir
from farshore.lab.postgres.site import ServerError
from farshore.lab.processes import server_user

SUPERUSER = "rdsadmin"
INITDB: tuple[str, ...] = (
    "-U",
    SUPERUSER,
    "-E",
    "UTF8",
    "--no-locale",
    "--auth",
    "reject",
    "--data-checksums",
    "--no-sync",
    "--wal-segsize=4",
)
IPC_RMID = 0
_CONTROL = struct.Struct("@QIIiqQ")  # system identifier, version, catalogue version, state, time, checkpoint
_CONTROL_VERSION = 1300  # PostgreSQL 13 to 17
_SHUT_DOWN = (1, 2)  # DB_SHUTDOWNED, DB_SHUTDOWNED_IN_RECOVERY
SIGNALS = ("standby.signal", "recovery.signal")


def own(path: Path, mode: int = 0o700) -> None:
    """Give a directory or file to the server user, who alone may enter it."""
    if user := server_user():
        os.chown(path, user.uid, user.gid)
    path.chmod(mode)


def _as_server_user(argv: list[str], cwd: Path = Path("/")) -> str:
    user = server_user()
    switch = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    done = subprocess.run(
        argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **switch
    )  # type: ignore[call-overload]
    if done.returncode != 0:
        raise ServerError(f"{' '.join(argv)} failed: {(done.stderr or done.stdout)[-800:].strip()}")
    return str(done.stdout)


def template(binaries: Binaries) -> Path:
    """An initialised, cleanly stopped data directory; every cluster of every lab begins as its copy."""
    user = server_user()
    key = sha256(repr((str(binaries.bin_dir), binaries.version, INITDB, user)).encode()).hexdigest()[:12]
    target = cache_dir() / f"template-{binaries.version}-{key}"
    if not target.exists():
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            own(beside)
            _as_server_user([binaries.program("initdb"), "-D", str(beside / "data"), *INITDB])
            beside.chmod(0o755)
            try:
                (beside / "data").rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return target


def copy(source: Path, target: Path) -> None:
    """Copy a data directory whose server is stopped; the target appears whole or not at all."""
    beside = target.with_name(f".{target.name}.copying")
    remove(beside)
    subprocess.run(["cp", "-a", str(source), str(beside)], check=True, capture_output=True)
    (beside / "postmaster.pid").unlink(missing_ok=True)
    remove(target)
    beside.rename(target)


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def release_memory(data: Path) -> None:
    """Remove the System V segment a killed server left: they outlive processes, and a machine has only 4096.

    The segment is the one that this volume's postmaster created, so nobody else's can be hit.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, (key, identifier) = lines[0], lines[6].split()
        table = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    except (OSError, IndexError, ValueError):
        return
    for row in table:
        columns = row.split()
        if (columns[0], columns[1], columns[4], columns[6]) == (key, identifier, pid, "0"):
            ctypes.CDLL(None).shmctl(int(identifier), IPC_RMID, None)


def release_all_memory(root: Path) -> None:
    """The same for every volume below a directory: for what a killed lab left behind."""
    for found in root.glob("pg/*/data/postmaster.pid"):
        release_memory(found.parent)


def make_standby(data: Path) -> None:
    signal = data / "standby.signal"
    signal.touch()
    own(signal, 0o600)


def make_primary(data: Path) -> None:
    for name in SIGNALS:
        (data / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Control:
    """What a stopped server's control file says: whether it was shut down in order, and its last checkpoint's place."""

    stopped_cleanly: bool
    checkpoint_lsn: int


def control(binaries: Binaries, data: Path) -> Control:
    """From the file itself where its layout is known (src/include/catalog/pg_control.h), else by pg_controldata."""
    head = (data / "global" / "pg_control").read_bytes()[: _CONTROL.size]
    _, version, _, state, _, checkpoint = _CONTROL.unpack(head)
    if version == _CONTROL_VERSION:
        return Control(state in _SHUT_DOWN, checkpoint)
    text = _as_server_user([binaries.program("pg_controldata"), "-D", str(data)])
    clean = re.search(r"^Database cluster state:\s+shut down( in recovery)?$", text, re.MULTILINE)
    found = re.search(r"^Latest checkpoint location:\s+(\S+)$", text, re.MULTILINE)
    if found is None:
        raise ServerError(f"pg_controldata told no checkpoint of {data}.")
    return Control(clean is not None, lsn(found.group(1)))


def lsn(text: str) -> int:
    """`16/B374D848` as a number of bytes."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)
