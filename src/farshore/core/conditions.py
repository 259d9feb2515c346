"""When a row of the table applies: named questions about the record and the facts, each a pure yes or no."""

from dataclasses import dataclass

from farshore.core import health
from farshore.core.authority import PLANNED, Authority, Basis, Intent, Plan, PlanKind
from farshore.core.facts import Facts, Now
from farshore.core.profile import Profile

SWITCHING = "switching-over"
"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverState.html"""


@dataclass(frozen=True, slots=True)
class View:
    """What a row is judged on."""

    record: Authority
    facts: Facts
    now: Now
    profile: Profile

    @property
    def plan(self) -> Plan:
        if self.record.plan is None:
            raise ValueError(f"{self.record.phase} without a plan at version {self.record.version}")
        return self.record.plan

    @property
    def intent(self) -> Intent:
        if self.plan.intent is None:
            raise ValueError(f"{self.record.phase} without an intent at version {self.record.version}")
        return self.plan.intent


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


def keeper_may_renew(view: View) -> bool:
    return view.facts.me == view.record.holder and _holders_server_is_ready(view)


def neighbour_may_renew(view: View) -> bool:
    """The holder's own keeper is late, but this region reaches the writer: a late Lambda is no outage (H9)."""
    is_late = view.facts.lease_unchanged_ms * 5 >= view.profile.lease_ttl_ms * 3
    return is_late and view.facts.me != view.record.holder and _holders_server_is_ready(view)


def proposal_is_outdated(view: View) -> bool:
    """A renewal speaks against the loss; what is wanted although the region is well stands until its time is over."""
    proposal = view.record.proposal
    if proposal is None or not keeper_may_renew(view):
        return False
    return proposal.basis is not Basis.DESPITE or view.now.wall_ms >= proposal.expires_at_ms


def reply_has_come(view: View) -> bool:
    quiet, reply = view.record.quiet, view.facts.reply
    return (
        quiet is not None
        and reply is not None
        and (reply.epoch, reply.attempt) == (quiet.epoch, quiet.attempt)
    )


def role_moved_here_outside(view: View) -> bool:
    """The volume must know the present epoch: a zombie that says it is the writer holds an older one.

    An epoch that was recorded, but not granted before the role moved on, is known to no volume at all. No zombie is
    followed by anybody: when the lease has ended and the others follow this writer, it is the one.
    """
    server = health.writing_server(view.facts, view.facts.me)
    if (
        server is None
        or view.record.holder == view.facts.me
        or not health.is_writer_of_cluster(view.facts, view.facts.me)
    ):
        return False
    knows_followers = server.lag_ms is not None or server.received_lsn is not None
    is_followed = all_connected(view) and knows_followers
    return server.epoch == view.record.epoch or (
        is_followed and health.lease_certainly_ended(view.facts, view.profile)
    )


def zombie_here(view: View) -> bool:
    server = health.writing_server(view.facts, view.facts.me)
    return (
        view.record.holder != view.facts.me
        and server is not None
        and server.epoch < view.record.epoch
        and not server.fenced
    )


def all_connected(view: View) -> bool:
    cluster = view.facts.cluster
    return cluster is not None and cluster.synchronized and cluster.moving is None


def rejoined(view: View) -> bool:
    return view.record.degraded and view.facts.me == view.record.holder and all_connected(view)


# --- the loss of a region ---------------------------------------------------------------------------------------


def _source_is_lost(view: View) -> bool:
    """Lost by all three opinions, and nothing stands against leaving it."""
    return (
        health.is_lost(view.facts, view.record.region_of_record, view.profile)
        and health.failover_obstacle(view.record, view.facts, view.now) is None
    )


def lost(view: View) -> bool:
    return _source_is_lost(view) and health.approval_needed(view.record, view.profile) is None


def approved_loss(view: View) -> bool:
    """A person has said yes, and what the proposal rested on is still so."""
    proposal, source = view.record.proposal, view.record.region_of_record
    if proposal is None or not health.approved(view.record, view.facts, view.now, view.profile):
        return False
    if proposal.basis is not Basis.UNHEALED:
        return _source_is_lost(view)
    return (
        health.is_unhealed(view.facts, source, view.profile)
        and health.failover_obstacle(view.record, view.facts, view.now) is None
    )


