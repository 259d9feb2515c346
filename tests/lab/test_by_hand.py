"""What moves the writer without farshore's terminal, and what does not: AWS's events, runbooks, and a person by hand.

The tests share one lab, in order.
"""

import json
import subprocess
import time
from pathlib import Path

import boto3
import by_hand
import pytest
from botocore.config import Config
from running import (
    FARSHORE,
    HOME,
    STANDBY,
    Pulse,
    RunningLab,
    assert_one_writer,
    murder,
    unique,
    wait_for,
)

from farshore.aws.opinions import Opinions
from farshore.core.profile import FAST
from farshore.lab import control
from farshore.lab.postgres import binaries

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
LEASE_S = FAST.lease_ttl_ms / 1000
SIDES = {HOME: "primary", STANDBY: "secondary"}
KINDS = ("monitor", "controller", "failover")


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("h"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


# --- AWS's own events -----------------------------------------------------------------------------------------------


def opinions(lab, via=STANDBY):
    names = lab.names
    found = Opinions(lab.aws("dynamodb", via), names.authority_table, names.global_cluster).read()
    return {(one.region, one.source): one for one in found}


def loops(lab):
    """The controllers that have said last that they run, one of each region."""
    answer = lab.aws("dynamodb", STANDBY).query(
        TableName=lab.names.authority_table,
        KeyConditionExpression="global_cluster = :c AND begins_with(entry_key, :p)",
        ExpressionAttributeValues={
            ":c": {"S": lab.names.global_cluster},
            ":p": {"S": "presence#controller#"},
        },
        ConsistentRead=True,
    )
    return {json.loads(item["document"]["S"])["process"] for item in answer["Items"]}


def test_awss_word_about_a_healthy_region_moves_nothing(lab):
    """A forged event: everything is well. Written down in both regions, and nobody acts on it."""
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        running = loops(lab)
        lab.fault("health", HOME)
        heard = wait_for("both regions hear of it", lambda: len(opinions(lab)) == 2 and opinions(lab), 60)
        told_at = time.monotonic()
        wait_for("a controller is woken in each region", lambda: not running & loops(lab))
        wait_for("two leases pass", lambda: home.confirmed(told_at + 2 * LEASE_S))
    assert {(one.region, one.about, one.source) for one in heard.values()} == {
        (region, HOME, "aws.health") for region in SIDES
    }
    assert all(one.age_ms(time.time_ns() // 1_000_000) < 60_000 for one in heard.values())
    assert not standby.confirmed()
    assert [event["action"] for event in lab.events()] == ["first-boot"]
    assert (lab.record()["holder"], lab.record()["epoch"]) == (HOME, 1)


def test_what_happens_to_a_database_is_an_opinion_too(lab):
    """An in-region failover, asked of RDS: its own events arrive, and the region keeps the role."""
    lab.aws("rds", HOME).failover_db_cluster(DBClusterIdentifier=lab.names.cluster(HOME))
    found = wait_for("the event is written down", lambda: opinions(lab).get((HOME, "aws.rds")))
    assert "RDS-EVENT-007" in found.what
    with Pulse(lab, HOME) as home:
        wait_for("writing goes on", home.confirmed, 60)
    assert (lab.record()["holder"], lab.record()["epoch"]) == (HOME, 1)


# --- runbooks -------------------------------------------------------------------------------------------------------


def operator(lab, region):
    """Systems Manager as whoever holds the operations role."""
    sts, names = lab.aws("sts", region), lab.names
    account = sts.get_caller_identity()["Account"]
    keys = sts.assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/{names.operations_role}",
        RoleSessionName="runbook",
        ExternalId=names.external_id,
    )["Credentials"]
    return boto3.client(
        "ssm",
        region_name=region,
        endpoint_url=lab.info["env"][region]["AWS_ENDPOINT_URL"],
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def carried_out(lab, region, move, **parameters):
    ssm = operator(lab, region)
    given = {name: [value] for name, value in {"Ticket": "OPS-7", **parameters}.items()}
    started = ssm.start_automation_execution(DocumentName=lab.names.runbook(move), Parameters=given)

    def ended():
        found = ssm.get_automation_execution(AutomationExecutionId=started["AutomationExecutionId"])
        return found["AutomationExecution"] if "ExecutionEndTime" in found["AutomationExecution"] else None

    execution = wait_for(f"{move} by runbook", ended, 60, 0.2)
    asked = execution["Outputs"].get("AskFarshore.Payload", ["{}"])[0]
    return execution["AutomationExecutionStatus"], json.loads(asked), execution.get("FailureMessage", "")


def test_a_runbook_switches_over_through_the_journal(lab):
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        wait_for("all is well after the failover within the region", lambda: lab.at_rest(HOME), 60)
        status, asked, why = carried_out(lab, STANDBY, "switchover", TargetRegion=STANDBY)
        assert (status, asked["accepted"]) == ("Success", True), (asked, why)
        wait_for("the other region writes", standby.confirmed)
    assert_one_writer(home, standby)
    assert lab.record()["holder"] == STANDBY
    switched = next(event for event in lab.events() if event["action"] == "switchover")
    assert switched["ticket"] == "OPS-7"
    assert switched["by"].startswith("runbook ")


def test_a_runbook_that_is_refused_fails_with_the_reason(lab):
    before = lab.record()
    status, asked, why = carried_out(lab, HOME, "failover", AcceptLossMilliseconds="unknown")
    assert status == "Failed"
    assert "it is alive" in asked["reason"]
    assert f"$.Item.holder.S is {STANDBY}" in why
    assert carried_out(lab, STANDBY, "switchover", TargetRegion=STANDBY)[0] == "Success"
    assert lab.record()["epoch"] == before["epoch"]


# --- by hand --------------------------------------------------------------------------------------------------------


def stop_farshore(lab, *regions):
    """No function runs, and none can start."""
    for region in regions:
        functions = lab.aws("lambda", region)
        for kind in KINDS:
            name = f"{SIDES[region]}-{kind}-function-{lab.name}"
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    murder(lab.functions())
    wait_for("no function runs", lambda: not lab.functions())


def let_farshore_start(lab):
    """And let it start now, instead of within the minute of its schedule."""
    for region in (HOME, STANDBY):
        functions = lab.aws("lambda", region)
        for kind in KINDS:
            name = f"{SIDES[region]}-{kind}-function-{lab.name}"
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    lab.invoke_all()


@pytest.fixture
def terminal(lab, tmp_path):
    """A person's terminal for a move; `open_terminal(source, target)`."""
    words = subprocess.run(
        [*FARSHORE, "lab", "env", "--lab", lab.name], capture_output=True, text=True, check=True
    ).stdout
    psql = Path(binaries.find(None).bin_dir) / "psql"
    place = by_hand.tools(tmp_path, lab.info["dns"]["outside"], psql)
    opened = []

    def open_terminal(source, target):
        known = {
            "suffix": lab.name,
            "from": source,
            "from-side": SIDES[source],
            "to": target,
            "to-side": SIDES[target],
            "global": lab.names.global_cluster,
            "database": lab.info["database"]["dbname"],
            "port": str(lab.info["port"]),
            "ca-file": lab.info["sslrootcert"],
            "lease-wait-s": "3",
            "metric-s": "0.5",
            "epoch": str(lab.record(target)["epoch"]),
        }
        known["new-epoch"] = str(int(known["epoch"]) + 1)
        known["given-epoch"] = str(int(known["epoch"]) + 2)
        opened.append(by_hand.Terminal(by_hand.environment(words, place), tmp_path, known))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


PLAYED = set()


def play(terminal, *sections):
    for section in sections:
        begun = time.monotonic()
        terminal.play(section)
        print(f"section {section}: {time.monotonic() - begun:.1f} s")
    PLAYED.update(sections)


def test_a_planned_move_by_hand(lab, terminal):
    """The wheel is taken from controllers that live; then they are stopped, and a person does the rest."""
    person = terminal(STANDBY, HOME)
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", standby.confirmed)
        play(person, 0, 1, 2)
        taken_at = time.monotonic()
        wait_for("nobody renews any more", lambda: standby.now("refused", taken_at + LEASE_S))
        assert json.loads(raw_record(lab)["document"]["S"])["by_hand"].endswith(f"to {HOME}")
        stop_farshore(lab, HOME, STANDBY)
        play(person, 3, 5, 6)
        wait_for("the new writer takes writes", home.confirmed)
        assert not standby.confirmed(taken_at + LEASE_S)
        play(person, 8)
        let_farshore_start(lab)
        play(person, 9)
        given_at = time.monotonic()
        wait_for("writing goes on in farshore's epoch", lambda: home.confirmed(given_at))
    assert_one_writer(home, standby)
    assert [beat.epoch for beat in home.confirmed(given_at)][-1] == int(person.known["given-epoch"])
    lab.invoke_all()
    assert_the_history_goes_on(lab, STANDBY)
    lab.run("reconcile", "--waive")


def assert_the_history_goes_on(lab, left):
    """What was told before is told still, in order, and the region that was left is to be accounted for."""
    told, record = lab.events(), lab.record()
    assert [event["action"] for event in told].count("first-boot") > 1
    assert [event["version"] for event in told] == sorted(event["version"] for event in told)
    assert record["version"] > told[-2]["version"]
    owed = [account for account in record["aftermaths"] if account["orphans_open"] != 0]
    assert [(account["region"], account["evidence"]) for account in owed] == [(left, "awaited")]


def raw_record(lab, via=STANDBY):
    return lab.aws("dynamodb", via).get_item(
        TableName=lab.names.authority_table,
        Key={"global_cluster": {"S": lab.names.global_cluster}, "entry_key": {"S": "authority"}},
        ConsistentRead=True,
    )["Item"]


def test_a_region_is_lost_while_farshore_is_gone(lab, terminal):
    stop_farshore(lab, HOME, STANDBY)
    person = terminal(HOME, STANDBY)
    with Pulse(lab, HOME, HOME) as zombie, Pulse(lab, STANDBY) as standby:
        lab.fault("region-loss", HOME)
        play(person, 0, 1, 2, 4, 5, 6)
        wait_for("the new writer takes writes", standby.confirmed)
        lab.fault("heal", HOME)
        play(person, 7)
        let_farshore_start(lab)
        play(person, 9)
        given_at = time.monotonic()
        wait_for("writing goes on in farshore's epoch", lambda: standby.confirmed(given_at))
    assert not zombie.confirmed(standby.confirmed()[0].begun)
    assert_one_writer(zombie, standby)
    assert lab.record()["holder"] == STANDBY
    assert_the_history_goes_on(lab, HOME)
    read = wait_for("the saved volume is read", lambda: _read(lab), 60, 1.0)
    assert read["lost_region"] == HOME
    assert "evidence saved" in lab.run("reconcile", "--resolved")["reason"]


def _read(lab):
    listed = lab.run("orphans")
    return listed if listed["complete"] else None


def test_nothing_of_it_was_denied(lab):
    """Functions, runbooks and the operator had the permissions they needed; each of these was used. The home region's
    runbook was refused before it could describe anything."""
    told = control.ask(lab.directory, {"order": "permissions"})
    assert told["denials"] == {}
    used = {
        (one["role"].removesuffix(f"-{lab.name}"), one["statement"])
        for one in told["statements"]
        if one["count"]
    }
    for side in SIDES.values():
        assert {(f"{side}-automation-role", sid) for sid in ("Service", "Ask", "Follow")} <= used
        assert (f"{side}-failover-role", "Authority") in used
    assert ("secondary-automation-role", "Describe") in used
    wanted = ("StartRunbooks", "FollowRunbooks", "PassRunbookRoles")
    assert {("dr-operations-role", sid) for sid in wanted} <= used


def test_every_section_was_played():
    assert by_hand.sections() == PLAYED
