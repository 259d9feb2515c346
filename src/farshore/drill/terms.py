"""What a drill declares about itself: the faults it did, and what it must show to prove anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["region-loss", "partition", "switchover", "stall"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault done to the writer's region at `at`, undone at `healed_at` (CLOCK_MONOTONIC ns).

    `bit` counts what it hit (servers, connections, ...), as the fault's doer reported it.
    """

    kind: FaultKind
    region: str
    at: int
    healed_at: int | None = None
    bit: Mapping[str, int] | None = None

    @property
    def may_lose(self) -> bool:
        """Whether acknowledged transfers may be lost by it; a planned switchover loses none."""
        return self.kind != "switchover"

    def silences(self, t: int, settle_ns: int) -> bool:
        """Whether the region must be dead at `t`, `settle_ns` after the fault at the earliest."""
        healed = self.healed_at is not None and t >= self.healed_at
        return self.kind == "region-loss" and t > self.at + settle_ns and not healed


@dataclass(frozen=True, slots=True)
class Terms:
    """The least a drill must have seen to be more than `unknown`.

    `clients` is how many histories there must be. `acks_*_min` count acknowledgements before the first fault
    and by other regions after it, `kind_acks_after_min` those of each kind of client outside the lost region.
    An outage shorter than `outage_min_ns` means the fault did nothing. `settle_ns` is how long a fault may
    take to be complete after its declared time. `orphans_due` asks for the product's list of orphans.
    """

    clients: int = 1
    acks_before_min: int = 100
    acks_after_min: int = 100
    kind_acks_after_min: int = 10
    outage_min_ns: int = 100_000_000
    settle_ns: int = 500_000_000
    fault_due: bool = True
    orphans_due: bool = True
    loss_allowed: bool = True
