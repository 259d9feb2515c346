"""Scenes of the night, for the tests of what is made of them."""

from dataclasses import replace

from farshore.core.authority import (
    Approval,
    Authority,
    Basis,
    Event,
    Phase,
    Plan,
    PlanKind,
    Proposal,
)
from farshore.core.facts import Endpoints, GlobalCluster
from farshore.core.profile import AWS
from farshore.core.scene import Scene, Seen

EAST, WEST = "us-east-1", "us-west-2"
NOW_MS = 1_800_000_000_000
EVENT = Event(9, NOW_MS - 4000, 3, Phase.HELD, EAST, "first-boot", "because", f"{EAST}/controller/1")
RECORD = Authority(
    version=9,
    epoch=3,
    phase=Phase.HELD,
    holder=EAST,
    renewal_seq=70,
    renewed_at_ms=NOW_MS - 2000,
    lag_ms=40,
    mode="auto",
    paused=False,
    degraded=False,
    plan=None,
    last_event=EVENT,
    writes_per_s=10,
)
ANSWERS, DEAD = Endpoints(100, 200), Endpoints(60_000, 61_000)
ALL_WELL = {EAST: ANSWERS, WEST: ANSWERS}
EAST_DEAD = {EAST: DEAD, WEST: ANSWERS}


def monitors(east_age_ms=900, west_age_ms=900, east=ALL_WELL, west=ALL_WELL, **lag):
    told = {"lag_state": "ok", "lag_ms": 40, "lag_why": "40 ms", **lag}
    return {EAST: Seen(EAST, east_age_ms, east, **told), WEST: Seen(WEST, west_age_ms, west, **told)}


HEALTHY = Scene(
    home=EAST,
    standby=WEST,
    profile=AWS,
    table="farshore-authority-t",
    global_cluster="aurora-global-t",
    now_ms=NOW_MS,
    answered=True,
    record=RECORD,
    lease_age_ms=2000,
    monitors=monitors(),
    cluster=GlobalCluster(EAST, None, synchronized=True),
    clusters={EAST: "primary-t", WEST: "secondary-t"},
)
SILENT = {"lease_age_ms": 60_000}
LOST = {**SILENT, "monitors": monitors(east_age_ms=60_000, west=EAST_DEAD)}
UNHEALED = {**SILENT, "monitors": monitors(west=EAST_DEAD)}
PLAN = Plan(
    "switchover-4",
    PlanKind.SWITCHOVER,
    EAST,
    WEST,
    "arn:aws:iam::1:user/ann",
    "patching",
    0,
    40,
    ticket="T-1",
)
PROPOSAL = Proposal(
    "failover-4-10",
    3,
    EAST,
    WEST,
    Basis.LOST,
    "w/controller/1",
    "mode is approve",
    22_040,
    221,
    NOW_MS,
    NOW_MS + 600_000,
)
APPROVED = replace(PROPOSAL, approval=Approval("arn:aws:iam::1:user/bob", NOW_MS, NOW_MS + 300_000))
DESCRIBE = "aws rds describe-global-clusters --region {} --global-cluster-identifier aurora-global-t"
VERIFY, WATCH = "farshore verify --no-publish", "farshore watch"


def moving(phase, since_ms=1000, plan=PLAN, **changes):
    holder = EAST if phase is Phase.DRAINING else None
    event = replace(EVENT, at_ms=NOW_MS - since_ms, phase=phase)
    return {
        "record": replace(RECORD, phase=phase, holder=holder, plan=plan, last_event=event),
        "lease_age_ms": 15_000,
        **changes,
    }


def record(**changes):
    return {"record": replace(RECORD, **changes)}


def alone(**changes):
    return record(holder=WEST, epoch=4, degraded=True, **changes) | {
        "monitors": monitors(east_age_ms=90_000, west=EAST_DEAD),
        "cluster": GlobalCluster(WEST, None, synchronized=False),
    }
