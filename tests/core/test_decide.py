"""Each condition by itself: facts that lead to a step, and the same facts with one of them taken away."""

import dataclasses

import pytest

from farshore.core import decide as decide_module
from farshore.core import requests
from farshore.core.authority import Authority, Event, Intent, Phase, Plan, PlanKind, Quiet
from farshore.core.decide import decide
from farshore.core.errors import InvariantError, RefusedError
from farshore.core.facts import Endpoints, Facts, GlobalCluster, Now, Observation, Server
from farshore.core.invariants import check
from farshore.core.profile import FAST
from farshore.core.transitions import Action

HOME, STANDBY = "us-east-1", "us-west-2"
NOW = Now(wall_ms=1_000_000, mono_ms=50_000)
LONG = 10_000
HELD = Authority(
    version=9,
    epoch=4,
    phase=Phase.HELD,
    holder=HOME,
    renewal_seq=7,
    renewed_at_ms=NOW.wall_ms - LONG,
    lag_ms=20,
    mode="auto",
    paused=False,
    degraded=False,
    plan=None,
    last_event=Event(1, 1, 4, Phase.HELD, HOME, "first-boot", "a test", "p"),
)
PLAN = Plan(
    "failover-5", PlanKind.FAILOVER, HOME, STANDBY, "p", "region lost", NOW.wall_ms - 2000, 20, from_epoch=4
)
CLAIMED = dataclasses.replace(HELD, epoch=5, phase=Phase.CLAIMED, holder=None, plan=PLAN)
INTENT = Intent(not_after_ms=NOW.wall_ms + 3000, attempt=1, by="p")
PROMOTING = dataclasses.replace(CLAIMED, phase=Phase.PROMOTING, plan=dataclasses.replace(PLAN, intent=INTENT))
UNMOVED = GlobalCluster(HOME, None, synchronized=False)
MOVED = GlobalCluster(STANDBY, None, synchronized=False)


def server(region, **changes):
    values = {
        "in_recovery": False,
        "epoch": 4,
        "fenced": False,
        "enforcing": True,
        "clock_us": 1,
        "lag_ms": 20,
    }
    return Server(region=region, **{**values, **changes})


def seen(region, unchanged_ms, **silent_ms):
    silences = {"writer_silent_ms": LONG, "reader_silent_ms": LONG, **silent_ms}
    return Observation(region, "s", unchanged_ms, {HOME: Endpoints(**silences)}, None)


READER = server(STANDBY, in_recovery=True, lag_ms=None)
LOST = Facts(
    me=STANDBY,
    process="p",
    lease_unchanged_ms=FAST.lease_wait_ms,
    observations={HOME: seen(HOME, LONG), STANDBY: seen(STANDBY, 0)},
    servers={STANDBY: READER},
    cluster=UNMOVED,
)


def step(record, facts, **changes):
    return decide(record, dataclasses.replace(facts, **changes), NOW, FAST)


# --- the claim -----------------------------------------------------------------------------------------------------


def test_the_claim_that_all_these_facts_allow():
    taken = step(HELD, LOST)
    assert (taken.name, taken.action) == ("claim-lost-holder", Action.NOTHING)
    assert (taken.record.epoch, taken.record.holder, taken.record.renewal_seq) == (5, None, 7)


def both(home, standby):
    return {HOME: home, STANDBY: standby}


