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
from farshore.simulate.ports import Word
from farshore.simulate.servers import HOME, STANDBY, Move
from farshore.simulate.world import SimWorld, TwoWritersError

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
        self._home: bool | None = None
        self._was_until_ms: dict[bool, int] = {}
        self._words: dict[str, Word] = {}
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

    def decided(self, before: Authority | None, after: Authority, facts: Facts, *, on_time: bool) -> None:
        """P4: what a claim rests on, by the truth at this instant; judged when it is written.

        A process that was frozen between its look and its claim cannot know what was so meanwhile.
        """
        if on_time and before is not None and _claims_alone(before, after):
            self._doubts[facts.process, after.version] = self._single_opinion(facts)

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
        home = self._says(after)
        if home is not self._home:
            if self._home is not None:
                self._was_until_ms[self._home] = now_ms
            self._home = home
        if before is None:
            self._renewed_ms = now_ms
            return
        if after.version != before.version + 1 or after.epoch < before.epoch:
            raise BrokenPromiseError("P5", f"the record went from {before} to {after}")
        event = after.last_event
        if _claims_alone(before, after):
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

    def published(self, region: str, word: Word) -> None:
        """P6: a word to DNS rests on a record that is no older than what may be acted on, says when that was read,
        and agrees with the table, whatever answers or does not."""
        self._words[region] = word
        bound_ms = _longest_ms(oldest_word_ms(self._world.profile), self._world.profile)
        until_ms = word.said_at_ms if word.is_home is self._home else self._was_until_ms.get(word.is_home)
        if until_ms is None or word.said_at_ms - until_ms > bound_ms:
            since = "never was so" if until_ms is None else f"was so until {until_ms} ms"
            raise BrokenPromiseError("P6", f"{region} is told home={word.is_home}, which {since}: {word}")
        age_ms = word.said_at_ms - word.read_at_ms
        if age_ms > bound_ms:
            raise BrokenPromiseError("P6", f"{region} is told what was read {age_ms} ms ago: {word}")
        if word.stamp_late_ms:
            raise BrokenPromiseError(
                "P6", f"{region} is told a word with another time than its read's: {word}"
            )

    def ticked(self, region: str, process: str, known: Authority | None) -> None:
        """P6: whoever can read the table tells at once what is new in it, and repeats it in time."""
        if known is None:
            return
        profile, word = self._world.profile, self._words.get(region)
        silent_ms = _longest_ms(profile.metric_ms, profile)
        if word is None or self._world.clock.mono_ms - word.said_at_ms > silent_ms:
            raise BrokenPromiseError("P6", f"{process} reads the table and is silent; last told: {word}")
        if word.process == process and word.is_home is not self._says(known):
            raise BrokenPromiseError(
                "P6", f"{process} does not tell what it knows, {known}; last told: {word}"
            )

    def disagreeing(self) -> str:
        """P6: which region that lives was told something else than what the record says, or nothing of late."""
        world, profile = self._world, self._world.profile
        since_ms = world.clock.mono_ms - _longest_ms(profile.metric_ms + profile.renew_ms, profile)
        for region in (HOME, STANDBY):
            word = self._words.get(region)
            agrees = word is not None and word.is_home is self._home and word.said_at_ms >= since_ms
            if region not in world.lost and not agrees:
                return f"in the end {region} was told {word}, and the table has {world.record}"
        return ""

    def _says(self, record: Authority) -> bool:
        return record.region_of_record == self._world.names.home_region


def _claims_alone(before: Authority, after: Authority) -> bool:
    """A failover is claimed that no person asked for or approved: it needs the three opinions (H12) and the budget."""
    plan, proposal = after.plan, before.proposal
    if after.epoch == before.epoch or plan is None or plan.kind is not PlanKind.FAILOVER:
        return False
    approved_by = proposal.approval.by if proposal and proposal.approval else None
    is_process = "/" in after.last_event.by
    return after.phase is Phase.CLAIMED and is_process and plan.requested_by != approved_by


def oldest_word_ms(profile: Profile) -> int:
    """How old a record may be that DNS is told of (docs/dns.md)."""
    return max(3 * profile.renew_ms, profile.table_timeout_ms)


def _longest_ms(interval_ms: int, profile: Profile) -> int:
    """What an interval of a slow clock may be on the true one."""
    return interval_ms + interval_ms * profile.drift_ppm // 1_000_000 + _READ_MS


def _shortest_ms(interval_ms: int, profile: Profile) -> int:
    """What an interval of a fast clock may be on the true one."""
    return interval_ms - interval_ms * profile.drift_ppm // 1_000_000 - _READ_MS
