"""Whether the writer stayed where no fault may move it: promise P4 seen by the clients.

A confirmed acknowledgement of another region, asked for after such a fault and before the next one, proves that the
role has moved: its epoch was granted to that region.
"""

from collections.abc import Sequence

from farshore.drill.findings import Finding, Violation
from farshore.drill.operations import Ack
from farshore.drill.terms import Fault, with_ends


def judge_stays(acks: Sequence[Ack], faults: Sequence[Fault]) -> list[Finding]:
    """One finding for each fault after which the writer moved though it must not, or not yet."""
    findings = []
    for fault, after in with_ends(faults):
        if fault.effect == "moves" and not fault.needs_approval:
            continue
        until = fault.approved_at if fault.needs_approval else after
        elsewhere = [
            ack
            for ack in acks
            if ack.confirmed
            and ack.region != fault.region
            and ack.invoked > fault.at
            and (until is None or ack.returned < until)
        ]
        if elsewhere:
            waits = (
                "before a person had approved it"
                if fault.needs_approval
                else "which must not move the writer"
            )
            detail = (
                f"{elsewhere[0].region} confirmed in epoch {elsewhere[0].epoch} after the {fault.kind} of "
                f"{fault.hit or fault.region}, {waits}"
            )
            findings.append(Finding(Violation.MOVED, detail, elsewhere[0].op))
    return findings
