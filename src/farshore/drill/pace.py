"""The drill's own times."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from farshore.drill.errors import DrillUsageError


@dataclass(frozen=True, slots=True)
class Pace:
    """The drill's own times in seconds, by profile: calls' deadlines, and how long to wait for what.

    deadline_s, attempt_s    a client's call, and one attempt of farshore.client within it
    steady_s, after_s        load before the first fault, and after everyone is served again
    warm_up_s, recover_s     the longest wait for the first acknowledgements, and for the first after a fault
    orphans_s                the longest wait for the product's complete list of orphans
    accept_s, move_s         the longest time to go on asking for a move that the product refuses for now, and
                             the longest wait for the end of one
    outage_s                 the longest outage of each class (see terms.OutageClass)
    strained_s               an answer that takes so long might as well be none, to whoever probes the writer
    """

    deadline_s: float
    attempt_s: float
    steady_s: float
    after_s: float
    warm_up_s: float
    recover_s: float
    orphans_s: float
    accept_s: float = 90
    move_s: float = 60
    outage_s: Mapping[str, float] = field(
        default_factory=lambda: {"none": 2.5, "rows": 7.5, "short": 8, "move": 20}
    )
    strained_s: float = 1.0

    @property
    def outage_max_ns(self) -> dict[str, int]:
        return {name: round(seconds * 1e9) for name, seconds in self.outage_s.items()}


PACES = {
    "fast": Pace(2.0, 1.0, steady_s=6, after_s=3, warm_up_s=30, recover_s=60, orphans_s=90),
    "aws": Pace(
        5.0,
        2.0,
        steady_s=20,
        after_s=15,
        warm_up_s=60,
        recover_s=600,
        orphans_s=180,
        accept_s=300,
        move_s=600,
        strained_s=10.0,
        outage_s={"none": 25, "rows": 30, "short": 90, "move": 300},
    ),
}


def pace_of(profile: str) -> Pace:
    """DrillUsageError (exit code 2) when there is no such profile."""
    try:
        return PACES[profile]
    except KeyError:
        raise DrillUsageError("--profile", repr(profile), f"use one of {', '.join(sorted(PACES))}") from None
