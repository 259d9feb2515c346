"""How other processes talk to a running lab: one JSON line in, one out, over a socket in its directory."""

import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from farshore.core.errors import FarshoreError, RefusedError

SOCKET = "control.sock"
Order = dict[str, Any]


class LabAnswerError(FarshoreError):
    """The lab refused or failed an order; its own words."""


def serve(directory: Path, obey: Callable[[Order], Order]) -> socketserver.ThreadingUnixStreamServer:
    """Serve orders in daemon threads until `shutdown()`."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(json.dumps(_answer(line)).encode() + b"\n")

    def _answer(line: bytes) -> Order:
        try:
            return obey(json.loads(line))
        except FarshoreError as error:
            return {"error": str(error), "exit_code": error.exit_code}
        except Exception as error:  # noqa: BLE001 - whatever broke, the asker must hear of it
            return {"error": f"the lab failed: {error!r}", "exit_code": 1}

    server = socketserver.ThreadingUnixStreamServer(str(directory / SOCKET), Handler)
    (directory / SOCKET).chmod(0o600)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()
    return server


def ask(directory: Path, order: Order, timeout_s: float = 60.0) -> Order:
    """Send one order. LabAnswerError carries the lab's refusal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(str(directory / SOCKET))
            line.sendall(json.dumps(order).encode() + b"\n")
            answer = line.makefile().readline()
        except OSError as error:
            raise RefusedError(
                f"the lab in {directory} does not answer: {error}.", "`farshore lab status`"
            ) from error
    if not answer:
        raise RefusedError(f"the lab in {directory} ended while it was asked.", "`farshore lab status`")
    reply: Order = json.loads(answer)
    if "error" in reply:
        failure = LabAnswerError(reply["error"])
        failure.exit_code = reply["exit_code"]
        raise failure
    return reply


def become_resident(directory: Path, region: str) -> Order:
    """Register this process as living in a region: it dies with it."""
    return ask(directory, {"order": "resident", "region": region, "pid": os.getpid()})