MISSING = {
    "the lease has not lapsed": {"lease_unchanged_ms": FAST.lease_ttl_ms - 1},
    "the holder's monitor is alive": {
        "observations": both(seen(HOME, FAST.stale_after_ms - 1), seen(STANDBY, 0))
    },
    "the holder's monitor was never heard of": {"observations": {STANDBY: seen(STANDBY, 0)}},
    "the writer endpoint answered": {
        "observations": both(seen(HOME, LONG), seen(STANDBY, 0, writer_silent_ms=10))
    },
    "the reader endpoint answered": {
        "observations": both(seen(HOME, LONG), seen(STANDBY, 0, reader_silent_ms=10))
    },
    "the writer endpoint was never asked": {
        "observations": both(seen(HOME, LONG), seen(STANDBY, 0, writer_silent_ms=None))
    },
    "the reader endpoint was never asked": {
        "observations": both(seen(HOME, LONG), seen(STANDBY, 0, reader_silent_ms=None))
    },
    "our own monitor's word is old": {
        "observations": both(seen(HOME, LONG), seen(STANDBY, FAST.stale_after_ms))
    },
    "our own monitor has said nothing": {"observations": {HOME: seen(HOME, LONG)}},
    "our own database does not answer": {"servers": {}},
    "our own database never heard of the epoch": {
        "servers": {STANDBY: server(STANDBY, in_recovery=True, epoch=3)}
    },
    "our own database is a fenced zombie": {"servers": {STANDBY: server(STANDBY, epoch=3, fenced=True)}},
    "the guard does not enforce": {"servers": {STANDBY: server(STANDBY, in_recovery=True, enforcing=False)}},
}


@pytest.mark.parametrize("changes", MISSING.values(), ids=MISSING.keys())
def test_no_claim_when(changes):
    taken = step(HELD, LOST, **changes)
    assert (taken.name, taken.record, taken.action) == ("wait", None, Action.NOTHING)


QUIET = Quiet(4, 1, HOME, NOW.wall_ms + 1)


@pytest.mark.parametrize("changes", [{"mode": "manual"}, {"paused": True}, {"quiet": QUIET}], ids=str)
def test_nothing_happens_with_a_record_like(changes):
    taken = step(dataclasses.replace(HELD, **changes), LOST)
    assert (taken.name, taken.record) == ("wait", None)


@pytest.mark.parametrize("changes", [{"mode": "approve"}, {"lag_ms": None}, {"lag_ms": 60_000}], ids=str)
def test_a_person_is_asked_with_a_record_like(changes):
    taken = step(dataclasses.replace(HELD, **changes), LOST)
    assert (taken.name, taken.action, taken.record.epoch) == ("propose", Action.NOTHING, 4)
    assert step(taken.record, LOST).name == "wait", "it is proposed once"


# --- renewals ------------------------------------------------------------------------------------------------------

KEEPER = Facts("us-east-1", "k", 300, servers={HOME: server(HOME)}, cluster=UNMOVED)


def test_the_keeper_renews():
    taken = step(HELD, KEEPER)
    assert (taken.name, taken.action, taken.record.renewal_seq) == ("renew", Action.RENEW, 8)


NOT_READY = {
    "in recovery": {"in_recovery": True},
    "of a later epoch": {"epoch": 5},
    "fenced in this epoch": {"fenced": True},
    "whose clock jumped ahead": {"clock_step_ms": FAST.stall_margin_ms},
    "whose clock fell behind": {"clock_step_ms": -FAST.stall_margin_ms},
}


@pytest.mark.parametrize("changes", NOT_READY.values(), ids=NOT_READY.keys())
def test_no_renewal_on_a_server(changes):
    assert step(HELD, KEEPER, servers={HOME: server(HOME, **changes)}).action is not Action.RENEW


def test_an_epoch_granted_for_the_first_time_lifts_an_older_fence():
    assert step(HELD, KEEPER, servers={HOME: server(HOME, epoch=3, fenced=True)}).name == "renew"


