"""What people ask for, judged on the record: each gives the record to write, or a refusal with its reason.

A request is written by the same compare-and-set as every step, so of a person and the automation one wins, and the
other one reads who did. What it leaves undone, the controllers do: whoever asked may go home.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from farshore.core import health
from farshore.core.authority import (
    PLANNED,
    Aftermath,
    Approval,
    Authority,
    Basis,
    Evidence,
    Phase,
    Plan,
    PlanKind,
    Proposal,
)
from farshore.core.errors import RefusedError
from farshore.core.facts import GlobalCluster, Now
from farshore.core.profile import Mode, Profile
from farshore.core.stamp import stamped


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks (the caller's ARN), when, why and under which ticket."""

    by: str
    now: Now
    profile: Profile
    reason: str = ""
    ticket: str | None = None


def _write(before: Authority, after: Authority, asked: Asked, action: str, reason: str) -> Authority:
    told = f"{reason}{f': {asked.reason}' if asked.reason else ''}"
    return stamped(before, after, asked.now, action=action, reason=told, by=asked.by, ticket=asked.ticket)


# --- planned moves ----------------------------------------------------------------------------------------------


def switchover(record: Authority, cluster: GlobalCluster | None, target: str, asked: Asked) -> Authority:
    """Begin a planned move to `target`; towards a region that was lost it is a failback, with more to answer for."""
    _refuse_first(_planned_refusals(record, cluster, target, asked))
    was_lost = any(account.region == target for account in record.aftermaths)
    kind = PlanKind.FAILBACK if was_lost else PlanKind.SWITCHOVER
    source = record.region_of_record
    plan = Plan(
        plan_id=f"{kind}-{record.epoch + 1}",
        kind=kind,
        source=source,
        target=target,
        requested_by=asked.by,
        reason=asked.reason,
        claimed_at_ms=asked.now.wall_ms,
        lag_ms=record.lag_ms,
        from_epoch=record.epoch,
        expires_at_ms=asked.now.wall_ms + asked.profile.drain_ms,
        ticket=asked.ticket,
    )
    after = replace(record, phase=Phase.DRAINING, plan=plan, proposal=None)
    words = f"{asked.by} asks for a {kind} from {source} to {target}; renewals stop and {source} is drained"
    return _write(record, after, asked, kind, words)


Refusal = tuple[Callable[[], bool], str, str]
"""When, why, and what would help."""


def _refuse_first(refusals: list[Refusal]) -> None:
    for applies, reason, next_step in refusals:
        if applies():
            raise RefusedError(reason, next_step)


def _planned_refusals(
    record: Authority, cluster: GlobalCluster | None, target: str, asked: Asked
) -> list[Refusal]:
    profile, now_ms = asked.profile, asked.now.wall_ms
    source = record.region_of_record
    age_ms = now_ms - record.renewed_at_ms
    return [
        _under_way(record),
        (
            lambda: target == record.holder,
            f"{target} is the writer already.",
            "nothing to do; `farshore status` shows who may write.",
        ),
        (
            lambda: record.paused,
            "farshore is paused for maintenance.",
            "`farshore resume`, then repeat.",
        ),
        _still_quiet(record, target, now_ms),
        (
            lambda: age_ms > 2 * profile.lease_ttl_ms,
            f"{source} has not renewed its lease for {age_ms} ms, so nothing can be drained there.",
            "`farshore status` says why; if the region is lost, `farshore failover`.",
        ),
        (
            lambda: cluster is None,
            "the global cluster cannot be described from here.",
            "repeat from a place that reaches RDS in a surviving region (set AWS_REGION to it).",
        ),
        (
            lambda: cluster is not None and cluster.moving is not None,
            f"AWS is moving the writer already ({cluster.moving if cluster else None}).",
            "wait until `aws rds describe-global-clusters` shows no FailoverState, then repeat.",
        ),
        (
            lambda: cluster is not None and not cluster.synchronized,
            f"{target} is not connected to {source}: a planned move would lose what it lacks.",
            "wait until `farshore status` shows every member connected.",
        ),
        (
            lambda: record.lag_ms is None,
            f"the lag of {target} is unknown.",
            "wait until `farshore status` shows it.",
        ),
        (
            lambda: (record.lag_ms or 0) > profile.switchover_lag_ms,
            (
                f"{target} is {record.lag_ms} ms behind, more than switchover_lag_ms = {profile.switchover_lag_ms}: "
                "clients would wait that long."
            ),
            "wait for the lag to fall, or raise switchover_lag_ms.",
        ),
        *_account_refusals(record, target),
    ]


