"""Everything an operator watches, each source asked in a thread of its own: a dark region ages, and freezes nothing."""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from farshore.aws.clients import client
from farshore.aws.health_checks import HealthChecks
from farshore.client.names import Resolver
from farshore.core.authority import Event
from farshore.core.errors import FarshoreError
from farshore.core.scene import Scene
from farshore.core.story import Story, judge
from farshore.names import ALARMS
from farshore.operate.ask import reason
from farshore.operate.checks import pages
from farshore.operate.look import CLOCKS_AGREE_MS, Looker, ages_of_changes, unread, version
from farshore.ports import Page
from farshore.workshop import Workshop

T = TypeVar("T")
CALL_MS = 3000
TABLE_S, RDS_S, STORY_S, DNS_S, ALARMS_S = 0.5, 2.0, 1.0, 1.0, 5.0
CHECKS_S = (
    8.0  # after a round of some eight: AWS takes one question for a status a second, from all of an account
)
_LATE_VERSIONS = 1000  # lines of history are kept off the path, so an earlier one may come after a later one
EVENTS_KEPT = 50


class Poll(Generic[T]):
    """The last answer to a question that is asked again and again, and why there is none now, if so."""

    def __init__(self, name: str, question: Callable[[], T], every_s: float) -> None:
        self.value: T | None = None
        self.error: str | None = "not answered yet"
        self._question, self._every_s = question, every_s
        threading.Thread(target=self._run, name=f"watch {name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.value = self._question()
                self.error = None
            except Exception as error:  # noqa: BLE001 - a poll that died would show its last answer for ever
                self.error = reason(error)
            time.sleep(self._every_s)

    @property
    def words(self) -> str:
        return self.error or str(self.value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one instant; `dns`, `checks`, `alarms` say in words what is seen, or why nothing is."""

    scene: Scene
    story: Story
    events: Sequence[Event] = ()
    dns: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    alarms: Mapping[str, str] = field(default_factory=dict)


class Watcher:
    """`resolvers`: "address:port" each, beside the one that this place uses."""

    def __init__(self, workshop: Workshop, resolvers: Sequence[str] = ()) -> None:
        settings = workshop.settings
        self._workshop, self._looker = workshop, Looker(workshop)
        self._page: Page | None = None
        self._off_ms = 0
        self._events: dict[int, Event] = {}
        regions = self._looker.regions
        self._tables = {r: Poll(f"table {r}", self._looker.journal(r).read, TABLE_S) for r in regions}
        self._rds = {r: Poll(f"rds {r}", functools.partial(self._looker.describe, r), RDS_S) for r in regions}
        self._stories = [Poll(f"story {r}", functools.partial(self._story, r), STORY_S) for r in regions]
        here = settings.nameserver or "system"
        self._dns = {
            place: Poll(f"dns {place}", functools.partial(self._answer, place), DNS_S)
            for place in dict.fromkeys((here, *resolvers))
        }
        self._clients = {r: client("cloudwatch", r, timeout_ms=CALL_MS) for r in regions}
        self._route53 = client("route53", settings.names.home_region, timeout_ms=CALL_MS)
        self._health_checks = HealthChecks(self._route53)
        self._check_ids: dict[str, str] = {}
        self._alarms = {
            r: Poll(f"alarms {r}", functools.partial(self._alarming, r), ALARMS_S) for r in regions
        }
        self._checks = Poll("health checks", self._healthy, CHECKS_S)

    def snapshot(self) -> Snapshot:
        """At once, from what the threads have brought so far."""
        scene = self._scene()
        checks = self._checks.value if self._checks.error is None else None
        return Snapshot(
            scene=scene,
            story=judge(scene),
            events=[self._events[key] for key in sorted(self._events)][-EVENTS_KEPT:],
            dns={place: poll.words for place, poll in self._dns.items()},
            checks=checks if checks is not None else {"health checks": self._checks.words},
            alarms={region: poll.words for region, poll in sorted(self._alarms.items())},
        )

    @property
    def has_begun(self) -> bool:
        """Whether every replica of the table has answered once, or has failed to."""
        return all(poll.error != "not answered yet" for poll in self._tables.values())

    def _scene(self) -> Scene:
        answered = {r: p.value for r, p in self._tables.items() if p.error is None and p.value is not None}
        clusters = [p.value for p in self._rds.values() if p.error is None and p.value is not None]
        silent = {f"table {r}": p.error for r, p in self._tables.items() if p.error is not None}
        silent |= {f"rds {r}": p.error for r, p in self._rds.items() if p.error is not None}
        page = max(answered.values(), key=version, default=None)
        if page is not None:
            self._set_clock(page)
        cluster = clusters[0] if clusters else None
        return self._looker.scene(page, self._off_ms, cluster, tuple(unread(silent, self._looker.regions)))

    def _set_clock(self, page: Page) -> None:
        """What has changed between two reads was written just now: by how much our clock says otherwise."""
        before, self._page = self._page, page
        ages = ages_of_changes(before, page, self._workshop.clock.now().wall_ms) if before else []
        if ages:
            self._off_ms = min(ages) if abs(min(ages)) > CLOCKS_AGREE_MS + TABLE_S * 1000 else 0

    def _story(self, region: str) -> int:
        newest = max(self._events, default=0)
        for event in self._looker.journal(region).history(after_version=newest - _LATE_VERSIONS):
            self._events.setdefault(event.version, event)
        return len(self._events)

    def _answer(self, place: str) -> str:
        """Which region the writer's name leads to, asked of this resolver now."""
        settings = self._workshop.settings
        resolver = Resolver(() if place == "system" else (place,))
        found = resolver.find(settings.names.writer_name, 2.0)
        writers = {ends.writer.lower(): region for region, ends in settings.endpoints.items()}
        return next((writers[name] for name in found.names if name in writers), found.canonical)

    def _alarming(self, region: str) -> str:
        """The authority alarm is no complaint: it is how DNS learns where authority is."""
        names = self._workshop.settings.names
        wanted = {names.alarm(region, what): what for what in ALARMS}
        found = pages(self._clients[region], "describe_alarms", "MetricAlarms", AlarmNames=list(wanted))
        ringing = [wanted[one["AlarmName"]] for one in found if one["StateValue"] == "ALARM"]
        return ", ".join(sorted(ringing)) or "none"

    def _healthy(self) -> dict[str, str]:
        """The checks behind the writer's two records."""
        self._check_ids = self._check_ids or self._find_checks()
        return self._health_checks.words(self._check_ids)

    def _find_zone(self) -> str:
        """By listing, which the operations role may not: AWS cannot bound that to one zone."""
        wanted = self._workshop.settings.names.zone
        zones = self._route53.list_hosted_zones_by_name(DNSName=wanted)["HostedZones"]
        zone = next((str(one["Id"]) for one in zones if one["Name"].rstrip(".") == wanted), None)
        if zone is None:
            raise FarshoreError(f"no zone {wanted}")
        return zone

    def _find_checks(self) -> dict[str, str]:
        zone = self._workshop.settings.zone_id or self._find_zone()
        records = self._route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return {
            one["Failover"].lower(): one["HealthCheckId"]
            for one in sorted(records, key=lambda one: one.get("Failover", ""))
            if one.get("HealthCheckId") and one.get("Failover")
        }


def state(snapshot: Snapshot) -> dict[str, Any]:
    """What is worth a line when it changes: no ages, no milliseconds."""
    scene, story = snapshot.scene, snapshot.story
    record = scene.record
    found: dict[str, Any] = {
        "writer": story.writer if story.known else "unknown",
        "lease": story.lease.partition(":")[0],
        "next": story.command or story.next_step,
    }
    if record is not None:
        found |= {
            "epoch": record.epoch,
            "phase": record.phase.value,
            "mode": record.mode,
            "paused": record.paused,
        }
    for region in scene.regions:
        found[f"monitor {region}"] = "heard" if scene.is_heard(region) else "silent"
        found[f"database {region}"] = "silent" if scene.is_silent(region) else "answers"
        seen = scene.monitors.get(region)
        if seen is not None and scene.is_heard(region) and seen.lag_state:
            found[f"lag by {region}"] = str(seen.lag_state)
            for reading in seen.lag_readings:
                found[f"lag by {region}, {reading.source}"] = reading.quality
    found |= {f"dns {place}": words for place, words in snapshot.dns.items()}
    found |= {f"check {name}": words.partition(" (")[0] for name, words in snapshot.checks.items()}
    return found | {f"alarms {region}": words for region, words in snapshot.alarms.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What differs, as (what, before, now); None where there was, or is, nothing."""
    for what in dict.fromkeys((*before, *after)):
        if before.get(what) != after.get(what):
            yield what, before.get(what), after.get(what)
