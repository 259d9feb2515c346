"""The seed's own commands with the real AWS CLI, and the verbs that check a deployment, on a lab that runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from running import FARSHORE, HOME, OUTSIDE, STANDBY, Pulse, RunningLab, unique, wait_for
from transcript import Player, read

from farshore.lab import awscli, control

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
TRANSCRIPT = Path(__file__).parent / "transcripts" / "seed_commands.txt"
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("s"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def terminal(lab):
    """What a shell has after `eval "$(farshore lab env)"`."""
    words = subprocess.run(
        [*FARSHORE, "lab", "env", "--lab", lab.name], capture_output=True, text=True, check=True
    ).stdout
    path = os.pathsep.join((str(Path(sys.executable).parent), os.defpath))
    shell = subprocess.run(
        ["/bin/sh", "-c", f"{words}\nenv -0"], env={"PATH": path}, capture_output=True, check=True
    )
    pairs = (entry.partition("=") for entry in shell.stdout.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs}


def verb(lab, *arguments):
    done = forked.farshore(*arguments, "--json", env={**os.environ, **lab.info["env"][OUTSIDE]})
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"]
    return report["exit_code"], {check["name"]: check for check in report["checks"]}


def test_preflight_sees_both_sides_the_guard_and_what_has_none(lab):
    code, checks = verb(lab, "preflight")
    assert code == 0, checks
    assert checks["versions"]["seen"] == "us-east-1 15.10, us-west-2 15.10"
    assert checks["guard"]["seen"].startswith("enforces, epoch 1 of us-east-1")
    assert checks["max_prepared_transactions"]["seen"] == "0"
    assert checks["us-east-1: database quotas"]["state"] == "skipped"
    with lab.admin(HOME) as admin:
        admin.execute("create table ledger.forgotten (id int primary key)")
    code, checks = verb(lab, "preflight")
    assert code == 1
    assert checks["tables without a guard"]["seen"].startswith("ledger.forgotten")
    with lab.admin(HOME) as admin:
        admin.execute("drop table ledger.forgotten")


def test_verify_looks_at_every_part_of_the_deployment(lab):
    code, checks = verb(lab, "verify")
    assert code == 0, checks
    assert {check["state"] for check in checks.values()} == {"ok"}
    for region in (HOME, STANDBY):
        assert checks[f"{region}: alarms are in OK"]["seen"].endswith("in ALARM: none")
    assert len(checks) == 12
    assert "reaches 4 endpoints" in checks["us-west-2: monitor answers when invoked"]["seen"]


def test_the_wrapper_knows_one_endpoint(lab, terminal):
    aws = shutil.which("aws", path=terminal["PATH"])
    assert aws == str(lab.directory / "bin" / "aws")

    def refusal(*arguments, **environment):
        return subprocess.run(
            [aws, *arguments], env={**terminal, **environment}, capture_output=True, text=True, check=False
        )

    for elsewhere in ("--endpoint-url", "--endpoint", "--endpoint-url=https://rds.us-east-1.amazonaws.com"):
        done = refusal("rds", "describe-db-clusters", elsewhere, "https://rds.us-east-1.amazonaws.com")
        assert (done.returncode, "has one endpoint" in done.stderr) == (2, True)
    done = refusal("sts", "get-caller-identity", AWS_ENDPOINT_URL="https://sts.us-east-1.amazonaws.com")
    assert (done.returncode, "is not a lab's" in done.stderr) == (2, True)


def test_nothing_of_the_cli_gets_past_the_wrapper(lab, tmp_path):
    """Whatever the wrapped program does over HTTPS ends at a closed port."""
    tools, real = awscli.install(tmp_path), tmp_path / "real"
    real.mkdir()
    (real / "aws").write_text('#!/bin/sh\nenv\necho "$@"\n')
    (real / "aws").chmod(0o755)
    environment = {
        "PATH": f"{tools}:{real}:{os.defpath}",
        "AWS_ENDPOINT_URL": "http://127.0.0.9:1",
        "AWS_REGION": "us-west-2",
        "NO_PROXY": "*",
        "AWS_PROFILE": "production",
    }
    seen = subprocess.run(
        [tools / "aws", "sqs", "list-queues"], env=environment, capture_output=True, text=True, check=True
    )
    lines = seen.stdout.splitlines()
    assert lines[-1] == "--endpoint-url http://127.0.0.9:1 --region us-west-2 sqs list-queues"
    assert "HTTPS_PROXY=http://127.0.0.1:1" in lines
    assert "AWS_SHARED_CREDENTIALS_FILE=/dev/null" in lines
    assert not [line for line in lines if line.startswith(("NO_PROXY", "AWS_PROFILE"))]


def test_the_seeds_commands_run_as_written_and_authority_follows(lab, terminal, tmp_path):
    known = {"suffix": lab.name, "account-id": ACCOUNT, "primary-health-check-id": _primary_check(lab)}
    player = Player(dict(terminal), tmp_path, known)
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("the ledger is written in the home region", home.confirmed)
        for step in read(TRANSCRIPT):
            if step.command.endswith("--query 'GlobalClusters[0].GlobalClusterMembers'"):
                # An operator looks again until the move has ended; its end is what the transcript shows.
                wait_for("the ledger is written in the other region", standby.confirmed)
            player.play(step)
        assert standby.confirmed()
    assert {beat.epoch for beat in home.confirmed()} == {1}
    assert {beat.epoch for beat in standby.confirmed()} == {2}
    claim = next(event for event in lab.events() if event["epoch"] == 2)
    assert "the role was moved outside farshore" in claim["reason"]


def test_the_statements_that_were_needed_are_counted(lab):
    """After the failover above: what the functions and the operator were allowed, statement by statement."""
    order = control.ask(lab.directory, {"order": "permissions"})
    uses = {
        (use["role"].removesuffix(f"-{lab.name}"), use["statement"]): use["count"]
        for use in order["statements"]
    }
    for role in ("primary-controller-role", "secondary-controller-role"):
        for statement in (
            "Authority",
            "Describe",
            "Metrics",
            "Secret",
            "SecretKey",
            "Network",
            "DeadLetters",
        ):
            assert uses[role, statement] > 0, (role, statement)
    for statement in ("MoveTheWriter", "DescribeGlobal", "Operators"):
        assert uses["dr-operations-role", statement] > 0, statement
    denied = [words for words in order["denials"] if "dr-operations-role" not in words]
    assert denied == []


def _primary_check(lab):
    """What the stack's output says: the check of the PRIMARY record."""
    dns = lab.aws("route53", HOME)
    zone = next(
        z["Id"]
        for z in dns.list_hosted_zones()["HostedZones"]
        if z["Name"].startswith(f"farshore-{lab.name}")
    )
    records = dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return next(record["HealthCheckId"] for record in records if record.get("Failover") == "PRIMARY")
