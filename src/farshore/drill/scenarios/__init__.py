"""The drills there are: one file each."""

from farshore.drill.errors import DrillUsageError
from farshore.drill.pace import PACES, Pace, pace_of
from farshore.drill.scenario import Crew, Scenario
from farshore.drill.scenarios import failback, region_loss, switchover

__all__ = ["PACES", "SCENARIOS", "Crew", "Pace", "Scenario", "find", "pace_of"]

_ALL = (region_loss.SCENARIO, switchover.SCENARIO, failback.SCENARIO)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}


def find(name: str) -> Scenario:
    """DrillUsageError (exit code 2) when there is none of that name."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise DrillUsageError("SCENARIO", repr(name), f"use one of {', '.join(sorted(SCENARIOS))}") from None
