"""The table: from which phase, under which condition, to which phase, doing what, and why.

Rows are tried in order, the first whose condition holds is taken. The reason is the operator's log line.
CORRECTNESS of the table rests on two rules that every row keeps:
  - an epoch is claimed before anything is promoted, and promotion waits until the old lease has certainly ended;
  - what is done is recorded first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from farshore.core import health
from farshore.core.authority import Authority, Intent, Phase, Plan, PlanKind
from farshore.core.facts import Facts, Now
from farshore.core.profile import Profile


class Action(StrEnum):
    """What the controller does once the record is written."""

    NOTHING = "nothing"
    RENEW = "renew"  # grant the record's epoch in the holder's database if needed, then renew its lease
    PROMOTE = "promote"  # FailoverGlobalCluster with AllowDataLoss, in the target's region
    FENCE = "fence"  # fence the old epoch in this region's own database


@dataclass(frozen=True, slots=True)
class View:
    """What a row is judged on."""

    record: Authority
    facts: Facts
    now: Now
    profile: Profile


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    source: Phase
    target: Phase
    when: Callable[[View], bool]
    apply: Callable[[View], Authority]
    action: Action
    reason: str

    def explain(self, view: View) -> str:
        plan = view.record.plan
        return self.reason.format(
            me=view.facts.me,
            holder=view.record.holder,
            source=plan.source if plan else None,
            target=plan.target if plan else None,
            writer=view.facts.cluster.writer_region if view.facts.cluster else None,
            epoch=view.record.epoch,
            next_epoch=view.record.epoch + 1,
            unchanged_ms=view.facts.lease_unchanged_ms,
            wait_ms=view.profile.lease_wait_ms,
            attempt=plan.intent.attempt if plan and plan.intent else 0,
        )


def _same(view: View) -> Authority:
    return view.record


def _plan(view: View) -> Plan:
    plan = view.record.plan
    if plan is None:
        raise ValueError(f"{view.record.phase} without a plan at version {view.record.version}")
    return plan


# --- HELD -------------------------------------------------------------------------------------------------------


def _holders_server_is_ready(view: View) -> bool:
    holder = view.record.holder
    server = health.writing_server(view.facts, holder) if holder else None
    return (
        server is not None
        and server.epoch <= view.record.epoch
        and not (server.fenced and server.epoch == view.record.epoch)
        and health.clock_is_steady(server, view.profile)
    )


def _keeper_may_renew(view: View) -> bool:
    return view.facts.me == view.record.holder and _holders_server_is_ready(view)


def _neighbour_may_renew(view: View) -> bool:
    """The holder's own keeper is late, but this region reaches the writer: a late Lambda is no outage (H9)."""
    is_late = view.facts.lease_unchanged_ms * 5 >= view.profile.lease_ttl_ms * 3
    return is_late and view.facts.me != view.record.holder and _holders_server_is_ready(view)


def _renewed(view: View) -> Authority:
    record = view.record
    if record.holder is None:
        raise ValueError(f"renewal without a holder at version {record.version}")
    return replace(
        record,
        renewal_seq=record.renewal_seq + 1,
        renewed_at_ms=view.now.wall_ms,
        lag_ms=_lag_ms(view, record.holder),
    )


def _lag_ms(view: View, holder: str) -> int | None:
    """A lag that the writer cannot tell has grown, at most, by the time since the last renewal (H11)."""
    record, told_ms = view.record, view.facts.servers[holder].lag_ms
    if told_ms is not None or record.lag_ms is None:
        return told_ms
    return record.lag_ms + max(0, view.now.wall_ms - record.renewed_at_ms)


def _holder_is_lost(view: View) -> bool:
    holder = view.record.holder
    return (
        holder is not None
        and view.facts.me != holder
        and health.lease_lapsed(view.facts, view.profile)
        and health.observations_stale(view.facts, holder, view.profile)
        and health.endpoints_unreachable(view.facts, holder, view.profile)
        and health.failover_limitation(view.record, view.facts, view.profile) is None
    )


