"""What each procedure asks of AWS, from where and of which region; and what happens when AWS does not answer.

The calls of a switchover, a failover and a failback are recorded at the gateways of a running lab and compared with
transcripts/control_plane.txt. FARSHORE_REWRITE=1 writes it anew: read the diff. No procedure may wait on the region
being left, nor on a control plane that lives in one region only.
"""

import os
import time
from pathlib import Path

import forked
import pytest
from running import (
    HOME,
    STANDBY,
    RunningLab,
    account_for_home,
    lose_home_with_orphans,
    murder,
    one_controller,
    unique,
    wait_for,
)

from farshore.lab import control
from farshore.lab.cloud.dispatch import GLOBAL_SERVICES

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
TRANSCRIPT = Path(__file__).parent / "transcripts" / "control_plane.txt"
WITNESS = "us-east-2"


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("c"))
    try:
        yield running.await_ready().make_pulse_table()
    finally:
        running.close()


def calls(lab, since_ms):
    order = {"order": "calls", "since_unix_ms": since_ms}
    return control.ask(lab.directory, order)["calls"]


def now_ms():
    return time.time_ns() // 1_000_000


def asked_by_functions(lab, since_ms, until_ms):
    """(function, service:operation, region) of every call that a function made, without the suffix."""
    return sorted(
        {
            (
                call["caller"].rpartition("/")[2].removesuffix(f"-{lab.name}"),
                f"{call['service']}:{call['operation']}",
                call["region"],
            )
            for call in calls(lab, since_ms)
            if call["at_unix_ms"] <= until_ms and "assumed-role" in call["caller"]
        }
    )


def farshore(lab, *arguments):
    return forked.farshore(*arguments, env={**os.environ, **lab.info["env"]["outside"]}, timeout_s=120)


def at_rest(lab, holder, view=STANDBY):
    """HELD by `holder`, every member connected: the next move may begin."""
    wait_for(f"{holder} holds and all is connected", lambda: lab.at_rest(holder, view), 60)


def procedures(lab):
    """Each procedure with the calls made from its first step to its last."""
    at_rest(lab, HOME)
    begun = now_ms()
    assert farshore(lab, "switchover").returncode == 0
    yield "switchover", asked_by_functions(lab, begun, now_ms())
    at_rest(lab, STANDBY)
    assert farshore(lab, "switchover").returncode == 0
    at_rest(lab, HOME)
    begun = lose_home_with_orphans(lab)
    wait_for("the failover", lambda: lab.record()["holder"] == STANDBY, 60)
    yield "failover", asked_by_functions(lab, begun, now_ms())
    lab.fault("heal", HOME)
    lab.invoke_all(HOME)
    at_rest(lab, STANDBY)
    refused = farshore(lab, "failback")
    assert (refused.returncode, "has not been looked at" in refused.stderr) == (1, True), refused.stderr
    account_for_home(lab)
    begun = now_ms()
    done = farshore(lab, "failback")
    assert done.returncode == 0, done.stderr
    yield "failback", asked_by_functions(lab, begun, now_ms())
    at_rest(lab, HOME)


def test_the_procedures_ask_what_the_transcript_says(lab):
    found = dict(procedures(lab))
    left = {"failover": HOME}
    for name, asked in found.items():
        alone = [call for call in asked if call[1].partition(":")[0] in GLOBAL_SERVICES]
        assert not alone, f"{name} asks a control plane that lives in one region: {alone}"
        towards = [call for call in asked if call[2] == left.get(name) and call[0].startswith("secondary")]
        assert not towards, f"{name} asks the region being left: {towards}"
    lines = [
        f"{name}: {function} {what} in {region}" for name in found for function, what, region in found[name]
    ]
    moves = [
        line for line in lines if "-controller-" in line and ("GlobalCluster " in line or "dynamodb" in line)
    ]
    text = "\n".join(moves) + "\n"
    if os.environ.get("FARSHORE_REWRITE"):
        TRANSCRIPT.write_text(text)
    assert TRANSCRIPT.read_text() == text


