"""What a row of the table is judged on."""

from dataclasses import dataclass

from farshore.core.authority import Authority, Intent, Plan
from farshore.core.facts import Facts, Now
from farshore.core.profile import Profile


@dataclass(frozen=True, slots=True)
class View:
    record: Authority
    facts: Facts
    now: Now
    profile: Profile

    @property
    def plan(self) -> Plan:
        if self.record.plan is None:
            raise ValueError(f"{self.record.phase} without a plan at version {self.record.version}")
        return self.record.plan

    @property
    def intent(self) -> Intent:
        if self.plan.intent is None:
            raise ValueError(f"{self.record.phase} without an intent at version {self.record.version}")
        return self.plan.intent
