"""What a row of the table makes of the record. Each keeps the invariants, which are checked again before writing."""

from dataclasses import replace

from farshore.core import health, plans
from farshore.core.authority import (
    PLANNED,
    Aftermath,
    Authority,
    Basis,
    Intent,
    Phase,
    Plan,
    PlanKind,
    Quiet,
)
from farshore.core.conditions import all_connected
from farshore.core.view import View


def same(view: View) -> Authority:
    return view.record


# --- HELD -------------------------------------------------------------------------------------------------------


def renewed(view: View) -> Authority:
    record = view.record
    if record.holder is None:
        raise ValueError(f"renewal without a holder at version {record.version}")
    return replace(
        record,
        renewal_seq=record.renewal_seq + 1,
        renewed_at_ms=view.now.wall_ms,
        lag_ms=_lag_ms(view, record.holder),
        writes_per_s=view.facts.servers[record.holder].writes_per_s,
    )


def _lag_ms(view: View, holder: str) -> int | None:
    """A lag that the writer cannot tell has grown, at most, by the time since the last renewal (H11).

    How long ago another process renewed nobody knows: its wall clock is not ours. Then the loss has no bound.
    """
    record, told_ms = view.record, view.facts.servers[holder].lag_ms
    if told_ms is not None or record.lag_ms is None:
        return told_ms
    if not view.facts.own_renewal:
        return None
    return record.lag_ms + max(view.facts.lease_unchanged_ms, view.now.wall_ms - record.renewed_at_ms)


def recovered(view: View) -> Authority:
    return replace(view.record, degraded=False)


def withdrawn(view: View) -> Authority:
    return replace(view.record, proposal=None)


def noted_reply(view: View) -> Authority:
    """Attempt 0 has no reply: what is still awaited then is time alone."""
    quiet, now_ms = view.record.quiet, view.now.wall_ms
    if quiet is None or quiet.earlier_ms <= now_ms:
        return replace(view.record, quiet=None)
    return replace(view.record, quiet=replace(quiet, attempt=0, until_ms=quiet.earlier_ms))


def proposed_for_loss(view: View) -> Authority:
    why = health.approval_needed(view.record, view.profile) or "a person must approve"
    return _proposed(view, Basis.LOST, why)


def proposed_for_unhealed(view: View) -> Authority:
    return _proposed(view, Basis.UNHEALED, "the region's monitor lives, so its loss is one opinion of two")


def _proposed(view: View, basis: Basis, reason: str) -> Authority:
    return plans.proposed(
        view.record,
        view.record.region_of_record,
        view.facts.me,
        basis,
        by=view.facts.process,
        reason=reason,
        at_ms=view.now.wall_ms,
        profile=view.profile,
    )


# --- claims -----------------------------------------------------------------------------------------------------


def claimed_lost_source(view: View) -> Authority:
    return _claimed(view, PlanKind.FAILOVER, "region lost", view.facts.process)


def claimed_with_approval(view: View) -> Authority:
    proposal = view.record.proposal
    by = proposal.approval.by if proposal and proposal.approval else view.facts.process
    return _claimed(view, PlanKind.FAILOVER, "region lost, approved by a person", by)


def claimed_moved_role(view: View) -> Authority:
    return _claimed(view, PlanKind.ADOPT, "role moved outside farshore", view.facts.process)


def _claimed(view: View, kind: PlanKind, reason: str, by: str) -> Authority:
    record = view.record
    return plans.claimed(
        record,
        kind,
        record.region_of_record,
        view.facts.me,
        by=by,
        reason=reason,
        at_ms=view.now.wall_ms,
        ticket=_ticket(record),
    )


def _ticket(record: Authority) -> str | None:
    approval = record.proposal.approval if record.proposal else None
    if approval is not None:
        return approval.ticket
    return record.plan.ticket if record.plan is not None else None


# --- moving -----------------------------------------------------------------------------------------------------


