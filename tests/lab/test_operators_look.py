"""What an operator sees and hears of a lab that runs: status, watch and events through a night. In order, one lab."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fastjsonschema
import forked
import pytest
from running import FARSHORE, HOME, OUTSIDE, STANDBY, RunningLab, stopped, unique, wait_for

from farshore.core.errors import RefusedError
from farshore.lab import control
from farshore.operate import moves
from farshore.requester import planned
from farshore.settings import from_environment
from farshore.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "transition.schema.json").read_text())
VALIDATE = fastjsonschema.compile(SCHEMA)
LONGEST_LOOK_S = 30.0  # on a busy computer the start alone takes long; a wait for a dark region takes minutes


class Ears:
    """A queue behind one region's topic and one behind its bus."""

    def __init__(self, lab, region):
        self._sqs = lab.aws("sqs", region, OUTSIDE)
        topics = lab.aws("sns", region, OUTSIDE).list_topics()["Topics"]
        topic = next(t["TopicArn"] for t in topics if t["TopicArn"].endswith(lab.names.topic(region)))
        self._urls = {}
        only = {"FilterPolicy": json.dumps({"kind": ["transition"]})}
        lab.aws("sns", region, OUTSIDE).subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=self._queue("topic"), Attributes=only
        )
        bus = lab.aws("events", region, OUTSIDE)
        pattern = {"source": ["farshore"], "detail-type": ["Authority transition"]}
        bus.put_rule(Name="ears", EventPattern=json.dumps(pattern))
        bus.put_targets(Rule="ears", Targets=[{"Id": "ears", "Arn": self._queue("bus")}])
        self.heard = {"topic": [], "bus": []}

    def _queue(self, name):
        self._urls[name] = self._sqs.create_queue(QueueName=f"ears-{name}")["QueueUrl"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._urls[name], AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]

    def listen(self):
        for name, url in self._urls.items():
            answer = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                body = json.loads(message["Body"])
                document = json.loads(body["Message"]) if name == "topic" else body["detail"]
                self.heard[name].append(document)
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


