"""A failover on a lab that runs, and the controller that drives it killed or frozen at each of its steps.

Whatever is hit, the other region takes over in the next epoch, one region writes at a time, and every acknowledged
transaction that is missing afterwards is on the product's list of orphans.
"""

import signal
import time
from types import SimpleNamespace

import pytest
from running import (
    HOME,
    STANDBY,
    Pulse,
    RunningLab,
    assert_one_writer,
    lose_home_with_orphans,
    wait_for,
)
from test_control_plane import KINDS, befall, calls, farshore, now_ms
from test_interrupted_moves import (
    FROZEN_S,
    PATIENCE_S,
    Ledger,
    Log,
    forget_lost_requests,
    hit,
    ledger_lab,
    renewed,
    revive,
)

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(600)]
PROMOTE = "rds:FailoverGlobalCluster"
STEPS = ("claim-lost-holder", "promote", "promoted")
NOT_ASKED_FOR = SimpleNamespace(is_over=lambda: False)


@pytest.fixture(scope="module")
def lab():
    with ledger_lab("f") as running:
        yield running


def go_home(lab: RunningLab) -> dict:
    forget_lost_requests(lab)
    record = wait_for("a move may begin", lambda: renewed(lab), 90)
    if record["holder"] != HOME:
        lab.run("failback", timeout_s=PATIENCE_S)
    return wait_for("home holds", lambda: lab.at_rest(HOME) and renewed(lab), 90)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=str)
@pytest.mark.parametrize("step", STEPS)
def test_a_failover_interrupted_at(lab, step, how):
    before = go_home(lab)
    with Ledger(lab) as ledger, Pulse(lab, STANDBY) as standby:
        wait_for("a first entry", ledger.confirmed)
        log, victims = Log(lab, STANDBY), lab.functions("controller", STANDBY)
        lose_home_with_orphans(lab)
        assert log.await_step(step, NOT_ASKED_FOR)
        struck = hit(victims, how)
        phase = lab.record()["phase"]
        assert struck, "nobody was there to be hit"
        revive(lab, STANDBY)
        if how is signal.SIGSTOP:
            time.sleep(FROZEN_S)  # the length of the freeze is the case, not a wait for something
            hit(struck, signal.SIGCONT)
        held = wait_for(
            "the standby holds", lambda: lab.record()["holder"] == STANDBY and lab.record(), PATIENCE_S
        )
        wait_for("entries are booked again", standby.confirmed, PATIENCE_S)
    print(f"failover, {step}, {how.name} in {phase}: {STANDBY} holds {held['epoch']}")
    assert held["epoch"] == before["epoch"] + 1
    assert_one_writer(ledger, standby)
    take_home_back(lab, ledger)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failover_whose_call_to_aws_fails(lab, kind):
    """Within its plan it may be sent again where nobody knows of the first, and is not where AWS shows it."""
    before = go_home(lab)
    with Ledger(lab) as ledger, Pulse(lab, STANDBY) as standby:
        wait_for("a first entry", ledger.confirmed)
        befall(lab, PROMOTE, kind)
        begun = now_ms()
        lose_home_with_orphans(lab)
        held = wait_for(
            "the standby holds", lambda: lab.record()["holder"] == STANDBY and lab.record(), PATIENCE_S
        )
        wait_for("entries are booked again", standby.confirmed, PATIENCE_S)
    sent = [call["operation"] for call in calls(lab, begun)].count(PROMOTE.partition(":")[2])
    print(f"failover, {kind}: sent {sent} times, {STANDBY} holds {held['epoch']}")
    assert held["epoch"] == before["epoch"] + 1
    assert sent == (1 if kind == "reply-lost" else 2)
    assert_one_writer(ledger, standby)
    take_home_back(lab, ledger)


def test_a_switchover_that_aws_answers_with_its_own_error_is_unknown_and_ends_at_the_source(lab):
    before, begun = go_home(lab), now_ms()
    befall(lab, "rds:SwitchoverGlobalCluster", "error")
    with Ledger(lab) as ledger:
        wait_for("a first entry", ledger.confirmed)
        assert farshore(lab, "switchover", "--no-wait").returncode == 0
        record = wait_for(
            "the source goes on", lambda: lab.record()["epoch"] > before["epoch"] and _held(lab), PATIENCE_S
        )
        held_at = time.monotonic()
        wait_for("entries are booked again", lambda: ledger.confirmed(held_at), PATIENCE_S)
    assert [call["operation"] for call in calls(lab, begun)].count("SwitchoverGlobalCluster") == 1
    assert (record["holder"], record["quiet"]["target"]) == (HOME, STANDBY)
    assert_one_writer(ledger)
    assert not missing(lab, ledger, HOME)


def _held(lab: RunningLab) -> dict | None:
    record = lab.record()
    return record if record["phase"] == "HELD" else None


def take_home_back(lab: RunningLab, ledger: Ledger) -> None:
    lab.fault("heal", HOME)
    lab.invoke_all()
    wait_for("home follows", lambda: not lab.record()["degraded"], 120)
    settle(lab, missing(lab, ledger))


def missing(lab: RunningLab, ledger: Ledger, writer: str = STANDBY) -> set[str]:
    """What was acknowledged and is not there; nothing is there that certainly failed."""
    with lab.admin(writer) as admin:
        booked = {row[0] for row in admin.execute("select id from ledger.pulse")}
    assert not set(ledger.refused) & booked
    return {str(key) for key, _ in ledger.acknowledged if key not in booked}


def settle(lab: RunningLab, lost: set[str]) -> None:
    """The evidence is read, every lost entry is on the list, and the account is closed."""

    def complete() -> dict | None:
        found = lab.run("orphans")
        return found if found["complete"] else None

    listed = wait_for("the old volume is read", complete, 60, 1.0)
    rows = [row for orphan in listed["orphans"] for row in orphan["rows"] if row["table"] == "ledger.pulse"]
    assert lost <= {row["key"]["id"] for row in rows}
    lab.run("reconcile")
    lab.run("reconcile", "--resolved")
