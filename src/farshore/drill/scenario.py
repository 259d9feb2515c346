"""What a scenario is made of: who works, what happens in which order, and what it must have seen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from farshore.drill.events import Kind, Part
from farshore.drill.product import LabInfo
from farshore.drill.terms import Terms

if TYPE_CHECKING:
    from farshore.drill.course import Course

MOVED = Terms(clients=8, acks_before_min=300, acks_after_min=100, kind_acks_after_min=20)
"""The terms of a drill in which the other region takes over: what never left may be lost, and must be named."""

STAYED = replace(MOVED, orphans_due=False, loss_allowed=False)
"""The terms of a drill in which the writer stays: nothing may be lost."""

PLANNED = replace(STAYED, faults_due=2)

KINDS: tuple[Kind, Kind] = ("plain", "aware")


@dataclass(frozen=True, slots=True)
class Crew:
    """Clients of one kind in one region, numbered from `first` on, each making at most `per_second` transfers.

    `part` other than usual: see events.Part. `pinned_to` is the region whose endpoint a pinned one knows, `hold_s` how
    long each transaction is kept open.
    """

    region: str
    kind: Kind
    count: int
    per_second: float
    first: int = 1
    part: Part = "usual"
    pinned_to: str | None = None
    hold_s: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        called = self.kind if self.part == "usual" else f"{self.kind}-{self.part}"
        return tuple(f"{self.region}-{called}-{self.first + number}" for number in range(self.count))


def crews_in(region: str, *, first: int = 1, count: int = 2, per_second: float = 40.0) -> tuple[Crew, ...]:
    """Clients of each kind, two if not said otherwise."""
    return tuple(Crew(region, kind, count, per_second, first) for kind in KINDS)


def in_both(lab: LabInfo) -> tuple[Crew, ...]:
    """What most scenarios work with: eight clients, two of each kind in each region."""
    return tuple(crew for region in lab.regions for crew in crews_in(region))


def pinned(region: str, endpoint_of: str, *, first: int = 1) -> Crew:
    """Two applications in `region` that know one region's endpoint and nothing else."""
    return Crew(region, "plain", 2, 20.0, first, "pinned", endpoint_of)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of drill. `story` is what happens while the clients work; `crews` who they are.

    `ends_with` says who writes at the end, for people; `seconds` is how long a story without an end of its own lasts
    when it runs alone, `seconds_of_all` in `farshore drill all`.
    """

    name: str
    summary: str
    story: Callable[["Course"], None]
    terms: Terms
    crews: Callable[[LabInfo], tuple[Crew, ...]] = in_both
    ends_with: str = "the standby region"
    seconds: float | None = None
    seconds_of_all: float | None = None
