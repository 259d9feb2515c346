"""What a drill does: the fault, who works meanwhile, how long, and what it must have seen to prove anything."""

from collections.abc import Callable
from dataclasses import dataclass

from farshore.drill.errors import DrillUsageError
from farshore.drill.events import Kind
from farshore.drill.faults import FaultPlan, RegionLoss
from farshore.drill.product import LabInfo
from farshore.drill.terms import Terms


@dataclass(frozen=True, slots=True)
class Pace:
    """The drill's own times in seconds, by profile: calls' deadlines, and how long to wait for what.

    deadline_s, attempt_s    a client's call, and one attempt of farshore.client within it
    steady_s, after_s        load before the fault, and after everyone is served again
    warm_up_s, recover_s     the longest wait for the first acknowledgements, and for the first after the fault
    orphans_s                the longest wait for the product's complete list of orphans
    """

    deadline_s: float
    attempt_s: float
    steady_s: float
    after_s: float
    warm_up_s: float
    recover_s: float
    orphans_s: float


PACES = {
    "fast": Pace(2.0, 1.0, steady_s=6, after_s=3, warm_up_s=30, recover_s=60, orphans_s=90),
    "aws": Pace(5.0, 2.0, steady_s=20, after_s=15, warm_up_s=60, recover_s=600, orphans_s=180),
}


@dataclass(frozen=True, slots=True)
class Crew:
    """Clients of one kind in one region, each making at most `per_second` transfers."""

    region: str
    kind: Kind
    count: int
    per_second: float

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.region}-{self.kind}-{number}" for number in range(1, self.count + 1))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of drill. `fault` and `crews` are chosen when the lab's regions are known."""

    name: str
    summary: str
    fault: Callable[[LabInfo], FaultPlan]
    crews: Callable[[LabInfo], tuple[Crew, ...]]
    terms: Terms
    survivor: Callable[[LabInfo], str]


def _everywhere(lab: LabInfo) -> tuple[Crew, ...]:
    kinds: tuple[Kind, Kind] = ("plain", "aware")
    return tuple(Crew(region, kind, 2, 40.0) for region in lab.regions for kind in kinds)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="region-loss",
            summary="the home region is lost under load; authority moves by itself; the region returns",
            fault=lambda lab: RegionLoss(lab.home_region),
            crews=_everywhere,
            terms=Terms(clients=8, acks_before_min=300, acks_after_min=100, kind_acks_after_min=20),
            survivor=lambda lab: lab.standby_region,
        ),
    )
}


def find(name: str) -> Scenario:
    """DrillUsageError (exit code 2) when there is none of that name."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise DrillUsageError("SCENARIO", repr(name), f"use one of {', '.join(sorted(SCENARIOS))}") from None


def pace_of(profile: str) -> Pace:
    """DrillUsageError (exit code 2) when there is no such profile."""
    try:
        return PACES[profile]
    except KeyError:
        raise DrillUsageError("--profile", repr(profile), f"use one of {', '.join(sorted(PACES))}") from None