def _claim(view: View, kind: PlanKind, source: str, reason: str) -> Authority:
    record = view.record
    return replace(
        record,
        epoch=record.epoch + 1,
        phase=Phase.CLAIMED,
        holder=None,
        plan=Plan(
            plan_id=f"{kind}-{record.epoch + 1}",
            kind=kind,
            source=source,
            target=view.facts.me,
            requested_by=view.facts.process,
            reason=reason,
            claimed_at_ms=view.now.wall_ms,
            lag_ms=record.lag_ms,
        ),
    )


def _claim_lost_holder(view: View) -> Authority:
    return _claim(view, PlanKind.FAILOVER, view.record.region_of_record, "region lost")


def _role_moved_here_outside(view: View) -> bool:
    """The volume must know the present epoch: a zombie that says it is the writer holds an older one."""
    server = health.writing_server(view.facts, view.facts.me)
    return (
        view.record.holder != view.facts.me
        and not view.record.paused
        and health.is_writer_of_cluster(view.facts, view.facts.me)
        and server is not None
        and server.epoch == view.record.epoch
    )


def _claim_moved_role(view: View) -> Authority:
    return _claim(view, PlanKind.ADOPT, view.record.region_of_record, "role moved outside farshore")


def _zombie_here(view: View) -> bool:
    server = health.writing_server(view.facts, view.facts.me)
    return (
        view.record.holder != view.facts.me
        and server is not None
        and server.epoch < view.record.epoch
        and not server.fenced
    )


def _all_connected(view: View) -> bool:
    cluster = view.facts.cluster
    return cluster is not None and cluster.synchronized and cluster.moving is None


def _rejoined(view: View) -> bool:
    return view.record.degraded and view.facts.me == view.record.holder and _all_connected(view)


# --- CLAIMED and PROMOTING --------------------------------------------------------------------------------------


def _target_writes(view: View) -> bool:
    """Both the control plane and the server itself say so."""
    plan = _plan(view)
    return (
        view.facts.me == plan.target
        and health.is_writer_of_cluster(view.facts, plan.target)
        and health.writing_server(view.facts, plan.target) is not None
    )


def _claimed_target_writes(view: View) -> bool:
    moved_within_region = _plan(view).source == _plan(view).target
    return _target_writes(view) and (
        moved_within_region or health.lease_certainly_ended(view.facts, view.profile)
    )


def _held_by_target(view: View) -> Authority:
    plan, record = _plan(view), view.record
    return replace(
        record,
        phase=Phase.HELD,
        holder=plan.target,
        plan=None,
        renewal_seq=record.renewal_seq + 1,
        renewed_at_ms=view.now.wall_ms,
        degraded=plan.kind is PlanKind.FAILOVER or not _all_connected(view),
        lag_ms=None,
    )


def _wait_is_over(view: View) -> bool:
    return (
        _plan(view).kind is PlanKind.FAILOVER
        and view.facts.me == _plan(view).target
        and health.lease_certainly_ended(view.facts, view.profile)
    )


def _with_intent(view: View) -> Authority:
    plan = _plan(view)
    intent = Intent(
        not_after_ms=view.now.wall_ms + view.profile.intent_not_after_ms,
        attempt=plan.intent.attempt + 1 if plan.intent else 1,
    )
    return replace(view.record, phase=Phase.PROMOTING, plan=replace(plan, intent=intent))


def _claim_expired(view: View) -> bool:
    """West claimed and died before it promoted anything: the source, still the writer, takes a new epoch (H14)."""
    plan = _plan(view)
    return (
        view.facts.me == plan.source
        and view.facts.lease_unchanged_ms >= view.profile.claim_ttl_ms
        and health.is_writer_of_cluster(view.facts, plan.source)
        and health.writing_server(view.facts, plan.source) is not None
    )


def _claim_back(view: View) -> Authority:
    return _claim(view, PlanKind.ADOPT, view.facts.me, "claim expired before any promotion")


def _promotion_expired(view: View) -> bool:
    """As above, but a request may have been sent: only when it can no longer arrive is `not moved` an answer (H14)."""
    intent = _plan(view).intent
    return (
        _claim_expired(view)
        and intent is not None
        and view.now.wall_ms >= intent.not_after_ms + view.profile.request_life_ms
    )