def _account_refusals(record: Authority, target: str) -> list[Refusal]:
    """A lost region is not gone back to before what it lost is accounted for (H13)."""
    owed = next((a for a in record.aftermaths if a.region == target and not a.settled), None)
    orphans = owed.orphans_open if owed else None
    return [
        (
            lambda: owed is not None and owed.evidence is Evidence.AWAITED,
            f"what {target} had acknowledged when it was lost has not been looked at.",
            "`farshore reconcile` reads its old volume; `farshore reconcile --waive` gives it up.",
        ),
        (
            lambda: owed is not None and bool(orphans),
            f"{orphans} orphans of {target} are unresolved.",
            "replay or refund them (`farshore orphans`), then `farshore reconcile --resolved --ticket ...`.",
        ),
    ]


def _under_way(record: Authority) -> Refusal:
    plan = record.plan
    words = (
        f"a {plan.kind} to {plan.target} is under way ({record.phase}), asked for by {plan.requested_by}"
        if plan
        else ""
    )
    return (
        lambda: plan is not None,
        f"{words}.",
        "`farshore watch` follows it; `farshore abort` stops it where that is safe.",
    )


def _still_quiet(record: Authority, target: str, now_ms: int) -> Refusal:
    until_ms = health.quiet_until_ms(record, target)
    return (
        lambda: now_ms < until_ms,
        f"the request of an earlier move got no reply and may still arrive for {(until_ms - now_ms) / 1000:.0f} s.",
        "wait that long, then repeat.",
    )


# --- failover ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """What a failover from this record may lose, as of now; None: nobody knows."""

    loss_bound_ms: int | None
    loss_transactions: int | None

    @property
    def words(self) -> str:
        if self.loss_bound_ms is None:
            return "an unknown amount (the lag before the loss is unknown)"
        count = "" if self.loss_transactions is None else f", {self.loss_transactions} transactions"
        return f"up to {self.loss_bound_ms / 1000:.1f} s{count}"


def loss_statement(record: Authority, profile: Profile) -> Statement:
    return Statement(health.loss_bound_ms(record, profile), health.loss_transactions(record, profile))


def refuse_if_healthy(record: Authority, asked: Asked) -> None:
    """A region that renews its lease is left by a switchover, which loses nothing."""
    age_ms = asked.now.wall_ms - record.renewed_at_ms
    if record.phase is Phase.HELD and age_ms < 2 * asked.profile.lease_ttl_ms:
        raise RefusedError(
            f"{record.holder} renewed its lease {age_ms} ms ago: it is alive.",
            "`farshore switchover` loses nothing; `--although-healthy` if you mean it.",
        )


def failover(record: Authority, target: str, accepted: Statement, asked: Asked) -> Authority:
    """Claim a new epoch for `target` on a person's word; the lease of the old holder is waited for as always."""
    source = _source_of_failover(record, target)
    _refuse_first(_failover_refusals(record, target, accepted, asked))
    plan = Plan(
        plan_id=f"{PlanKind.FAILOVER}-{record.epoch + 1}",
        kind=PlanKind.FAILOVER,
        source=source,
        target=target,
        requested_by=asked.by,
        reason=asked.reason or "a person asked for it",
        claimed_at_ms=asked.now.wall_ms,
        lag_ms=record.lag_ms,
        from_epoch=health.granted_epoch(record),
        ticket=asked.ticket,
    )
    after = replace(
        record, epoch=record.epoch + 1, phase=Phase.CLAIMED, holder=None, plan=plan, proposal=None
    )
    words = f"{asked.by} asks for a failover from {source} to {target} that may lose {accepted.words}"
    return _write(record, after, asked, "failover", words)


