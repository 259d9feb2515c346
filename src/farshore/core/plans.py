"""The two ways in which a failover enters the record, whoever wants it: a claim, and a proposal that waits for one."""

from dataclasses import replace

from farshore.core import health
from farshore.core.authority import Authority, Basis, Phase, Plan, PlanKind, Proposal
from farshore.core.profile import Profile


def claimed(
    record: Authority,
    kind: PlanKind,
    source: str,
    target: str,
    *,
    by: str,
    reason: str,
    at_ms: int,
    ticket: str | None,
) -> Authority:
    """The next epoch is `target`'s to take, and nobody else's; nobody holds it yet."""
    plan = Plan(
        plan_id=f"{kind}-{record.epoch + 1}",
        kind=kind,
        source=source,
        target=target,
        requested_by=by,
        reason=reason,
        claimed_at_ms=at_ms,
        lag_ms=record.lag_ms,
        from_epoch=health.granted_epoch(record),
        ticket=ticket,
    )
    return replace(record, epoch=record.epoch + 1, phase=Phase.CLAIMED, holder=None, plan=plan, proposal=None)


def proposed(
    record: Authority,
    source: str,
    target: str,
    basis: Basis,
    *,
    by: str,
    reason: str,
    at_ms: int,
    profile: Profile,
) -> Authority:
    """Bound to this epoch, to this last renewal and to the loss as it can be stated now."""
    proposal = Proposal(
        proposal_id=f"failover-{record.epoch + 1}-{record.version + 1}",
        epoch=record.epoch,
        source=source,
        target=target,
        basis=basis,
        requested_by=by,
        reason=reason,
        loss_bound_ms=health.loss_bound_ms(record, profile),
        loss_transactions=health.loss_transactions(record, profile),
        made_at_ms=at_ms,
        expires_at_ms=at_ms + profile.proposal_ttl_ms,
        renewal_seq=record.renewal_seq,
    )
    return replace(record, proposal=proposal)
