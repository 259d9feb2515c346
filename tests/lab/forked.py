"""Commands whose program is imported once: a process that holds it forks for each of them.

To import farshore takes longer than most verbs take. What runs here is what runs otherwise: the program's own
`__main__`, in a process of its own, with its own arguments, environment, directory and streams, which ends as it ends.
What is read as the program is imported (COLUMNS), or belongs to a terminal (its process group), needs a true start.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELD = ("farshore.cli.app", "pydantic.type_adapter", "typer._adapters")
_START_S = 30.0
_LONGEST_REQUEST = 1 << 20


def farshore(
    *arguments: str, env: Mapping[str, str], timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`python -m farshore ...`, with nothing on its standard input."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, contextlib.ExitStack() as closing:
        line.settimeout(timeout_s)
        line.connect(str(_holder()))
        told: dict[str, str] = {}
        ends, readers = [os.open(os.devnull, os.O_RDONLY)], []
        for name in ("stdout", "stderr"):
            reading, writing = os.pipe()
            ends.append(writing)
            readers.append(threading.Thread(target=_read, args=(reading, name, told), daemon=True))
        request = json.dumps({"arguments": arguments, "env": dict(env), "directory": str(Path.cwd())})
        socket.send_fds(line, [b"\n"], ends)
        line.sendall(request.encode() + b"\n")
        for end in ends:
            os.close(end)
        for reader in readers:
            reader.start()
        answers = closing.enter_context(line.makefile())
        pid = int(answers.readline())
        try:
            ended = answers.readline()
        except BaseException as error:
            os.kill(pid, signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(["farshore", *arguments], timeout_s) from error
            raise
        for reader in readers:
            reader.join()
        return subprocess.CompletedProcess(
            ["farshore", *arguments], int(ended), told["stdout"], told["stderr"]
        )


def _read(descriptor: int, name: str, told: dict[str, str]) -> None:
    with open(descriptor) as stream:
        told[name] = stream.read()


@functools.cache
def _holder() -> Path:
    """Where the process listens that holds the program; it ends with this one."""
    address = Path(tempfile.mkdtemp(prefix="farshore-test-")) / "forked"
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    assert ready, "the process that forks for each verb did not start"
    assert process.stdout.readline() == b"ready\n"
    atexit.register(process.communicate)  # the end of its standard input is the holder's
    return address


def _await_request(address: Path) -> dict[str, Any]:
    """Returns in the process of each command, and nowhere else."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(16)
    print("ready", flush=True)
    while True:
        heard, _, _ = select.select([listener, sys.stdin], [], [])
        _reap(os.WNOHANG)
        if sys.stdin in heard:
            _reap(0)
            address.unlink()
            address.parent.rmdir()
            sys.exit()
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _keep(line)
        line.close()


def _reap(how: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how) != (0, 0):
            pass


def _keep(line: socket.socket) -> dict[str, Any]:
    """Between the caller and the command: tells the one its pid and how it ended."""
    _, ends, _, _ = socket.recv_fds(line, 1, 3)
    with line.makefile() as told:
        request: dict[str, Any] = json.loads(told.readline(_LONGEST_REQUEST))
    pid = os.fork()
    if pid == 0:
        line.close()
        for number, end in enumerate(ends):
            os.dup2(end, number)
            os.close(end)
        return request
    for end in ends:
        os.close(end)
    with contextlib.suppress(OSError):
        line.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    for module in HELD:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    asked = _await_request(Path(sys.argv[1]))
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv[1:] = asked["arguments"]
    runpy.run_module("farshore", run_name="__main__", alter_sys=True)
