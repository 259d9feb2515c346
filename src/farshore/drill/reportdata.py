"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farshore.drill.checker import Judgement
from farshore.drill.measures import Measures
from farshore.drill.stages import JournalEvent, Stage
from farshore.drill.terms import Fault


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how a drill ran. `command` runs it again; `link_one_way_ms` by the links' names."""

    started_at: str
    command: str
    farshore_version: str
    python_version: str
    postgres_version: str
    platform: str
    profile: str
    cadence: int
    seed: int
    ttl_s: int
    home_region: str
    standby_region: str
    link_one_way_ms: Mapping[str, float]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report is made of. `lag` pairs monotonic ns with milliseconds, None when unknown."""

    scenario: str
    judgement: Judgement
    measures: Measures
    fault: Fault | None
    stages: Sequence[Stage]
    journal: Sequence[JournalEvent]
    unix_offset_ns: int | None
    environment: Environment
    lag: Sequence[tuple[int, float | None]] = ()
