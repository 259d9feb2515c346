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
_REFUSED = frozenset({Violation.NOT_REFUSED})
_STAYED = frozenset({Violation.MOVED})
_ONCE = frozenset({Violation.KEY_TWICE, Violation.APPLIED_TWICE})
_BALANCED = frozenset(
    {
        Violation.ENTRIES_NOT_TWO,
        Violation.ENTRIES_DIFFER,
        Violation.ENTRY_WITHOUT_TRANSFER,
        Violation.TRANSFER_UNBALANCED,
        Violation.LEDGER_UNBALANCED,
        Violation.BALANCE_WRONG,
        Violation.INVARIANT_BROKEN,
    }
)
_AS_ASKED = frozenset({Violation.CONTENT_DIFFERS, Violation.FAILED_LANDED, Violation.NEVER_ATTEMPTED})


@dataclass(frozen=True, slots=True)
class Check:
    """`held` is None when the drill cannot tell; `seen` is a sentence for a person.

    `codes` are the promises that it belongs to, as the design numbers them; those about the books have none.
    """

    promise: str
    held: bool | None
    seen: str
    codes: tuple[str, ...] = ()


def checks(judgement: Judgement) -> list[Check]:
    """Every violation belongs to exactly one of these, and every doubt to the last."""
    made = [_one_writer(judgement), *_stayed(judgement), *_of_the_ledger(judgement)]
    if judgement.requests or judgement.terms.refusals_due:
        made.append(_refusals(judgement))
    return [*made, _conclusive(judgement)]


def held(made: Collection[Check], code: str) -> bool | None:
    """Whether a promise held by all checks of it; None when one of them cannot tell, or there is none."""
    states = [check.held for check in made if code in check.codes]
    return False if False in states else True if states and None not in states else None


def judged(made: Collection[Check], code: str) -> bool:
    """Whether any check is about a promise."""
    return any(code in check.codes for check in made)


def _stayed(judgement: Judgement) -> list[Check]:
    faults = [fault for fault in judgement.faults if fault.effect == "stays" or fault.needs_approval]
    if not faults:
        return []
    told = (
        f"after {fault.kind} the writer had to stay in {fault.region}"
        + (" until a person approved" if fault.needs_approval else "")
        for fault in faults
    )
    seen = "; ".join(dict.fromkeys(told)).capitalize() + "."
    spoke = bool(judgement.writers.epochs)
    return [_check("The writer moved only where it must", judgement, _STAYED, seen, ("P4",), proven=spoke)]


def _refusals(judgement: Judgement) -> Check:
    asked = judgement.requests
    seen = " ".join(f"{one.command}: exit code {one.exit_code}, {one.reason}" for one in asked)
    promise = "No way back into a lost region before what it lost is accounted for"
    return _check(promise, judgement, _REFUSED, seen or "It was not tried.", ("P3",), proven=bool(asked))


def _one_writer(judgement: Judgement) -> Check:
    spans = judgement.writers.epochs
    epochs = ", ".join(f"epoch {span.epoch} {span.region} ({span.acks:,})" for span in spans) or "none"
    late = len(judgement.writers.late_bare)
    seen = f"Confirmed acknowledgements: {epochs}. Second-writer acknowledgements: {len(judgement.writers.dual)}."
    if late:
        seen += f" Bare ones after the takeover, counted apart: {late}."
    return _check("One writer", judgement, _ONE_WRITER, seen, ("P1",), proven=bool(spans))


