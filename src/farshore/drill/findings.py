"""What the checker can find. A violation proves a broken promise; a doubt says the drill proved nothing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Verdict = Literal["valid", "invalid", "unknown"]


class Violation(StrEnum):
    """Each breaks a promise; one is enough for `invalid`."""

    KEY_TWICE = "key_twice"
    APPLIED_TWICE = "applied_twice"
    ENTRIES_NOT_TWO = "entries_not_two"
    ENTRIES_DIFFER = "entries_differ"
    ENTRY_WITHOUT_TRANSFER = "entry_without_transfer"
    TRANSFER_UNBALANCED = "transfer_unbalanced"
    LEDGER_UNBALANCED = "ledger_unbalanced"
    BALANCE_WRONG = "balance_wrong"
    INVARIANT_BROKEN = "invariant_broken"
    CONTENT_DIFFERS = "content_differs"
    ACKED_MISSING = "acked_missing"
    FAILED_LANDED = "failed_landed"
    NEVER_ATTEMPTED = "never_attempted"
    SECOND_WRITER = "second_writer"
    EPOCH_TWO_HOLDERS = "epoch_two_holders"
    EPOCH_BACKWARDS = "epoch_backwards"
    ORPHAN_NOT_LISTED = "orphan_not_listed"
    ORPHAN_NEVER_ATTEMPTED = "orphan_never_attempted"
    ORPHAN_PRESENT = "orphan_present"
    ORPHAN_ABSENT = "orphan_absent"
    ORPHAN_LISTED_TWICE = "orphan_listed_twice"
    ORPHAN_NOT_ON_OLD_VOLUME = "orphan_not_on_old_volume"
    ACKED_NOWHERE = "acked_nowhere"
    LOST_OUT_OF_ORDER = "lost_out_of_order"
    NOT_REFUSED = "not_refused"
    MOVED = "moved"


class Doubt(StrEnum):
    """Each leaves the question open; without a violation the verdict is `unknown`."""

    HISTORY_DAMAGED = "history_damaged"
    HISTORY_MALFORMED = "history_malformed"
    CLOCK_BACKWARDS = "clock_backwards"
    HISTORY_MISSING = "history_missing"
    DATABASE_MISSING = "database_missing"
    FEW_ACKS_BEFORE = "few_acks_before"
    FEW_ACKS_AFTER = "few_acks_after"
    NOTHING_CONFIRMED = "nothing_confirmed"
    FAULT_MISSING = "fault_missing"
    FAULT_DID_NOT_BITE = "fault_did_not_bite"
    NO_OUTAGE = "no_outage"
    OUTAGE_TOO_LONG = "outage_too_long"
    NOTHING_OPEN = "nothing_open"
    STRAINED = "strained"
    ZOMBIE_NOT_MET = "zombie_not_met"
    ORPHANS_MISSING = "orphans_missing"
    ORPHANS_INCOMPLETE = "orphans_incomplete"
    OLD_VOLUME_MISSING = "old_volume_missing"
    REFUSAL_MISSING = "refusal_missing"
    REFUSED_OTHERWISE = "refused_otherwise"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; `op` is the idempotency key it is about, if it is about one."""

    kind: Violation | Doubt
    detail: str
    op: str | None = None

    @property
    def is_violation(self) -> bool:
        return isinstance(self.kind, Violation)


def verdict_of(findings: tuple[Finding, ...]) -> Verdict:
    """A violation outweighs any doubt, because each is proven by what was seen, not by what was not."""
    if any(finding.is_violation for finding in findings):
        return "invalid"
    return "unknown" if findings else "valid"
