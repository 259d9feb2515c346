"""The product and its lab as a drill may use them: commands, names and SQL, like any operator or application."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg

from farshore.client.names import Resolver

COMMAND = (sys.executable, "-m", "farshore")
OUTSIDE = "outside"
Tell = Callable[[str], None]
_PR_SET_PDEATHSIG = 1
_CLOSE_S = 30.0
_LOOKUP_S = 3.0


class CommandError(Exception):
    """A command of the product failed: its own last words, and its exit code."""

    def __init__(self, arguments: Sequence[str], exit_code: int, words: str) -> None:
        line = last_line(words)
        super().__init__(f"farshore {' '.join(arguments)} ended with {exit_code}: {line}")
        self.exit_code = exit_code
        self.line = line


def last_line(words: str) -> str:
    return words.strip().rpartition("\n")[2] or "it said nothing"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended; `exit_code` is None when it did not end in time. `asked_at`: CLOCK_MONOTONIC ns."""

    arguments: tuple[str, ...]
    asked_at: int
    exit_code: int | None
    output: str
    words: str

    @property
    def reason(self) -> str:
        """Its last words, as a person reads them."""
        return last_line(self.words).removeprefix("farshore: ")

    def error(self) -> CommandError:
        return CommandError(self.arguments, -1 if self.exit_code is None else self.exit_code, self.words)


@dataclass(frozen=True, slots=True)
class LabInfo:
    """What a running lab says of itself; `env` holds each view's variables for the product's commands."""

    name: str
    profile: str
    cadence: int
    postgres_version: str
    home_region: str
    standby_region: str
    writer_name: str
    port: int
    ttl_s: int
    sslrootcert: str
    dns: Mapping[str, str]
    endpoints: Mapping[str, Mapping[str, str]]
    database: Mapping[str, str]
    env: Mapping[str, Mapping[str, str]]
    link_one_way_ms: float

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{name: document[name] for name in cls.__slots__})

    @property
    def regions(self) -> tuple[str, str]:
        return (self.home_region, self.standby_region)

    def run(self, *arguments: str, view: str = OUTSIDE, timeout_s: float = 60.0) -> Any:
        """A command's JSON answer; CommandError when it fails or does not end in time."""
        answer = self.ask(*arguments, view=view, timeout_s=timeout_s)
        if answer.exit_code != 0:
            raise answer.error()
        return json.loads(answer.output)

    def ask(self, *arguments: str, view: str = OUTSIDE, timeout_s: float = 60.0) -> Answer:
        """A command and how it ended, whatever that was."""
        asked_at = time.monotonic_ns()
        try:
            done = subprocess.run(
                [*COMMAND, *arguments],
                env={**os.environ, **self.env[view]},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            said = error.stdout or b""
            output = said if isinstance(said, str) else said.decode(errors="replace")
            return Answer(arguments, asked_at, None, output, f"no answer within {timeout_s:g} s")
        return Answer(arguments, asked_at, done.returncode, done.stdout, done.stderr)

    def connect(self, region: str, *, admin: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
        """SQL at a region's writer endpoint, from outside."""
        return self.connect_to(self.endpoints[region]["writer"], admin=admin)

    def connect_to(self, host: str, *, admin: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
        """SQL at an endpoint, from outside."""
        role = "admin" if admin else "app"
        return psycopg.connect(
            host=host,
            hostaddr=Resolver((self.dns[OUTSIDE],)).find(host, _LOOKUP_S).address,
            port=self.port,
            dbname=self.database["dbname"],
            user=self.database[f"{role}_user"],
            password=self.database[f"{role}_password"],
            sslmode="verify-full",
            sslrootcert=self.sslrootcert,
            connect_timeout=5,
            application_name="farshore-drill",
        )


@contextlib.contextmanager
def lab(options: Sequence[str], tell: Tell) -> Iterator[LabInfo]:
    """A lab that runs while the context does, and dies with this process however it ends."""
    arguments = ("lab", "run", "--json", "--until-eof", *options)
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the drill's to handle, and the lab goes last
    )
    words: list[str] = []
    listener = threading.Thread(target=lambda: words.extend(process.stderr or ()), daemon=True)
    listener.start()
    try:
        yield _await_ready(process, tell, arguments, words, listener)
    finally:
        _end(process)


def _await_ready(
    process: "subprocess.Popen[str]",
    tell: Tell,
    arguments: Sequence[str],
    words: list[str],
    listener: threading.Thread,
) -> LabInfo:
    for line in process.stdout or ():
        event = json.loads(line)
        if event["event"] == "ready":
            threading.Thread(target=lambda: list(process.stdout or ()), daemon=True).start()
            return LabInfo.parse(event["lab"])
        tell(event["text"])
    exit_code = process.wait()
    listener.join()
    raise CommandError(arguments, exit_code, "".join(words))


def _end(process: "subprocess.Popen[str]") -> None:
    """Close its input, which ends it in good order; then ask, then force."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    for harder in (process.terminate, process.kill):
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            harder()
    process.wait()


class Follower:
    """`farshore history --follow` beside the drill: hands on each move of authority, and keeps them all."""

    def __init__(self, info: LabInfo, hear: Callable[[Mapping[str, Any]], None]) -> None:
        self.events: list[Mapping[str, Any]] = []
        self._hear = hear
        self._process = subprocess.Popen(
            [*COMMAND, "history", "--json", "--follow"],
            env={**os.environ, **info.env[OUTSIDE]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform.startswith("linux") else None,  # noqa: PLW1509
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            event = json.loads(line)
            self.events.append(event)
            self._hear(event)


_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def _die_with_parent() -> None:
    """It prints only when authority moves, so a closed pipe alone would not end it when the drill is killed."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