def _of_the_ledger(judgement: Judgement) -> list[Check]:
    sides = "to the last cent" if judgement.ledger_balanced else "and do not add up"
    twice = f"{judgement.duplicate} keys or {judgement.noun}s stand more than once."
    books = "The books balance to the cent"
    summed = f"Every transfer's two sides, every balance and the total were summed {sides}."
    attempted = len(judgement.operations.by_key)
    compared = f"{attempted:,} transfers were attempted; amounts and accounts were compared."
    listed = judgement.orphans is not None and judgement.orphans.complete and judgement.compared_old_volume
    as_asked = "The ledger holds what was asked for, and nothing that was refused"
    if not judgement.of_ledger:
        books = "The workload's invariant holds"
        summed = f"The invariant of {judgement.workload} was asked of the final database."
        compared = (
            f"{attempted:,} writes were attempted; keys were compared, contents are the invariant's matter."
        )
        as_asked = "The database holds only what was asked for, and nothing that was refused"
    rows = [
        (*_kept(judgement), _KEPT, _codes_of_loss(judgement), judgement.acked > 0),
        (_NAMED_PROMISE.format(judgement.noun), _named(judgement), _NAMED, ("P3",), listed),
        (f"No {judgement.noun} twice", twice, _ONCE, (BOOKS,), True),
        (books, summed, _BALANCED, (BOOKS,), True),
        (as_asked, compared, _AS_ASKED, (BOOKS,), attempted > 0),
    ]
    if judgement.ledger_balanced is None:
        unread = f"The final {'ledger' if judgement.of_ledger else 'database'} was not read."
        rows = [(promise, unread, kinds, codes, False) for promise, _, kinds, codes, _ in rows]
    return [
        _check(promise, judgement, kinds, seen, codes, proven=proven)
        for promise, seen, kinds, codes, proven in rows
        if kinds is not _NAMED or judgement.terms.orphans_due or judgement.orphans is not None
    ]


def _codes_of_loss(judgement: Judgement) -> tuple[str, ...]:
    """P2 is about planned moves, P3 about everything else that happens to a writer."""
    planned = [fault.planned for fault in judgement.faults]
    codes = ("P2",) if any(planned) else ()
    return (*codes, "P3") if not all(planned) or not planned else codes


BOOKS = "books"
_NAMED_PROMISE = "Every lost {} is named by the product, and nothing else is"


def _kept(judgement: Judgement) -> tuple[str, str]:
    """The promise and what was seen of it."""
    losses = judgement.losses
    gone = {ack.op for ack in (*losses.lost, *losses.late_bare_lost)}
    gone |= {finding.op or "" for finding in judgement.findings if finding.kind is Violation.ACKED_MISSING}
    kept = judgement.acked - len(gone)
    if not judgement.terms.loss_allowed:
        seen = f"{judgement.acked:,} acknowledged: {kept:,} of them are in the final ledger."
        return f"Every acknowledged {judgement.noun} is kept", seen
    seen = f"{judgement.acked:,} acknowledged: {kept:,} survive the region, {len(losses.lost)} lost with it."
    return f"Every acknowledged {judgement.noun} is kept, or lost only at the fault", seen


def _named(judgement: Judgement) -> str:
    if judgement.orphans is None:
        return "The product's list was not asked for, or not given."
    counted = len(judgement.orphans.orphans)
    against = "the lost region's own volume" if judgement.compared_old_volume else "the clients' histories"
    whole = "" if judgement.orphans.complete else " The product says that it may be incomplete."
    return f"The product's list names {counted}; it was compared with {against}.{whole}"


def _check(
    promise: str,
    judgement: Judgement,
    kinds: Collection[Violation],
    seen: str,
    codes: tuple[str, ...],
    *,
    proven: bool,
) -> Check:
    found = [finding for finding in judgement.findings if finding.kind in kinds]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Check(promise, False, f"{seen} Broken: {found[0].detail}{more}.", codes)
    return Check(promise, True if proven else None, seen, codes)


def _conclusive(judgement: Judgement) -> Check:
    doubts = [finding.detail for finding in judgement.findings if isinstance(finding.kind, Doubt)]
    if doubts:
        more = f" and {len(doubts) - 3} more" if len(doubts) > 3 else ""  # noqa: PLR2004
        return Check("The drill can tell", None, "; ".join(doubts[:3]) + more + ".")
    seen = (
        f"{len(judgement.operations.metas)} histories read whole, the fault bit, and enough was acknowledged."
    )
    return Check("The drill can tell", True, seen)