def _may_propose(view: View) -> bool:
    proposal = view.record.proposal
    waits = (
        proposal is not None
        and proposal.epoch == view.record.epoch
        and view.now.wall_ms < proposal.expires_at_ms
    )
    return view.record.mode != "manual" and not waits


def lost_but_needs_a_person(view: View) -> bool:
    return (
        _may_propose(view)
        and _source_is_lost(view)
        and health.approval_needed(view.record, view.profile) is not None
    )


def unhealed(view: View) -> bool:
    return (
        _may_propose(view)
        and health.is_unhealed(view.facts, view.record.region_of_record, view.profile)
        and health.failover_obstacle(view.record, view.facts, view.now) is None
    )


# --- DRAINING ---------------------------------------------------------------------------------------------------


def drained(view: View) -> bool:
    done = view.facts.drained
    is_done = done is not None and done.epoch == view.record.epoch
    return view.facts.me == view.plan.source and is_done and not _drain_is_stopped(view)


def _source_is_writer(view: View) -> bool:
    """Both the control plane and the server itself say so."""
    source = view.plan.source
    return (
        health.is_writer_of_cluster(view.facts, source)
        and health.writing_server(view.facts, source) is not None
    )


def _source_still_writes(view: View) -> bool:
    return view.facts.me == view.plan.source and _source_is_writer(view)


def _drain_is_stopped(view: View) -> bool:
    """A person has aborted it, or this process has seen no renewal for longer than a drain may take.

    Nobody's wall clock is asked: a process that starts anew grants the drain its time anew.
    """
    return view.plan.aborted or view.facts.lease_unchanged_ms >= view.profile.drain_ms


def drain_fails(view: View) -> bool:
    may_not = not health.may_drain(view.record, view.facts, view.profile)
    return _source_still_writes(view) and (_drain_is_stopped(view) or may_not)


def drain_is_abandoned(view: View) -> bool:
    """The source's own controller is away, but this region reaches its writer (H9). Nothing has been sent to AWS."""
    source, server = view.plan.source, view.facts.servers.get(view.plan.source)
    return (
        view.facts.me != source
        and _drain_is_stopped(view)
        and _source_is_writer(view)
        and server is not None
        and server.epoch == view.record.epoch
        and health.clock_is_steady(server, view.profile)
    )


def may_drain(view: View) -> bool:
    return view.facts.me == view.plan.source and health.may_drain(view.record, view.facts, view.profile)


# --- CLAIMED and PROMOTING --------------------------------------------------------------------------------------


def target_writes(view: View) -> bool:
    """Both the control plane and the server itself say so.

    A planned move need not have ended: what remains is the old writer's return as a reader (docs/decisions/0007).
    """
    plan, cluster = view.plan, view.facts.cluster
    rest = plan.kind in PLANNED and cluster is not None and cluster.moving == SWITCHING
    return (
        view.facts.me == plan.target
        and cluster is not None
        and cluster.writer_region == plan.target
        and (cluster.moving is None or rest)
        and health.writing_server(view.facts, plan.target) is not None
    )


def claimed_target_writes(view: View) -> bool:
    return target_writes(view) and health.lease_certainly_ended(view.facts, view.profile)


def wait_is_over(view: View) -> bool:
    return (
        view.plan.kind is PlanKind.FAILOVER
        and view.facts.me == view.plan.target
        and not view.plan.aborted
        and health.lease_certainly_ended(view.facts, view.profile)
    )


def claim_expired(view: View) -> bool:
    """West claimed and died, or was called back, before it promoted anything (H14)."""
    waited = view.facts.lease_unchanged_ms >= view.profile.claim_ttl_ms
    return _source_still_writes(view) and (waited or view.plan.aborted)


