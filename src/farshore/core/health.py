"""Named conditions on facts. Each is a pure yes or no; unknown always answers no to whatever would act on it."""

from farshore.core.authority import Authority
from farshore.core.facts import Facts, Now, Server
from farshore.core.profile import Profile


def lease_lapsed(facts: Facts, profile: Profile) -> bool:
    return facts.lease_unchanged_ms >= profile.lease_ttl_ms


def lease_certainly_ended(facts: Facts, profile: Profile) -> bool:
    return facts.lease_unchanged_ms >= profile.lease_wait_ms


def observations_stale(facts: Facts, region: str, profile: Profile) -> bool:
    """A region never heard of is unknown, not stale."""
    seen = facts.observations.get(region)
    return seen is not None and seen.unchanged_ms >= profile.stale_after_ms


def observations_fresh(facts: Facts, region: str, profile: Profile) -> bool:
    seen = facts.observations.get(region)
    return seen is not None and seen.unchanged_ms < profile.stale_after_ms


def endpoints_unreachable(facts: Facts, region: str, profile: Profile) -> bool:
    """By this region's own monitor, whose word must itself be fresh; its age is no silence of the endpoint."""
    if not observations_fresh(facts, facts.me, profile):
        return False
    seen = facts.observations[facts.me].endpoints.get(region)
    return seen is not None and seen.both_silent_for(profile.unreachable_after_ms)


def loss_known_for_ms(facts: Facts, region: str, profile: Profile) -> int:
    """How long observations have been stale and both endpoints unreachable, at once; 0 when they are not."""
    holder, own = facts.observations.get(region), facts.observations.get(facts.me)
    seen = own.endpoints.get(region) if own else None
    if holder is None or seen is None or seen.writer_silent_ms is None or seen.reader_silent_ms is None:
        return 0
    silent_ms = min(seen.writer_silent_ms, seen.reader_silent_ms)
    return max(0, min(holder.unchanged_ms - profile.stale_after_ms, silent_ms - profile.unreachable_after_ms))


def writing_server(facts: Facts, region: str) -> Server | None:
    """The region's server, when it was reached and is not in recovery."""
    server = facts.servers.get(region)
    return server if server is not None and not server.in_recovery else None


def clock_is_steady(server: Server, profile: Profile) -> bool:
    """A lease is measured on the writer's clock; a clock that steps measures nothing (H8)."""
    return abs(server.clock_step_ms) <= profile.stall_margin_ms // 2


def is_writer_of_cluster(facts: Facts, region: str) -> bool:
    cluster = facts.cluster
    return cluster is not None and cluster.writer_region == region and cluster.moving is None


def loss_bound_ms(record: Authority, profile: Profile) -> int | None:
    """Judged with the last lag the writer reported before its last renewal; None when it never did (H11)."""
    return None if record.lag_ms is None else profile.loss_bound_ms(record.lag_ms)


def loss_transactions(record: Authority, profile: Profile) -> int | None:
    """How many committed writes the loss bound may hold, at the holder's rate before its last renewal."""
    bound_ms = loss_bound_ms(record, profile)
    if bound_ms is None or record.writes_per_s is None:
        return None
    return -(-bound_ms * record.writes_per_s // 1000)


def granted_epoch(record: Authority) -> int:
    """The newest epoch that a database may know: that of the last holder."""
    return record.epoch if record.plan is None or record.holder is not None else record.plan.from_epoch


def quiet_until_ms(record: Authority, target: str) -> int:
    """Until when a request of an earlier plan may still arrive at AWS and undo a move to `target`; 0: none can (H6)."""
    quiet = record.quiet
    return 0 if quiet is None or quiet.target == target else quiet.until_ms


def failover_obstacle(record: Authority, facts: Facts, now: Now) -> str | None:
    """Why an unplanned failover to this region may not begin at all, whoever wants it; or None."""
    mine = facts.servers.get(facts.me)
    if record.paused:
        return "farshore is paused for maintenance"
    if now.wall_ms < quiet_until_ms(record, facts.me):
        return "a request of an earlier move, whose reply is not known, may still arrive"
    if mine is None:
        return "the database of this region cannot be reached"
    if mine.epoch != granted_epoch(record):
        return (
            f"the database of this region knows epoch {mine.epoch}, not {granted_epoch(record)}: "
            "it is behind or has parted"
        )
    if not mine.enforcing:
        return "the guard does not enforce, so the old writer might go on writing"
    return None


def approval_needed(record: Authority, profile: Profile) -> str | None:
    """Why a person must approve an unplanned failover, or None."""
    bound = loss_bound_ms(record, profile)
    if record.mode != "auto":
        return f"mode is {record.mode}: a person must approve"
    if bound is None:
        return "the lag before the loss is unknown, so the loss has no bound"
    if bound > profile.loss_budget_ms:
        return f"up to {bound} ms of transactions may be lost, the budget is {profile.loss_budget_ms} ms"
    return None


def approved(record: Authority, facts: Facts, now: Now, profile: Profile) -> bool:
    """A person's yes, still good: to this epoch, this target and a loss no larger than was stated."""
    proposal = record.proposal
    if proposal is None or proposal.approval is None:
        return False
    bound = loss_bound_ms(record, profile)
    stated = proposal.loss_bound_ms
    return (
        (proposal.epoch, proposal.target) == (record.epoch, facts.me)
        and now.wall_ms < proposal.approval.expires_at_ms
        and (stated is None or (bound is not None and bound <= stated))
    )


def is_lost(facts: Facts, region: str, profile: Profile) -> bool:
    """The three opinions that a failover needs, together (H12)."""
    return (
        facts.me != region
        and lease_lapsed(facts, profile)
        and observations_stale(facts, region, profile)
        and endpoints_unreachable(facts, region, profile)
    )


def is_unhealed(record: Authority, facts: Facts, now: Now, profile: Profile) -> bool:
    """The region's monitor lives, but its writer has stayed away for longer than Aurora needs (H10).

    How long goes by the wall clock, because no process lives that long: it is put before a person, and the lease is
    waited for by a clock that cannot step all the same.
    """
    region, away_ms = record.region_of_record, now.wall_ms - record.renewed_at_ms
    return (
        facts.me != region
        and lease_lapsed(facts, profile)
        and away_ms >= profile.in_region_budget_ms
        and observations_fresh(facts, region, profile)
        and endpoints_unreachable(facts, region, profile)
    )


def may_drain(record: Authority, facts: Facts, profile: Profile) -> bool:
    """Everything a planned move needs before the old writer is fenced."""
    server = writing_server(facts, facts.me)
    return (
        server is not None
        and server.enforcing
        and server.epoch == record.epoch
        and server.lag_ms is not None
        and server.lag_ms <= profile.switchover_lag_ms
        and is_writer_of_cluster(facts, facts.me)
        and facts.cluster is not None
        and facts.cluster.synchronized
    )
