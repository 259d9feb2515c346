"""What a mutant is, and how one is tried: a copy of the package with one piece of text replaced, under the tests.

The product carries no switch for this. The copy comes first on PYTHONPATH of the pytest that must go red.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands once in `path`; `caught_by` are pytest's arguments, of which a word after -k may be `a|b`."""

    promise: str
    what: str
    path: str
    old: str
    new: str
    caught_by: str

    @property
    def name(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.what.lower()).strip("-")

    def occurs(self) -> int:
        return (ROOT / self.path).read_text().count(self.old)

    def files(self) -> list[str]:
        """What catches it, and other tests of the same files."""
        return [argument.partition("::")[0] for argument in self.caught_by.partition(" -k ")[0].split()]

    def arguments(self) -> list[str]:
        files, _, words = self.caught_by.partition(" -k ")
        return [*files.split(), *(["-k", words.replace("|", " or ")] if words else [])]


def unbroken_copy(directory: Path) -> Path:
    """The package as it is."""
    shutil.copytree(ROOT / "src", directory / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return directory / "src"


def broken_copy(mutant: Mutant, directory: Path) -> Path:
    """The package with the mutant in it."""
    source = unbroken_copy(directory)
    broken = directory / mutant.path
    broken.write_text(broken.read_text().replace(mutant.old, mutant.new))
    return source


def first_red(source: Path, arguments: list[str]) -> str:
    """The test that fails first with this source; the calling test fails with pytest's words if none does."""
    done = tried(source, arguments, timeout_s=600)
    red = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if red is None or done.returncode != 1:
        pytest.fail(words_of(done), pytrace=False)
    return red.group(1)


def all_green(source: Path, arguments: list[str]) -> None:
    """The calling test fails with pytest's words if a test does with this source, or if none was there to try."""
    done = tried(source, arguments, timeout_s=1800)
    if done.returncode != 0:
        pytest.fail(words_of(done), pytrace=False)


def words_of(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}"


def tried(source: Path, arguments: list[str], *, timeout_s: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-m", "not soak", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
