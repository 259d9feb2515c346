"""A lab that really runs, in a process of its own, and hands to break it with: what an operator and a murderer have."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import boto3
import forked
import psutil
import psycopg
import pytest
from botocore.config import Config

from farshore.client.names import Resolver
from farshore.client.session import Session, open_session
from farshore.client.types import Settings, Target
from farshore.core.profile import FAST
from farshore.lab import control
from farshore.lab.setup import FIRST_MINUTE
from farshore.names import Names

HOME, STANDBY, OUTSIDE = "us-east-1", "us-west-2", "outside"
TABLE = "ledger.pulse"
BOOT_S = 150.0
FARSHORE = (sys.executable, "-m", "farshore")


def unique(purpose: str) -> str:
    return f"t{purpose}{uuid.uuid4().hex[:6]}"


def wait_for(what: str, met: Callable[[], Any], timeout_s: float = 30.0, every_s: float = 0.05) -> Any:
    """The first true answer of `met`; fails naming what never came."""
    give_up = time.monotonic() + timeout_s
    while not (answer := met()):
        assert time.monotonic() < give_up, f"not within {timeout_s:g} s: {what}"
        time.sleep(every_s)
    return answer


class RunningLab:
    """`python -m farshore lab run` as a child; `close` ends it in good order, `kill` does not."""

    info: Mapping[str, Any]

    def __init__(self, name: str, *options: str) -> None:
        self.name = name
        self.names = Names(name)
        self._process = subprocess.Popen(
            [*FARSHORE, "lab", "run", "--name", name, "--json", "--until-eof", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.words: list[str] = []
        threading.Thread(target=lambda: self.words.extend(self._process.stderr or ()), daemon=True).start()
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            event = json.loads(line)
            if event["event"] == "ready":
                self.info = event["lab"]
                self._ready.set()
            else:
                self.words.append(event["text"])

    def await_ready(self) -> "RunningLab":
        wait_for("the lab is ready", lambda: self._ready.is_set() or self._process.poll() is not None, BOOT_S)
        assert self._ready.is_set(), "\n".join(self.words)
        return self

    # --- ending ---------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def directory(self) -> Path:
        return Path(f"/tmp/farshore-{os.getuid()}/{self.name}")

    @property
    def subnet(self) -> str:
        return str(self.info["dns"][OUTSIDE]).rpartition(".")[0]

    @property
    def claim(self) -> Path:
        return Path(f"/tmp/farshore-{os.getuid()}-claims/{self.subnet}")

    def tree(self) -> list[psutil.Process]:
        """Every process of the lab, itself included."""
        try:
            return [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def listeners(self) -> list[str]:
        """Sockets, of whatever process, that are bound to an address of the lab's subnet."""
        return [
            f"{bound.laddr.ip}:{bound.laddr.port}"
            for bound in psutil.net_connections("inet4")
            if bound.laddr.ip.startswith(f"{self.subnet}.") and bound.status in {"LISTEN", "NONE"}
        ]

    def close(self) -> int:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    # --- asking ---------------------------------------------------------------------------------------------------

    def status(self) -> Any:
        """What `farshore status` says; its exit code says whether all is well: on a busy computer it need not be."""
        env = {**os.environ, **self.info["env"][OUTSIDE]}
        return json.loads(forked.farshore("status", "--json", env=env).stdout)

    def run(self, *arguments: str, view: str = OUTSIDE, timeout_s: float = 60.0) -> Any:
        """The JSON that a farshore command prints in a view; JSON lines become a list."""
        env = {**os.environ, **self.info["env"][view]}
        done = forked.farshore(*arguments, "--json", env=env, timeout_s=timeout_s)
        assert done.returncode == 0, f"farshore {' '.join(arguments)}: {done.stderr}{done.stdout}"
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines if arguments[0] == "history" else lines[0]

    def fault(self, kind: str, region: str) -> Any:
        """Through the lab's control socket: a command's start would blur the instant."""
        return control.ask(self.directory, {"order": "fault", "fault": kind, "region": region})

    def cut(self, place: str, other: str) -> Any:
        return control.ask(self.directory, {"order": "fault", "fault": "cut", "places": [place, other]})

    def join(self, place: str, other: str) -> Any:
        return control.ask(self.directory, {"order": "fault", "fault": "join", "places": [place, other]})

    def aws(self, service: str, region: str, view: str | None = None) -> Any:
        env = self.info["env"][view or region]
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}),
        )

    def record(self, via: str = STANDBY) -> dict[str, Any]:
        """The authority record, read with strong consistency through one region."""
        item = self.aws("dynamodb", via).get_item(
            TableName=self.names.authority_table,
            Key={"global_cluster": {"S": self.names.global_cluster}, "entry_key": {"S": "authority"}},
            ConsistentRead=True,
        )["Item"]
        return dict(json.loads(item["document"]["S"]))

    def at_rest(self, holder: str, via: str = STANDBY) -> bool:
        """Whether a region holds, all members are connected, and the other one follows closely enough for a move."""
        record = self.record(via)
        held = (record["phase"], record["holder"], record["degraded"]) == ("HELD", holder, False)
        return held and record["lag_ms"] is not None and bool(record["lag_ms"] <= FAST.switchover_lag_ms // 2)

    def events(self) -> list[dict[str, Any]]:
        return list(self.run("history"))

    def answer(self, view: str = OUTSIDE) -> str:
        """Which name the writer's name leads to, by the view's DNS server, asked now."""
        return Resolver((self.info["dns"][view],)).find(self.info["writer_name"], 3.0).canonical

    def endpoint(self, region: str) -> str:
        return str(self.info["endpoints"][region]["writer"])

    def admin(self, region: str) -> psycopg.Connection[tuple[Any, ...]]:
        found = Resolver((self.info["dns"][region],)).find(self.endpoint(region), 3.0)
        return psycopg.connect(
            host=self.endpoint(region),
            hostaddr=found.address,
            port=self.info["port"],
            dbname=self.info["database"]["dbname"],
            user=self.info["database"]["admin_user"],
            password=self.info["database"]["admin_password"],
            sslmode="verify-full",
            sslrootcert=self.info["sslrootcert"],
            connect_timeout=5,
            autocommit=True,
        )

    # --- finding and hurting ----------------------------------------------------------------------------------------

    def functions(self, kind: str = "", region: str = "") -> list[psutil.Process]:
        """The Lambda processes of this lab that run now: `kind` monitor or controller, or all."""
        found = []
        for process in self.tree()[1:]:
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if "awslambdaric" not in command or f"lambdas.{kind}" not in command:
                    continue
                if not region or process.environ().get("AWS_REGION") == region:
                    found.append(process)
        return found

    def postmaster(self, region: str, *, writer: bool) -> psutil.Process:
        """The server process behind a region's writer endpoint, or the other one of that region."""
        leader = Resolver((self.info["dns"][region],)).find(self.endpoint(region), 3.0).address
        tens = "1" if region == HOME else "2"
        number = int(leader.rpartition(".")[2].removeprefix(tens))
        wanted = f"/{region}-{number if writer else 3 - number}/data"
        return next(p for p in self.tree()[1:] if _is_postmaster(p, wanted))

    def invoke_all(self, *regions: str) -> None:
        """What the schedule does every minute, now, in the regions named or in both. A loop that runs steps aside."""
        for region in regions or (HOME, STANDBY):
            functions = self.aws("lambda", region)
            for name in (self.names.monitor_function(region), self.names.controller_function(region)):
                functions.invoke(FunctionName=name, InvocationType="Event", Payload=FIRST_MINUTE)

    def make_pulse_table(self) -> "RunningLab":
        with self.admin(HOME) as admin:
            admin.execute("create schema if not exists ledger")
            admin.execute(
                f"create table {TABLE} (id uuid primary key, region text not null, at timestamptz default now())"
            )
            app = self.info["database"]["app_user"]
            admin.execute(f"grant usage on schema ledger to {app}")
            admin.execute(f"grant select, insert on {TABLE} to {app}")
        self.run("guard", "install", "--table", TABLE)
        return self


def _is_postmaster(process: psutil.Process, data: str) -> bool:
    try:
        command = process.cmdline()
        return "-D" in command and command[-1].endswith(data)
    except psutil.Error:
        return False


Outcome = Literal["confirmed", "unconfirmed", "refused", "unreachable", "unknown"]


@dataclass(frozen=True, slots=True)
class Beat:
    """One attempt to write: begun and ended on the monotonic clock, in seconds."""

    region: str
    begun: float
    ended: float
    outcome: Outcome
    epoch: int | None = None
    sqlstate: str | None = None
    text: str = ""


class Pulse:
    """Writes to one region's writer endpoint, from a view, several times a second, until told to stop."""

    def __init__(
        self, lab: RunningLab, region: str, view: str = OUTSIDE, *, every_s: float = 0.05, name: str = ""
    ) -> None:
        database = lab.info["database"]
        self.beats: list[Beat] = []
        self._target = Target(region, name or lab.endpoint(region), lab.info["port"])
        self._resolver = Resolver((lab.info["dns"][view],))
        self._settings = Settings(
            writer_name=lab.info["writer_name"],
            targets=(self._target,),
            dbname=database["dbname"],
            user=database["app_user"],
            password=database["app_password"],
            sslrootcert=lab.info["sslrootcert"],
        )
        self._every_s = every_s
        self._session: Session | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._drop()

    def now(self, outcome: Outcome, after: float) -> bool:
        """Whether a beat that began after an instant ended so."""
        return any(b.outcome == outcome and b.begun > after for b in list(self.beats))

    def confirmed(self, since: float = 0.0) -> list[Beat]:
        return [beat for beat in list(self.beats) if beat.outcome == "confirmed" and beat.begun >= since]

    def longest_silence_s(self, since: float, until: float) -> float:
        """The longest stretch without a confirmed write."""
        ends = [beat.ended for beat in self.confirmed() if since <= beat.ended <= until]
        return max(b - a for a, b in zip([since, *ends], [*ends, until], strict=True))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.beats.append(self._beat())
            self._stop.wait(self._every_s)

    def _beat(self) -> Beat:
        begun, region = time.monotonic(), self._target.region
        try:
            session = self._open(begun + 1.0)
        except (psycopg.Error, OSError) as error:
            return Beat(region, begun, time.monotonic(), "unreachable", text=str(error))
        try:
            session.execute("BEGIN")
            session.execute(f"insert into {TABLE} (id, region) values (%s, %s)", (uuid.uuid4(), region))
        except psycopg.Error as error:
            self._drop()
            gone = (error.sqlstate or "08").startswith(("08", "57"))
            outcome: Outcome = "unreachable" if gone else "refused"
            return Beat(region, begun, time.monotonic(), outcome, None, error.sqlstate, str(error))
        reply = session.commit_and_confirm()
        text = reply.text or ""
        if reply.state != "committed":
            self._drop()
            outcome = "refused" if reply.state == "refused" else "unknown"
            return Beat(region, begun, time.monotonic(), outcome, None, reply.sqlstate, text)
        outcome = "unconfirmed" if reply.epoch is None else "confirmed"
        return Beat(region, begun, time.monotonic(), outcome, reply.epoch, None, text)

    def _open(self, deadline: float) -> Session:
        if self._session is None or self._session.closed:
            found = self._resolver.find(self._target.host, 1.0)
            self._session = open_session(self._settings, self._target, found.address, deadline)
        self._session.deadline = deadline
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None


def lose_home_with_orphans(lab: RunningLab) -> int:
    """What home confirms after the link is cut, and before the region goes dark, is nowhere else. Returns when, in
    Unix ms, it went dark."""
    with Pulse(lab, HOME, HOME) as there:
        wait_for("a first write", there.confirmed)
        lab.cut(HOME, STANDBY)
        since = time.monotonic()
        try:
            wait_for("writes that never leave", lambda: len(there.confirmed(since)) > 1)
        finally:
            lab.fault("region-loss", HOME)
            lost_ms = time.time_ns() // 1_000_000
            lab.join(HOME, STANDBY)
    return lost_ms


def account_for_home(lab: RunningLab) -> None:
    """The honest way back: the evidence is read, its orphans are listed, counted and dealt with."""
    listed = wait_for("the old volume is read", lambda: _complete(lab.run("orphans")), 60, 1.0)
    assert listed["orphans"], "nothing was orphaned"
    assert all(row["state"] == "missing" for orphan in listed["orphans"] for row in orphan["rows"])
    counted = lab.run("reconcile")["reason"]
    assert f"evidence saved, {len(listed['orphans'])} orphans open" in counted
    with pytest.raises(AssertionError, match="are unresolved"):
        lab.run("failback")
    assert "evidence saved, 0 orphans open" in lab.run("reconcile", "--resolved")["reason"]


def _complete(listed: dict[str, Any]) -> dict[str, Any] | None:
    return listed if listed["complete"] else None


def assert_one_writer(*pulses: Pulse) -> None:
    """P1 on what clients saw: no confirmed write of an epoch ended after a later epoch's first began, and no epoch
    was confirmed by two regions."""
    confirmed = sorted((b for pulse in pulses for b in pulse.confirmed()), key=lambda b: b.ended)
    first: dict[int, Beat] = {}
    for beat in confirmed:
        assert beat.epoch is not None
        known = first.setdefault(beat.epoch, beat)
        assert known.region == beat.region, f"epoch {beat.epoch} was confirmed by {known} and {beat}"
        assert beat.epoch == max(first), f"{beat} was confirmed after epoch {max(first)} had begun"


@contextlib.contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Freeze processes of ours for a while."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.contextmanager
def no_new_functions(lab: RunningLab) -> Iterator[None]:
    """Those that run go on; the schedule of the minute starts no others beside them."""
    limited = [
        (lab.aws("lambda", region), name)
        for region in (HOME, STANDBY)
        for name in (lab.names.monitor_function(region), lab.names.controller_function(region))
    ]
    for functions, name in limited:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        for functions, name in limited:
            functions.delete_function_concurrency(FunctionName=name)


@contextlib.contextmanager
def one_controller(lab: RunningLab, region: str) -> Iterator[None]:
    """A fresh one, which no newer one relieves: two that overlap may both send what one of them was refused."""
    functions, name = lab.aws("lambda", region), lab.names.controller_function(region)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    try:
        murder(lab.functions("controller", region))
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=FIRST_MINUTE)
        wait_for("the controller runs", lambda: len(lab.functions("controller", region)) == 1)
        yield
    finally:
        functions.delete_function_concurrency(FunctionName=name)


def murder(processes: list[psutil.Process]) -> int:
    killed = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
    return killed