def promotion_expired(view: View) -> bool:
    """As above, but a request may have been sent: only when it can no longer arrive is `not moved` an answer (H14)."""
    return (
        view.plan.kind is PlanKind.FAILOVER
        and _source_still_writes(view)
        and view.facts.lease_unchanged_ms >= view.profile.claim_ttl_ms
        and view.now.wall_ms >= view.intent.not_after_ms + view.profile.request_life_ms
    )


def _unmoved(view: View) -> bool:
    cluster = view.facts.cluster
    return cluster is not None and cluster.moving is None and cluster.writer_region != view.plan.target


def _refused(view: View) -> bool:
    """AWS has answered this very attempt with no, and some time has passed since."""
    reply = view.facts.reply
    return (
        reply is not None
        and (reply.epoch, reply.attempt) == (view.record.epoch, view.intent.attempt)
        and not reply.accepted
        and reply.ago_ms >= view.profile.describe_ms
    )


def _unsent_here(view: View) -> bool:
    return _unmoved(view) and not view.facts.move_sent and view.now.wall_ms < view.intent.not_after_ms


def _by_target(view: View) -> bool:
    return view.plan.kind is PlanKind.FAILOVER and view.facts.me == view.plan.target


def promotion_unsent(view: View) -> bool:
    """By whoever recorded it: a second sender could not know what becomes of the first one's request (H6)."""
    return _by_target(view) and _unsent_here(view) and view.intent.by == view.facts.process


def _sender_is_gone(view: View) -> bool:
    """Whoever recorded the request has shown no effect of it for a while, and never will again if it died."""
    return view.intent.by != view.facts.process and view.facts.record_unchanged_ms >= view.profile.describe_ms


def promotion_spent(view: View) -> bool:
    over = view.now.wall_ms >= view.intent.not_after_ms or _refused(view)
    return _by_target(view) and _unmoved(view) and (over or (_unsent_here(view) and _sender_is_gone(view)))


def target_has_the_last_byte(view: View) -> bool:
    """Fenced, drained and copied; whoever repeats this after a crash sends the same request again, which is safe:
    however late it arrives, AWS's switchover loses nothing."""
    plan = view.plan
    server = health.writing_server(view.facts, plan.source)
    return (
        plan.kind in PLANNED
        and view.facts.me == plan.source
        and _unsent_here(view)
        and (view.intent.by == view.facts.process or _sender_is_gone(view))
        and server is not None
        and server.epoch == plan.from_epoch
        and server.fenced
        and plan.drained_lsn is not None
        and server.received_lsn is not None
        and server.received_lsn >= plan.drained_lsn
    )


def _cancelled(view: View) -> bool:
    """The reply was yes and the cluster has changed since, so it was moving, and it is where it was."""
    reply = view.facts.reply
    return (
        reply is not None
        and (reply.epoch, reply.attempt) == (view.record.epoch, view.intent.attempt)
        and reply.accepted
        and view.facts.cluster_unchanged_ms < reply.ago_ms
    )


def switchover_came_to_nothing(view: View) -> bool:
    """Refused, cancelled by AWS, or without effect within its time; and seen so repeatedly (H15)."""
    over = view.now.wall_ms >= view.intent.not_after_ms or _cancelled(view)
    settled = view.facts.cluster_unchanged_ms >= view.profile.describe_ms
    return view.plan.kind in PLANNED and _source_still_writes(view) and settled and (over or _refused(view))


# --- a region lost under a planned move -------------------------------------------------------------------------


def _before_aws_moved(view: View) -> bool:
    return view.plan.kind in PLANNED and view.facts.me == view.plan.target and _unmoved(view)


def lost_on_the_way(view: View) -> bool:
    return _before_aws_moved(view) and lost(view)


def approved_on_the_way(view: View) -> bool:
    return _before_aws_moved(view) and approved_loss(view)


def lost_on_the_way_but_needs_a_person(view: View) -> bool:
    return _before_aws_moved(view) and lost_but_needs_a_person(view)


def unhealed_on_the_way(view: View) -> bool:
    return _before_aws_moved(view) and unhealed(view)
