"""What the peers need on this machine: Debian packages for etcd and pg_auto_failover, a private venv for Patroni.

The packages are installed only by root, and only when they are missing; otherwise the command to run is named.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from farshore.core.errors import UsageError
from farshore.lab.postgres.binaries import Binaries, cache_dir
from farshore.lab.processes import server_user

PATRONI = "4.1.5"
NEEDS = {
    "patroni": {"etcd": "etcd-server"},
    "auto_failover": {
        "pg_autoctl": "pg-auto-failover-cli",
        "{lib}/pgautofailover.so": "postgresql-{major}-auto-failover",
    },
}
APT = ("apt-get", "install", "-y", "--no-install-recommends")
Tell = Callable[[str], None]


def missing(kind: str, binaries: Binaries) -> list[str]:
    """The Debian packages whose files are not here."""
    words = {"lib": str(binaries.bin_dir.parent / "lib"), "major": str(binaries.major)}
    needed = {name.format(**words): package.format(**words) for name, package in NEEDS[kind].items()}
    return [package for name, package in needed.items() if not (shutil.which(name) or Path(name).exists())]


def packages(kinds: Collection[str], binaries: Binaries, tell: Tell) -> None:
    """Install what is missing. UsageError: somebody with the right to must."""
    wanted = sorted({package for kind in kinds for package in missing(kind, binaries)})
    if not wanted:
        return
    command = [*APT, *wanted]
    if os.geteuid() != 0 or shutil.which(APT[0]) is None:
        raise UsageError(
            f"the peers need {', '.join(wanted)}; as root: {' '.join(command)}  (other systems: the same programs on "
            f"PATH), or leave them out with --only farshore."
        )
    tell(" ".join(command))
    done = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise UsageError(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")


def patroni(work: Path | None, tell: Tell) -> Path:
    """The directory of Patroni's programs, in a venv that is kept for the next time."""
    venv = (work or cache_dir()) / f"patroni-{PATRONI}"
    programs = venv / "bin"
    if not (programs / "installed").exists():
        python = _python()
        tell(f"installing Patroni {PATRONI} into {venv}")
        shutil.rmtree(venv, ignore_errors=True)
        _run([python, "-m", "venv", str(venv)])
        pip = [str(programs / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        _run([*pip, f"patroni[etcd3,psycopg3]=={PATRONI}"])
        (programs / "installed").touch()
    return programs


def _python() -> str:
    """A Python that the servers' user can run too: root's own is often in root's home."""
    user = server_user()
    switch = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    for python in (sys.executable, shutil.which("python3", path=os.defpath), "/usr/bin/python3"):
        if python is None:
            continue
        try:
            subprocess.run(
                [Path(python).resolve(), "-c", "import venv, ensurepip"],
                cwd="/",
                check=True,
                capture_output=True,
                timeout=20,
                **switch,  # type: ignore[call-overload]
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return str(Path(python).resolve())
    raise UsageError(
        "Patroni needs a Python with venv that the servers' user can run; apt-get install -y python3-venv"
    )


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise UsageError(f"{' '.join(argv)} failed: {done.stderr.strip()[-600:]}")
