"""One Lambda execution environment: a process, and the Runtime API it asks for work.

The API is https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; the life cycle (init, invoke, timeout) is
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html. AWS_LAMBDA_RUNTIME_API holds no path, so
each environment has a listener of its own, and what arrives there is its own.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from farshore.lab.cloud.wire import Answer, HttpRequest, HttpServer, Silence
from farshore.lab.ports import Address, Process, Spawn

INIT_MAX_S = 10.0
_API = "/2018-06-01/runtime"
_ALIVE_CHECK_S = 0.2
_ACCEPTED = Answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}', {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Function:
    """What an environment is made of; two equal ones may share an environment."""

    arn: str
    name: str
    region: str
    handler: str
    timeout_s: float
    bundle: Path
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """An invocation's result; `failed` means the function, not the service, went wrong."""

    payload: bytes
    failed: bool


@dataclass(slots=True)
class _Invocation:
    request_id: str
    payload: bytes
    deadline_unix_ms: int


class Environment:
    """Runs one invocation at a time; reusable while `usable`."""

    def __init__(self, function: Function, *, spawn: Spawn, runtime_host: str, log: Path) -> None:
        self.function = function
        self.idle_since = time.monotonic()
        self._changed = threading.Condition()
        self._ready = False
        self._dead = False
        self._next: _Invocation | None = None
        self._current: _Invocation | None = None
        self._outcome: Outcome | None = None
        self._api = HttpServer(
            Address(runtime_host, 0), self._respond, f"runtime-api-{function.name}", idle_s=None
        )
        self._process: Process = spawn(
            [sys.executable, "-m", "awslambdaric", function.handler],
            env={**dict(function.environment), "AWS_LAMBDA_RUNTIME_API": str(self._api.address)},
            cwd=function.bundle,
            log=log,
        )

    @property
    def usable(self) -> bool:
        return not self._dead and self._process.alive()

    def run(self, payload: bytes) -> Outcome:
        """Hand one event to the process and wait for what becomes of it; afterwards look at `usable`."""
        request_id = str(uuid.uuid4())
        timeout_s = self.function.timeout_s
        if not self._wait(lambda: self._ready, max(INIT_MAX_S, timeout_s)):
            # An init error was reported, the process died, or it never asked for work.
            reported = self._outcome or self._failure(request_id, "Init", max(INIT_MAX_S, timeout_s))
            self.kill()
            return reported
        with self._changed:
            deadline_unix_ms = int((time.time() + timeout_s) * 1000)
            self._outcome = None
            self._next = _Invocation(request_id, payload, deadline_unix_ms)
            self._changed.notify_all()
        if not self._wait(lambda: self._outcome is not None, timeout_s):
            return self._failure(request_id, "Task", timeout_s)
        with self._changed:
            outcome, self._outcome = self._outcome, None
        self.idle_since = time.monotonic()
        return outcome or self._failure(request_id, "Task", timeout_s)

    def kill(self) -> bool:
        """End the process now; returns whether it was alive."""
        was_alive = not self._dead and self._process.alive()
        with self._changed:
            first = not self._dead
            self._dead = True
            self._changed.notify_all()
        self._process.kill()
        if first:
            # The listener takes a moment to stop, and nobody needs to wait for that.
            threading.Thread(target=self._api.close, name="runtime-api-close", daemon=True).start()
        return was_alive

    def signal(self, signum: int) -> bool:
        """Send a signal to the process and all below it; returns whether it was alive."""
        alive = self.usable
        self._process.signal_tree(signum)
        return alive

    def _wait(self, met: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition; False when time is up or the process is gone without it."""
        give_up = time.monotonic() + timeout_s
        with self._changed:
            while not met():
                remaining = give_up - time.monotonic()
                if remaining <= 0 or self._dead or not self._process.alive():
                    return False
                self._changed.wait(min(remaining, _ALIVE_CHECK_S))
            return True

    def _failure(self, request_id: str, what: str, limit_s: float) -> Outcome:
        if self.usable:
            kind, why = "Sandbox.Timedout", f"{what} timed out after {limit_s:.2f} seconds"
        else:
            kind, why = "Runtime.ExitError", "Runtime exited without providing a reason"
        self.kill()
        body = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {why}"}
        return Outcome(json.dumps(body).encode(), failed=True)

    def _respond(self, request: HttpRequest) -> Answer:
        match request.method, request.path.removeprefix(_API).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                return self._hand_out()
            case "POST", ["invocation", request_id, "response"]:
                return self._finish(request_id, Outcome(request.body, failed=False))
            case "POST", ["invocation", request_id, "error"]:
                return self._finish(request_id, Outcome(request.body, failed=True))
            case "POST", ["init", "error"]:
                with self._changed:
                    self._outcome = Outcome(request.body, failed=True)
                    self._changed.notify_all()
                return _ACCEPTED
        return Answer(HTTPStatus.NOT_FOUND)

    def _hand_out(self) -> Answer:
        with self._changed:
            self._ready = True
            self._changed.notify_all()
            while self._next is None:
                if self._dead:
                    raise Silence(over=lambda: True)
                self._changed.wait()
            invocation, self._next = self._next, None
            self._current = invocation
        headers: Mapping[str, str] = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_unix_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function.arn,
        }
        return Answer(HTTPStatus.OK, invocation.payload, headers)

    def _finish(self, request_id: str, outcome: Outcome) -> Answer:
        with self._changed:
            if self._current is None or self._current.request_id != request_id:
                return Answer(HTTPStatus.BAD_REQUEST)
            self._current = None
            self._outcome = outcome
            self._changed.notify_all()
        return _ACCEPTED
