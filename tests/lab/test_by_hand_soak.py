"""A lost region left by runbook, and the way back: on a lab of its own, because both take their time."""

import json

import pytest
from running import HOME, STANDBY, Pulse, RunningLab, assert_one_writer, unique, wait_for
from test_by_hand import carried_out

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("r"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


def test_a_runbook_leaves_a_lost_region_within_the_loss_that_is_accepted(lab):
    """Paused, so that the automation waits for a person; the person has the runbook."""
    lab.run("pause")
    with Pulse(lab, HOME, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        lab.fault("region-loss", HOME)

        def silent():
            status, asked, _ = carried_out(lab, STANDBY, "failover")
            assert status == "Failed"
            return asked if "accept_loss_ms" in asked["next"] else None

        stated = wait_for("the region counts as silent", silent, 60)
        bound = stated["next"].partition(" = ")[2].partition(",")[0]
        status, asked, why = carried_out(lab, STANDBY, "failover", AcceptLossMilliseconds=bound)
        assert (status, asked["accepted"]) == ("Success", True), (asked, why)
        wait_for("the other region writes", standby.confirmed)
        lab.fault("heal", HOME)
        wait_for("both are connected", lambda: not lab.record()["degraded"], 90)
    assert not home.confirmed(standby.confirmed()[0].begun)
    assert_one_writer(home, standby)
    lab.run("resume")


def test_the_way_back_is_refused_until_the_loss_is_accounted_for(lab):
    status, asked, _ = carried_out(lab, STANDBY, "failback")
    assert (status, asked["accepted"]) == ("Failed", False)
    assert json.dumps(lab.record()["aftermaths"]).count(HOME) == 1
    assert "reconcile" in asked["next"]
