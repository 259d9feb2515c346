"""Planned moves on a lab that runs, and the Lambda process that drives them killed or frozen at each of their steps.

Whatever is hit, the move ends or is rolled back, one region writes at a time, and no acknowledged transaction of a
client that retries by idempotency key is lost or doubled. The signal follows the step's line in the function's log,
so it lands at that step or just behind it; the phase it did land in is printed.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import psutil
import pytest
from running import (
    FARSHORE,
    HOME,
    OUTSIDE,
    STANDBY,
    Beat,
    RunningLab,
    account_for_home,
    assert_one_writer,
    lose_home_with_orphans,
    unique,
    wait_for,
)

from farshore.client import Client, Key, Settings, Target
from farshore.core.profile import FAST

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(300)]
FROZEN_S = FAST.intent_not_after_ms / 1000 + 2
PATIENCE_S = 60.0
STEPS = ("drain", "drained", "switch", "AWS moves the writer", "promoted")
"""As the functions log them: DRAINING is written, it is drained, PROMOTING is written, the request is sent, HELD."""
HITS: Counter[str] = Counter()


class Ledger:
    """Clients that book one entry after another, each under a key, until told to stop."""

    def __init__(self, lab: RunningLab, writers: int = 2) -> None:
        database, info = lab.info["database"], lab.info
        self._client = Client(
            Settings(
                writer_name=info["writer_name"],
                targets=tuple(
                    Target(region, lab.endpoint(region), info["port"]) for region in (HOME, STANDBY)
                ),
                dbname=database["dbname"],
                user=database["app_user"],
                password=database["app_password"],
                sslrootcert=info["sslrootcert"],
                nameservers=(info["dns"][OUTSIDE],),
            )
        )
        self.acknowledged: list[tuple[uuid.UUID, Beat]] = []
        self.refused: list[uuid.UUID] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._book, daemon=True) for _ in range(writers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._client.close()

    def confirmed(self, since: float = 0.0) -> list[Beat]:
        return [beat for _, beat in list(self.acknowledged) if beat.begun >= since]

    def _book(self) -> None:
        while not self._stop.is_set():
            self._book_one(uuid.uuid4())
            self._stop.wait(0.01)

    def _book_one(self, key: uuid.UUID) -> None:
        """An unknown outcome is asked for again with the same key until it is ok: that a later call failed tells
        nothing of an earlier one."""

        def work(session):
            session.execute("insert into ledger.pulse (id, region) values (%s, 'client')", (key,))
            session.execute("insert into ledger.effect (key) values (%s)", (key,))

        give_up, may_have_landed = time.monotonic() + PATIENCE_S, False
        while time.monotonic() < give_up:
            begun = time.monotonic()
            outcome = self._client.transact(work, key=Key("ledger.pulse", {"id": key}), deadline_s=3)
            if outcome.status == "ok":
                beat = Beat(outcome.region, begun, time.monotonic(), "confirmed", outcome.epoch)
                self.acknowledged.append((key, beat))
                return
            may_have_landed = may_have_landed or outcome.status == "unknown"
            if not may_have_landed:
                self.refused.append(key)
                return

    def check(self, lab: RunningLab, region: str) -> None:
        """Every acknowledged entry is there once, and none of those that failed."""
        with lab.admin(region) as admin:
            effects = Counter(row[0] for row in admin.execute("select key from ledger.effect"))
            booked = {row[0] for row in admin.execute("select id from ledger.pulse")}
        acknowledged = {key for key, _ in self.acknowledged}
        assert acknowledged, "nothing was written"
        assert not acknowledged - booked, f"lost: {len(acknowledged - booked)} of {len(acknowledged)}"
        assert not [key for key in acknowledged if effects[key] != 1], "doubled"
        assert not set(self.refused) & booked, "failed, and written all the same"
        assert_one_writer(self)


@dataclass
class Verb:
    """`farshore switchover` or `failback` at work; what it said when it has ended."""

    lab: RunningLab
    name: str
    lines: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            [*FARSHORE, self.name, "--json", "--ticket", "T-1"],
            env={**os.environ, **self.lab.info["env"][OUTSIDE]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def ended(self) -> int:
        said, self.error = self._process.communicate(timeout=2 * PATIENCE_S)
        self.lines = [json.loads(line) for line in said.splitlines()]
        return self._process.returncode


class Log:
    """A function's log from now on."""

    def __init__(self, lab: RunningLab, region: str) -> None:
        self._path = lab.directory / "logs" / f"{lab.names.controller_function(region)}.log"
        self._from = self._path.stat().st_size

    def await_step(self, step: str, verb: "Verb") -> bool:
        """False when the verb has ended without it: refused, or called off by a slow machine's clock."""

        def told() -> bool:
            with self._path.open("rb") as file:
                file.seek(self._from)
                return any(_is_step(line, step) for line in file)

        return (
            bool(wait_for(f"the step {step!r}", lambda: told() or verb.is_over(), PATIENCE_S, 0.001))
            and told()
        )


