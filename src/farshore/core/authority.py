"""The journal's record of who may write. It changes only by compare-and-set on `version`.

Invariants, checked before each write (invariants.py):
  - `epoch` never falls, and rises by exactly one when the role may move or is granted anew.
  - a holder exists exactly in the phases HELD and DRAINING.
  - a lease is renewed only in HELD.
  - an intent exists only in PROMOTING.
"""

from dataclasses import dataclass
from enum import StrEnum

from farshore.core.profile import Mode

VERSIONS_LEAPT = 1_000_000_000
"""A record that begins over a history counts from the next multiple of this: more renewals than any record lives."""


class Phase(StrEnum):
    HELD = "HELD"  # one region holds the lease and writes
    DRAINING = "DRAINING"  # a planned move: renewals have stopped, the old writer is being fenced
    CLAIMED = "CLAIMED"  # nobody holds the new epoch yet; the old lease is running out
    PROMOTING = "PROMOTING"  # the request to move the writer may have been sent


class PlanKind(StrEnum):
    FAILOVER = "failover"  # unplanned; may lose the last moments
    SWITCHOVER = "switchover"  # planned; loses nothing
    FAILBACK = "failback"  # a switchover back to a region that was lost and has been accounted for
    ADOPT = "adopt"  # the role was moved outside farshore


PLANNED = (PlanKind.SWITCHOVER, PlanKind.FAILBACK)


@dataclass(frozen=True, slots=True)
class Intent:
    """A request to move the writer, about to be sent; after `not_after_ms` (wall clock) it must not be sent (H6).

    `by`: the process that recorded it; a failover is sent by no other one, so that its reply tells of every request
    that can be under way. `open_until_ms`: until when an earlier attempt, whose reply nobody knows, may still arrive.
    """

    not_after_ms: int
    attempt: int
    open_until_ms: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A request of a finished plan whose reply is not known (H6): no move elsewhere before `until_ms` (wall clock).

    `earlier_ms`: until when attempts before this one may arrive; its own reply tells nothing of those.
    """

    epoch: int
    attempt: int
    target: str
    until_ms: int
    earlier_ms: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Why the role moves, from where and to where.

    `from_epoch` is the epoch that the source last held; `aborted`: a person has called it back, the source shall go
    on; `drained_lsn` is the source's last byte, read behind fence and barrier.
    """

    plan_id: str
    kind: PlanKind
    source: str
    target: str
    requested_by: str
    reason: str
    claimed_at_ms: int
    lag_ms: int | None
    intent: Intent | None = None
    from_epoch: int = 0
    aborted: bool = False
    drained_lsn: int | None = None
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to one proposal; it ends by itself."""

    by: str
    at_ms: int
    expires_at_ms: int
    ticket: str | None = None


class Basis(StrEnum):
    """What a proposed failover rests on."""

    LOST = "lost"  # lease, observations and endpoints all speak for the region's loss
    UNHEALED = (
        "unhealed"  # the region's monitor lives, but its writer stays away for longer than Aurora needs
    )
    WORD = "word"  # a person's word on a region that does not renew its lease
    DESPITE = "despite"  # a person's word although the region renews it


BY_WORD = (Basis.WORD, Basis.DESPITE)
"""Proposed by a person: a second person's yes begins them."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A failover that waits for a person: bound to an epoch, its last renewal, a target and the loss as stated."""

    proposal_id: str
    epoch: int
    source: str
    target: str
    basis: Basis
    requested_by: str
    reason: str
    loss_bound_ms: int | None
    loss_transactions: int | None
    made_at_ms: int
    expires_at_ms: int
    approval: Approval | None = None
    renewal_seq: int = 0


class Evidence(StrEnum):
    """What is known of the volume that a lost region left behind (H13)."""

    AWAITED = "awaited"  # not looked at yet: the region may still be away
    SAVED = "saved"  # its snapshot was read and its orphans were counted
    WAIVED = "waived"  # a person has given it up


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The account of a region lost in `epoch`, open until its evidence is settled and its orphans are dealt with."""

    epoch: int
    region: str
    evidence: Evidence = Evidence.AWAITED
    orphans_open: int | None = None
    by: str | None = None
    ticket: str | None = None

    @property
    def settled(self) -> bool:
        return self.evidence is not Evidence.AWAITED and self.orphans_open == 0

    @property
    def words(self) -> str:
        """As it stands in the history, by which a settled account is known again (first_boot.py)."""
        count = "unknown" if self.orphans_open is None else self.orphans_open
        return f"{self.region} lost in epoch {self.epoch}: evidence {self.evidence}, {count} orphans open"


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
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """`writes_per_s`: committed write transactions a second at the holder, at its last renewal."""

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
    writes_per_s: int | None = None
    quiet: Quiet | None = None
    proposal: Proposal | None = None
    aftermaths: tuple[Aftermath, ...] = ()

    @property
    def renewals(self) -> int:
        """How often the lease was renewed since this record began."""
        return self.renewal_seq % VERSIONS_LEAPT

    @property
    def region_of_record(self) -> str:
        """Where clients belong until the role has really moved: the holder, or the one it is moving from."""
        if self.holder is not None:
            return self.holder
        if self.plan is None:
            raise ValueError(f"authority without holder and without plan at version {self.version}")
        return self.plan.source
