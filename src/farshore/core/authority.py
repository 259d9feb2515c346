"""The journal's record of who may write. It changes only by compare-and-set on `version`.

Invariants, checked before each write (invariants.py):
  - `epoch` never falls; a claim raises it by exactly one.
  - a holder exists exactly in the phases HELD and DRAINING.
  - a lease is renewed only in HELD.
  - an intent exists only in PROMOTING.
"""

from dataclasses import dataclass
from enum import StrEnum

from farshore.core.profile import Mode


class Phase(StrEnum):
    HELD = "HELD"  # one region holds the lease and writes
    DRAINING = "DRAINING"  # a planned move: renewals have stopped, the old writer is being fenced
    CLAIMED = "CLAIMED"  # nobody holds the new epoch yet; the old lease is running out
    PROMOTING = "PROMOTING"  # the request to promote may have been sent


class PlanKind(StrEnum):
    FAILOVER = "failover"  # unplanned; may lose the last moments
    SWITCHOVER = "switchover"  # planned; loses nothing
    ADOPT = "adopt"  # the role was moved outside farshore


@dataclass(frozen=True, slots=True)
class Intent:
    """A promotion request about to be sent; after `not_after_ms` (wall clock) it must not be sent any more (H6)."""

    not_after_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Why the role moves, from where and to where."""

    plan_id: str
    kind: PlanKind
    source: str
    target: str
    requested_by: str
    reason: str
    claimed_at_ms: int
    lag_ms: int | None
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of history: a change of phase, holder or epoch, with its reason.

    `detected_at_ms` is set on the claim of a lost holder: since when everything but the lease had spoken for the loss.
    """

    version: int
    at_ms: int
    epoch: int
    phase: Phase
    holder: str | None
    action: str
    reason: str
    by: str
    detected_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    version: int
    epoch: int
    phase: Phase
    holder: str | None
    renewal_seq: int
    renewed_at_ms: int
    lag_ms: int | None
    mode: Mode
    paused: bool
    degraded: bool
    plan: Plan | None
    last_event: Event

    @property
    def region_of_record(self) -> str:
        """Where clients belong until the role has really moved: the holder, or the one it is moving from."""
        if self.holder is not None:
            return self.holder
        if self.plan is None:
            raise ValueError(f"authority without holder and without plan at version {self.version}")
        return self.plan.source
