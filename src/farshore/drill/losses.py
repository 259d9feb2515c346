"""Which acknowledged transfers the survivor lacks, and which of them it may lack."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from farshore.drill.findings import Finding, Violation
from farshore.drill.ledger import OrphanList, Survivor
from farshore.drill.operations import Ack, Operation, Operations
from farshore.drill.terms import Fault


@dataclass(frozen=True, slots=True)
class Losses:
    """Acknowledged transfers missing on the survivor that may be missing: the first ack of each.

    `lost` were acknowledged while their region could still write. `late_bare_lost` are bare ones
    acknowledged after another region had taken over from a lost one: escapes from the fence, counted apart.
    A planned move excuses neither.
    """

    lost: tuple[Ack, ...] = ()
    late_bare_lost: tuple[Ack, ...] = ()
    findings: tuple[Finding, ...] = ()


def judge_losses(
    operations: Operations,
    survivor: Survivor,
    faults: Sequence[Fault],
    late_bare: Collection[Ack],
    orphans: OrphanList | None,
) -> Losses:
    """Sort the missing into lost, late and inexcusable."""
    present = set(survivor.keys)
    acks = operations.acks()
    windows = [(fault, _taken_over(acks, fault)) for fault in faults if fault.may_lose]
    lossy = {fault.region for fault in faults if fault.may_lose}
    late = {(ack.op, ack.invoked) for ack in late_bare if ack.region in lossy}
    lost: list[Ack] = []
    late_lost: list[Ack] = []
    findings: list[Finding] = []
    for operation in operations.by_key.values():
        if not operation.acks or operation.op in present:
            continue
        inexcusable = [ack for ack in operation.acks if not (_is(ack, late) or _may_be_lost(ack, windows))]
        if inexcusable:
            detail = f"acknowledged by {inexcusable[0].region}, missing on {survivor.region}"
            findings.append(Finding(Violation.ACKED_MISSING, detail, operation.op))
        elif all(_is(ack, late) for ack in operation.acks):
            late_lost.append(operation.acks[0])
        else:
            lost.append(operation.acks[0])
    findings += _out_of_order(operations, lost, present, faults, orphans)
    return Losses(tuple(lost), tuple(late_lost), tuple(findings))


def _is(ack: Ack, marked: Collection[tuple[str, int]]) -> bool:
    return (ack.op, ack.invoked) in marked


def _taken_over(acks: Sequence[Ack], fault: Fault) -> int | None:
    """When another region's first confirmed acknowledgement after the fault returned."""
    taken = (
        ack.returned
        for ack in acks
        if ack.confirmed and ack.region != fault.region and ack.invoked > fault.at
    )
    return min(taken, default=None)


def _may_be_lost(ack: Ack, windows: Sequence[tuple[Fault, int | None]]) -> bool:
    return any(ack.region == fault.region and (end is None or ack.invoked < end) for fault, end in windows)


def _out_of_order(
    operations: Operations,
    lost: Sequence[Ack],
    present: Collection[str],
    faults: Sequence[Fault],
    orphans: OrphanList | None,
) -> list[Finding]:
    """Lost transfers acknowledged before a surviving one was even asked for.

    Survivors count only if nothing but replication can have brought them: one attempt, acknowledged by the
    lost region before the fault, and not on the product's list, from which it might have been replayed.
    """
    listed = {orphan.key for orphan in orphans.orphans} if orphans is not None else set()
    findings = []
    for fault in faults:
        newest = max(
            (
                operation.acks[0].invoked
                for operation in operations.by_key.values()
                if operation.op in present and operation.op not in listed and _replicated(operation, fault)
            ),
            default=0,
        )
        for ack in lost:
            if ack.region == fault.region and ack.returned < newest:
                behind_ms = (newest - ack.returned) / 1e6
                detail = (
                    f"lost, though a write asked for {behind_ms:.1f} ms after its acknowledgement survived"
                )
                findings.append(Finding(Violation.LOST_OUT_OF_ORDER, detail, ack.op))
    return findings


def _replicated(operation: Operation, fault: Fault) -> bool:
    if len(operation.attempts) != 1 or not operation.acks:
        return False
    return operation.acks[0].region == fault.region and operation.acks[0].invoked < fault.at
