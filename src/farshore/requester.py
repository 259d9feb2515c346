"""Putting a person's request into the journal: read, judge (core.requests), compare-and-set; who loses reads again.

It decides nothing, and it waits for nothing in the region being left: any surviving region's table and RDS do.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from farshore.core import requests
from farshore.core.authority import Authority, Event, Phase, PlanKind
from farshore.core.errors import RefusedError, UnknownOutcomeError, UsageError
from farshore.core.facts import GlobalCluster, Now
from farshore.core.profile import Profile
from farshore.core.requests import Asked
from farshore.names import Names
from farshore.ports import Clock, Cloud, Journal, Page

Build = Callable[[Authority, Asked], Authority]
"""A request of core.requests with its arguments bound; raises RefusedError."""

TRIES = 40
POLL_MS = 50
HEAR_MS = 200
HEARD_WITHIN_MS = 6000
"""Three beats of a loop (lambdas.loop)."""
READ_TRIES = 3
"""A read that was throttled or lost has changed nothing: whoever asks need not repeat it by hand."""


def target_of(names: Names, record: Authority, wanted: str | None) -> str:
    """The region that is meant: the one named, or the other one. Raises UsageError for an unknown one."""
    if wanted is not None and wanted not in names.regions:
        raise UsageError(f"{wanted} is not a region of this cluster; use {' or '.join(names.regions)}.")
    return wanted or names.other(record.region_of_record)


def planned(
    requester: "Requester", cloud: Cloud, names: Names, move: str, wanted: str | None = None
) -> Build:
    """`move`: a switchover to the region named or the other one, or a failback, home unless a region is named.

    Raises RefusedError at once for what needs no listening to the controllers, which takes some seconds.
    """
    cluster = _described(cloud, requester.clock)
    wanted = wanted or (names.home_region if move == PlanKind.FAILBACK else None)

    def given(running: Iterable[str]) -> Build:
        regions = frozenset(running)
        return lambda record, asked: requests.switchover(
            record, cluster, regions, target_of(names, record, wanted), asked
        )

    requester.rehearse(given(names.regions))
    return given(controllers(requester.journal, requester.clock, names.regions))


def controllers(
    journal: Journal, clock: Clock, regions: Iterable[str], within_ms: int = HEARD_WITHIN_MS
) -> frozenset[str]:
    """The regions whose controllers run: they go on beating while we watch, and a dead one's last word stays as it is.

    Returns when all have been heard, or after `within_ms`. Raises UnknownOutcomeError without the table.
    """
    first, running = _beats(_page(journal, clock)), frozenset[str]()
    give_up_ms = clock.now().mono_ms + within_ms
    while running < frozenset(regions) and clock.now().mono_ms < give_up_ms:
        clock.sleep(HEAR_MS)
        beats = _beats(_page(journal, clock))
        running |= {region for region, beat in beats.items() if beat != first.get(region)}
    return running


def _page(journal: Journal, clock: Clock) -> Page:
    """Raises UnknownOutcomeError when the table leaves each of the tries without an answer."""
    for _ in range(READ_TRIES - 1):
        try:
            return journal.read()
        except UnknownOutcomeError:
            clock.sleep(HEAR_MS)
    return journal.read()


def _described(cloud: Cloud, clock: Clock) -> GlobalCluster | None:
    for _ in range(READ_TRIES - 1):
        cluster = cloud.describe()
        if cluster is not None:
            return cluster
        clock.sleep(HEAR_MS)
    return cloud.describe()


def _beats(page: Page) -> dict[str, tuple[str, int]]:
    return {one.region: (one.process, one.beat) for one in page.presences if one.kind == "controller"}


@dataclass(frozen=True, slots=True)
class Person:
    """On whose behalf: the caller's ARN, why, and under which ticket."""

    arn: str
    reason: str = ""
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Requester:
    journal: Journal
    clock: Clock
    profile: Profile
    person: Person

    def record(self) -> Authority:
        """Raises RefusedError before the first boot, UnknownOutcomeError without the table."""
        record = _page(self.journal, self.clock).record
        if record is None:
            raise RefusedError(
                "no authority has been set up yet.",
                "`farshore guard install`, then see that the controllers run (`farshore status`).",
            )
        return record

    def rehearse(self, build: Build) -> Authority:
        """What the record would be; nothing is written."""
        return build(self.record(), self.asked())

    def submit(self, build: Build) -> Authority:
        """The record as written. A renewal that comes between is no answer; a move of somebody else's is one."""
        for _ in range(TRIES):
            before = self.record()
            after = build(before, self.asked())
            try:
                if self.journal.compare_and_set(before, after):
                    self._keep(after.last_event)
                    return after
            except UnknownOutcomeError:
                found = self.record()
                if found.last_event == after.last_event:
                    self._keep(after.last_event)
                    return found
                if found.version == before.version:
                    raise
        raise UnknownOutcomeError(
            f"the record changed {TRIES} times before the request could be written. State: nothing was asked for. "
            "Next: repeat."
        )

    def asked(self) -> Asked:
        person, now = self.person, self.clock.now()
        return Asked(person.arn, Now(now.wall_ms, now.mono_ms), self.profile, person.reason, person.ticket)

    def _keep(self, event: Event) -> None:
        self.journal.put_event(event)

    def follow(self, since: Authority, limit_ms: int) -> Iterator[Authority]:
        """The record at each change of its story, until nothing moves any more or `limit_ms` have passed.

        The last one given is at rest (HELD, and no approved failover yet to come) or the last one seen.
        """
        give_up_ms = self.clock.now().mono_ms + limit_ms
        told = since.last_event.version
        while self.clock.now().mono_ms < give_up_ms:
            try:
                record = self.record()
            except UnknownOutcomeError:
                self.clock.sleep(POLL_MS)
                continue
            if record.last_event.version != told:
                told = record.last_event.version
                yield record
            if record.phase is Phase.HELD and not _is_approved(record):
                return
            self.clock.sleep(POLL_MS)


def _is_approved(record: Authority) -> bool:
    return record.proposal is not None and record.proposal.approval is not None