def _unmoved(view: View) -> bool:
    plan, cluster = _plan(view), view.facts.cluster
    return (
        view.facts.me == plan.target
        and cluster is not None
        and cluster.moving is None
        and cluster.writer_region != plan.target
    )


def _intent_unsent_here(view: View) -> bool:
    intent = _plan(view).intent
    return (
        _unmoved(view)
        and intent is not None
        and not view.facts.promotion_sent
        and view.now.wall_ms < intent.not_after_ms
    )


def _intent_spent(view: View) -> bool:
    intent = _plan(view).intent
    return _unmoved(view) and intent is not None and view.now.wall_ms >= intent.not_after_ms


def _recovered(view: View) -> Authority:
    return replace(view.record, degraded=False)


TABLE: tuple[Row, ...] = (
    Row(
        "fence-zombie", Phase.HELD, Phase.HELD, _zombie_here, _same, Action.FENCE,
        "the database in {me} still accepts writes in an older epoch than {epoch}: it is fenced",
    ),
    Row(
        "role-moved-outside", Phase.HELD, Phase.CLAIMED, _role_moved_here_outside, _claim_moved_role, Action.NOTHING,
        "the global cluster's writer is {writer}, not {holder}: the role was moved outside farshore, "
        "epoch {next_epoch} is claimed for {me}",
    ),
    Row(
        "rejoined", Phase.HELD, Phase.HELD, _rejoined, _recovered, Action.NOTHING,
        "every member of the global cluster is connected again",
    ),
    Row(
        "renew", Phase.HELD, Phase.HELD, _keeper_may_renew, _renewed, Action.RENEW,
        "{holder} renews its lease in epoch {epoch}",
    ),
    Row(
        "renew-for-holder", Phase.HELD, Phase.HELD, _neighbour_may_renew, _renewed, Action.RENEW,
        "no renewal by the keeper of {holder} for {unchanged_ms} ms; {me} reaches its writer and renews for it",
    ),
    Row(
        "claim-lost-holder", Phase.HELD, Phase.CLAIMED, _holder_is_lost, _claim_lost_holder, Action.NOTHING,
        "{holder} is lost: no renewal for {unchanged_ms} ms, its observations are stale and both of its "
        "endpoints are unreachable from {me}; epoch {next_epoch} is claimed",
    ),
    Row(
        "claimed-and-writing", Phase.CLAIMED, Phase.HELD, _claimed_target_writes, _held_by_target, Action.RENEW,
        "{target} is the global cluster's writer already and the lease of {source} has ended: "
        "{target} holds epoch {epoch}",
    ),
    Row(
        "promote", Phase.CLAIMED, Phase.PROMOTING, _wait_is_over, _with_intent, Action.PROMOTE,
        "the lease of {source} has certainly ended ({unchanged_ms} ms without a renewal, {wait_ms} needed): "
        "{target} is promoted",
    ),
    Row(
        "claim-expired", Phase.CLAIMED, Phase.CLAIMED, _claim_expired, _claim_back, Action.NOTHING,
        "{target} claimed epoch {epoch} and promoted nothing: {source}, still the writer, claims {next_epoch}",
    ),
    Row(
        "promoted", Phase.PROMOTING, Phase.HELD, _target_writes, _held_by_target, Action.RENEW,
        "{target} is promoted: it holds epoch {epoch} and may write",
    ),
    Row(
        "promote-again", Phase.PROMOTING, Phase.PROMOTING, _intent_unsent_here, _same, Action.PROMOTE,
        "the promotion of {target} was recorded and nothing has moved: it is sent",
    ),
    Row(
        "promote-anew", Phase.PROMOTING, Phase.PROMOTING, _intent_spent, _with_intent, Action.PROMOTE,
        "attempt {attempt} to promote {target} had no effect within its time: a new one is sent",
    ),
    Row(
        "promotion-expired", Phase.PROMOTING, Phase.CLAIMED, _promotion_expired, _claim_back, Action.NOTHING,
        "{target} went silent while it was to be promoted, and no request of it can arrive any more: {source}, "
        "still the writer, claims {next_epoch}",
    ),
)  # fmt: skip
