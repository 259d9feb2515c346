"""A lease that has lapsed: why, as far as one look shows it, and what a person should do.

It follows the table's own order: what farshore will do by itself comes before what it waits for.
"""

from farshore.core import health
from farshore.core.authority import Authority, Proposal
from farshore.core.requests import loss_statement, refused_until_ms
from farshore.core.scene import Scene, span

Advice = tuple[str, str, str | None]
"""What is wrong, what to do, and the command."""

HESITATION_MS = 5000
"""How much longer than its own time farshore may take before a person should wonder."""


def lapsed(scene: Scene, record: Authority) -> Advice:
    """The holder has not renewed for longer than a lease lasts: its guard refuses to write."""
    holder, age_ms = record.region_of_record, scene.lease_age_ms or 0
    other = scene.other(holder)
    words = f"nobody may write: {holder} has not renewed its lease for {span(age_ms)}"
    if not scene.is_heard(holder) and not scene.is_heard(other):
        return (
            f"{words}, and no monitor has been heard since either",
            "farshore itself is silent: see whether its functions run and reach the table",
            "farshore verify --no-publish",
        )
    if not scene.is_silent(holder):
        return (
            f"{words}, though its database answers",
            f"see whether the controllers run: those of {holder} and {other} may both renew",
            "farshore verify --no-publish",
        )
    if scene.is_heard(holder):
        return _away_within_its_region(scene, record, words, age_ms)
    return _lost(scene, record, f"{words}; its monitor and both of its endpoints are silent", age_ms)


def _away_within_its_region(scene: Scene, record: Authority, words: str, age_ms: int) -> Advice:
    budget_ms = scene.profile.in_region_budget_ms
    words = f"{words}; its endpoints are silent, its monitor lives"
    if age_ms < budget_ms + HESITATION_MS and standing(scene, record) is None:
        if record.paused:
            then = "end the pause: nothing is proposed before"
        elif record.mode == "manual":
            then = "fail over yourself: mode is manual"
        else:
            then = "a failover is proposed"
        return (
            f"{words}: Aurora is taken to replace its writer",
            f"wait {span(budget_ms - age_ms)}; after that {then}",
            "farshore watch",
        )
    return _lost(scene, record, words, age_ms)


def standing(scene: Scene, record: Authority) -> Proposal | None:
    proposal = record.proposal
    good = proposal is not None and proposal.epoch == record.epoch and scene.now_ms < proposal.expires_at_ms
    return proposal if good else None


def _lost(scene: Scene, record: Authority, words: str, age_ms: int) -> Advice:
    target = scene.other(record.region_of_record)
    profile = scene.profile
    quiet_ms = health.quiet_until_ms(record, target) - scene.now_ms
    if record.paused:
        return (
            f"{words}; farshore is paused",
            "end the pause: farshore then acts by its mode",
            "farshore resume",
        )
    if quiet_ms > 0:
        return (
            f"{words}; an earlier request to move the writer may still arrive for {span(quiet_ms)}",
            "wait that long: until then no move may begin, whoever asks",
            "farshore watch",
        )
    proposal = standing(scene, record)
    if proposal is not None:
        return proposed(scene, proposal, words)
    why = health.approval_needed(record, profile)
    due_ms = profile.lease_wait_ms + HESITATION_MS
    if record.mode != "manual" and age_ms < due_ms:
        what = (
            "farshore is about to claim a new epoch"
            if why is None
            else f"a failover is about to be proposed: {why}"
        )
        return f"{words}; {what}", "wait a moment", "farshore watch"
    reason = why or f"{target} has not taken over: its database or controller, or its guard, may be wanting"
    stated = loss_statement(record, profile)
    early_ms = refused_until_ms(profile) - age_ms
    wait = f"wait {span(early_ms)}, then " if early_ms > 0 else ""
    return (
        f"{words}; {reason}",
        f"{wait}fail over to {target}; it may lose {stated.words}",
        f"farshore failover --to {target} {stated.acceptance}",
    )


def proposed(scene: Scene, proposal: Proposal, words: str) -> Advice:
    if proposal.approval is not None:
        left = span(proposal.approval.expires_at_ms - scene.now_ms)
        return (
            f"{words}; {proposal.approval.by} has approved a failover to {proposal.target}",
            f"wait: it begins when what it rests on is seen once more; the approval holds for {left}",
            "farshore watch",
        )
    stated = (
        "an unknown amount" if proposal.loss_bound_ms is None else f"up to {span(proposal.loss_bound_ms)}"
    )
    count = "" if proposal.loss_transactions is None else f", {proposal.loss_transactions} transactions"
    return (
        f"{words}; a failover to {proposal.target} that may lose {stated}{count} waits for a person: {proposal.reason}",
        f"approve it within {span(proposal.expires_at_ms - scene.now_ms)}, or decline it by `farshore abort`",
        f"farshore approve {proposal.proposal_id}",
    )
