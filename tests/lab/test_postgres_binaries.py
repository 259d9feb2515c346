import os
import shutil
import subprocess
from pathlib import Path

import pytest

from farshore.core.errors import UsageError
from farshore.lab.postgres import binaries
from farshore.lab.processes import server_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands servers to another user")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache directory that others can reach, unlike pytest's own."""
    cache = Path("/tmp", f"farshore-test-cache-{os.getpid()}")
    cache.mkdir(mode=0o755)
    monkeypatch.setattr(binaries, "cache_dir", lambda: cache)
    yield cache
    shutil.rmtree(cache)


def fake(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    for name in binaries.NEEDED:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
    return folder


def test_the_embedded_one_is_found_and_runs():
    found = binaries.find(None)
    assert (found.major, found.source) == (17, "embedded")
    done = subprocess.run(
        [found.program("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    assert found.version in done.stdout


@pytest.mark.parametrize("wanted", ["14", "9", "99", "/nowhere", ""])
def test_what_cannot_be_used_is_refused_in_one_line(wanted):
    with pytest.raises(UsageError) as error:
        binaries.find(wanted)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_a_path_may_name_the_prefix_the_bin_directory_or_the_program(own_cache, tmp_path):
    folder = fake(own_cache / "pg" / "bin", "postgres (PostgreSQL) 16.3")
    for path in (folder, folder.parent, folder / "postgres"):
        assert binaries.find(str(path)).version == "16.3"


def test_an_old_one_or_half_of_one_is_refused(tmp_path):
    old = fake(tmp_path / "old", "postgres (PostgreSQL) 14.11")
    with pytest.raises(UsageError, match=r"14\.11 is too old"):
        binaries.find(str(old))
    half = fake(tmp_path / "half", "postgres (PostgreSQL) 16.3")
    (half / "initdb").unlink()
    with pytest.raises(UsageError, match="no initdb"):
        binaries.find(str(half))


@as_root
def test_programs_below_a_private_directory_are_copied_once_for_the_server_user(own_cache):
    private = own_cache / "private"
    folder = fake(private / "pg" / "bin", "postgres (PostgreSQL) 16.3")
    private.chmod(0o700)
    found = binaries.find(str(folder))
    assert found.bin_dir.parent.parent == own_cache
    user = server_user()
    subprocess.run(
        [found.program("postgres")], user=user.uid, group=user.gid, extra_groups=[], check=True, cwd="/"
    )
    first = found.bin_dir.stat().st_ino
    assert binaries.find(str(folder)).bin_dir.stat().st_ino == first
    assert sorted(path.name for path in own_cache.iterdir()) == sorted(["private", found.bin_dir.parent.name])


@as_root
def test_a_cache_that_others_may_write_is_not_used(tmp_path, monkeypatch):
    loose = Path("/tmp", f"farshore-test-loose-{os.getpid()}")
    loose.mkdir()
    loose.chmod(0o777)
    monkeypatch.setattr(binaries, "ROOT_CACHES", (loose,))
    try:
        with pytest.raises(UsageError, match="cache directory"):
            binaries.cache_dir()
    finally:
        loose.rmdir()