@pytest.mark.parametrize(
    ("unchanged_ms", "renews"), [(FAST.lease_ttl_ms // 2, False), (FAST.lease_ttl_ms, True)]
)
def test_the_neighbour_renews_only_for_a_late_keeper(unchanged_ms, renews):
    facts = dataclasses.replace(
        LOST, lease_unchanged_ms=unchanged_ms, servers={STANDBY: READER, HOME: server(HOME)}
    )
    assert (step(HELD, facts).name == "renew-for-holder") is renews


# --- the move ------------------------------------------------------------------------------------------------------


def test_promotion_waits_for_the_certain_end_of_the_lease():
    assert step(CLAIMED, LOST, lease_unchanged_ms=FAST.lease_wait_ms - 1).action is Action.NOTHING
    taken = step(CLAIMED, LOST)
    assert (taken.action, taken.record.phase) == (Action.PROMOTE, Phase.PROMOTING)
    assert taken.record.plan.intent == Intent(NOW.wall_ms + FAST.intent_not_after_ms, 1, by="p")


def test_a_target_that_writes_already_waits_for_the_lease_too():
    facts = dataclasses.replace(LOST, cluster=MOVED, servers={STANDBY: server(STANDBY)})
    assert step(CLAIMED, facts, lease_unchanged_ms=FAST.lease_wait_ms - 1).record is None
    assert step(CLAIMED, facts).record.holder == STANDBY


def test_both_the_control_plane_and_the_server_must_say_that_the_target_writes():
    promoted = {"cluster": MOVED, "servers": {STANDBY: server(STANDBY)}}
    assert step(PROMOTING, LOST, **promoted).record.holder == STANDBY
    for missing in (
        {"cluster": UNMOVED},
        {"cluster": None},
        {"cluster": GlobalCluster(STANDBY, "failing-over", synchronized=False)},
        {"servers": {STANDBY: READER}},
        {"servers": {}},
    ):
        taken = step(PROMOTING, LOST, move_sent=True, **{**promoted, **missing})
        assert taken.record is None, missing


def test_a_promotion_is_sent_once_and_only_in_its_time():
    assert step(PROMOTING, LOST).name == "promote-again"
    assert step(PROMOTING, LOST, process="another").name == "wait", "only who recorded it may send it"
    assert step(PROMOTING, LOST, move_sent=True).action is Action.NOTHING
    assert step(PROMOTING, LOST, cluster=None).action is Action.NOTHING
    assert (
        step(PROMOTING, LOST, cluster=GlobalCluster(HOME, "failing-over", synchronized=False)).name == "wait"
    )
    spent = dataclasses.replace(PLAN, intent=Intent(NOW.wall_ms, 1))
    anew = step(dataclasses.replace(PROMOTING, plan=spent), LOST)
    assert (anew.name, anew.record.plan.intent.attempt) == ("promote-anew", 2)


SOURCE = Facts("us-east-1", "k", FAST.claim_ttl_ms, servers={HOME: server(HOME)}, cluster=UNMOVED)


def test_a_claim_is_taken_back_only_when_it_has_expired_and_nothing_moved():
    assert step(CLAIMED, SOURCE).record.epoch == 6
    for missing in (
        {"lease_unchanged_ms": FAST.claim_ttl_ms - 1},
        {"cluster": MOVED},
        {"cluster": None},
        {"cluster": GlobalCluster(HOME, "failing-over", synchronized=False)},
        {"servers": {}},
        {"servers": {HOME: server(HOME, in_recovery=True)}},
    ):
        assert step(CLAIMED, SOURCE, **missing).record is None, missing


# --- roles that moved outside, and zombies -------------------------------------------------------------------------

ADOPTER = dataclasses.replace(LOST, cluster=MOVED, servers={STANDBY: server(STANDBY)})


def test_a_role_moved_outside_is_adopted():
    assert step(HELD, ADOPTER).name == "role-moved-outside"
    for missing in (
        {"servers": {STANDBY: READER}},
        {"servers": {}},
        {"cluster": UNMOVED},
        {"cluster": GlobalCluster(STANDBY, "switching-over", synchronized=True)},
    ):
        assert step(HELD, ADOPTER, **missing).name != "role-moved-outside", missing
    assert step(dataclasses.replace(HELD, paused=True), ADOPTER).name == "role-moved-outside", (
        "whoever moved it by hand during a pause wants somebody to write"
    )


def test_a_zombie_is_fenced_and_never_adopted():
    """Its control plane may still call it the writer; its volume knows an older epoch only."""
    zombie = server(STANDBY, epoch=3)
    taken = step(HELD, ADOPTER, servers={STANDBY: zombie})
    assert (taken.name, taken.action) == ("fence-zombie", Action.FENCE)
    fenced = {STANDBY: dataclasses.replace(zombie, fenced=True)}
    again = step(HELD, ADOPTER, lease_unchanged_ms=0, servers=fenced)
    assert (again.record, again.action) == (None, Action.NOTHING)


# --- first boot, invariants ----------------------------------------------------------------------------------------


def test_first_boot_needs_the_server_and_the_control_plane():
    assert step(None, KEEPER).record.epoch == 5
    for missing in (
        {"cluster": MOVED},
        {"cluster": None},
        {"cluster": GlobalCluster(HOME, "failing-over", synchronized=False)},
        {"servers": {}},
        {"servers": {HOME: server(HOME, in_recovery=True)}},
    ):
        assert step(None, KEEPER, **missing).record is None, missing


BROKEN = {
    "an epoch falls": (HELD, {"epoch": 3}),
    "an epoch is skipped": (HELD, {"epoch": 6}),
    "a version is skipped": (HELD, {"version": 11}),
    "a renewal is taken back": (HELD, {"renewal_seq": 6}),
    "the holder changes without a claim": (HELD, {"holder": STANDBY}),
    "a claim without a new epoch": (HELD, {"phase": Phase.CLAIMED, "holder": None, "plan": PLAN}),
    "a claim that renews": (
        HELD,
        {"phase": Phase.CLAIMED, "holder": None, "plan": PLAN, "epoch": 5, "renewal_seq": 8},
    ),
    "a holder while nobody holds": (CLAIMED, {"epoch": 6, "holder": HOME}),
    "a promotion without a claim": (
        HELD,
        {"phase": Phase.PROMOTING, "holder": None, "plan": PROMOTING.plan, "epoch": 5},
    ),
    "a promotion without an intent": (CLAIMED, {"phase": Phase.PROMOTING}),
    "a plan while nothing moves": (HELD, {"plan": PLAN}),
}


@pytest.mark.parametrize(("before", "changes"), BROKEN.values(), ids=BROKEN.keys())
def test_a_record_is_never_written_in_which(before, changes):
    with pytest.raises(InvariantError):
        check(before, dataclasses.replace(before, **{"version": before.version + 1, **changes}))


def test_a_row_that_breaks_an_invariant_never_reaches_the_journal(monkeypatch):
    def broken(view):
        return dataclasses.replace(view.record, epoch=view.record.epoch + 2)

    rows = tuple(dataclasses.replace(row, apply=broken) for row in decide_module.TABLE)
    monkeypatch.setattr(decide_module, "ROWS", decide_module.by_phase(rows))
    with pytest.raises(InvariantError, match="epoch"):
        step(HELD, KEEPER)


def test_the_reason_for_waiting_names_what_is_missing():
    def why(**changes):
        return step(HELD, LOST, **changes).reason

    assert "both of its endpoints" in why(
        observations=MISSING["the writer endpoint answered"]["observations"]
    )
    assert "monitor is alive" in why(observations=MISSING["the holder's monitor is alive"]["observations"])
    assert "does not enforce" in why(servers=MISSING["the guard does not enforce"]["servers"])
    assert why(lease_unchanged_ms=0) == f"{HOME} holds epoch 4"


def test_a_person_may_leave_a_region_that_died_while_it_was_promoted():
    """A second failure: only when the request to promote it can no longer arrive, and back to where it came from."""
    unknown = requests.Statement(None, None)
    with pytest.raises(RefusedError, match="may arrive"):
        requests.failover(PROMOTING, HOME, unknown, requests.Asked("alice", NOW, FAST))
    late_ms = INTENT.not_after_ms + FAST.request_life_ms
    after = requests.failover(PROMOTING, HOME, unknown, requests.Asked("alice", Now(late_ms, 0), FAST))
    assert (after.phase, after.epoch, after.holder) == (Phase.CLAIMED, PROMOTING.epoch + 1, None)
    assert (after.plan.source, after.plan.target, after.plan.from_epoch) == (STANDBY, HOME, 4)
    with pytest.raises(RefusedError, match="where the writer is or was"):
        requests.failover(HELD, HOME, unknown, requests.Asked("alice", NOW, FAST))