def promoting(view: View) -> Authority:
    """Journalled before the request is sent: who wakes up later knows that it may be on its way."""
    attempt = view.plan.intent.attempt + 1 if view.plan.intent else 1
    intent = Intent(
        not_after_ms=view.now.wall_ms + view.profile.intent_not_after_ms,
        attempt=attempt,
        open_until_ms=_open_until_ms(view),
        by=view.facts.process,
    )
    return replace(view.record, phase=Phase.PROMOTING, plan=replace(view.plan, intent=intent))


def promoting_drained(view: View) -> Authority:
    """Fence and barrier stand in place of the wait: the old epoch writes no more, so the new one is claimed here."""
    done = view.facts.drained
    if done is None:
        raise ValueError(f"drained without a drain at version {view.record.version}")
    not_after_ms = view.now.wall_ms + view.profile.intent_not_after_ms
    intent = Intent(not_after_ms, attempt=1, by=view.facts.process)
    plan = replace(view.plan, intent=intent, drained_lsn=done.lsn)
    return replace(
        view.record, epoch=view.record.epoch + 1, phase=Phase.PROMOTING, holder=None, plan=plan, proposal=None
    )


def _open_until_ms(view: View) -> int:
    """Until when a request of this plan, whose reply this process does not know, may still arrive (H6)."""
    intent, reply = view.plan.intent, view.facts.reply
    if intent is None:
        return 0
    known = reply is not None and (reply.epoch, reply.attempt) == (view.record.epoch, intent.attempt)
    last_ms = 0 if known else intent.not_after_ms + view.profile.request_life_ms
    return max(intent.open_until_ms, last_ms)


def _quiet(view: View) -> Quiet | None:
    until_ms, before, intent = _open_until_ms(view), _still_open(view), view.plan.intent
    if intent is None or until_ms <= view.now.wall_ms:
        return before
    earlier_ms = max(intent.open_until_ms, before.until_ms if before is not None else 0)
    return Quiet(view.record.epoch, intent.attempt, view.plan.target, until_ms, earlier_ms)


def _still_open(view: View) -> Quiet | None:
    quiet = view.record.quiet
    return quiet if quiet is not None and quiet.until_ms > view.now.wall_ms else None


def _is_consumed(plan: Plan) -> bool:
    """A switchover whose effect is seen has arrived, replied to or not; a twin that comes late loses nothing."""
    return plan.kind in PLANNED and plan.intent is not None and plan.intent.attempt == 1


def held_by_target(view: View) -> Authority:
    plan, record = view.plan, view.record
    parted = plan.kind is PlanKind.FAILOVER or not all_connected(view)
    unplanned = plan.kind is PlanKind.FAILOVER or (plan.kind is PlanKind.ADOPT and parted)
    return replace(
        record,
        phase=Phase.HELD,
        holder=plan.target,
        plan=None,
        proposal=None,
        renewal_seq=record.renewal_seq + 1,
        renewed_at_ms=view.now.wall_ms,
        degraded=parted,
        lag_ms=None,
        writes_per_s=None,
        quiet=_still_open(view) if _is_consumed(plan) else _quiet(view),
        aftermaths=_accounts(view, unplanned=unplanned),
    )


def _accounts(view: View, *, unplanned: bool) -> tuple[Aftermath, ...]:
    """An unplanned move opens the account of what it left behind; a failback closes its target's."""
    plan, accounts = view.plan, view.record.aftermaths
    if plan.kind is PlanKind.FAILBACK:
        return tuple(account for account in accounts if account.region != plan.target)
    return (*accounts, Aftermath(plan.from_epoch, plan.source)) if unplanned else accounts


def held_by_source_again(view: View) -> Authority:
    """A new epoch for the region that is the writer still, so that nothing said in the old one counts (H7, H15)."""
    plan, record = view.plan, view.record
    return replace(
        record,
        epoch=record.epoch + 1,
        phase=Phase.HELD,
        holder=plan.source,
        plan=None,
        proposal=None,
        renewal_seq=record.renewal_seq + 1,
        renewed_at_ms=view.now.wall_ms,
        degraded=not all_connected(view),
        lag_ms=None,
        writes_per_s=None,
        quiet=_quiet(view),
    )
