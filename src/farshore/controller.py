"""observe -> decide -> record -> act: one tick of the controller.

The controller decides nothing: it gathers facts, asks core.decide, writes the record by compare-and-set and only
then does what the step says. Any process may run it at any time, in any number, and die at any instant.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from farshore.core import first_boot
from farshore.core.authority import Authority, Phase
from farshore.core.decide import Step, decide
from farshore.core.errors import MoveRefusedError, MoveTooLateError, UnknownOutcomeError
from farshore.core.facts import Drained, Facts, GlobalCluster, Now, Observation, Reply, Server
from farshore.core.lease import Watch, watch
from farshore.core.pace import rest_ms
from farshore.core.profile import LONGEST_MS, Mode, Profile
from farshore.core.transitions import Action
from farshore.log import log
from farshore.names import Names
from farshore.ports import Clock, Cloud, Database, InTime, Journal, Page, Publisher, Sighting, Silence, Teller

Background = Callable[[str, Callable[[], None]], None]
"""Starts named work without waiting for it."""


def in_thread(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


@dataclass(frozen=True, slots=True)
class World:
    """Everything a controller touches."""

    journal: Journal
    databases: Mapping[str, Database]
    cloud: Cloud
    publisher: Publisher
    clock: Clock
    background: Background = in_thread
    teller: Teller = field(default_factory=Silence)


class Errand:
    """Slow work, one at a time; whoever asks for it never waits."""

    def __init__(self, name: str, work: Callable[[], None], background: Background) -> None:
        self._name = name
        self._work = work
        self._background = background
        self._busy = threading.Lock()

    def start(self) -> None:
        if self._busy.acquire(blocking=False):
            self._background(self._name, self._run)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._busy.release()


class Controller:
    """One region's controller; `process` names this execution in the journal."""

    def __init__(
        self, *, names: Names, region: str, process: str, profile: Profile, mode: Mode, world: World
    ) -> None:
        self.page: Page | None = None
        self._names = names
        self._region = region
        self._process = process
        self._profile = profile
        self._mode = mode
        self._world = world
        self._watch: Watch | None = None
        self._version_seen: tuple[int, int] = (-1, 0)
        self._seen: dict[str, tuple[str, int, int]] = {}
        self._record: Authority | None = None
        self._renewed: tuple[int, int] | None = None
        self._read_at_ms: int | None = None
        self._read_at_wall_ms = 0
        self._paged_at_ms = -LONGEST_MS
        self._cluster: GlobalCluster | None = None
        self._described_at_ms: int | None = None
        self._cluster_since_ms = 0
        self._neighbour: tuple[Server, int] | None = None
        self._published: tuple[bool, int] | None = None
        self._sent: tuple[int, int] | None = None
        self._reply: tuple[Reply, int] | None = None
        self._drained: Drained | None = None
        self._kept_version = 0
        self._told = ""
        self._describing = Errand("describe", self._describe, world.background)
        self._asking = Errand("neighbour", self._ask_neighbour, world.background)

    def tick(self) -> int:
        """One round; returns how many ms to rest before the next. Raises UnknownOutcomeError without the table."""
        has_looked = self._read_if_due()
        step, facts = self._decide()
        if not has_looked and self._leaves_a_region(step):
            self._read()
            step, facts = self._decide()
        taken = self._take(step, facts)
        self._publish()
        return rest_ms(self._record, facts, self._profile) if taken else 1

    def _decide(self) -> tuple[Step, Facts]:
        facts = self._observe()
        may_boot = self._record is None and first_boot.obstacle(facts) is None
        history = self._world.journal.history() if may_boot else ()
        return decide(self._record, facts, self._world.clock.now(), self._profile, self._mode, history), facts

    def _leaves_a_region(self, step: Step) -> bool:
        """Nobody claims an epoch on what the table said a while ago: the other region may have been heard of since."""
        record = self._record
        claims = step.record is not None and step.record.phase is Phase.CLAIMED
        return claims and record is not None and record.phase is not Phase.CLAIMED

    # --- observe -------------------------------------------------------------------------------------------------

    def _read_if_due(self) -> bool:
        """A process that has just written the record knows it; all others read before they decide. True: it read."""
        now = self._world.clock.now()
        age_ms = None if self._read_at_ms is None else now.mono_ms - self._read_at_ms
        is_due = self._record is None or age_ms is None or age_ms >= self._known_for_ms(self._record)
        if is_due:
            self._read()
        return is_due

    def _known_for_ms(self, record: Authority) -> int:
        """How long this process may go on with the record as it knows it: none, unless the next step is its own."""
        renew_ms = self._profile.renew_ms
        if record.phase is Phase.PROMOTING and record.plan:
            is_target = record.plan.target == self._region
            return renew_ms if is_target or self._sent != _intent_of(record) else 0
        leads = record.last_event.by == self._process or record.holder == self._region
        return 3 * renew_ms if leads else 0

    def _read(self) -> None:
        asked = self._world.clock.now()
        self.page = self._world.journal.read()
        now = self._world.clock.now()
        self._knows_since(asked)
        before_ms, self._paged_at_ms = self._paged_at_ms, asked.mono_ms
        self._accept(self.page.record)
        if self.page.record is not None:
            self._keep_event(self.page.record)
        for region, sighting in self.page.sightings.items():
            if self._seen.get(region, ("", 0, 0))[0] != sighting.sequence:
                self._seen[region] = (sighting.sequence, now.mono_ms, before_ms)

    def _knows_since(self, asked: Now) -> None:
        """As old as its question: a process frozen over the reply must not take the record for news, nor tell it so."""
        self._read_at_ms, self._read_at_wall_ms = asked.mono_ms, asked.wall_ms

    def _accept(self, record: Authority | None) -> None:
        self._record = record
        if record is not None:
            self._watch = watch(self._watch, record, self._world.clock.now())
            if record.version != self._version_seen[0]:
                self._version_seen = (record.version, self._world.clock.now().mono_ms)

    def _observe(self) -> Facts:
        record, now = self._record, self._world.clock.now()
        sightings = self.page.sightings if self.page else {}
        observations = {region: self._timed(sighting, now.mono_ms) for region, sighting in sightings.items()}
        cluster = self._known_cluster(now.mono_ms)
        cluster_unchanged_ms = now.mono_ms - self._cluster_since_ms
        reply = self._known_reply(now)
        servers = self._ask_servers(record, self._watch.unchanged_ms(now) if self._watch else 0)
        moved_on = self._world.clock.now()
        return Facts(
            me=self._region,
            process=self._process,
            lease_unchanged_ms=self._watch.unchanged_ms(moved_on) if self._watch else 0,
            observations=observations,
            servers=servers,
            cluster=cluster,
            own_renewal=record is not None and self._renewed == _renewal_of(record),
            record_unchanged_ms=now.mono_ms - self._version_seen[1],
            cluster_unchanged_ms=cluster_unchanged_ms,
            move_sent=record is not None and self._sent == _intent_of(record),
            reply=reply,
            drained=self._drained,
        )

    def _timed(self, sighting: Sighting, now_ms: int) -> Observation:
        """Another region's silence counts up to the last look's question: who has not looked has heard no silence.

        This region's own word stands for what is so now, so it ages until now, and since the look before the one that
        found it: it may have been written right after that, while the table was dark (P4).
        """
        _, seen_ms, before_ms = self._seen[sighting.region]
        is_own = sighting.region == self._region
        unchanged_ms = now_ms - before_ms if is_own else max(0, self._paged_at_ms - seen_ms)
        return Observation(
            region=sighting.region,
            sequence=sighting.sequence,
            unchanged_ms=unchanged_ms,
            endpoints=sighting.endpoints,
            lag_ms=sighting.lag_ms,
        )

    def _known_cluster(self, now_ms: int) -> GlobalCluster | None:
        """While the role moves it is read at once; otherwise in the background, and what is old is unknown."""
        if self._record is None or self._record.phase is Phase.PROMOTING:
            self._describe()
            return self._cluster
        fresh_ms = self._profile.describe_ms * 3
        age_ms = None if self._described_at_ms is None else now_ms - self._described_at_ms
        if age_ms is None or age_ms >= self._profile.describe_ms:
            self._describing.start()
        return self._cluster if age_ms is not None and age_ms < fresh_ms else None

    def _describe(self) -> None:
        """As old as its question: a process frozen over the reply must not take it for news."""
        asked_ms = self._world.clock.now().mono_ms
        cluster = self._world.cloud.describe()
        if cluster != self._cluster:
            self._cluster_since_ms = self._world.clock.now().mono_ms
        self._cluster, self._described_at_ms = cluster, asked_ms

    def _known_reply(self, now: Now) -> Reply | None:
        if self._reply is None:
            return None
        reply, at_ms = self._reply
        return replace(reply, ago_ms=now.mono_ms - at_ms)

    def _ask_servers(self, record: Authority | None, lease_unchanged_ms: int) -> dict[str, Server]:
        """This region's own server at once; the neighbour's only when its keeper is late, and never waited for."""
        found: dict[str, Server] = {}
        keeps = record is not None and record.holder == self._region
        patience_ms = self._profile.lease_ttl_ms // 2 if keeps else self._profile.renew_ms
        mine = self._world.databases[self._region].inspect(patience_ms)
        if mine is not None:
            found[self._region] = mine
        is_late = lease_unchanged_ms * 2 >= self._profile.lease_ttl_ms
        if record is not None and record.holder not in (None, self._region) and is_late:
            neighbour, self._neighbour = self._neighbour, None
            if neighbour is not None and self._world.clock.now().mono_ms - neighbour[1] < self._too_old_ms:
                found[neighbour[0].region] = neighbour[0]
            self._asking.start()
        return found

    @property
    def _too_old_ms(self) -> int:
        """An answer takes half a lease at most, and half a lease later it is no news."""
        return self._profile.lease_ttl_ms

    def _ask_neighbour(self) -> None:
        asked_ms = self._world.clock.now().mono_ms
        server = self._world.databases[self._names.other(self._region)].inspect(
            self._profile.lease_ttl_ms // 2
        )
        self._neighbour = None if server is None else (server, asked_ms)

    # --- record and act ------------------------------------------------------------------------------------------

    def _take(self, step: Step, facts: Facts) -> bool:
        """False when somebody else has written the record first."""
        self._tell(step)
        if step.record is not None:
            before, asked = self._record, self._world.clock.now()
            try:
                won = self._world.journal.compare_and_set(before, step.record)
            except UnknownOutcomeError:
                self._read_at_ms = None
                raise
            if not won:
                self._read_at_ms = None
                return False
            self._accept(step.record)
            self._knows_since(asked)
            if before is None or _renewal_of(step.record) != _renewal_of(before):
                self._renewed = _renewal_of(step.record)
            self._keep_event(step.record)
        self._act(step.action, facts)
        return True

    def _keep_event(self, record: Authority) -> None:
        """Off the path, by whoever sees it first in the record: its writer may have died or not heard of it."""
        if record.last_event.version <= self._kept_version:
            return
        self._kept_version = record.last_event.version

        def put() -> None:
            try:
                self._world.journal.put_event(record.last_event)
            except UnknownOutcomeError as error:
                log("event-not-kept", event_version=record.last_event.version, error=str(error))

        self._world.background("history", put)
        self._world.teller.transition(record, self._process)

    def _act(self, action: Action, facts: Facts) -> None:
        record = self._record
        if record is None or action is Action.NOTHING:
            return
        if action is Action.RENEW and record.holder is not None:
            self._renew(record, record.holder, facts)
        elif action is Action.DRAIN:
            self._drain(record)
        elif action in (Action.PROMOTE, Action.SWITCH):
            self._move(record, action)
        elif action is Action.FENCE:
            mine = facts.servers[self._region]
            self._world.databases[self._region].fence(mine.epoch, self._profile.renew_ms)

    def _renew(self, record: Authority, holder: str, facts: Facts) -> None:
        """Counted from the server's clock as it was read before the record was written (H8)."""
        profile = self._profile
        self._world.databases[holder].renew(
            holder,
            record.epoch,
            facts.servers[holder].clock_us,
            profile.lease_ttl_ms,
            profile.lease_ttl_ms // 2,
        )

    def _drain(self, record: Authority) -> None:
        profile = self._profile
        database = self._world.databases[self._region]
        lsn = database.drain(record.epoch, profile.barrier_ms, 3 * profile.barrier_ms)
        self._drained = None if lsn is None else Drained(record.epoch, lsn)

    def _move(self, record: Authority, action: Action) -> None:
        plan, intent = record.plan, _intent_of(record)
        if plan is None or plan.intent is None or intent is None:
            return
        target, not_after_ms = plan.target, plan.intent.not_after_ms
        cloud = self._world.cloud
        request = cloud.promote if action is Action.PROMOTE else cloud.switch
        self._sent = intent
        self._world.background("move", lambda: self._send(request, target, intent, not_after_ms))

    def _send(
        self,
        request: Callable[[str, InTime], None],
        target: str,
        intent: tuple[int, int],
        not_after_ms: int,
    ) -> None:
        """The time is looked at last: Lambda may have frozen this process since the record was written (H6)."""
        try:
            request(target, lambda: self._world.clock.now().wall_ms < not_after_ms)
        except MoveTooLateError:
            log("move-too-late", target=target)
            return
        except MoveRefusedError as error:
            log("move-refused", target=target, error=str(error))
            reply = Reply(*intent, accepted=False, ago_ms=0, words=str(error))
        except UnknownOutcomeError as error:
            log("move-reply-missing", target=target, error=str(error))
            return
        else:
            reply = Reply(*intent, accepted=True, ago_ms=0)
        self._reply = (reply, self._world.clock.now().mono_ms)

    # --- tell ----------------------------------------------------------------------------------------------------

    def _tell(self, step: Step) -> None:
        """Each change of step, and each new reason for waiting: why nothing happens is what people ask at night."""
        told = step.reason if step.name == "wait" else step.name
        if told != self._told:
            self._told = told
            log("step", name=step.name, reason=step.reason, region=self._region, process=self._process)

    def _publish(self) -> None:
        """Only what a consistent read or our own write has just said (docs/dns.md).

        A process that was frozen since is silent until it has read again: the role may have moved meanwhile.
        """
        record, profile, now_ms = self._record, self._profile, self._world.clock.now().mono_ms
        if record is None or self._read_at_ms is None:
            return
        if now_ms - self._read_at_ms > max(3 * profile.renew_ms, profile.table_timeout_ms):
            return
        is_home = record.region_of_record == self._names.home_region
        told = self._published
        if told is None or told[0] != is_home or now_ms - told[1] >= profile.metric_ms:
            self._published = (is_home, now_ms)
            self._world.publisher.authority_home(is_home=is_home, read_at_ms=self._read_at_wall_ms)


def _renewal_of(record: Authority) -> tuple[int, int]:
    return record.epoch, record.renewal_seq


def _intent_of(record: Authority) -> tuple[int, int] | None:
    """(epoch, attempt) of the promotion that the record intends."""
    if record.plan is None or record.plan.intent is None:
        return None
    return (record.epoch, record.plan.intent.attempt)
