"""One look at the whole from wherever we stand: each region's replica of the table, and RDS in each region.

Any one replica tells all that farshore knows, because reads are strongly consistent.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

import functools
from collections.abc import Callable, Mapping

from farshore.aws.clients import client
from farshore.aws.global_cluster import AuroraGlobalCluster
from farshore.aws.journal import DynamoJournal
from farshore.core.errors import FarshoreError, UnknownOutcomeError
from farshore.core.facts import GlobalCluster
from farshore.core.scene import Scene, Seen
from farshore.operate.ask import ask
from farshore.ports import Page, Sighting
from farshore.workshop import Workshop

WITHIN_S = 2.0
AGAIN_MS = 4000
_POLL_MS = 100
CLOCKS_AGREE_MS = 1500


class Undescribed(FarshoreError):  # noqa: N818 - it is an answer that did not come, not a failure of ours
    """RDS did not describe the global cluster."""


class Looker:
    """Clients are made once, here: botocore's session makes them in one thread only."""

    def __init__(self, workshop: Workshop) -> None:
        settings, names = workshop.settings, workshop.settings.names
        self._settings, self._clock = settings, workshop.clock
        within_ms = int(WITHIN_S * 1000)
        # Our own region first: when both answer alike, it is nearer.
        self._regions = sorted(names.regions, key=lambda region: region != settings.region)
        self._journals = {
            region: DynamoJournal(
                client("dynamodb", region, timeout_ms=within_ms), names.authority_table, names.global_cluster
            )
            for region in self._regions
        }
        self._clouds = {
            region: AuroraGlobalCluster(
                client("rds", region, timeout_ms=within_ms), None, names.global_cluster
            )
            for region in self._regions
        }

    @property
    def regions(self) -> list[str]:
        """Our own first."""
        return self._regions

    def journal(self, region: str) -> DynamoJournal:
        return self._journals[region]

    def look(self) -> Scene:
        questions: dict[str, Callable[[], Page | GlobalCluster]] = {}
        for region in self._regions:
            questions[f"table {region}"] = self._journals[region].read
            questions[f"rds {region}"] = functools.partial(self.describe, region)
        answers = ask(questions, WITHIN_S)
        pages = {r: page for r in self._regions if isinstance(page := answers.heard.get(f"table {r}"), Page)}
        clusters = [c for r in self._regions if isinstance(c := answers.heard.get(f"rds {r}"), GlobalCluster)]
        dark = tuple(unread(answers.silent, self._regions))
        best = max(pages, key=lambda region: version(pages[region]), default=None)
        if best is None:
            return self.scene(None, 0, clusters[0] if clusters else None, dark)
        page, off_ms = self._settled(best, pages[best])
        return self.scene(page, off_ms, clusters[0] if clusters else None, dark)

    def describe(self, region: str) -> GlobalCluster:
        found = self._clouds[region].describe()
        if found is None:
            raise Undescribed("RDS does not describe the global cluster")
        return found

    def _settled(self, region: str, page: Page) -> tuple[Page, int]:
        """What looks old may be old, or our clock may be wrong: the next change that we see says by how much."""
        first = page
        give_up_ms = self._clock.now().mono_ms + AGAIN_MS
        while self._is_doubtful(page) and self._clock.now().mono_ms < give_up_ms:
            self._clock.sleep(_POLL_MS)
            try:
                page = self._journals[region].read()
            except UnknownOutcomeError:
                continue
            ages = ages_of_changes(first, page, self._clock.now().wall_ms)
            if ages:
                off_ms = min(ages)
                return page, off_ms if abs(off_ms) > CLOCKS_AGREE_MS else 0
        return page, 0

    def _is_doubtful(self, page: Page) -> bool:
        profile, now_ms = self._settings.profile, self._clock.now().wall_ms
        ages = [(now_ms - s.at_unix_ms, profile.stale_after_ms) for s in page.sightings.values()]
        if page.record is not None:
            ages.append((now_ms - page.record.renewed_at_ms, profile.lease_ttl_ms))
        return any(age_ms >= old_ms or age_ms < -CLOCKS_AGREE_MS for age_ms, old_ms in ages)

    def scene(
        self, page: Page | None, off_ms: int, cluster: GlobalCluster | None, dark: tuple[str, ...]
    ) -> Scene:
        """`off_ms`: how far our clock is ahead of the writers'."""
        names, now_ms = self._settings.names, self._clock.now().wall_ms - off_ms
        record = page.record if page else None
        return Scene(
            home=names.home_region,
            standby=names.standby_region,
            profile=self._settings.profile,
            table=names.authority_table,
            global_cluster=names.global_cluster,
            now_ms=now_ms,
            answered=page is not None,
            record=record,
            lease_age_ms=None if record is None else max(0, now_ms - record.renewed_at_ms),
            monitors={
                region: _seen(sighting, now_ms)
                for region, sighting in (page.sightings if page else {}).items()
            },
            cluster=cluster,
            unread=dark,
            clock_off_ms=abs(off_ms),
            clusters={region: names.cluster(region) for region in names.regions},
        )


def version(page: Page) -> int:
    return page.record.version if page.record else 0


def _seen(sighting: Sighting, now_ms: int) -> Seen:
    return Seen(
        region=sighting.region,
        age_ms=max(0, now_ms - sighting.at_unix_ms),
        endpoints=sighting.endpoints,
        lag_state=sighting.lag_state,
        lag_ms=sighting.lag_ms,
        lag_why=sighting.lag_why,
        lag_doubts=tuple(sighting.lag_doubts),
        lag_readings=tuple(sighting.lag_readings),
    )


def ages_of_changes(before: Page, after: Page, now_ms: int) -> list[int]:
    """The age, by our clock, of everything that was written between two reads: nearly nothing, if the clocks agree."""
    ages = [
        now_ms - sighting.at_unix_ms
        for region, sighting in after.sightings.items()
        if region in before.sightings and before.sightings[region].sequence != sighting.sequence
    ]
    if before.record and after.record and before.record.renewal_seq != after.record.renewal_seq:
        ages.append(now_ms - after.record.renewed_at_ms)
    return ages


def unread(silent: Mapping[str, str], regions: list[str]) -> list[str]:
    """One line per region that did not answer, with why."""
    lines = []
    for region in sorted(regions):
        table, rds = silent.get(f"table {region}"), silent.get(f"rds {region}")
        if table and rds:
            both = table if table == rds else f"{table}; {rds}"
            lines.append(f"{region}: neither the authority table nor RDS: {both}")
        elif table or rds:
            lines.append(f"{region}: {'the authority table' if table else 'RDS'}: {table or rds}")
    return lines
