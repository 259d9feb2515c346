"""The promises on a lab that runs: real servers, real functions, real signals. The tests share one lab, in order."""

import os
import shlex
import subprocess
import sys
import time

import psutil
import pytest
from running import (
    FARSHORE,
    HOME,
    STANDBY,
    TABLE,
    Pulse,
    RunningLab,
    assert_one_writer,
    murder,
    no_new_functions,
    stopped,
    unique,
    wait_for,
)

from farshore.core.profile import FAST
from farshore.lab import directory

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
LEASE_S = FAST.lease_ttl_ms / 1000
# Two cores may be shared by several labs: limits on time leave room for that, limits on safety leave none.
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("a"))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


def settled(lab: RunningLab, via: str = STANDBY):
    """Wait until somebody holds and renews; the record then."""

    def renewed():
        first = lab.record(via)
        time.sleep(2 * FAST.renew_ms / 1000)
        second = lab.record(via)
        return (
            second
            if first["phase"] == second["phase"] == "HELD" and first["renewal_seq"] < second["renewal_seq"]
            else None
        )

    return wait_for("the lease is kept", renewed, 60)


def test_env_lets_ordinary_tools_in(lab):
    program = (
        "import boto3, os, psycopg, sys\n"
        "from farshore.client.names import Resolver\n"
        "name, dns = sys.argv[1:]\n"
        "clusters = boto3.client('rds').describe_global_clusters()['GlobalClusters']\n"
        "print(clusters[0]['GlobalClusterIdentifier'], len(clusters[0]['GlobalClusterMembers']))\n"
        "c = psycopg.connect(host=name, hostaddr=Resolver((dns,)).find(name, 3).address, connect_timeout=5)\n"
        "print(c.pgconn.ssl_in_use, c.execute('select current_user, pg_is_in_recovery()').fetchone())\n"
    )
    arguments = [sys.executable, "-c", program, lab.info["writer_name"], lab.info["dns"]["outside"]]
    command = (
        f'eval "$({shlex.join([*FARSHORE, "lab", "env", "--lab", lab.name])})" && {shlex.join(arguments)}'
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG"))}
    done = subprocess.run(["bash", "-c", command], env=clean, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"aurora-global-{lab.name} 2", "True ('ledger_app', False)"], (
        done.stderr
    )


def test_the_operators_verbs_tell_what_is(lab):
    record = settled(lab)
    wait_for("status says that all is well", lambda: lab.status()["exit_code"] == 0, 60)
    status = lab.status()
    assert (status["record"]["holder"], status["record"]["epoch"]) == (HOME, record["epoch"])
    assert status["renewed_ms_ago"] < PATIENCE_S * 1000
    guard = lab.run("guard", "status")
    assert (guard["enforcing"], guard["in_lease"], guard["fenced"]) == (True, True, False)
    assert guard["tables"] == [TABLE]
    orphans = lab.run("orphans")
    assert (orphans["orphans"], orphans["complete"]) == ([], True)
    assert [event["action"] for event in lab.events()] == ["first-boot"]
    assert lab.name in [found["name"] for found in lab.run("lab", "status")]


def test_the_synchronous_standby_dies_and_writing_goes_on(lab):
    with Pulse(lab, HOME) as pulse:
        wait_for("a first write", pulse.confirmed)
        at = time.monotonic()
        murder([lab.postmaster(HOME, writer=False)])
        wait_for("writing goes on", lambda: len(pulse.confirmed(at + 3)) > 5)
        silence_s = pulse.longest_silence_s(at, pulse.confirmed()[-1].ended)
    print(f"longest silence after the standby's death: {silence_s:.2f} s")
    assert silence_s < 5
    assert lab.record()["epoch"] == 1


def test_a_frozen_keeper_never_means_two_writers(lab):
    """The neighbour's controller may renew for the holder; if it cannot, the guard refuses."""
    before = settled(lab)
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        frozen_at = time.monotonic()
        keepers = lab.functions("controller", HOME)
        assert keepers
        with stopped(keepers):
            wait_for("three leases pass", lambda: time.monotonic() - frozen_at > 3 * LEASE_S)
            during = [b for b in home.beats if b.begun > frozen_at + LEASE_S]
        thawed_at = time.monotonic()
        wait_for("writing goes on", lambda: home.confirmed(thawed_at))
    assert {b.outcome for b in during} & {"confirmed", "refused"}
    assert all(b.sqlstate == "25006" for b in during if b.outcome == "refused"), during
    print(
        f"while the keeper was frozen: {sorted(b.outcome for b in during).count('confirmed')} of {len(during)} written"
    )
    assert not standby.confirmed()
    assert_one_writer(home, standby)
    assert settled(lab)["epoch"] == before["epoch"]


def test_without_metrics_dns_does_not_flip_and_a_frozen_farshore_does_not_fail_over(lab):
    """Every function frozen: no lease, no metric, no opinion. The guard refuses; DNS stays; nobody moves on waking."""
    before = settled(lab)
    with no_new_functions(lab), Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        frozen = lab.functions()
        assert len(frozen) >= 4
        with stopped(frozen):
            at = time.monotonic()
            wait_for("the guard refuses", lambda: home.now("refused", at + LEASE_S))
            answers = set()
            # At cadence 60 an alarm's period is a second: six of them without a value, more than the AWS rules look at.
            while time.monotonic() < at + 6:
                answers.add(lab.answer())
                time.sleep(0.2)
            assert answers == {lab.endpoint(HOME)}
            assert not home.confirmed(at + LEASE_S + 0.5)
        thawed_at = time.monotonic()
        wait_for("writing goes on", lambda: home.confirmed(thawed_at))
    assert {b.sqlstate for b in home.beats if b.outcome == "refused"} == {"25006"}
    assert not standby.confirmed()
    assert settled(lab)["epoch"] == before["epoch"]
    assert [event["action"] for event in lab.events()] == ["first-boot"]


def test_killing_every_function_is_survived(lab):
    """The API invokes what the schedule would invoke within a minute; the soak test waits for the schedule."""
    before = settled(lab)
    killed = {process.pid for process in lab.functions()}
    assert murder(lab.functions()) >= 4
    wait_for("they are dead", lambda: not killed & {process.pid for process in lab.functions()})
    lab.invoke_all()
    after = settled(lab)
    wait_for("all of them run again", lambda: len(lab.functions()) >= 4)
    assert (after["epoch"], after["holder"]) == (before["epoch"], HOME)
    with Pulse(lab, HOME) as home:
        wait_for("writing goes on", home.confirmed)


def test_the_writer_crashes_and_its_region_keeps_the_role(lab):
    """An in-region failover: the synchronous standby takes over, in the same epoch and region."""
    before = settled(lab)
    wait_for("both servers of the region run", lambda: _streams(lab, HOME))
    with Pulse(lab, HOME) as home, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", home.confirmed)
        at = time.monotonic()
        murder([lab.postmaster(HOME, writer=True)])
        wait_for("writing goes on", lambda: len(home.confirmed(at + 0.5)) > 5, 60)
        silence_s = home.longest_silence_s(at, home.confirmed()[-1].ended)
    print(f"longest silence after the writer's crash: {silence_s:.2f} s")
    assert not standby.confirmed()
    assert_one_writer(home, standby)
    assert {b.epoch for b in home.confirmed()} == {before["epoch"]}
    assert lab.record()["epoch"] == before["epoch"]
    assert silence_s < PATIENCE_S


def _streams(lab, region):
    with lab.admin(region) as admin:
        return admin.execute(
            "select count(*) from pg_stat_replication where sync_state = 'sync'"
        ).fetchone() == (1,)


def _lag_is_small(lab):
    lag_ms = lab.record()["lag_ms"]
    return lag_ms is not None and lag_ms < 1000


def test_a_controller_killed_within_a_failover_and_an_old_writer_that_returns(lab):
    """Region loss; the standby's controller is killed as soon as the claim stands; the next invocation finishes.
    Then the old writer comes back where it was: through its own endpoint, in its own region, it refuses."""
    before = settled(lab)
    wait_for("both servers of the region run", lambda: _streams(lab, HOME))
    # After the writer's crash the other region follows anew; until then the loss has no bound, and a person is asked.
    wait_for("the other region follows", lambda: _lag_is_small(lab), 60)
    with Pulse(lab, HOME, HOME) as zombie, Pulse(lab, STANDBY) as standby:
        wait_for("a first write", zombie.confirmed)
        fault = lab.fault("region-loss", HOME)
        lost_at = fault["at_monotonic_ns"] / 1e9
        assert fault["bit"]["servers"] == 2
        assert fault["bit"]["lambdas"] >= 2
        wait_for("a claim", lambda: lab.record()["epoch"] > before["epoch"])
        claimed_at = time.monotonic()
        murder(lab.functions("controller", STANDBY))
        lab.aws("lambda", STANDBY).invoke(
            FunctionName=lab.names.controller_function(STANDBY), InvocationType="Event", Payload=b"{}"
        )
        wait_for("the standby writes", standby.confirmed, 60)
        print(
            f"written again {standby.confirmed()[0].ended - lost_at:.2f} s after the loss, one controller later"
        )
        wait_for("DNS follows", lambda: lab.answer() == lab.endpoint(STANDBY))
        healed_at = time.monotonic()
        lab.fault("heal", HOME)
        wait_for("the old writer is asked", lambda: zombie.now("refused", healed_at), 60)
        wait_for("some more writes", lambda: len(standby.confirmed(healed_at)) > 20, 60)
    assert {b.sqlstate for b in zombie.beats if b.outcome == "refused"} == {"25006"}
    assert not zombie.confirmed(claimed_at)
    assert_one_writer(zombie, standby)
    record = settled(lab)
    assert (record["holder"], record["epoch"]) == (STANDBY, before["epoch"] + 1)
    # Killed between its record and its request, on a machine so slow that the intent's time passes before the next
    # controller runs, the first promotion is never sent: another one is, with a time of its own (H6).
    told = [event["action"] for event in lab.events() if event["action"] != "promote-anew"]
    assert told[:4] == ["first-boot", "claim-lost-holder", "promote", "promoted"]
    assert lab.answer() == lab.endpoint(STANDBY)


def test_after_kill_minus_nine_nothing_runs_and_the_next_start_removes_the_rest(lab):
    """Last in this file: it ends the lab the hard way. The soak test ends one in good order."""
    processes = lab.tree()
    assert {*lab.functions("controller"), lab.postmaster(STANDBY, writer=True)} < {*processes}
    assert lab.listeners()
    lab.kill()
    _, alive = psutil.wait_procs(processes, PATIENCE_S)
    assert not alive
    assert not lab.listeners()
    assert lab.name not in [path.name for path in directory.alive()]
    directory.sweep()
    assert not lab.directory.exists()
