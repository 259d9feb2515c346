"""What a scenario is made of: who works, what happens in which order, and what it must have seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farshore.drill.events import Kind
from farshore.drill.terms import Terms

if TYPE_CHECKING:
    from farshore.drill.course import Course

KINDS: tuple[Kind, Kind] = ("plain", "aware")


@dataclass(frozen=True, slots=True)
class Crew:
    """Clients of one kind in one region, numbered from `first` on, each making at most `per_second` transfers."""

    region: str
    kind: Kind
    count: int
    per_second: float
    first: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.region}-{self.kind}-{self.first + number}" for number in range(self.count))


def crews_in(region: str, *, first: int = 1) -> tuple[Crew, ...]:
    """Two clients of each kind."""
    return tuple(Crew(region, kind, 2, 40.0, first) for kind in KINDS)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of drill. `story` is what happens while the clients of both regions work."""

    name: str
    summary: str
    story: Callable[["Course"], None]
    terms: Terms
