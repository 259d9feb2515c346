"""What was checked, in words: each promise, whether it held, and what was seen of it."""

from collections.abc import Collection
from dataclasses import dataclass

from farshore.drill.checker import Judgement
from farshore.drill.findings import Doubt, Violation

_ONE_WRITER = frozenset({Violation.SECOND_WRITER, Violation.EPOCH_TWO_HOLDERS, Violation.EPOCH_BACKWARDS})
_KEPT = frozenset({Violation.ACKED_MISSING, Violation.LOST_OUT_OF_ORDER, Violation.ACKED_NOWHERE})
_NAMED = frozenset(
    {
        Violation.ORPHAN_NOT_LISTED,
        Violation.ORPHAN_NEVER_ATTEMPTED,
        Violation.ORPHAN_PRESENT,
        Violation.ORPHAN_ABSENT,
        Violation.ORPHAN_LISTED_TWICE,
        Violation.ORPHAN_NOT_ON_OLD_VOLUME,
    }
)
_ONCE = frozenset({Violation.KEY_TWICE, Violation.APPLIED_TWICE})
_BALANCED = frozenset(
    {
        Violation.ENTRIES_NOT_TWO,
        Violation.ENTRIES_DIFFER,
        Violation.ENTRY_WITHOUT_TRANSFER,
        Violation.TRANSFER_UNBALANCED,
        Violation.LEDGER_UNBALANCED,
        Violation.BALANCE_WRONG,
    }
)
_AS_ASKED = frozenset({Violation.CONTENT_DIFFERS, Violation.FAILED_LANDED, Violation.NEVER_ATTEMPTED})


@dataclass(frozen=True, slots=True)
class Check:
    """`held` is None when the drill cannot tell; `seen` is a sentence for a person."""

    promise: str
    held: bool | None
    seen: str


def checks(judgement: Judgement) -> list[Check]:
    """Every violation belongs to exactly one of these, and every doubt to the last."""
    if judgement.ledger_balanced is None:
        unread = "The final ledger was not read."
        ledger_checks = [Check(promise, None, unread) for promise in _LEDGER_PROMISES]
    else:
        ledger_checks = _of_the_ledger(judgement)
    return [_one_writer(judgement), *ledger_checks, _conclusive(judgement)]


_LEDGER_PROMISES = (
    "Every acknowledged transfer is kept, or lost only at the fault",
    "Every lost transfer is named by the product, and nothing else is",
    "No transfer twice",
    "The books balance to the cent",
    "The ledger holds what was asked for, and nothing that was refused",
)


def _one_writer(judgement: Judgement) -> Check:
    spans = judgement.writers.epochs
    epochs = ", ".join(f"epoch {span.epoch} {span.region} ({span.acks:,})" for span in spans) or "none"
    late = len(judgement.writers.late_bare)
    seen = f"Confirmed acknowledgements: {epochs}. Second-writer acknowledgements: {len(judgement.writers.dual)}."
    if late:
        seen += f" Bare ones after the takeover, counted apart: {late}."
    return _check("One writer", judgement, _ONE_WRITER, seen, proven=bool(spans))


def _of_the_ledger(judgement: Judgement) -> list[Check]:
    losses = judgement.losses
    kept = judgement.acked - len(losses.lost) - len(losses.late_bare_lost)
    missing = sum(1 for finding in judgement.findings if finding.kind is Violation.ACKED_MISSING)
    sides = "to the last cent" if judgement.ledger_balanced else "and do not add up"
    seen = (
        f"{judgement.acked:,} acknowledged: {kept - missing:,} survive the region, {len(losses.lost)} lost with it.",
        _named(judgement),
        f"{judgement.duplicate} keys or transfers stand more than once.",
        f"Every transfer's two sides, every balance and the total were summed {sides}.",
        f"{len(judgement.operations.by_key):,} transfers were attempted; amounts and accounts were compared.",
    )
    listed = judgement.orphans is not None and judgement.orphans.complete
    return [
        _check(promise, judgement, kinds, text, proven=proven)
        for promise, kinds, text, proven in zip(
            _LEDGER_PROMISES,
            (_KEPT, _NAMED, _ONCE, _BALANCED, _AS_ASKED),
            seen,
            (judgement.acked > 0, listed, True, True, bool(judgement.operations.by_key)),
            strict=True,
        )
    ]


def _named(judgement: Judgement) -> str:
    if judgement.orphans is None:
        return "The product's list was not asked for, or not given."
    counted = len(judgement.orphans.orphans)
    against = "the lost region's own volume" if judgement.compared_old_volume else "the clients' histories"
    whole = "" if judgement.orphans.complete else " The product says that it may be incomplete."
    return f"The product's list names {counted}; it was compared with {against}.{whole}"


def _check(
    promise: str, judgement: Judgement, kinds: Collection[Violation], seen: str, *, proven: bool
) -> Check:
    found = [finding for finding in judgement.findings if finding.kind in kinds]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Check(promise, False, f"{seen} Broken: {found[0].detail}{more}.")
    return Check(promise, True if proven else None, seen)


def _conclusive(judgement: Judgement) -> Check:
    doubts = [finding.detail for finding in judgement.findings if isinstance(finding.kind, Doubt)]
    if doubts:
        more = f" and {len(doubts) - 3} more" if len(doubts) > 3 else ""  # noqa: PLR2004
        return Check("The drill can tell", None, "; ".join(doubts[:3]) + more + ".")
    seen = (
        f"{len(judgement.operations.metas)} histories read whole, the fault bit, and enough was acknowledged."
    )
    return Check("The drill can tell", True, seen)
