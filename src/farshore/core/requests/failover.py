"""The unplanned move by people's word: stated, carried out, proposed to a second person, approved."""

from dataclasses import dataclass, replace

from farshore.core import health, plans
from farshore.core.authority import BY_WORD, PLANNED, Approval, Authority, Basis, Phase, PlanKind, Proposal
from farshore.core.errors import RefusedError
from farshore.core.profile import Profile
from farshore.core.requests.asked import Asked, Refusal, refuse_first, still_quiet, write


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

    @property
    def acceptance(self) -> str:
        """The option of `farshore failover` that accepts it."""
        unknown = self.loss_bound_ms is None
        return "--accept-unknown-loss" if unknown else f"--accept-loss-ms {self.loss_bound_ms}"


def loss_statement(record: Authority, profile: Profile) -> Statement:
    return Statement(health.loss_bound_ms(record, profile), health.loss_transactions(record, profile))


def refused_until_ms(profile: Profile) -> int:
    """The age of a lease's last renewal from which on a region may be left as lost."""
    return 2 * profile.lease_ttl_ms


def refuse_if_healthy(record: Authority, asked: Asked) -> None:
    """A region that renews its lease is left by a switchover, which loses nothing."""
    age_ms = asked.now.wall_ms - record.renewed_at_ms
    left_ms = refused_until_ms(asked.profile) - age_ms
    if record.phase is Phase.HELD and left_ms > 0:
        raise RefusedError(
            f"{record.holder} renewed its lease {age_ms} ms ago: it is alive for all that is known before two leases "
            f"have passed ({refused_until_ms(asked.profile)} ms); nothing was asked for.",
            f"if `farshore status` calls it lost, repeat in {-(-left_ms // 1000)} s (`--although-healthy` overrules); "
            "if it lives, `farshore switchover` loses nothing.",
        )


def failover(record: Authority, target: str, accepted: Statement, asked: Asked) -> Authority:
    """Claim a new epoch for `target` on a person's word; the lease of the old holder is waited for as always."""
    source = _source_of_failover(record, target)
    words = f"{asked.by} asks for a failover from {source} to {target} that may lose {accepted.words}"
    return _claim(record, target, accepted, asked, by=asked.by, action="failover", words=words)


def _claim(
    record: Authority, target: str, accepted: Statement, asked: Asked, *, by: str, action: str, words: str
) -> Authority:
    refuse_first(_failover_refusals(record, target, accepted, asked))
    after = plans.claimed(
        record,
        PlanKind.FAILOVER,
        _source_of_failover(record, target),
        target,
        by=by,
        reason=asked.reason or "a person asked for it",
        at_ms=asked.now.wall_ms,
        ticket=asked.ticket,
    )
    return write(record, after, asked, action, words)


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
                and not plan.aborted  # a person may want it after all
            ),
            f"a {plan.kind if plan else ''} to {target} is under way already ({record.phase}).",
            "`farshore watch` follows it.",
        ),
        (
            lambda: plan is not None and plan.target != target and now_ms < open_ms,
            f"a request to promote {plan.target if plan else ''} may arrive for {(open_ms - now_ms) // 1000} s yet.",
            "wait that long, then repeat.",
        ),
        still_quiet(record, target, now_ms),
        (
            lambda: (
                accepted.loss_bound_ms is not None and (bound_ms is None or bound_ms > accepted.loss_bound_ms)
            ),
            (
                f"a loss of {accepted.loss_bound_ms} ms was accepted, and "
                f"{'an unknown amount' if bound_ms is None else f'{bound_ms} ms'} may be lost now."
            ),
            f"`{loss_statement(record, asked.profile).acceptance}` accepts that (`farshore failover --dry-run`).",
        ),
    ]


def propose(record: Authority, target: str, asked: Asked, *, although_healthy: bool = False) -> Authority:
    """Put a failover before a second person, where one may not act alone."""
    stated = loss_statement(record, asked.profile)
    refuse_first(_failover_refusals(record, target, stated, asked))
    after = plans.proposed(
        record,
        _source_of_failover(record, target),
        target,
        Basis.DESPITE if although_healthy else Basis.WORD,
        by=asked.by,
        reason=asked.reason or "a person asked for it",
        at_ms=asked.now.wall_ms,
        profile=asked.profile,
    )
    words = f"{asked.by} proposes a failover to {target} that may lose {stated.words}"
    return write(record, after, asked, "propose", words)


def approve(record: Authority, proposal_id: str | None, asked: Asked, *, second_person: bool) -> Authority:
    """Say yes to the proposal that stands; `second_person`: not by whoever proposed it.

    What the automation proposed, it looks at once more before it acts. What a person proposed begins here, on two
    persons' word, as it would have on one's where one is enough.
    """
    proposal = record.proposal
    if proposal is None:
        raise RefusedError("no failover is proposed.", "`farshore status` shows what is wrong, if anything.")
    refuse_first(_approval_refusals(record, proposal, proposal_id, asked, second_person=second_person))
    stated = Statement(proposal.loss_bound_ms, proposal.loss_transactions)
    words = f"{asked.by} approves the failover to {proposal.target} that may lose {stated.words}"
    if proposal.basis in BY_WORD:
        by = f"{proposal.requested_by}, approved by {asked.by}"
        words = f"{words}, as {proposal.requested_by} has asked"
        return _claim(record, proposal.target, stated, asked, by=by, action="approve", words=words)
    approval = Approval(
        by=asked.by,
        at_ms=asked.now.wall_ms,
        expires_at_ms=asked.now.wall_ms + asked.profile.approval_ttl_ms,
        ticket=asked.ticket,
    )
    after = replace(record, proposal=replace(proposal, approval=approval))
    return write(record, after, asked, "approve", words)


def _approval_refusals(
    record: Authority, proposal: Proposal, proposal_id: str | None, asked: Asked, *, second_person: bool
) -> list[Refusal]:
    return [
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
        (
            lambda: proposal.basis is Basis.WORD and proposal.renewal_seq != record.renewal_seq,
            f"{proposal.source} has renewed its lease since this was proposed: it is alive.",
            "`farshore switchover` loses nothing; `farshore failover --although-healthy` proposes it all the same.",
        ),
    ]
