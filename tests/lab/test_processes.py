import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from farshore.core.errors import FarshoreError
from farshore.lab.processes import Spawner, server_user

ENV = {"PATH": os.environ.get("PATH", os.defpath)}
FAMILY = "setsid sleep 60 & setsid sleep 60 & wait"


@pytest.fixture
def spawner():
    with Spawner() as started:
        yield started


def wait_gone(pids, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.01)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(child, size):
    deadline = time.monotonic() + 5
    while len(found := psutil.Process(child.pid).children(recursive=True)) < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [child.pid, *(process.pid for process in found)]


def test_kill_takes_descendants_that_left_the_process_group(spawner, tmp_path):
    child = spawner(["sh", "-c", FAMILY], env=ENV, cwd=tmp_path, log=tmp_path / "log")
    pids = family(child, 2)
    child.kill()
    assert not any(alive(pid) for pid in pids)
    assert child.wait(1) == -signal.SIGKILL
    child.kill()  # once more does no harm


def test_signal_tree_freezes_and_thaws_all(spawner, tmp_path):
    child = spawner(["sh", "-c", FAMILY], env=ENV, cwd=tmp_path, log=tmp_path / "log")
    pids = family(child, 2)
    child.signal_tree(signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while {psutil.Process(pid).status() for pid in pids} != {psutil.STATUS_STOPPED}:
        assert time.monotonic() < deadline
    child.signal_tree(signal.SIGCONT)
    assert psutil.STATUS_STOPPED not in {psutil.Process(pid).status() for pid in pids}
    assert child.wait(0.01) is None
    child.kill()


def test_output_and_exit_code(spawner, tmp_path):
    child = spawner(
        ["sh", "-c", "echo out; echo err >&2; exit 7"], env=ENV, cwd=tmp_path, log=tmp_path / "log"
    )
    assert child.wait(5) == 7
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert not child.alive()


def test_a_missing_program_is_named(spawner, tmp_path):
    with pytest.raises(FarshoreError, match="no-such-program"):
        spawner(["no-such-program"], env=ENV, cwd=tmp_path, log=tmp_path / "log")


def test_servers_run_as_the_server_user(spawner, tmp_path):
    log = tmp_path / "log"
    child = spawner(["id", "-un"], env=ENV, cwd=Path("/"), log=log, as_server_user=True)
    assert child.wait(5) == 0
    user = server_user()
    assert log.read_text().strip() == (user.name if user else psutil.Process().username())
    if os.geteuid() == 0:
        assert user is not None
        assert user.uid != 0


LAB = """
import sys, time
from pathlib import Path
from farshore.lab.processes import Spawner
spawn, log, env = Spawner(), Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"}
for as_server in (False, True):
    child = spawn(["sleep", "60"], env=env, cwd=Path("/"), log=log, as_server_user=as_server)
    print(child.pid, flush=True)
time.sleep(60)
"""


def test_kill_9_of_the_lab_kills_its_children_at_once(tmp_path):
    lab = subprocess.Popen(
        [sys.executable, "-c", LAB, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    try:
        pids = [int(lab.stdout.readline()) for _ in range(2)]
        deadline = time.monotonic() + 5
        while {psutil.Process(pid).name() for pid in pids} != {"sleep"}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        lab.kill()
        lab.wait()
        lab.stdout.close()
    killed = time.monotonic()
    wait_gone(pids)
    if sys.platform.startswith("linux"):
        assert time.monotonic() - killed < 2