class Viewer:
    """`farshore watch --json` beside the test, with the time of each line."""

    def __init__(self, lab):
        self.lines = []
        self._process = subprocess.Popen(
            [*FARSHORE, "watch", "--json", "--resolver", lab.info["dns"][STANDBY]],
            env={**os.environ, **lab.info["env"][OUTSIDE], "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), json.loads(line)))

    def sees(self, what):
        """The last that was told of it."""
        return next((line["now"] for _, line in reversed(self.lines) if line.get("what") == what), None)

    def told(self, action):
        return any(line.get("action") == action for _, line in list(self.lines))

    def interrupt(self):
        """How it ended and what it complained of; where each thread stood, if it did not end."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
        return self._process.wait(10), self._process.stderr.read()


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("o"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def ears(lab):
    return {region: Ears(lab, region) for region in (HOME, STANDBY)}


def status(lab, view=OUTSIDE):
    """What `farshore status --json` prints; its exit code stands in it and is the process's."""
    begun = time.monotonic()
    done = forked.farshore("status", "--json", env={**os.environ, **lab.info["env"][view]})
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, done.stderr
    assert time.monotonic() - begun < LONGEST_LOOK_S
    return found


def until(lab, what, met, view=OUTSIDE):
    """The first status that is so."""

    def look():
        found = status(lab, view)
        return found if met(found) else None

    return wait_for(what, look, 90, 0.25)


def is_well(found):
    return found["exit_code"] == 0


def words(found):
    return [finding["words"] for finding in found["findings"]]


def order(lab, fault, **more):
    """The relay refuses at times while a connection is being reset; an order may be repeated."""

    def ask():
        try:
            return control.ask(lab.directory, {"order": "fault", "fault": fault, **more})
        except control.LabAnswerError:
            return None

    return wait_for(fault, ask)


def run_as_told(lab, command, *more):
    """The exact command of a status, typed as it stands."""
    verb = shlex.split(command)
    assert verb[0] == "farshore"
    return lab.run(*verb[1:], *more)


def test_a_healthy_lab_needs_nothing(lab, ears):
    found = until(lab, "nothing is wrong", is_well)
    assert (found["writer"], found["command"], found["findings"]) == (HOME, None, [])
    assert found["lease"].startswith("valid")
    for region in (HOME, STANDBY):
        database, cloudwatch = found["monitors"][region]["lag_readings"]
        assert (database["source"], database["quality"]) == ("database", "known")
        assert cloudwatch["source"] == "cloudwatch"
    assert status(lab, HOME)["writer"] == HOME


def test_a_pause_is_told_and_its_command_ends_it(lab):
    lab.run("pause", "--ticket", "T-1")
    found = status(lab)
    assert (found["writer"], found["exit_code"], found["record"]["paused"]) == (HOME, 1, True)
    run_as_told(lab, found["command"])
    assert not status(lab)["record"]["paused"]


def test_a_cut_between_the_regions_makes_the_lag_unknown(lab):
    order(lab, "cut", places=[HOME, STANDBY])
    try:
        found = until(lab, "the lag is unknown", lambda s: "the lag is unknown" in " ".join(words(s)))
        assert (found["writer"], found["exit_code"]) == (HOME, 1)
        assert found["monitors"][STANDBY]["lag_ms"] is None
    finally:
        order(lab, "join", places=[HOME, STANDBY])
    until(lab, "all is well again", is_well)


def drained(lab, requester, build):
    """What status says of a planned move while every controller stands still from the request on; None when the lease
    had ended by then, as on a busy computer it may."""
    requester.record()
    with stopped(lab.functions("controller")):
        try:
            requester.submit(build)
        except RefusedError:
            return None
        return status(lab)


def test_a_drain_that_stands_still_is_told_with_what_it_waits_for(lab, monkeypatch):
    """The request is made in this process: a command's start takes longer than a lease lasts."""
    for name, value in lab.info["env"][OUTSIDE].items():
        monkeypatch.setenv(name, value)
    workshop = Workshop(from_environment())
    requester = moves.requester(workshop, reason="", ticket="T-2")
    build = planned(requester, workshop.cloud, workshop.settings.names, "switchover")
    found = wait_for("a request within the lease", lambda: drained(lab, requester, build), 120)
    assert (found["record"]["phase"], found["writer"], found["exit_code"]) == ("DRAINING", None, 1)
    assert found["waiting_for"] == f"{HOME} to be fenced and its last transactions to end"
    assert "ticket T-2" in words(found)[0]
    until(lab, "somebody holds again", lambda s: s["writer"])
    if lab.record()["holder"] == STANDBY:
        wait_for("the way back is open", lambda: lab.at_rest(STANDBY), 60)
        lab.run("failback")
    until(lab, "the home region writes", lambda s: s["writer"] == HOME and is_well(s))


def test_a_lost_region_its_proposal_and_the_exact_command(lab, ears):
    """The command that status prints is run as it stands, while a viewer watches; nothing waits for the dark region."""
    lab.run("mode", "approve")
    viewer = Viewer(lab)
    wait_for("the viewer sees the writer", lambda: viewer.sees("writer") == HOME, 30)
    lab.fault("region-loss", HOME)
    try:
        waits = "farshore approve"
        proposed = until(lab, "a proposal stands", lambda s: waits in (s["command"] or ""), STANDBY)
        assert (proposed["writer"], proposed["exit_code"]) == (None, 1)
        assert proposed["record"]["proposal"]["loss_bound_ms"] > 0
        assert "may lose" in words(proposed)[0]
        assert any(what.startswith(f"{HOME}: neither") for what in proposed["unread"])
        wait_for("the viewer sees the silence", lambda: viewer.sees(f"monitor {HOME}") == "silent")
        run_as_told(lab, proposed["command"], "--ticket", "T-3")
        wait_for("the viewer sees the new writer", lambda: viewer.sees("writer") == STANDBY, 60)
        wait_for("and the transition", lambda: viewer.told("claim-approved"), 60)
        dns = f"dns {lab.info['dns'][STANDBY]}"
        wait_for("and DNS following", lambda: viewer.sees(dns) == STANDBY, 60)
        after = status(lab)
        assert (after["writer"], after["exit_code"]) == (STANDBY, 1)
        assert words(after)[0].startswith(f"{STANDBY} runs alone")
        assert any("is not counted" in text for text in words(after))
    finally:
        lab.fault("heal", HOME)
        lab.invoke_all(HOME)
    returncode, complaints = viewer.interrupt()
    assert (returncode, complaints) == (0, "")


def test_the_account_stays_open_until_it_is_closed(lab):
    found = until(lab, "the region is back, its account open", lambda s: s["command"] == "farshore reconcile")
    run_as_told(lab, found["command"], "--waive", "--ticket", "T-4")
    last = until(lab, "nothing is wrong", is_well)
    assert last["command"] == "farshore failback --dry-run"


def test_every_transition_was_told_in_the_documented_form(lab, ears):
    """By topic and by bus, in the region of whoever told it; twice at most by chance, and then equal."""
    first = min(d["version"] for d in _all(ears, "topic"))
    history = {event["version"]: event for event in lab.events() if event["version"] >= first}
    for where in ("topic", "bus"):
        wait_for(
            f"all is told by {where}",
            lambda at=where: set(history) <= {d["version"] for d in _all(ears, at)},
            30,
        )
        told = _all(ears, where)
        for document in told:
            VALIDATE(document)
            kept = history[document["version"]]
            assert (document["action"], document["reason"]) == (kept["action"], kept["reason"])
            assert document["ticket"] == kept["ticket"]
        twice = len(told) - len({d["version"] for d in told})
        print(f"{where}: {len(history)} transitions, {twice} told twice")
        assert twice <= len(history) // 2
    actions = {event["action"] for event in history.values()}
    assert {"pause", "switchover", "propose", "approve", "claim-approved", "promoted", "account"} <= actions


def _all(ears, where):
    for one in ears.values():
        one.listen()
    return [document for one in ears.values() for document in one.heard[where]]


def as_operator(lab):
    """The environment of a terminal that has assumed the operations role."""
    env = lab.info["env"][OUTSIDE]
    account = lab.aws("sts", STANDBY, OUTSIDE).get_caller_identity()["Account"]
    keys = lab.aws("sts", STANDBY, OUTSIDE).assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/{lab.names.operations_role}",
        RoleSessionName="op",
        ExternalId=lab.names.external_id,
    )["Credentials"]
    return {
        **env,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def test_the_operations_role_sees_all_of_the_screen_and_it_ends_by_itself_when_told_to(lab):
    done = subprocess.run(
        [sys.executable, "-m", "farshore", "watch", "--for", "20"],
        env={**os.environ, **as_operator(lab), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not authorized" not in done.stdout
    assert "AccessDenied" not in done.stdout
    assert f"{STANDBY} may write" in done.stdout
    assert done.stdout.count("database known, ") == 2
    assert re.search(r"secondary: healthy \([0-3] of 6 children, needs 4, inverted\)", done.stdout)
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80
