"""What a drill declares about itself: the faults it did, and what it must show to prove anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Effect = Literal["moves", "stays"]
"""Whether the writer must leave its region for the other one by a fault, or must not."""

OutageClass = Literal["none", "rows", "short", "move", "while"]
"""How long region-aware clients that are not cut off may go without an acknowledgement.

none: no longer than a lease. rows: until the server gives up those who were cut off within a transaction and hold row
locks (idle_in_transaction_session_timeout, 5 s in the stack), and a lease. short: an in-region failover. move: another
region takes over. while: as long as the fault lasts, and a short one more.
"""


@dataclass(frozen=True, slots=True)
class Further:
    """A harm within the failover that a fault began: it was done by `at` (CLOCK_MONOTONIC ns), and hit `bit`."""

    kind: str
    region: str
    at: int
    bit: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault done to the writer's region at `at`, undone between `healing_at` and `healed_at` (CLOCK_MONOTONIC ns).

    A planned move is one too: it ends the writer's work there, and its heal is its own end. `bit` counts what it hit
    (servers, connections, ...), as the fault's doer reported it. `region` is the writer's region when it was done,
    `hit` the region that it was done to, if that is another one. Clients of `cut_off` reach no writer before it is
    healed, those of `felt_in` must at least have waited; if `silent`, the writer's region acknowledges nothing
    before that, though what was asked meanwhile may be answered afterwards. With `needs_approval` nothing may move
    before a person's yes, at `approved_at`. `further` harms must fall between it and the first write elsewhere.
    """

    kind: str
    region: str
    at: int
    healed_at: int | None = None
    healing_at: int | None = None
    bit: Mapping[str, int] | None = None
    effect: Effect = "moves"
    hit: str | None = None
    cut_off: tuple[str, ...] = ()
    felt_in: tuple[str, ...] = ()
    silent: bool = False
    outage: OutageClass | None = None
    needs_approval: bool = False
    approved_at: int | None = None
    further: tuple[Further, ...] = ()

    @property
    def planned(self) -> bool:
        """Whether the writer is moved on purpose."""
        return self.kind in {"switchover", "failback"}

    @property
    def may_lose(self) -> bool:
        """Whether acknowledged transfers may be lost by it: neither by a planned move, nor where nothing moves."""
        return not self.planned and self.effect == "moves"

    @property
    def dead_region(self) -> str | None:
        """The region whose clients die with it, if any do."""
        return (self.hit or self.region) if self.kind == "region-loss" else None

    @property
    def away(self) -> frozenset[str]:
        """The views whose clients are dead or cut off by it."""
        return frozenset(view for view in (self.dead_region, *self.cut_off) if view is not None)

    def lasts(self, t: int, settle_ns: int) -> bool:
        """Whether it is in force at `t`, `settle_ns` after it was done at the earliest."""
        return t > self.at + settle_ns and not (self.healed_at is not None and t >= self.healed_at)

    def silences(self, invoked: int, returned: int, settle_ns: int) -> bool:
        """Whether the writer's region can have acknowledged nothing within these two times.

        Who asks a lost region may be answered when it returns, even to a connect that hung until then.
        """
        until = self.healing_at or self.healed_at
        silent = self.silent or self.dead_region == self.region
        return silent and self.lasts(invoked, settle_ns) and (until is None or returned < until)


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
    requests that it had to refuse. `outage_max_ns` bounds the outages by their class, where one is stated;
    `open_at_fault_ns` asks for a transaction that was open at the first fault, for so long at least,
    `zombie_refusals_min` for so many commits that the old writer's guard refused to pinned clients after it.
    An answer that takes `strained_ns` where nothing delays it shows that the computer is too slow to be judged.
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
    outage_max_ns: Mapping[str, int] = field(default_factory=dict)
    open_at_fault_ns: int = 0
    zombie_refusals_min: int = 0
    strained_ns: int = 0
