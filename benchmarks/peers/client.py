"""The client of every measurement: `python -m benchmarks.peers.client JOB.json HISTORY`, until its input ends.

N writers insert one row per commit and pause a millisecond. Each knows the same list of candidates and tries them in
turn, with libpq's read-write check; whatever goes wrong sends it to the next one. It writes down each attempt:

    begun_ns ended_ns outcome id server        (CLOCK_MONOTONIC; outcome is ack, no or unknown)

An id is used once: what is unknown is never tried again, so that a row stands for one attempt.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from benchmarks.peers.session import Candidate, RefusedError, Session, SilentError

from farshore.client import Client, Key, Settings, Target
from farshore.client.names import Resolver

TABLE = "bench.pulse"
MAKE_TABLE = (
    "create schema bench",
    "create table bench.pulse (id bigint primary key, at timestamptz default clock_timestamp())",
)
READ = "select id from bench.pulse"
INSERT = "insert into bench.pulse (id) values ($1)"
IDS_PER_WRITER = 1_000_000_000
ROUND_PAUSE_S = 0.02
FLUSH_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """What to do, the same for all systems but the candidates; times in seconds.

    `by_client` are the settings of `farshore.client`, which then writes in place of the plain writers.
    """

    candidates: tuple[Candidate, ...]
    writers: int = 4
    pace_s: float = 0.001
    connect_s: float = 1.0
    statement_s: float = 1.0
    by_client: dict[str, Any] | None = None

    @classmethod
    def read(cls, path: Path) -> "Job":
        document = json.loads(path.read_text("utf-8"))
        return cls(**{**document, "candidates": tuple(Candidate(**each) for each in document["candidates"])})

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), "utf-8")


class Notes:
    """The history file, shared by the writers."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock, self._flushed = file, threading.Lock(), 0.0

    def note(self, begun_ns: int, outcome: str, row: int, server: str) -> None:
        ended_ns = time.monotonic_ns()
        with self._lock:
            self._file.write(f"{begun_ns} {ended_ns} {outcome} {row} {server}\n")
            if ended_ns / 1e9 - self._flushed > FLUSH_S:
                self._file.flush()
                self._flushed = ended_ns / 1e9


class Writer:
    """One writer: at most one session, to the candidate where it is now."""

    def __init__(self, job: Job, number: int, notes: Notes) -> None:
        self._job, self._notes = job, notes
        self._row = number * IDS_PER_WRITER
        self._at = 0
        self._session: Session | None = None
        nameserver = job.candidates[0].nameserver
        self._resolver = Resolver((nameserver,) if nameserver else ())

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if self._session is None and not self._open():
                self._go_on(stop)
                continue
            self._write()
            stop.wait(self._job.pace_s)

    def _open(self) -> bool:
        try:
            self._session = Session.open(self._job.candidates[self._at], self._resolver, self._job.connect_s)
        except SilentError:
            return False
        return True

    def _go_on(self, stop: threading.Event) -> None:
        self._at = (self._at + 1) % len(self._job.candidates)
        if self._at == 0:
            stop.wait(ROUND_PAUSE_S)

    def _write(self) -> None:
        self._row += 1
        begun_ns, outcome = time.monotonic_ns(), "ack"
        try:
            if self._session is not None:
                self._session.ask(INSERT, (self._row,), self._job.statement_s)
        except SilentError:
            outcome = "unknown"
        except RefusedError:
            outcome = "no"
        self._notes.note(begun_ns, outcome, self._row, self._job.candidates[self._at].name)
        if outcome != "ack" and self._session is not None:
            self._session.close()
            self._session = None
            self._at = (self._at + 1) % len(self._job.candidates)


def confirmed_writer(
    client: Client, job: Job, number: int, notes: Notes
) -> Callable[[threading.Event], None]:
    """The same writer with `farshore.client`: an acknowledgement is a confirmed commit."""
    sql = INSERT.replace("$1", "%s")

    def run(stop: threading.Event) -> None:
        row = number * IDS_PER_WRITER
        while not stop.is_set():
            row += 1
            begun_ns = time.monotonic_ns()
            outcome = client.transact(
                lambda session, row=row: session.execute(sql, (row,)),  # type: ignore[misc]
                key=Key(TABLE, {"id": row}),
                deadline_s=job.connect_s + job.statement_s,
            )
            words = {"ok": "ack", "failed": "no", "unknown": "unknown"}
            notes.note(begun_ns, words[outcome.status], row, outcome.region or "nobody")
            stop.wait(job.pace_s)

    return run


def _settings(job: Job) -> Settings:
    given = dict(job.by_client or {})
    targets = tuple(Target(each.name, each.host, each.port) for each in job.candidates)
    first = job.candidates[0]
    return Settings(
        targets=targets,
        dbname=first.dbname,
        user=first.user,
        password=first.password,
        sslrootcert=first.sslrootcert,
        nameservers=(first.nameserver,),
        attempt_s=job.statement_s,
        connect_s=job.connect_s,
        **given,
    )


def work(job: Job, file: TextIO, stop: threading.Event) -> None:
    """Write until told to stop."""
    notes = Notes(file)
    if job.by_client is not None:
        with Client(_settings(job)) as client:
            _side_by_side([confirmed_writer(client, job, n, notes) for n in range(1, job.writers + 1)], stop)
    else:
        _side_by_side([Writer(job, n, notes).run for n in range(1, job.writers + 1)], stop)


def _side_by_side(runs: list[Callable[[threading.Event], None]], stop: threading.Event) -> None:
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        work(Job.read(Path(sys.argv[1])), file, stop)


if __name__ == "__main__":
    main()
