"""When a row of the table applies while the role moves: drained, called off, promoted, come to nothing."""

from farshore.core import health
from farshore.core.authority import PLANNED, PlanKind
from farshore.core.conditions import approved_loss, lost, lost_but_needs_a_person, unhealed
from farshore.core.view import View

SWITCHING = "switching-over"
"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverState.html"""

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


def _may_send(view: View) -> bool:
    plan = view.plan
    return plan.kind is PlanKind.FAILOVER and view.facts.me == plan.target and not plan.aborted


def promotion_unsent(view: View) -> bool:
    """By whoever recorded it: a second sender could not know what becomes of the first one's request (H6)."""
    return _may_send(view) and _unsent_here(view) and view.intent.by == view.facts.process


def _sender_is_gone(view: View) -> bool:
    """Whoever recorded the request has shown no effect of it for a while, and never will again if it died."""
    return view.intent.by != view.facts.process and view.facts.record_unchanged_ms >= view.profile.describe_ms


def promotion_spent(view: View) -> bool:
    over = view.now.wall_ms >= view.intent.not_after_ms or _refused(view)
    return _may_send(view) and _unmoved(view) and (over or (_unsent_here(view) and _sender_is_gone(view)))


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
