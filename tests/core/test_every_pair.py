"""Every phase with every combination of facts that its rows look at: a step is defined, told, and breaks no promise.

The grids are products over what matters in a phase, thinned evenly where one part meets another, and beside them a
seeded sample over everything at once.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from farshore.core import health
from farshore.core.authority import (
    PLANNED,
    Approval,
    Authority,
    Basis,
    Event,
    Intent,
    Phase,
    Plan,
    PlanKind,
    Proposal,
    Quiet,
)
from farshore.core.decide import Step, decide
from farshore.core.facts import (
    Drained,
    Endpoints,
    Facts,
    GlobalCluster,
    Now,
    Observation,
    Reply,
    Server,
)
from farshore.core.invariants import check
from farshore.core.profile import FAST
from farshore.core.transitions import TABLE, Action

HOME, STANDBY = "us-east-1", "us-west-2"
NOW = Now(wall_ms=10_000_000, mono_ms=5_000_000)
EPOCH = 7
LONG = 10 * FAST.stale_after_ms
REACHED: Counter[str] = Counter()

# --- what the facts can be, by name ---------------------------------------------------------------------------------

ME = {"source": HOME, "target": STANDBY}
LEASE = {
    "kept": 0,
    "late": FAST.lease_ttl_ms * 3 // 4,
    "lapsed": FAST.lease_ttl_ms,
    "ended": FAST.lease_wait_ms,
    "unhealed": FAST.in_region_budget_ms,
    "expired": FAST.claim_ttl_ms,
}
OBSERVED = {"fresh": 0, "stale": FAST.stale_after_ms, "unknown": None}
SILENT = FAST.unreachable_after_ms
ENDPOINTS = {
    "silent": Endpoints(SILENT, SILENT),
    "reader answers": Endpoints(SILENT, 0),
    "writer answers": Endpoints(0, SILENT),
    "reader unknown": Endpoints(SILENT, None),
    "unknown": None,
}
CLUSTER = {
    "unknown": None,
    "source": GlobalCluster(HOME, None, synchronized=True),
    "source, parted": GlobalCluster(HOME, None, synchronized=False),
    "target": GlobalCluster(STANDBY, None, synchronized=True),
    "target, parted": GlobalCluster(STANDBY, None, synchronized=False),
    "no writer": GlobalCluster(None, None, synchronized=False),
    "switching, source": GlobalCluster(HOME, "switching-over", synchronized=True),
    "switching, target": GlobalCluster(STANDBY, "switching-over", synchronized=False),
    "failing": GlobalCluster(HOME, "failing-over", synchronized=False),
    "cancelling": GlobalCluster(STANDBY, "cancelling", synchronized=True),
}
EPOCHS = {"older": -2, "from": -1, "same": 0, "newer": 1}
SERVERS = {"none": None} | {
    f"{role}{' fenced' if fenced else ''}, epoch {name}": (role == "reading", fenced, away)
    for role, fenced in (("reading", False), ("writing", False), ("writing", True))
    for name, away in EPOCHS.items()
}
REPLIES = {
    "none": None,
    "accepted": (0, 1, True, 2000),
    "refused": (0, 1, False, 2000),
    "refused just now": (0, 1, False, 0),
    "of an older attempt": (0, 0, False, 2000),
    "of an older epoch": (-1, 1, True, 2000),
}
QUIET = {
    "none": None,
    "elsewhere": Quiet(EPOCH, 1, HOME, NOW.wall_ms + 1),
    "here": Quiet(EPOCH, 1, STANDBY, NOW.wall_ms + 1),
    "over": Quiet(EPOCH, 1, HOME, NOW.wall_ms),
    "after earlier ones": Quiet(EPOCH, 1, HOME, NOW.wall_ms + 5, NOW.wall_ms + 1),
}
DRAINED = {"none": None, "older": Drained(EPOCH - 1, 90), "now": Drained(EPOCH, 100)}
TIME = {
    "in time": NOW.wall_ms + 1,
    "too late to send": NOW.wall_ms,
    "too late to arrive": NOW.wall_ms - FAST.request_life_ms,
}
MODES = ("auto", "approve", "manual")


def proposal(basis: Basis, *, approved: bool, left_ms: int) -> Proposal:
    approval = Approval("alice", 0, NOW.wall_ms + left_ms) if approved else None
    expires_ms = NOW.wall_ms + (left_ms if approval is None else 1)
    return Proposal("p", EPOCH, HOME, STANDBY, basis, "bob", "why", 1870, 19, 0, expires_ms, approval)


PROPOSALS = {
    "none": None,
    "waiting": proposal(Basis.LOST, approved=False, left_ms=1),
    "expired": proposal(Basis.LOST, approved=False, left_ms=0),
    "approved": proposal(Basis.LOST, approved=True, left_ms=1),
    "approval expired": proposal(Basis.LOST, approved=True, left_ms=0),
    "approved, unhealed": proposal(Basis.UNHEALED, approved=True, left_ms=1),
    "approved for less": replace(proposal(Basis.LOST, approved=True, left_ms=1), loss_bound_ms=1),
    "approved, older epoch": replace(proposal(Basis.LOST, approved=True, left_ms=1), epoch=EPOCH - 1),
    "a person's word": proposal(Basis.WORD, approved=False, left_ms=1),
    "although healthy": proposal(Basis.DESPITE, approved=False, left_ms=1),
    "although healthy, expired": proposal(Basis.DESPITE, approved=False, left_ms=0),
}


def server(region: str, what: tuple[bool, bool, int] | None, received: int | None) -> Server | None:
    if what is None:
        return None
    in_recovery, fenced, away = what
    return Server(
        region,
        in_recovery=in_recovery,
        epoch=EPOCH + away,
        fenced=fenced,
        enforcing=True,
        clock_us=1,
        lag_ms=20,
        received_lsn=received,
        writes_per_s=10,
    )


def observation(region: str, age_ms: int | None, seen: Endpoints | None) -> dict[str, Observation]:
    return {} if age_ms is None else {region: Observation(region, "s", age_ms, {HOME: seen} if seen else {})}


# --- what the record can be -----------------------------------------------------------------------------------------


def held(**changes) -> Authority:
    event = Event(1, 1, EPOCH, Phase.HELD, HOME, "first-boot", "a test", "p")
    record = Authority(9, EPOCH, Phase.HELD, HOME, 7, NOW.wall_ms, 20, "auto", False, False, None, event, 10)
    return replace(record, **changes)


def moving(
    phase: Phase, kind: PlanKind, *, aborted: bool = False, intent: Intent | None = None, **changes
) -> Authority:
    is_draining = phase is Phase.DRAINING
    plan = Plan(
        "plan",
        kind,
        HOME,
        STANDBY,
        "alice",
        "why",
        1,
        20,
        intent,
        EPOCH if is_draining else EPOCH - 1,
        aborted,
    )
    if intent is not None and kind is not PlanKind.FAILOVER:
        plan = replace(plan, drained_lsn=100)
    return held(phase=phase, holder=HOME if is_draining else None, plan=plan, **changes)


def records_held() -> Iterator[Authority]:
    for paused, quiet, degraded in itertools.product((False, True), QUIET.values(), (False, True)):
        yield held(paused=paused, quiet=quiet, degraded=degraded)


def records_moving() -> Iterator[Authority]:
    for paused in (False, True):
        for kind, aborted in itertools.product((PlanKind.SWITCHOVER, PlanKind.FAILBACK), (False, True)):
            yield moving(Phase.DRAINING, kind, aborted=aborted, paused=paused)
        for kind, aborted in itertools.product((PlanKind.FAILOVER, PlanKind.ADOPT), (False, True)):
            yield moving(Phase.CLAIMED, kind, aborted=aborted, paused=paused)
        for kind in (PlanKind.FAILOVER, PlanKind.SWITCHOVER, PlanKind.FAILBACK):
            for not_after_ms, by in itertools.product(TIME.values(), ("p", "another")):
                yield moving(Phase.PROMOTING, kind, intent=Intent(not_after_ms, 1, by=by), paused=paused)


def records_losing_their_source() -> Iterator[Authority]:
    """A planned move whose source may be lost, with every proposal that can stand."""
    intent = Intent(NOW.wall_ms + 1, 1, by="another")
    for mode, offer in itertools.product(MODES, PROPOSALS.values()):
        yield moving(Phase.DRAINING, PlanKind.SWITCHOVER, mode=mode, proposal=offer)
        yield moving(Phase.PROMOTING, PlanKind.FAILBACK, intent=intent, mode=mode, proposal=offer)


# --- the grids ------------------------------------------------------------------------------------------------------


def facts_of(
    me="target", lease="ended", home="stale", own="fresh", seen="silent", cluster="source", mine="none",
    theirs="none", drained="none", reply="none", sent=False, settled=True, received=100, still=False,
) -> Facts:  # fmt: skip
    region = ME[me]
    other = STANDBY if region == HOME else HOME
    found = {region: server(region, SERVERS[mine], received), other: server(other, SERVERS[theirs], None)}
    told = REPLIES[reply]
    return Facts(
        me=region,
        process="p",
        lease_unchanged_ms=LEASE[lease],
        observations=observation(HOME, OBSERVED[home], ENDPOINTS[seen])
        | observation(region, OBSERVED[own], ENDPOINTS[seen]),
        servers={r: s for r, s in found.items() if s is not None},
        cluster=CLUSTER[cluster],
        cluster_unchanged_ms=FAST.describe_ms if settled else 0,
        record_unchanged_ms=FAST.describe_ms if still else 0,
        move_sent=sent,
        reply=None if told is None else Reply(EPOCH + told[0], told[1], told[2], told[3], "AWS said no"),
        drained=DRAINED[drained],
    )


def product(**choices) -> Iterator[dict]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def held_grid() -> Iterator[tuple[Authority, Facts]]:
    loss = [
        facts_of(**choice)
        for choice in product(
            me=ME,
            lease=LEASE,
            home=OBSERVED,
            own=OBSERVED,
            seen=ENDPOINTS,
            mine=("none", "reading, epoch same"),
        )
    ]
    role = [
        facts_of(**choice)
        for choice in product(
            me=ME, lease=("kept", "late", "ended"), cluster=CLUSTER, mine=SERVERS,
            theirs=("none", "writing, epoch same"), reply=("none", "accepted"),
        )
    ]  # fmt: skip
    for mode, (name, offer) in itertools.product(MODES, PROPOSALS.items()):
        for facts in loss if name in ("none", "approved", "approved, unhealed") else loss[::3]:
            yield held(mode=mode, proposal=offer), facts
    for record in records_held():
        for facts in (*loss[::5], *role):
            yield record, facts


def moving_grid() -> Iterator[tuple[Authority, Facts]]:
    move = [
        facts_of(**choice)
        for choice in product(
            me=ME, lease=("kept", "ended", "expired"), cluster=CLUSTER, mine=SERVERS, home=("fresh", "stale")
        )
    ]
    sending = [
        facts_of(**choice)
        for choice in product(
            me=ME, cluster=("unknown", "source", "target", "failing"), reply=REPLIES, sent=(False, True),
            settled=(False, True), received=(None, 99, 100), drained=DRAINED, still=(False, True),
            mine=(
                "none", "writing, epoch same", "writing, epoch from", "writing fenced, epoch from",
                "reading, epoch from",
            ),
        )
    ]  # fmt: skip
    leaving = [
        facts_of(**choice)
        for choice in product(
            me=ME, lease=LEASE, home=OBSERVED, own=OBSERVED, seen=ENDPOINTS,
            cluster=("unknown", "source", "target", "switching, source"),
            mine=("none", "reading, epoch from", "reading, epoch same"), theirs=("none", "writing, epoch same"),
        )
    ]  # fmt: skip
    for number, record in enumerate(records_losing_their_source()):
        for facts in leaving[number % 5 :: 5]:
            yield record, facts
    for record in records_moving():
        for facts in (*move, *sending[:: 4 if record.phase is Phase.PROMOTING else 9]):
            yield record, facts


def sample(count: int) -> Iterator[tuple[Authority, Facts]]:
    dice = random.Random(5)
    records = [*records_held(), *records_moving()]
    for _ in range(count):
        choice = {
            name: dice.choice(list(values))
            for name, values in {
                "me": ME, "lease": LEASE, "home": OBSERVED, "own": OBSERVED, "seen": ENDPOINTS, "cluster": CLUSTER,
                "mine": SERVERS, "theirs": SERVERS, "drained": DRAINED, "reply": REPLIES, "sent": (False, True),
                "settled": (False, True), "received": (None, 99, 100), "still": (False, True),
            }.items()
        }  # fmt: skip
        record = replace(
            dice.choice(records), mode=dice.choice(MODES), lag_ms=dice.choice((None, 20, 60_000))
        )
        if record.phase is Phase.HELD:
            record = replace(record, proposal=dice.choice(list(PROPOSALS.values())))
        yield record, facts_of(**choice)


# --- what must hold for each ----------------------------------------------------------------------------------------

MOVES = (Action.PROMOTE, Action.SWITCH)
APPROVED = ("claim-approved", "approved-while-draining", "approved-on-the-way")


def judge(before: Authority, facts: Facts, step: Step) -> None:
    after = step.record or before
    assert step.reason, step
    assert "{" not in step.reason, step
    assert "None" not in step.reason, step
    if step.record is not None:
        check(before, after)
    _one_writer(before, after, facts, step)
    _claims(before, after, facts, step)
    if step.action in MOVES:
        _asks(after, facts, step)
    if step.action is Action.RENEW:
        assert after.phase is Phase.HELD
        assert after.renewal_seq == before.renewal_seq + 1
        holder = facts.servers.get(after.holder)
        assert holder is not None, step
        assert not holder.in_recovery, step
    if before.phase is Phase.DRAINING and after.phase is Phase.HELD and facts.me != before.holder:
        assert before.plan.aborted or facts.lease_unchanged_ms >= FAST.drain_ms, step
        assert (facts.servers[HOME].epoch, facts.cluster.writer_region) == (before.epoch, HOME), step
    _somebody_is_asked(before, after, facts, step)
    if step.action is Action.DRAIN:
        assert (before.phase, before.holder) == (Phase.DRAINING, facts.me), step
    if step.action is Action.FENCE:
        assert before.holder != facts.me, step


def _somebody_is_asked(before: Authority, after: Authority, facts: Facts, step: Step) -> None:
    """A source that is lost while AWS has moved nothing is left, or put before a person; nobody waits unasked."""
    plan, cluster = before.plan, facts.cluster
    if before.mode == "manual" or (plan is not None and plan.kind not in PLANNED):
        return
    if before.phase is Phase.PROMOTING and (
        cluster is None or cluster.moving is not None or cluster.writer_region != HOME
    ):
        return
    lost = health.is_lost(facts, HOME, FAST) and health.failover_obstacle(before, facts, NOW) is None
    if lost and before.phase is not Phase.CLAIMED and step.record is None:
        assert not health.approved(before, facts, NOW, FAST), step
        stands = before.proposal is not None and before.proposal.epoch == before.epoch
        assert stands, step
        assert NOW.wall_ms < before.proposal.expires_at_ms, step


def _one_writer(before: Authority, after: Authority, facts: Facts, step: Step) -> None:
    """The target holds only when the old lease has certainly ended, or its drain is in the record."""
    if before.plan is None or after.phase is not Phase.HELD or after.holder != before.plan.target:
        return
    came = before.phase is Phase.PROMOTING  # there by the wait or by the drain, as the next check says
    assert came or health.lease_certainly_ended(facts, FAST), step


def _claims(before: Authority, after: Authority, facts: Facts, step: Step) -> None:
    if after.phase is Phase.PROMOTING and before.phase is not Phase.PROMOTING:
        ended = before.phase is Phase.CLAIMED and health.lease_certainly_ended(facts, FAST)
        fenced = before.phase is Phase.DRAINING and facts.drained == Drained(
            before.epoch, after.plan.drained_lsn
        )
        assert ended or fenced, step
    if after.phase is not Phase.CLAIMED or before.phase is Phase.CLAIMED:
        return
    if after.plan.kind is PlanKind.ADOPT:
        mine, cluster = facts.servers[facts.me], facts.cluster
        assert (cluster.writer_region, cluster.moving, mine.in_recovery) == (facts.me, None, False), step
        # An older epoch is a zombie's, unless the others follow it and nobody holds any more.
        followed = cluster.synchronized and mine.lag_ms is not None
        assert mine.epoch == before.epoch or (followed and health.lease_certainly_ended(facts, FAST)), step
        return
    assert not before.paused, step
    assert before.mode == "auto" or before.proposal.approval is not None, step
    assert before.lag_ms is not None or before.proposal is not None, step
    assert facts.lease_unchanged_ms >= FAST.lease_ttl_ms, step
    assert facts.me in facts.servers, step
    home, seen = facts.observations.get(HOME), facts.observations.get(facts.me)
    silent = seen.endpoints[HOME]
    assert seen.unchanged_ms < FAST.stale_after_ms, step
    assert min(silent.writer_silent_ms, silent.reader_silent_ms) >= FAST.unreachable_after_ms, step
    approved = before.proposal is not None and before.proposal.basis is Basis.UNHEALED
    assert home.unchanged_ms >= FAST.stale_after_ms or (approved and step.name in APPROVED), step


def _asks(after: Authority, facts: Facts, step: Step) -> None:
    """A request is sent under a recorded intent, in its time; a planned one behind the fence with the last byte."""
    assert after.phase is Phase.PROMOTING, step
    assert NOW.wall_ms < after.plan.intent.not_after_ms, step
    if step.action is Action.PROMOTE:
        assert after.plan.kind is PlanKind.FAILOVER, step
        assert (facts.me, after.plan.intent.by) == (after.plan.target, facts.process), step
        return
    source = facts.servers[after.plan.source]
    assert after.plan.kind in (PlanKind.SWITCHOVER, PlanKind.FAILBACK), step
    assert source.fenced, step
    assert source.epoch == after.plan.from_epoch, step
    assert source.received_lsn >= after.plan.drained_lsn, step


GRIDS = {"HELD": held_grid, "moving": moving_grid, "sample": lambda: sample(40_000)}
TRIED_MIN = {"HELD": 50_000, "moving": 80_000, "sample": 40_000}


@pytest.mark.parametrize("grid", GRIDS)
def test_every_pair_of_record_and_facts_has_a_safe_and_told_step(grid):
    tried = 0
    for drawn, facts in GRIDS[grid]():
        record = replace(drawn, renewed_at_ms=NOW.wall_ms - facts.lease_unchanged_ms)
        step = decide(record, facts, NOW, FAST)
        try:
            judge(record, facts, step)
        except (AttributeError, KeyError, TypeError, AssertionError) as error:
            raise AssertionError(f"{step.name}: {error!r}\n{record}\n{facts}") from error
        REACHED[step.name] += 1
        tried += 1
    print(f"{grid}: {tried} pairs tried")
    assert tried >= TRIED_MIN[grid]


def test_every_row_was_reached():
    """By the grids above; a row that no facts can reach is no row."""
    if not REACHED:
        pytest.skip("the grids were not run")
    assert {row.name for row in TABLE} <= set(REACHED), {row.name for row in TABLE} - set(REACHED)
    assert REACHED["wait"]
