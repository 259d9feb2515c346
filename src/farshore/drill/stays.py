"""Whether the writer stayed where no fault may move it: promise P4 seen by the clients.

A confirmed acknowledgement of another region, asked for after such a fault and before the next one, proves that the
role has moved: its epoch was granted to that region.

Whether without cause is another question. Where nothing that the fault does makes answers late, and an answer of the
writer took longer than a probe waits, the computer was so slow that its endpoints may really have been out of reach:
then the drill cannot tell.
"""

from collections.abc import Sequence

from farshore.drill.findings import Doubt, Finding, Violation
from farshore.drill.operations import Ack, Attempt, Operations
from farshore.drill.terms import Fault, Terms, with_ends

_REFUSAL = "25006"


def judge_stays(operations: Operations, faults: Sequence[Fault], terms: Terms) -> list[Finding]:
    """One finding for each fault after which the writer moved though it must not, or not yet."""
    acks, findings = operations.acks(), []
    for fault, after in with_ends(faults):
        if fault.effect == "moves" and not fault.needs_approval:
            continue
        until = fault.approved_at if fault.needs_approval else after
        moved = _first_elsewhere(acks, fault, until)
        if moved is None:
            continue
        waits = (
            "before a person had approved it" if fault.needs_approval else "which must not move the writer"
        )
        detail = (
            f"{moved.region} confirmed in epoch {moved.epoch} after the {fault.kind} of "
            f"{fault.hit or fault.region}, {waits}"
        )
        slowest_ns = _slowest_answer_ns(operations, fault, moved.returned)
        if fault.outage in {"none", "rows"} and 0 < terms.strained_ns <= slowest_ns:
            detail += (
                f"; but an answer took {slowest_ns / 1e9:.2f} s, so that it may have seemed out of reach"
            )
            findings.append(Finding(Doubt.STRAINED, detail, moved.op))
        else:
            findings.append(Finding(Violation.MOVED, detail, moved.op))
    return findings


def _first_elsewhere(acks: Sequence[Ack], fault: Fault, until: int | None) -> Ack | None:
    elsewhere = (
        ack
        for ack in acks
        if ack.confirmed
        and ack.region != fault.region
        and ack.invoked > fault.at
        and (until is None or ack.returned < until)
    )
    return next(elsewhere, None)


def _slowest_answer_ns(operations: Operations, fault: Fault, until: int) -> int:
    """The longest that the writer's own answer took to anybody it could reach, before the move was seen."""
    return max(
        (
            attempt.returned.t - attempt.invoke.t
            for attempt in operations.attempts()
            if attempt.view not in fault.away
            and attempt.returned is not None
            and fault.at < attempt.returned.t < until
            and _answered(attempt, fault.region)
        ),
        default=0,
    )


def _answered(attempt: Attempt, region: str) -> bool:
    returned = attempt.returned
    if returned is None or returned.region != region:
        return False
    return returned.outcome == "ok" or (returned.error or "").startswith(_REFUSAL)