def _source_of_failover(record: Authority, target: str) -> str:
    """Where the writer is or was; a region that died while it was promoted is itself left for the one it came from."""
    plan = record.plan
    returns = plan is not None and record.phase is Phase.PROMOTING and plan.source == target
    return plan.target if plan is not None and returns else record.region_of_record


def _failover_refusals(record: Authority, target: str, accepted: Statement, asked: Asked) -> list[Refusal]:
    now_ms, plan = asked.now.wall_ms, record.plan
    bound_ms = health.loss_bound_ms(record, asked.profile)
    intent = plan.intent if plan else None
    open_ms = intent.not_after_ms + asked.profile.request_life_ms if intent else 0
    return [
        (
            lambda: target == _source_of_failover(record, target),
            f"{target} is where the writer is or was.",
            "name the other region with --to.",
        ),
        (
            lambda: (
                plan is not None
                and plan.kind not in PLANNED
                and plan.target == target
                and not 0 < plan.expires_at_ms <= now_ms  # aborted: a person may want it after all
            ),
            f"a {plan.kind if plan else ''} to {target} is under way already ({record.phase}).",
            "`farshore watch` follows it.",
        ),
        (
            lambda: plan is not None and plan.target != target and now_ms < open_ms,
            f"a request to promote {plan.target if plan else ''} may arrive for {(open_ms - now_ms) // 1000} s yet.",
            "wait that long, then repeat.",
        ),
        _still_quiet(record, target, now_ms),
        (
            lambda: (
                accepted.loss_bound_ms is not None and (bound_ms is None or bound_ms > accepted.loss_bound_ms)
            ),
            (
                f"the loss that was accepted ({accepted.words}) is less than what may be lost now "
                f"({loss_statement(record, asked.profile).words})."
            ),
            "`farshore failover --dry-run` states it anew.",
        ),
    ]


def propose(record: Authority, target: str, asked: Asked) -> Authority:
    """Put a failover before a second person, where one may not act alone."""
    _refuse_first(_failover_refusals(record, target, loss_statement(record, asked.profile), asked))
    if record.plan is not None:
        _refuse_first([_under_way(record)])
    stated = loss_statement(record, asked.profile)
    proposal = Proposal(
        proposal_id=f"failover-{record.epoch + 1}-{record.version + 1}",
        epoch=record.epoch,
        source=record.region_of_record,
        target=target,
        basis=Basis.LOST,
        requested_by=asked.by,
        reason=asked.reason or "a person asked for it",
        loss_bound_ms=stated.loss_bound_ms,
        loss_transactions=stated.loss_transactions,
        made_at_ms=asked.now.wall_ms,
        expires_at_ms=asked.now.wall_ms + asked.profile.proposal_ttl_ms,
    )
    words = f"{asked.by} proposes a failover to {target} that may lose {stated.words}"
    return _write(record, replace(record, proposal=proposal), asked, "propose", words)


