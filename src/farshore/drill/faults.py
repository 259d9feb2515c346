"""Faults, each with its heal: done by the lab, whose own clock reading and count of what it hit they keep."""

from dataclasses import dataclass, replace

from farshore.drill.product import LabInfo
from farshore.drill.terms import Fault


@dataclass(frozen=True, slots=True)
class RegionLoss:
    """The whole region goes dark at once: servers, functions and clients die, links become a black hole."""

    region: str

    @property
    def words(self) -> str:
        return f"losing {self.region}"

    def do(self, lab: LabInfo) -> Fault:
        """CommandError when the lab refuses."""
        done = lab.run("lab", "fault", "region-loss", self.region, "--lab", lab.name, "--json")
        return Fault("region-loss", self.region, at=done["at_monotonic_ns"], bit=done["bit"])

    def heal(self, lab: LabInfo, fault: Fault) -> Fault:
        done = lab.run("lab", "fault", "heal", self.region, "--lab", lab.name, "--json", timeout_s=120)
        return replace(fault, healed_at=done["at_monotonic_ns"])
