"""The long facts about running labs: `make soak`."""

import random
import socket
import time

import psutil
import pytest
from running import HOME, STANDBY, Pulse, RunningLab, assert_one_writer, murder, unique, wait_for

from farshore.lab import directory

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(1800)]
REPETITIONS = 4
SCHEDULE_S = 60.0


@pytest.fixture
def lab():
    running = RunningLab(unique("s"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


def test_the_schedule_revives_every_function_within_a_minute(lab):
    before = lab.record()
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        at = time.monotonic()
        assert murder(lab.functions()) >= 4
        wait_for("writing goes on", lambda: home.confirmed(at + 3), SCHEDULE_S + 30)
        back_s = home.confirmed(at + 3)[0].ended - at
        wait_for("all four are back", lambda: len(lab.functions()) >= 4, 30)
    print(f"all functions killed: written again after {back_s:.1f} s")
    assert back_s < SCHEDULE_S + 15
    assert not standby.confirmed()
    assert {b.sqlstate for b in home.beats if b.outcome == "refused"} == {"25006"}
    after = lab.record()
    assert (after["epoch"], after["holder"]) == (before["epoch"], HOME)
    assert after["renewal_seq"] > before["renewal_seq"]


def test_a_controller_killed_at_random_instants_of_failovers(lab):
    """Back and forth: each time the writer's region is lost, and the survivor's controller dies at some instant."""
    dice = random.Random(2)
    writer, other = HOME, STANDBY
    epoch = lab.record()["epoch"]
    for _ in range(REPETITIONS):
        with Pulse(lab, writer) as old, Pulse(lab, other) as new:
            wait_for("a first write", old.confirmed)
            lost_at = lab.fault("region-loss", writer)["at_monotonic_ns"] / 1e9
            delay_s = dice.uniform(0.5, 3.0)
            time.sleep(delay_s)
            phase = lab.record(other)["phase"]
            murder(lab.functions("controller", other))
            lab.aws("lambda", other).invoke(
                FunctionName=lab.names.controller_function(other), InvocationType="Event", Payload=b"{}"
            )
            wait_for("the survivor writes", new.confirmed, 90)
            outage_s = new.confirmed()[0].ended - lost_at
            print(f"killed {delay_s:.2f} s after the loss, in {phase}: outage {outage_s:.2f} s")
            lab.fault("heal", writer)
            wait_for("the old region follows", lambda via=other: not lab.record(via)["degraded"], 120)
            lab.invoke_all()  # what its next schedule would do
            wait_for("its functions run", lambda region=writer: len(lab.functions("", region)) >= 2)
            time.sleep(3)  # until their monitors have looked round
        assert_one_writer(old, new)
        assert not old.confirmed(lost_at)
        record = lab.record(other)
        assert (record["holder"], record["epoch"]) == (other, epoch + 1)
        writer, other, epoch = other, writer, epoch + 1


def test_two_labs_side_by_side_one_dies_and_one_ends_and_neither_leaves_anything():
    labs = [RunningLab(unique("p")), RunningLab(unique("q"))]
    try:
        for lab in labs:
            lab.await_ready().make_pulse_table()
        first, second = labs
        assert first.subnet != second.subnet
        with Pulse(first, HOME) as beside, Pulse(second, HOME) as pulse:
            wait_for("both write", lambda: beside.confirmed() and pulse.confirmed())
            doomed = second.tree()
            at = time.monotonic()
            second.kill()
            _, alive = psutil.wait_procs(doomed, 20)
            assert not alive
            assert not second.listeners()
            wait_for("the other writes on", lambda: len(beside.confirmed(at + 1)) > 5)
        assert first.record()["epoch"] == 1
        processes = first.tree()
        first.close()
        _, alive = psutil.wait_procs(processes, 20)
        assert not alive
        assert not first.listeners()
        assert not first.directory.exists()
        assert not first.claim.exists()
        directory.sweep()
        assert not second.directory.exists()
    finally:
        for lab in labs:
            lab.close()


def test_somebody_else_has_port_5432_on_every_address():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("0.0.0.0", 5432))
        except OSError:
            pytest.skip("somebody has the port on an address of this computer already")
        taken.listen(1)
        lab = RunningLab(unique("o"))
        try:
            lab.await_ready().make_pulse_table()
            assert lab.info["port"] != 5432
            with Pulse(lab, HOME) as pulse:
                wait_for("a write", pulse.confirmed)
        finally:
            lab.close()
