"""Whether a drill saw enough to say anything at all."""

from collections.abc import Sequence
from itertools import pairwise

from farshore.drill.findings import Doubt, Finding
from farshore.drill.ledger import Ledger
from farshore.drill.operations import Ack, Operations
from farshore.drill.terms import Fault, Terms, with_ends


def doubts_of(
    operations: Operations, survivor: Ledger | None, faults: Sequence[Fault], terms: Terms
) -> list[Finding]:
    """Every reason to call the drill unknown, apart from damaged histories and missing orphan lists."""
    doubts = []
    clients = len({meta.client for meta in operations.metas})
    if clients < max(terms.clients, 1):
        detail = f"histories of {clients} clients, wanted {max(terms.clients, 1)}"
        doubts.append(Finding(Doubt.HISTORY_MISSING, detail))
    if survivor is None:
        doubts.append(Finding(Doubt.DATABASE_MISSING, "the final writer's ledger was not read"))
    acks = operations.acks()
    if not any(ack.confirmed for ack in acks):
        detail = "no acknowledgement was confirmed, so that nothing shows who was the writer"
        doubts.append(Finding(Doubt.NOTHING_CONFIRMED, detail))
    if len(faults) < terms.faults_due:
        detail = f"{len(faults)} of {terms.faults_due} faults were done"
        doubts.append(Finding(Doubt.FAULT_MISSING, detail))
    if not faults:
        return doubts + _few(Doubt.FEW_ACKS_BEFORE, "in the whole drill", len(acks), terms.acks_before_min)
    first = min(faults, key=lambda fault: fault.at)
    before = [ack for ack in acks if ack.returned < first.at and ack.region == first.region]
    where = f"by {first.region} before the fault"
    doubts += _few(Doubt.FEW_ACKS_BEFORE, where, len(before), terms.acks_before_min)
    for fault, until in with_ends(faults):
        seen = [ack for ack in acks if until is None or ack.returned < until]
        doubts += _bite(operations, seen, fault, terms)
        doubts += _enough(operations, seen, fault, terms)
    return doubts


def _few(kind: Doubt, where: str, seen: int, wanted: int) -> list[Finding]:
    if seen >= max(wanted, 1):
        return []
    return [Finding(kind, f"{seen} acknowledgements {where}, wanted {max(wanted, 1)}")]


def _enough(operations: Operations, acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    after = [ack for ack in acks if ack.invoked > fault.at and ack.region != fault.region]
    what = f"after the {fault.kind} of {fault.region}"
    doubts = _few(Doubt.FEW_ACKS_AFTER, f"by another region {what}", len(after), terms.acks_after_min)
    for kind in sorted({meta.kind for meta in operations.metas if meta.view != fault.dead_region}):
        seen = sum(1 for ack in after if ack.kind == kind and ack.view != fault.dead_region)
        whose = f"of {kind} clients" if fault.dead_region is None else f"of {kind} clients outside it"
        doubts += _few(Doubt.FEW_ACKS_AFTER, f"{whose} {what}", seen, terms.kind_acks_after_min)
    return doubts


def _bite(operations: Operations, acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    doubts = []
    if fault.bit is not None and not any(fault.bit.values()):
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, f"{fault.kind} of {fault.region} hit nothing"))
    if fault.planned and not any(_confirmed_elsewhere(ack, fault) for ack in acks):
        detail = f"after the {fault.kind} no other region than {fault.region} confirmed anything"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail))
    undead = [
        ack for ack in acks if ack.region == fault.region and fault.silences(ack.invoked, terms.settle_ns)
    ]
    if undead:
        detail = f"{fault.region} acknowledged {len(undead)} transfers while it was lost"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail, undead[0].op))
    residents = {
        attempt.client
        for attempt in operations.attempts()
        if attempt.view == fault.region and fault.silences(attempt.invoke.t, terms.settle_ns)
    }
    if residents:
        detail = f"clients in {fault.region} went on while it was lost: {', '.join(sorted(residents))}"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail))
    gap_ns = _longest_gap_ns([ack.returned for ack in acks if ack.view != fault.dead_region], fault.at)
    if gap_ns is not None and gap_ns < terms.outage_min_ns:
        paused = f"acknowledgements never paused for more than {gap_ns / 1e6:.0f} ms"
        detail = f"after the {fault.kind} of {fault.region}, {paused}"
        doubts.append(Finding(Doubt.NO_OUTAGE, detail))
    return doubts


def _confirmed_elsewhere(ack: Ack, fault: Fault) -> bool:
    return ack.confirmed and ack.region != fault.region and ack.invoked > fault.at


def _longest_gap_ns(returns: Sequence[int], at: int) -> int | None:
    """The longest pause between acknowledgements that ends after `at`; None when there is no such pair."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(returns)) if later > at]
    return max(gaps, default=None)
