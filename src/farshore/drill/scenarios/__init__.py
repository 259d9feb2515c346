"""The drills there are: one file each."""

from farshore.drill.errors import DrillUsageError
from farshore.drill.pace import PACES, Pace, pace_of
from farshore.drill.scenario import Crew, Scenario
from farshore.drill.scenarios import (
    api_errors,
    dark_dns,
    disk_full,
    failback,
    flapping_partition,
    frozen_backend,
    frozen_both,
    frozen_controller,
    frozen_writer,
    isolated_holder,
    lag_spike,
    lambda_late,
    lambda_throttled,
    nothing_happens,
    one_way_partition,
    one_way_partition_back,
    region_loss,
    region_loss_at_peak,
    region_loss_long_transaction,
    replication_stall,
    rotated_credentials,
    second_failure,
    stale_resolver,
    standby_loss,
    switchover,
    table_dark,
    table_slow,
    ten_switchovers,
    wan_cut,
    writer_crash,
    zombie_writer,
)

__all__ = ["PACES", "SCENARIOS", "Crew", "Pace", "Scenario", "find", "pace_of"]

_ALL = (
    region_loss,
    region_loss_at_peak,
    region_loss_long_transaction,
    second_failure,
    zombie_writer,
    lag_spike,
    isolated_holder,
    wan_cut,
    one_way_partition,
    one_way_partition_back,
    flapping_partition,
    replication_stall,
    standby_loss,
    writer_crash,
    disk_full,
    frozen_writer,
    frozen_backend,
    frozen_controller,
    frozen_both,
    dark_dns,
    stale_resolver,
    table_dark,
    table_slow,
    lambda_late,
    lambda_throttled,
    api_errors,
    rotated_credentials,
    switchover,
    failback,
    ten_switchovers,
    nothing_happens,
)
_EACH: list[Scenario] = [module.SCENARIO for module in _ALL]
SCENARIOS = {scenario.name: scenario for scenario in _EACH}


def find(name: str) -> Scenario:
    """DrillUsageError (exit code 2) when there is none of that name."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise DrillUsageError("SCENARIO", repr(name), f"use one of {', '.join(sorted(SCENARIOS))}") from None
