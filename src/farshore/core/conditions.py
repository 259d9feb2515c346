"""When a row of the table applies: named questions about the record and the facts, each a pure yes or no.

Those of a move that is under way are in moving.py.
"""

from farshore.core import health
from farshore.core.authority import Basis
from farshore.core.view import View

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


def _source_is_unhealed(view: View) -> bool:
    return (
        health.is_unhealed(view.record, view.facts, view.now, view.profile)
        and health.failover_obstacle(view.record, view.facts, view.now) is None
    )


def lost(view: View) -> bool:
    return _source_is_lost(view) and health.approval_needed(view.record, view.profile) is None


def approved_loss(view: View) -> bool:
    """A person has said yes, and what the proposal rested on is still so, or has become worse."""
    proposal = view.record.proposal
    if proposal is None or not health.approved(view.record, view.facts, view.now, view.profile):
        return False
    return _source_is_lost(view) or (proposal.basis is Basis.UNHEALED and _source_is_unhealed(view))


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
    return _may_propose(view) and _source_is_unhealed(view)
