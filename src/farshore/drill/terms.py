"""What a drill declares about itself: the faults it did, and what it must show to prove anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

FaultKind = Literal["region-loss", "partition", "switchover", "failback", "stall"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault done to the writer's region at `at`, undone at `healed_at` (CLOCK_MONOTONIC ns).

    A planned move is one too: it ends the writer's work there, and its heal is its own end. `bit` counts what
    it hit (servers, connections, ...), as the fault's doer reported it.
    """

    kind: FaultKind
    region: str
    at: int
    healed_at: int | None = None
    bit: Mapping[str, int] | None = None

    @property
    def planned(self) -> bool:
        """Whether the writer is moved on purpose."""
        return self.kind in {"switchover", "failback"}

    @property
    def may_lose(self) -> bool:
        """Whether acknowledged transfers may be lost by it; a planned move loses none."""
        return not self.planned

    @property
    def dead_region(self) -> str | None:
        """The region whose clients die with it, if any do."""
        return self.region if self.kind == "region-loss" else None

    def silences(self, t: int, settle_ns: int) -> bool:
        """Whether the region must be dead at `t`, `settle_ns` after the fault at the earliest."""
        healed = self.healed_at is not None and t >= self.healed_at
        return self.kind == "region-loss" and t > self.at + settle_ns and not healed


def with_ends(faults: Sequence[Fault]) -> list[tuple[Fault, int | None]]:
    """Each fault with the time of the next one: what is seen in between is its doing."""
    ordered: list[Fault | None] = [*sorted(faults, key=lambda fault: fault.at), None]
    return [(fault, after.at if after else None) for fault, after in pairwise(ordered) if fault]


@dataclass(frozen=True, slots=True)
class Terms:
    """The least a drill must have seen to be more than `unknown`.

    `clients` is how many histories there must be, `faults_due` how many faults. `acks_before_min` counts
    acknowledgements before the first fault, `acks_after_min` those by other regions after each fault and before
    the next, `kind_acks_after_min` those of each kind of client outside the dead region. An outage shorter
    than `outage_min_ns` means the fault did nothing. `settle_ns` is how long a fault may take to be complete
    after its declared time. `orphans_due` asks for the product's list of orphans, `refusals_due` for so many
    requests that it had to refuse.
    """

    clients: int = 1
    acks_before_min: int = 100
    acks_after_min: int = 100
    kind_acks_after_min: int = 10
    outage_min_ns: int = 100_000_000
    settle_ns: int = 500_000_000
    faults_due: int = 1
    orphans_due: bool = True
    loss_allowed: bool = True
    refusals_due: int = 0
