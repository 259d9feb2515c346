"""observe -> decide -> record -> act. This is `decide`: pure, total, and the only place where steps are chosen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from farshore.core import first_boot, health
from farshore.core.authority import Authority, Event, Phase, PlanKind
from farshore.core.errors import InvariantError
from farshore.core.facts import Facts, Now
from farshore.core.profile import Mode, Profile
from farshore.core.stamp import stamped
from farshore.core.transitions import TABLE, Action, Row
from farshore.core.view import View


def by_phase(table: Iterable[Row]) -> dict[Phase, tuple[Row, ...]]:
    """The rows that can apply in each phase, in the table's order: the first that does is the step."""
    rows = tuple(table)
    return {phase: tuple(row for row in rows if row.source is phase) for phase in Phase}


ROWS = by_phase(TABLE)


@dataclass(frozen=True, slots=True)
class Step:
    """Write `record` first if it differs from what was read (None: leave it), then do `action`."""

    name: str
    record: Authority | None
    action: Action
    reason: str


def decide(
    record: Authority | None,
    facts: Facts,
    now: Now,
    profile: Profile,
    mode: Mode = "auto",
    history: Sequence[Event] = (),
) -> Step:
    """The next step for this controller; `mode` and `history` matter at first boot only."""
    if record is None:
        return _boot(facts, now, mode, history)
    view = View(record, facts, now, profile)
    for row in ROWS[record.phase]:
        if row.when(view):
            reason = row.explain(view)
            after = row.apply(view)
            if after == record:
                return Step(row.name, None, row.action, reason)
            if after.phase is not row.target:
                raise InvariantError(f"{row.name} leads to {row.target}, not to {after.phase}")
            return Step(row.name, _stamped(view, after, row.name, reason), row.action, reason)
    return Step("wait", None, Action.NOTHING, _why_waiting(view))


def _boot(facts: Facts, now: Now, mode: Mode, history: Sequence[Event]) -> Step:
    obstacle = first_boot.obstacle(facts)
    if obstacle is not None:
        return Step("wait", None, Action.NOTHING, f"no authority yet, and {obstacle}")
    record = first_boot.record(facts, now, mode, history)
    return Step(record.last_event.action, record, Action.RENEW, record.last_event.reason)


def _stamped(view: View, after: Authority, action: str, reason: str) -> Authority:
    before, now = view.record, view.now
    detected_at_ms = None
    if after.plan is not None and after.plan.kind is PlanKind.FAILOVER and before.phase is Phase.HELD:
        detected_at_ms = now.wall_ms - health.loss_known_for_ms(view.facts, after.plan.source, view.profile)
    plan = after.plan or before.plan
    return stamped(
        before,
        after,
        now,
        action=action,
        reason=reason,
        by=view.facts.process,
        detected_at_ms=detected_at_ms,
        ticket=plan.ticket if plan else None,
    )


def _why_waiting(view: View) -> str:
    record, facts, profile = view.record, view.facts, view.profile
    if record.plan is not None:
        return f"{record.phase} in epoch {record.epoch}: {_why_moving_waits(view)}"
    holder = record.region_of_record
    if facts.me == holder:
        return (
            f"{facts.me} holds epoch {record.epoch}, but its writer cannot be reached or may not be renewed"
        )
    if not health.lease_lapsed(facts, profile):
        return f"{holder} holds epoch {record.epoch}"
    if health.observations_fresh(facts, holder, profile):
        return f"the lease of {holder} has lapsed but its monitor is alive: an in-region failover is assumed"
    if not health.endpoints_unreachable(facts, holder, profile):
        return f"the lease of {holder} has lapsed, but not both of its endpoints are known to be unreachable"
    obstacle = health.failover_obstacle(record, facts, view.now) or health.approval_needed(record, profile)
    return f"{holder} seems lost, but {obstacle or 'nothing is decided yet'}"


def _why_moving_waits(view: View) -> str:
    plan, facts = view.plan, view.facts
    if facts.cluster is None:
        return f"the global cluster cannot be described from {facts.me}"
    if facts.cluster.moving is not None:
        return f"AWS moves the writer ({facts.cluster.moving})"
    if facts.me != plan.target:
        return f"waiting for {plan.target}"
    if plan.kind is PlanKind.FAILOVER and plan.intent is not None:
        return f"attempt {plan.intent.attempt} to promote {plan.target} is the business of {plan.intent.by}"
    if view.record.phase is Phase.CLAIMED and not health.lease_certainly_ended(facts, view.profile):
        return f"the lease of {plan.source} may run for {view.profile.lease_wait_ms - facts.lease_unchanged_ms} ms yet"
    writer = facts.cluster.writer_region or "nobody"
    return f"{writer} is the writer by AWS's word; waiting for {plan.source}"