def approve(record: Authority, proposal_id: str | None, asked: Asked, *, second_person: bool) -> Authority:
    """Say yes to the proposal that stands; `second_person`: not by whoever proposed it."""
    proposal = record.proposal
    if proposal is None:
        raise RefusedError("no failover is proposed.", "`farshore status` shows what is wrong, if anything.")
    _refuse_first(
        [
            (
                lambda: proposal_id not in (None, proposal.proposal_id),
                f"{proposal_id} is not the proposal that stands ({proposal.proposal_id}).",
                "`farshore status` shows it; approve that one if it is what you mean.",
            ),
            (
                lambda: proposal.epoch != record.epoch,
                f"the proposal was made in epoch {proposal.epoch}, it is {record.epoch} now.",
                "`farshore status` shows what has happened.",
            ),
            (
                lambda: asked.now.wall_ms >= proposal.expires_at_ms,
                "the proposal has expired.",
                "a new one is made while the region stays lost; `farshore status` shows it.",
            ),
            (
                lambda: second_person and proposal.requested_by == asked.by,
                f"{asked.by} has made this proposal, and a second person must approve it.",
                "ask a colleague to run `farshore approve`.",
            ),
        ]
    )
    approval = Approval(
        by=asked.by,
        at_ms=asked.now.wall_ms,
        expires_at_ms=asked.now.wall_ms + asked.profile.approval_ttl_ms,
        ticket=asked.ticket,
    )
    after = replace(record, proposal=replace(proposal, approval=approval))
    stated = Statement(proposal.loss_bound_ms, proposal.loss_transactions)
    words = f"{asked.by} approves the failover to {proposal.target} that may lose {stated.words}"
    return _write(record, after, asked, "approve", words)


# --- the rest ---------------------------------------------------------------------------------------------------


def abort(record: Authority, asked: Asked) -> Authority:
    """Stop a move where nothing can have been sent; the source's controller then takes a new epoch."""
    plan = record.plan
    if plan is None:
        if record.proposal is None:
            raise RefusedError("nothing is under way.", "`farshore status` shows who may write.")
        words = f"{asked.by} declines the proposed failover to {record.proposal.target}"
        return _write(record, replace(record, proposal=None), asked, "abort", words)
    if record.phase is Phase.PROMOTING:
        raise RefusedError(
            f"the request to move the writer to {plan.target} may have been sent: taking it back could leave "
            "two regions believing in themselves.",
            "`farshore watch`: if AWS refuses or cancels it, the controllers roll back by themselves.",
        )
    after = replace(record, plan=replace(plan, expires_at_ms=asked.now.wall_ms))
    words = (
        f"{asked.by} aborts the {plan.kind} to {plan.target}; {plan.source} takes a new epoch if it is alive"
    )
    return _write(record, after, asked, "abort", words)


def pause(record: Authority, asked: Asked) -> Authority:
    if record.paused:
        raise RefusedError("farshore is paused already.", "`farshore resume` ends it.")
    words = f"{asked.by} pauses farshore: leases are kept, nothing is moved by itself"
    return _write(record, replace(record, paused=True), asked, "pause", words)


def resume(record: Authority, asked: Asked) -> Authority:
    if not record.paused:
        raise RefusedError("farshore is not paused.", "nothing to do.")
    return _write(record, replace(record, paused=False), asked, "resume", f"{asked.by} resumes farshore")


def set_mode(record: Authority, mode: Mode, asked: Asked) -> Authority:
    asked.profile.check_mode(mode)
    if record.mode == mode:
        raise RefusedError(f"the mode is {mode} already.", "nothing to do.")
    words = f"{asked.by} sets the mode to {mode} (it was {record.mode})"
    return _write(record, replace(record, mode=mode), asked, "mode", words)


def account(record: Authority, settled: Aftermath, asked: Asked) -> Authority:
    """Write down what has become of a lost region's evidence and orphans; the failback there closes the account."""
    open_before = [a for a in record.aftermaths if (a.epoch, a.region) == (settled.epoch, settled.region)]
    if not open_before:
        raise RefusedError(
            f"there is no open account of {settled.region} lost in epoch {settled.epoch}.",
            "`farshore status` lists those that are open.",
        )
    if record.phase is not Phase.HELD:
        _refuse_first([_under_way(record)])
    settled = replace(settled, by=asked.by, ticket=asked.ticket)
    rest = tuple(settled if a in open_before else a for a in record.aftermaths)
    words = (
        f"{asked.by} accounts for {settled.region} lost in epoch {settled.epoch}: evidence {settled.evidence}, "
        f"{'unknown' if settled.orphans_open is None else settled.orphans_open} orphans open"
    )
    return _write(record, replace(record, aftermaths=rest), asked, "account", words)
