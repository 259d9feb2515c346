"""The promises P1 to P6 (docs/simulate.md), as far as the simulated world can see them, judged on what is true in it.

Not seen: commits and confirm() themselves (P1 is judged by who would accept a write), the ledger and its keys (P2, P3
count transactions, and look whether an account is opened), endpoints of a region one by one, and everything of DNS
behind the metric that farshore publishes (alarms, health checks, resolvers).
"""

from collections.abc import Mapping

from farshore.core.authority import PLANNED, Authority, Phase, PlanKind
from farshore.core.facts import Facts
from farshore.core.profile import Profile
from farshore.simulate.monitors import SimMonitor
from farshore.simulate.servers import Move
from farshore.simulate.world import SimWorld, TwoWritersError

ALONE = ("claim-lost-holder", "lost-while-draining", "lost-on-the-way")
"""Claims that nobody asked for: they need the three opinions (H12) and the budget."""
_READ_MS = 2


class BrokenPromiseError(Exception):
    """`promise`: P1 to P6."""

    def __init__(self, promise: str, words: str) -> None:
        super().__init__(f"{promise}: {words}")
        self.promise = promise


class Judge:
    """Looks after every event, and hears of every write and move."""

    def __init__(self, world: SimWorld, monitors: Mapping[str, SimMonitor]) -> None:
        self._world, self._monitors = world, monitors
        self._renewed_ms = 0
        self._doubts: dict[tuple[str, int], str] = {}
        self.failovers = self.planned = self.lost = 0

    def look(self) -> None:
        """P1 at this instant, and what came to light since the last one."""
        world = self._world
        try:
            world.one_writer()
        except TwoWritersError as error:
            raise BrokenPromiseError("P1", str(error)) from error
        if world.stale_failovers:
            raise BrokenPromiseError("P5", f"a failover nobody wanted any more: {world.stale_failovers[0]}")

    def decided(self, process: str, version: int, name: str, facts: Facts, *, on_time: bool) -> None:
        """P4: what a claim rests on, by the truth at this instant; judged when it is written.

        A process that was frozen between its look and its claim cannot know what was so meanwhile.
        """
        if name in ALONE and on_time:
            self._doubts[process, version] = self._single_opinion(facts)

    def _single_opinion(self, facts: Facts) -> str:
        world, profile = self._world, self._world.profile
        now_ms, record = world.clock.mono_ms, world.record
        source = record.region_of_record if record else ""
        sighted_ms = now_ms - world.sighted_ms.get(source, 0)
        answered_ms = now_ms - self._monitors[facts.me].answered_ms(source)
        if sighted_ms < _shortest_ms(profile.stale_after_ms, profile):
            return f"the monitor of {source} wrote {sighted_ms} ms ago"
        if answered_ms < _shortest_ms(profile.unreachable_after_ms, profile):
            return f"an endpoint of {source} answered {facts.me} {answered_ms} ms ago"
        return ""

    def written(self, before: Authority | None, after: Authority) -> None:
        """P3, P4 and P5 on every change of the record, when it is in the table."""
        now_ms, profile = self._world.clock.mono_ms, self._world.profile
        if before is None:
            self._renewed_ms = now_ms
            return
        if after.version != before.version + 1 or after.epoch < before.epoch:
            raise BrokenPromiseError("P5", f"the record went from {before} to {after}")
        event = after.last_event
        if event.version == after.version and event.action in ALONE:
            doubt = self._doubts.get((event.by, after.version), "")
            age_ms = now_ms - self._renewed_ms
            if age_ms < _shortest_ms(profile.lease_ttl_ms, profile):
                doubt = f"its lease was renewed {age_ms} ms ago"
            if doubt:
                raise BrokenPromiseError("P4", f"{event.by} claims ({event.action}) although {doubt}")
            self._without_a_person(before, after)
        if after.renewal_seq != before.renewal_seq:
            self._renewed_ms = now_ms
        self._account(before, after)

    def _without_a_person(self, before: Authority, after: Authority) -> None:
        profile, lag_ms = self._world.profile, after.plan.lag_ms if after.plan else None
        if before.mode != "auto" or before.paused:
            raise BrokenPromiseError(
                "P4", f"a claim by itself, mode {before.mode}, paused {before.paused}: {after}"
            )
        if lag_ms is None or profile.loss_bound_ms(lag_ms) > profile.loss_budget_ms:
            raise BrokenPromiseError("P4", f"a claim without a person above the budget: {after}")

    def _account(self, before: Authority, after: Authority) -> None:
        plan = before.plan
        if after.phase is not Phase.HELD or plan is None or after.holder != plan.target:
            return
        if plan.kind is PlanKind.FAILOVER:
            self.failovers += 1
            accounts = [(account.epoch, account.region) for account in after.aftermaths]
            if (plan.from_epoch, plan.source) not in accounts:
                raise BrokenPromiseError("P3", f"nobody accounts for {plan.source}: {after}")
        self.planned += plan.kind in PLANNED

    def moved(self, move: Move) -> None:
        """AWS makes another region the writer, this instant: what a failover loses.

        A planned move loses nothing by AWS's promise: the simulated AWS takes back one that would.
        """
        if move.planned:
            return
        world = self._world
        old, new = world.servers[world.names.other(move.target)], world.servers[move.target]
        lost_ms = old.lsn - new.lsn
        self.lost += max(0, lost_ms)
        plan = world.record.plan if world.record else None
        if plan is None or plan.lag_ms is None or plan.target != move.target:
            return
        bound_ms = world.profile.loss_bound_ms(plan.lag_ms)
        if lost_ms > bound_ms:
            raise BrokenPromiseError("P3", f"{lost_ms} ms are lost, {bound_ms} ms was the bound: {plan}")

    def asked_to_move(self, early: str, *, on_time: bool) -> None:
        """P2: a planned move is asked for only behind fence and drain, unless the message was held up on its way."""
        if early and on_time:
            raise BrokenPromiseError("P2", f"AWS is asked to switch over although {early}")

    def published(self, region: str, known: Authority | None, is_home: bool) -> None:
        """P6: what this region tells DNS is what it last read or wrote, whatever answers or does not."""
        if known is None or (known.region_of_record == self._world.names.home_region) != is_home:
            raise BrokenPromiseError("P6", f"{region} publishes home={is_home}, and has read {known}")


def _shortest_ms(interval_ms: int, profile: Profile) -> int:
    """What an interval of a fast clock may be on the true one."""
    return interval_ms - interval_ms * profile.drift_ppm // 1_000_000 - _READ_MS
