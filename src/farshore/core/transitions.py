"""The table: from which phase, under which condition, to which phase, doing what, and why.

Rows are tried in order, the first whose condition holds is taken. The reason is the operator's log line.
What is done is recorded first, and every way to another writer goes through an epoch that nobody else can hold:
  - failover:    HELD -> CLAIMED -> (the old lease has certainly ended) -> PROMOTING -> HELD
  - switchover,
    failback:    HELD -> DRAINING -> (fenced and drained) -> PROMOTING -> HELD; `switchover` asks for the first step
  - rollback:    DRAINING, CLAIMED or PROMOTING -> HELD in a new epoch, by the region that is still the writer
The conditions are in conditions.py and moving.py, what becomes of the record in effects.py, what people ask for in
requests/.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from farshore.core import conditions as when
from farshore.core import effects as then
from farshore.core import health, moving
from farshore.core.authority import Authority, Phase
from farshore.core.view import View


class Action(StrEnum):
    """What the controller does once the record is written."""

    NOTHING = "nothing"
    RENEW = "renew"  # grant the record's epoch in the holder's database if needed, then renew its lease
    DRAIN = "drain"  # fence the old epoch, wait for what has passed its check, read the last byte's place
    PROMOTE = "promote"  # FailoverGlobalCluster with AllowDataLoss, in the target's region
    SWITCH = "switch"  # SwitchoverGlobalCluster, in the source's region
    FENCE = "fence"  # fence the old epoch in this region's own database


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
        record, plan = view.record, view.record.plan
        return self.reason.format(
            me=view.facts.me,
            holder=record.holder,
            source=record.region_of_record,
            target=plan.target if plan else view.facts.me,
            kind=plan.kind if plan else None,
            writer=view.facts.cluster.writer_region if view.facts.cluster else None,
            epoch=record.epoch,
            next_epoch=record.epoch + 1,
            unchanged_ms=view.facts.lease_unchanged_ms,
            wait_ms=view.profile.lease_wait_ms,
            attempt=plan.intent.attempt if plan and plan.intent else 0,
            answer=_answer(view),
            bound=_bound(view),
            why=health.approval_needed(record, view.profile),
            approver=record.proposal.approval.by if record.proposal and record.proposal.approval else None,
            lsn=view.facts.drained.lsn if view.facts.drained else plan.drained_lsn if plan else None,
        )


def _answer(view: View) -> str:
    reply, intent = view.facts.reply, view.record.plan.intent if view.record.plan else None
    if reply is None or intent is None or (reply.epoch, reply.attempt) != (view.record.epoch, intent.attempt):
        return "its reply is not known"
    return "AWS has cancelled it, or it had no effect" if reply.accepted else reply.words


def _bound(view: View) -> str:
    bound_ms = health.loss_bound_ms(view.record, view.profile)
    transactions = health.loss_transactions(view.record, view.profile)
    if bound_ms is None:
        return "an unknown amount"
    words = f"{bound_ms / 1000:.1f} s"
    return words if transactions is None else f"{words} ({transactions} transactions)"


TABLE: tuple[Row, ...] = (
    Row(
        "fence-zombie", Phase.HELD, Phase.HELD, when.zombie_here, then.same, Action.FENCE,
        "the database in {me} still accepts writes in an older epoch than {epoch}: it is fenced",
    ),
    Row(
        "role-moved-outside", Phase.HELD, Phase.CLAIMED, when.role_moved_here_outside, then.claimed_moved_role,
        Action.NOTHING,
        "the global cluster's writer is {writer}, not {holder}: the role was moved outside farshore, "
        "epoch {next_epoch} is claimed for {me}",
    ),
    Row(
        "withdraw-proposal", Phase.HELD, Phase.HELD, when.proposal_is_outdated, then.withdrawn, Action.NOTHING,
        "{holder} writes again: the proposed failover is withdrawn",
    ),
    Row(
        "rejoined", Phase.HELD, Phase.HELD, when.rejoined, then.recovered, Action.NOTHING,
        "every member of the global cluster is connected again",
    ),
    Row(
        "reply-known", Phase.HELD, Phase.HELD, when.reply_has_come, then.noted_reply, Action.NOTHING,
        "the reply to the last move's request is known: the next move need not wait for it",
    ),
    Row(
        "renew", Phase.HELD, Phase.HELD, when.keeper_may_renew, then.renewed, Action.RENEW,
        "{holder} renews its lease in epoch {epoch}",
    ),
    Row(
        "renew-for-holder", Phase.HELD, Phase.HELD, when.neighbour_may_renew, then.renewed, Action.RENEW,
        "no renewal by the keeper of {holder} for {unchanged_ms} ms; {me} reaches its writer and renews for it",
    ),
    Row(
        "claim-lost-holder", Phase.HELD, Phase.CLAIMED, when.lost, then.claimed_lost_source, Action.NOTHING,
        "{holder} is lost: no renewal for {unchanged_ms} ms, its observations are stale and both of its "
        "endpoints are unreachable from {me}; epoch {next_epoch} is claimed",
    ),
    Row(
        "claim-approved", Phase.HELD, Phase.CLAIMED, when.approved_loss, then.claimed_with_approval, Action.NOTHING,
        "{approver} has approved the failover from {holder}, and what it rested on is still so; "
        "epoch {next_epoch} is claimed for {me}",
    ),
    Row(
        "propose", Phase.HELD, Phase.HELD, when.lost_but_needs_a_person, then.proposed_for_loss, Action.NOTHING,
        "{holder} is lost, and {why}: a failover to {me} that may lose {bound} is proposed (`farshore approve`)",
    ),
    Row(
        "propose-unhealed", Phase.HELD, Phase.HELD, when.unhealed, then.proposed_for_unhealed, Action.NOTHING,
        "the writer of {holder} has been away for {unchanged_ms} ms while its monitor lives: Aurora has not "
        "replaced it; a failover to {me} that may lose {bound} is proposed (`farshore approve`)",
    ),
    Row(
        "drained", Phase.DRAINING, Phase.PROMOTING, moving.drained, then.promoting_drained, Action.NOTHING,
        "{source} is fenced and drained up to {lsn}: epoch {next_epoch} is claimed for {target}",
    ),
    Row(
        "call-off", Phase.DRAINING, Phase.HELD, moving.drain_fails, then.held_by_source_again, Action.RENEW,
        "the {kind} to {target} is called off before anything moved: {source}, still the writer, holds {next_epoch}",
    ),
    Row(
        "drain", Phase.DRAINING, Phase.DRAINING, moving.may_drain, then.same, Action.DRAIN,
        "{source} is fenced, and what is past its commit check is waited for",
    ),
    Row(
        "role-moved-while-draining", Phase.DRAINING, Phase.CLAIMED, when.role_moved_here_outside,
        then.claimed_moved_role, Action.NOTHING,
        "the global cluster's writer is {writer} already, while {source} was being drained: epoch {next_epoch} "
        "is claimed for {me}",
    ),
    Row(
        "call-off-for-source", Phase.DRAINING, Phase.HELD, moving.drain_is_abandoned, then.held_by_source_again,
        Action.RENEW,
        "the {kind} to {target} is called off before anything moved, for {source}, whose controller is silent: "
        "{source}, still the writer, holds {next_epoch}",
    ),
    Row(
        "lost-while-draining", Phase.DRAINING, Phase.CLAIMED, when.lost, then.claimed_lost_source, Action.NOTHING,
        "{source} is lost while it was being drained: epoch {next_epoch} is claimed for {me}",
    ),
    Row(
        "approved-while-draining", Phase.DRAINING, Phase.CLAIMED, when.approved_loss, then.claimed_with_approval,
        Action.NOTHING,
        "{approver} has approved the failover from {source}, which was being drained, and what it rested on is "
        "still so; epoch {next_epoch} is claimed for {me}",
    ),
    Row(
        "propose-while-draining", Phase.DRAINING, Phase.DRAINING, when.lost_but_needs_a_person,
        then.proposed_for_loss, Action.NOTHING,
        "{source} is lost while it was being drained, and {why}: a failover to {me} that may lose {bound} is "
        "proposed (`farshore approve`)",
    ),
    Row(
        "propose-unhealed-while-draining", Phase.DRAINING, Phase.DRAINING, when.unhealed,
        then.proposed_for_unhealed, Action.NOTHING,
        "the writer of {source} went away while it was being drained, {unchanged_ms} ms ago, and its monitor lives; "
        "a failover to {me} that may lose {bound} is proposed (`farshore approve`)",
    ),
    Row(
        "claimed-and-writing", Phase.CLAIMED, Phase.HELD, moving.claimed_target_writes, then.held_by_target,
        Action.RENEW,
        "{target} is the global cluster's writer already and the lease of {source} has ended: "
        "{target} holds epoch {epoch}",
    ),
    Row(
        "promote", Phase.CLAIMED, Phase.PROMOTING, moving.wait_is_over, then.promoting, Action.PROMOTE,
        "the lease of {source} has certainly ended ({unchanged_ms} ms without a renewal, {wait_ms} needed): "
        "{target} is promoted",
    ),
    Row(
        "claim-expired", Phase.CLAIMED, Phase.HELD, moving.claim_expired, then.held_by_source_again, Action.RENEW,
        "{target} claimed epoch {epoch} and promoted nothing: {source}, still the writer, holds {next_epoch}",
    ),
    Row(
        "promoted", Phase.PROMOTING, Phase.HELD, moving.target_writes, then.held_by_target, Action.RENEW,
        "{target} is promoted: it holds epoch {epoch} and may write",
    ),
    Row(
        "promote-again", Phase.PROMOTING, Phase.PROMOTING, moving.promotion_unsent, then.same, Action.PROMOTE,
        "the promotion of {target} was recorded and nothing has moved: it is sent",
    ),
    Row(
        "promote-anew", Phase.PROMOTING, Phase.PROMOTING, moving.promotion_spent, then.promoting, Action.PROMOTE,
        "attempt {attempt} to promote {target} came to nothing ({answer}): a new one is sent",
    ),
    Row(
        "promotion-expired", Phase.PROMOTING, Phase.HELD, moving.promotion_expired, then.held_by_source_again,
        Action.RENEW,
        "{target} was not promoted, and no request of it can arrive any more: {source}, "
        "still the writer, holds {next_epoch}",
    ),
    Row(
        "switch", Phase.PROMOTING, Phase.PROMOTING, moving.target_has_the_last_byte, then.same, Action.SWITCH,
        "{target} has the last byte of {source}: AWS is asked to switch over",
    ),
    Row(
        "rolled-back", Phase.PROMOTING, Phase.HELD, moving.switchover_came_to_nothing, then.held_by_source_again,
        Action.RENEW,
        "the {kind} to {target} came to nothing ({answer}) and AWS shows {source} as the writer: "
        "{source} holds {next_epoch}",
    ),
    Row(
        "lost-on-the-way", Phase.PROMOTING, Phase.CLAIMED, moving.lost_on_the_way, then.claimed_lost_source,
        Action.NOTHING,
        "{source} is lost before AWS moved the writer: epoch {next_epoch} is claimed for a failover to {target}",
    ),
    Row(
        "approved-on-the-way", Phase.PROMOTING, Phase.CLAIMED, moving.approved_on_the_way, then.claimed_with_approval,
        Action.NOTHING,
        "{approver} has approved the failover from {source}, and AWS has still not moved the writer; epoch "
        "{next_epoch} is claimed for {me}",
    ),
    Row(
        "propose-on-the-way", Phase.PROMOTING, Phase.PROMOTING, moving.lost_on_the_way_but_needs_a_person,
        then.proposed_for_loss, Action.NOTHING,
        "{source} is lost before AWS moved the writer, and {why}: a failover to {me} that may lose {bound} is "
        "proposed (`farshore approve`)",
    ),
    Row(
        "propose-unhealed-on-the-way", Phase.PROMOTING, Phase.PROMOTING, moving.unhealed_on_the_way,
        then.proposed_for_unhealed, Action.NOTHING,
        "the writer of {source} went away before AWS moved it, {unchanged_ms} ms ago, and its monitor lives; a "
        "failover to {me} that may lose {bound} is proposed (`farshore approve`)",
    ),
)  # fmt: skip
