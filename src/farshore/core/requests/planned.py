"""Planned moves: switchover, and failback to a region that was lost. They lose nothing, so they refuse early."""

from collections.abc import Container
from dataclasses import replace

from farshore.core.authority import Authority, Evidence, Phase, Plan, PlanKind
from farshore.core.facts import GlobalCluster
from farshore.core.requests.asked import Asked, Refusal, refuse_first, still_quiet, under_way, write


def switchover(
    record: Authority, cluster: GlobalCluster | None, running: Container[str], target: str, asked: Asked
) -> Authority:
    """Begin a planned move to `target`; towards a region that was lost it is a failback, with more to answer for.

    `running`: the regions whose controllers run; without the target's, nobody would open it to writes.
    """
    refuse_first(_planned_refusals(record, cluster, running, target, asked))
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
        ticket=asked.ticket,
    )
    after = replace(record, phase=Phase.DRAINING, plan=plan, proposal=None)
    words = f"{asked.by} asks for a {kind} from {source} to {target}; renewals stop and {source} is drained"
    return write(record, after, asked, kind, words)


def _planned_refusals(
    record: Authority, cluster: GlobalCluster | None, running: Container[str], target: str, asked: Asked
) -> list[Refusal]:
    profile, now_ms = asked.profile, asked.now.wall_ms
    source = record.region_of_record
    age_ms = now_ms - record.renewed_at_ms
    return [
        under_way(record),
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
        still_quiet(record, target, now_ms),
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
        (
            lambda: target not in running,
            f"no controller was heard in {target}: writes would stop until one opens it.",
            "its schedule starts it within a minute; `farshore verify` shows whether it runs.",
        ),
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
