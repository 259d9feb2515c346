"""What the operator's verbs ask for: a request bound to its arguments, its plan in words, and the requester."""

from dataclasses import asdict, dataclass
from typing import Any

from farshore.aws import caller
from farshore.aws.clients import client
from farshore.core import requests
from farshore.core.authority import Authority, PlanKind
from farshore.core.profile import Profile
from farshore.requester import Build, Person, Requester
from farshore.workshop import SECRETS_TIMEOUT_MS, Workshop

FOLLOW_MS = 600_000


def requester(workshop: Workshop, *, reason: str, ticket: str | None) -> Requester:
    sts = client("sts", workshop.settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
    person = Person(caller.arn(sts), reason, ticket)
    return Requester(workshop.journal, workshop.clock, workshop.settings.profile, person)


def failover(
    target: str, accepted: requests.Statement, *, second_person: bool, although_healthy: bool
) -> Build:
    """`second_person`: it is put before another person; `although_healthy`: also while the lease is being renewed."""

    def build(record: Authority, asked: requests.Asked) -> Authority:
        if not although_healthy:
            requests.refuse_if_healthy(record, asked)
        if second_person:
            return requests.propose(record, target, asked, although_healthy=although_healthy)
        return requests.failover(record, target, accepted, asked)

    return build


def approve(proposal_id: str | None, *, second_person: bool) -> Build:
    return lambda record, asked: requests.approve(record, proposal_id, asked, second_person=second_person)


@dataclass(frozen=True, slots=True)
class Outline:
    """A plan as it would be journalled, with the longest each stage may take, in ms; `loss` in words.

    `accept` is the option that accepts the loss, where somebody must.
    """

    kind: str
    source: str
    target: str
    epoch: int
    loss: str
    stages: dict[str, int]
    accept: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def outline(before: Authority, after: Authority, profile: Profile) -> Outline:
    """The stages' bounds come from the profile; what AWS needs is AWS's and not bounded here."""
    plan, proposal = after.plan, after.proposal
    if plan is None or proposal is not None:
        target = proposal.target if proposal else "-"
        stated = requests.loss_statement(before, profile)
        return Outline("proposal", before.region_of_record, target, before.epoch + 1, stated.words, {})
    epoch = before.epoch + 1
    if plan.kind is not PlanKind.FAILOVER:
        return Outline(plan.kind, plan.source, plan.target, epoch, "nothing", _planned_stages(profile))
    stated = requests.loss_statement(before, profile)
    stages = _failover_stages(profile)
    return Outline(plan.kind, plan.source, plan.target, epoch, stated.words, stages, stated.acceptance)


def _failover_stages(profile: Profile) -> dict[str, int]:
    return {
        "wait until the old lease has certainly ended": profile.lease_wait_ms,
        "send the request to promote": profile.intent_not_after_ms,
        "notice the promotion and grant the new epoch": profile.promotion_poll_ms + profile.table_timeout_ms,
    }


def _planned_stages(profile: Profile) -> dict[str, int]:
    return {
        "fence and drain the old writer": profile.drain_ms,
        "have the last byte copied and send the request": profile.intent_not_after_ms,
        "notice the new writer and grant the new epoch": profile.promotion_poll_ms + profile.table_timeout_ms,
    }