def befall(lab, operation, kind, times=1):
    service, _, name = operation.partition(":")
    order = {"fault": "api", "service": service, "operation": name, "kind": kind, "times": times}
    control.ask(lab.directory, {"order": "fault", **order})


SWITCH, WRITE = "rds:SwitchoverGlobalCluster", "dynamodb:PutItem"
KINDS = ("throttle", "error", "request-lost", "reply-lost")
HARMLESS = [
    (call, kind) for call in ("rds:DescribeGlobalClusters", "dynamodb:Query", WRITE) for kind in KINDS
]


@pytest.mark.soak
@pytest.mark.parametrize(("operation", "kind"), HARMLESS)
def test_a_failed_call_that_reading_resolves_does_not_stop_a_switchover(lab, operation, kind):
    at_rest(lab, HOME)
    before = lab.record()["epoch"]
    befall(lab, operation, kind, times=2)
    done = farshore(lab, "switchover", "--to", STANDBY)
    record = lab.record()
    assert (record["holder"], record["epoch"]) == (STANDBY, before + 1), done.stderr
    at_rest(lab, STANDBY)
    assert farshore(lab, "switchover", "--to", HOME).returncode == 0


def test_a_throttled_switchover_is_rolled_back_at_once_and_says_so(lab):
    with one_controller(lab, HOME):
        at_rest(lab, HOME)
        before, begun = lab.record()["epoch"], now_ms()
        befall(lab, SWITCH, "throttle")
        done = farshore(lab, "switchover")
    assert (done.returncode, "Rate exceeded" in done.stderr) == (1, True), done.stderr
    assert [call["operation"] for call in calls(lab, begun)].count("SwitchoverGlobalCluster") == 1
    record = lab.record()
    assert (record["holder"], record["epoch"], record["quiet"]) == (HOME, before + 2, None)


def test_a_planned_move_to_where_no_controller_runs_is_refused(lab):
    """Its region is alive and follows; but nobody there would open it to writes."""
    at_rest(lab, HOME)
    functions, name = lab.aws("lambda", STANDBY), lab.names.controller_function(STANDBY)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    wait_for("no controller is left", lambda: not murder(lab.functions("controller", STANDBY)))
    before = lab.record()
    refused = farshore(lab, "switchover")
    assert refused.returncode == 1
    assert f"no controller was heard in {STANDBY}" in refused.stderr
    assert lab.record()["last_event"] == before["last_event"]
    functions.delete_function_concurrency(FunctionName=name)
    lab.invoke_all(STANDBY)
    wait_for("it is heard again", lambda: farshore(lab, "switchover", "--dry-run").returncode == 0)


@pytest.mark.soak
def test_a_request_that_nobody_knows_of_is_sent_once_and_its_time_is_waited_for(lab):
    """Nothing was done, which nobody can know: the source goes on after the request's time. Then one whose reply is
    lost: it moves, and for as long as the first may still arrive, nothing goes elsewhere. The lab's last test."""
    at_rest(lab, HOME)
    begun = now_ms()
    befall(lab, SWITCH, "request-lost")
    done = farshore(lab, "switchover", "--no-wait")
    assert done.returncode == 0, done.stderr
    wait_for("the source goes on", lambda: lab.record()["phase"] == "HELD", 60)
    assert [call["operation"] for call in calls(lab, begun)].count("SwitchoverGlobalCluster") == 1
    record = lab.record()
    assert (record["holder"], record["quiet"]["target"]) == (HOME, STANDBY)
    back = farshore(lab, "failover", "--to", HOME, "--accept-unknown-loss", "--although-healthy")
    assert back.returncode == 1, "nothing leads to where the writer is"
    befall(lab, SWITCH, "reply-lost")
    again = farshore(lab, "switchover", "--no-wait")
    assert again.returncode == 0, f"the same move may be tried again: {again.stderr}"
    wait_for("it moves", lambda: lab.record()["holder"] == STANDBY, 60)
    elsewhere = farshore(lab, "switchover", "--to", HOME)
    assert (elsewhere.returncode, "may still arrive" in elsewhere.stderr) == (1, True), elsewhere.stderr
