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
        line = words.strip().rpartition("\n")[2] or "it said nothing"
        super().__init__(f"farshore {' '.join(arguments)} ended with {exit_code}: {line}")
        self.exit_code = exit_code
        self.line = line


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
            raise CommandError(arguments, -1, f"no answer within {timeout_s:g} s") from error
        if done.returncode != 0:
            raise CommandError(arguments, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def connect(self, region: str, *, admin: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
        """SQL at a region's writer endpoint, from outside."""
        host = self.endpoints[region]["writer"]
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


class LagSampler:
    """Asks the standby several times a second how old the last transaction is that reached it.

    `samples` pairs monotonic nanoseconds with milliseconds; None when the region hears from no writer, writes
    itself, or could not be asked.
    """

    def __init__(self, info: LabInfo, region: str, every_s: float = 0.25) -> None:
        self.samples: list[tuple[int, float | None]] = []
        self._info, self._region, self._every_s = info, region, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._thread.start()

    @property
    def latest_ms(self) -> float | None:
        return self.samples[-1][1] if self.samples else None

    def close(self) -> None:
        self._stop.set()
        self._thread.join(_LOOKUP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._info.connect(self._region, admin=True) as connection:
                    connection.autocommit = True
                    while not self._stop.wait(self._every_s):
                        row = connection.execute(_LAG).fetchone()
                        lag_ms = float(row[0]) if row and row[0] is not None else None
                        self.samples.append((time.monotonic_ns(), lag_ms))
            except (psycopg.Error, OSError):
                self.samples.append((time.monotonic_ns(), None))
                self._stop.wait(self._every_s)


_LAG = """
SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000
FROM pg_stat_wal_receiver
WHERE pg_is_in_recovery() AND last_msg_receipt_time > clock_timestamp() - interval '1 second'
"""
