"""What one look at the whole shows, frozen: the record, the monitors' words, AWS's word, and what could not be read.

Ages compare the reader's wall clock with the writers', or are counted from a change that the reader saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from farshore.core.authority import Authority, Plan
from farshore.core.facts import Endpoints, GlobalCluster, LagReading
from farshore.core.profile import Profile


@dataclass(frozen=True, slots=True)
class Seen:
    """A region's monitor; `lag_state` is "" until it has heard enough to judge."""

    region: str
    age_ms: int
    endpoints: Mapping[str, Endpoints] = field(default_factory=dict)
    lag_state: str = ""
    lag_ms: int | None = None
    lag_why: str = ""
    lag_doubts: tuple[str, ...] = ()
    lag_readings: tuple[LagReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """`answered`: the table was read; `lease_age_ms` since the last renewal, None without a record.

    `unread`: what could not be read, each with why. `clock_off_ms`: by how much the reader's clock is known to be
    behind the writers'. `clusters`: the identifier of each region's.
    """

    home: str
    standby: str
    profile: Profile
    table: str
    global_cluster: str
    now_ms: int
    answered: bool
    record: Authority | None = None
    lease_age_ms: int | None = None
    monitors: Mapping[str, Seen] = field(default_factory=dict)
    cluster: GlobalCluster | None = None
    unread: tuple[str, ...] = ()
    clock_off_ms: int = 0
    clusters: Mapping[str, str] = field(default_factory=dict)

    @property
    def regions(self) -> tuple[str, str]:
        return (self.home, self.standby)

    def other(self, region: str) -> str:
        return self.standby if region == self.home else self.home

    @property
    def plan(self) -> Plan | None:
        return self.record.plan if self.record else None

    def lease_is_valid(self) -> bool:
        age_ms = self.lease_age_ms
        return (
            self.record is not None
            and self.record.holder is not None
            and age_ms is not None
            and age_ms < self.profile.lease_ttl_ms
        )

    def is_heard(self, region: str) -> bool:
        """Whether the region's monitor has written within the time after which it counts as stale."""
        seen = self.monitors.get(region)
        return seen is not None and seen.age_ms < self.profile.stale_after_ms

    def is_silent(self, region: str) -> bool:
        """Whether a fresh monitor, one of the other region if there is one, hears neither endpoint of `region`."""
        by = next((r for r in (self.other(region), region) if self.is_heard(r)), None)
        seen = self.monitors[by].endpoints.get(region) if by else None
        return seen is not None and seen.both_silent_for(self.profile.unreachable_after_ms)


class Grade(StrEnum):
    WRONG = "wrong"
    UNKNOWN = "unknown"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    grade: Grade
    words: str
    next_step: str
    command: str | None


def span(milliseconds: int) -> str:
    """A duration as a person says it."""
    seconds = max(0, milliseconds) / 1000
    if seconds < 10:  # noqa: PLR2004 - below ten seconds tenths matter
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004 - two hours