def _is_step(line: bytes, step: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return event.get("event") == "step" and (event["name"] == step or step in event["reason"])


@contextlib.contextmanager
def ledger_lab(prefix: str) -> Iterator[RunningLab]:
    """A lab with the tables that a Ledger writes."""
    running = RunningLab(unique(prefix))
    try:
        running.await_ready().make_pulse_table()
        with running.admin(HOME) as admin:
            admin.execute("create table ledger.effect (key uuid not null)")
            admin.execute(f"grant select, insert on ledger.effect to {running.info['database']['app_user']}")
        running.run("guard", "install", "--table", "ledger.effect")
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def lab():
    with ledger_lab("m") as running:
        yield running
    print(f"interrupted: {dict(HITS)}")


def renewed(lab: RunningLab) -> dict | None:
    """The record, when somebody holds it, renews it and has every member connected."""
    first = lab.record()
    time.sleep(2 * FAST.renew_ms / 1000)
    second = lab.record()
    kept = first["phase"] == second["phase"] == "HELD" and first["renewal_seq"] < second["renewal_seq"]
    return second if kept and not second["degraded"] and second["lag_ms"] is not None else None


def forget_lost_requests(lab: RunningLab) -> None:
    """What no controller can know, and a test can: of the requests without a reply, none is under way any more."""
    table = lab.aws("dynamodb", STANDBY)
    key = {"global_cluster": {"S": lab.names.global_cluster}, "entry_key": {"S": "authority"}}

    def forgotten() -> bool:
        item = table.get_item(TableName=lab.names.authority_table, Key=key, ConsistentRead=True)["Item"]
        record = json.loads(item["document"]["S"])
        if record["quiet"] is None:
            return True
        before = record["version"]
        record = {**record, "quiet": None, "version": before + 1}
        item |= {"document": {"S": json.dumps(record)}, "version": {"N": str(before + 1)}}
        with contextlib.suppress(table.exceptions.ClientError):
            table.put_item(
                TableName=lab.names.authority_table,
                Item=item,
                ConditionExpression="version = :version",
                ExpressionAttributeValues={":version": {"N": str(before)}},
            )
        return False

    wait_for("nothing is awaited", forgotten)


def revive(lab: RunningLab, region: str) -> None:
    """What the schedule does within a minute."""
    lab.aws("lambda", region).invoke(
        FunctionName=lab.names.controller_function(region),
        InvocationType="Event",
        Payload=json.dumps({"source": "farshore"}).encode(),
    )


def hit(processes: list[psutil.Process], how: signal.Signals) -> list[psutil.Process]:
    alive = []
    for process in processes:
        try:
            process.send_signal(how)
            alive.append(process)
        except psutil.NoSuchProcess:
            pass
    return alive


def interrupt(lab: RunningLab, verb: str, step: str, how: signal.Signals) -> None:
    """Once more if the move had ended before the step was reached; nothing was hit then."""

    def reached() -> bool:
        if verb == "failback":
            _lose_home(lab)
        return _interrupt(lab, verb, step, how)

    assert any(reached() for _ in range(3)), f"{step} was never reached"


def _interrupt(lab: RunningLab, verb: str, step: str, how: signal.Signals) -> bool:
    forget_lost_requests(lab)
    before = wait_for("a move may begin", lambda: renewed(lab), 90)
    source, target = before["holder"], HOME if before["holder"] == STANDBY else STANDBY
    region = target if step == "promoted" else source
    with Ledger(lab) as ledger:
        wait_for("a first entry", ledger.confirmed)
        log, victims = Log(lab, region), lab.functions("controller", region)
        asked = Verb(lab, verb)
        if not log.await_step(step, asked):
            asked.ended()
            return False
        struck = hit(victims, how)
        phase = lab.record(target)["phase"]
        HITS[f"{verb}, {step}, {how.name} in {phase}"] += 1
        assert struck, "nobody was there to be hit"
        revive(lab, region)
        if how is signal.SIGSTOP:
            time.sleep(FROZEN_S)  # the length of the freeze is the case, not a wait for something
            hit(struck, signal.SIGCONT)
        forget_lost_requests(lab)
        code = asked.ended()
        after = wait_for("somebody holds and renews", lambda: renewed(lab), 120)
        at = time.monotonic()
        wait_for("entries are booked again", lambda: len(ledger.confirmed(at)) > 5, PATIENCE_S)
    ledger.check(lab, after["holder"])
    print(f"{verb}, {step}, {how.name} in {phase}: {after['holder']} holds {after['epoch']}, exit {code}")
    told = asked.lines[-1]
    assert (code == 0) == (after["holder"] == target), (code, asked.lines, asked.error)
    assert (told["phase"], told["holder"]) == ("HELD", after["holder"]), asked.lines
    rose = after["epoch"] - before["epoch"]  # rolled back before its own epoch was claimed, or after
    assert rose in ((1,) if after["holder"] == target else (1, 2)), asked.lines
    assert lab.status()["record"]["holder"] == after["holder"]
    return True


ALL = [(step, how) for step in STEPS for how in (signal.SIGKILL, signal.SIGSTOP)]


@pytest.mark.parametrize(("step", "how"), ALL, ids=str)
def test_every_switchover_interrupted_at(lab, step, how):
    interrupt(lab, "switchover", step, how)


def _lose_home(lab: RunningLab) -> None:
    """Home is lost and comes back as a reader whose account is closed: the ground of a failback.

    Where the failback before was rolled back, it still stands so.
    """
    forget_lost_requests(lab)
    record = wait_for("a move may begin", lambda: renewed(lab), 90)
    if record["holder"] == STANDBY and record["aftermaths"]:
        assert all(account["orphans_open"] == 0 for account in record["aftermaths"])
        return
    if record["holder"] != HOME:
        lab.run("switchover", timeout_s=PATIENCE_S)
        wait_for("home holds", lambda: (renewed(lab) or {}).get("holder") == HOME, 90)
    lose_home_with_orphans(lab)
    wait_for("the standby holds", lambda: lab.record()["holder"] == STANDBY, 90)
    lab.fault("heal", HOME)
    lab.invoke_all()
    wait_for("home follows", lambda: not lab.record()["degraded"], 120)
    account_for_home(lab)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("step", "how"), ALL, ids=str)
def test_every_failback_interrupted_at(lab, step, how):
    interrupt(lab, "failback", step, how)
