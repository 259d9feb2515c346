"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farshore.drill.checker import Judgement
from farshore.drill.events import Kind
from farshore.drill.measures import Measures, Outages, longer
from farshore.drill.moves import Move
from farshore.drill.stages import JournalEvent
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
    moves: Sequence[Move]
    journal: Sequence[JournalEvent]
    unix_offset_ns: int | None
    environment: Environment
    lag: Sequence[tuple[int, float | None]] = ()

    @property
    def fault(self) -> Fault | None:
        """The first one: times are counted from it."""
        return self.moves[0].fault if self.moves else None

    def outages(self, kind: Kind) -> Outages:
        """The drill's longest for a kind of client; of several moves, those of the worst one."""
        if len(self.moves) < 2:  # noqa: PLR2004
            return self.measures.aware if kind == "aware" else self.measures.dns_only
        each = [move.aware if kind == "aware" else move.dns_only for move in self.moves]
        return Outages(
            group=longer(outages.group for outages in each),
            worst_client=longer(outages.worst_client for outages in each),
        )

    @property
    def zero(self) -> int:
        """Where the report's seconds begin, in CLOCK_MONOTONIC ns."""
        return self.fault.at if self.fault else self.measures.start
