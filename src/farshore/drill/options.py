"""What a drill is asked to do, refused here when it makes no sense."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from farshore.drill.errors import DrillUsageError
from farshore.drill.ledger import LEDGER


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What `farshore drill` was asked for; `ttl_s` None leaves the TTL to the profile, `seconds` to the
    scenario; `workload` is a name or a file; `quiet` keeps progress off standard output, where `as_json` prints."""

    scenario: str = "region-loss"
    profile: str = "fast"
    cadence: int = 60
    seed: int = 1
    report: Path = Path("drill-report")
    postgres: str | None = None
    ttl_s: int | None = None
    as_json: bool = False
    seconds: float | None = None
    quiet: bool = False
    workload: str = LEDGER

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DrillUsageError("--seed", self.seed, "use 0 or more")
        if self.cadence < 1:
            raise DrillUsageError("--cadence", self.cadence, "use 1 or more")
        if self.ttl_s is not None and self.ttl_s < 0:
            raise DrillUsageError("--ttl", self.ttl_s, "use 0 or more")
        if self.seconds is not None and self.seconds <= 0:
            raise DrillUsageError("--seconds", self.seconds, "use more than 0")

    def command(self) -> str:
        """The line that runs the same drill again."""
        words = ["farshore drill", self.scenario, f"--profile {self.profile}", f"--cadence {self.cadence}"]
        words += [f"--seed {self.seed}"]
        words += [] if self.workload == LEDGER else [f"--workload {shlex.quote(self.workload)}"]
        words += [] if self.ttl_s is None else [f"--ttl {self.ttl_s}"]
        words += [] if self.seconds is None else [f"--seconds {self.seconds:g}"]
        words += [] if self.postgres is None else [f"--postgres {self.postgres}"]
        return " ".join(words)

    def for_lab(self, name: str) -> list[str]:
        words = ["--name", name, "--profile", self.profile, "--cadence", str(self.cadence)]
        words += ["--seed", str(self.seed)]
        words += [] if self.ttl_s is None else ["--ttl", str(self.ttl_s)]
        words += [] if self.postgres is None else ["--postgres", self.postgres]
        return words
