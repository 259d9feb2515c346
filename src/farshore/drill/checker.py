"""The judge: histories and final databases in, a verdict and typed findings out.

It knows nothing of how the product works and never asks it; the one thing of the product's it reads is the
published list of orphans, and that only to contradict it. `valid` has to be earned: whatever is missing,
damaged or too thin to prove anything makes the verdict `unknown`, and one proven violation `invalid`.

What may be lost: an acknowledgement by a lost region, invoked before the first confirmed acknowledgement of
another region after the fault. Replication keeps the order of commits, so even then a transfer cannot be
lost when one invoked after its acknowledgement survived. Everything else acknowledged must be there, above
all what was acknowledged around a planned move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farshore.drill import books
from farshore.drill.doubts import doubts_of
from farshore.drill.events import History
from farshore.drill.findings import Doubt, Finding, Verdict, Violation, verdict_of
from farshore.drill.ledger import LEDGER, Holdings, Ledger, OrphanList, Survivor
from farshore.drill.losses import Losses, judge_losses
from farshore.drill.operations import Operation, Operations, fold
from farshore.drill.orphans import judge_orphans
from farshore.drill.requests import Request, judge_requests
from farshore.drill.stays import judge_stays
from farshore.drill.terms import Fault, Terms
from farshore.drill.writers import Writers, judge_writers

_INCOMPLETE = frozenset({Doubt.HISTORY_DAMAGED, Doubt.HISTORY_MALFORMED, Doubt.HISTORY_MISSING})
_RESTS_ON_ABSENCE = frozenset(
    {
        Violation.NEVER_ATTEMPTED,
        Violation.ORPHAN_NEVER_ATTEMPTED,
        Violation.FAILED_LANDED,
        Violation.CONTENT_DIFFERS,
    }
)
_RESTS_ON_TIME = frozenset(
    {
        Violation.SECOND_WRITER,
        Violation.EPOCH_BACKWARDS,
        Violation.LOST_OUT_OF_ORDER,
        Violation.ACKED_MISSING,
        Violation.MOVED,
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All the checker may see.

    `workload` says what the clients wrote, `survivor` is what the final writer holds of it, read after they
    stopped. `orphans` is the product's list, made while the survivor was in the state given here. `old_volume` is
    what the lost region held of it, read from its saved volume, when it could be had. `requests` are those that the
    product had to refuse.
    """

    histories: Sequence[History]
    survivor: Survivor | None
    faults: Sequence[Fault]
    orphans: OrphanList | None = None
    old_volume: Survivor | None = None
    requests: Sequence[Request] = ()
    terms: Terms = field(default_factory=Terms)
    workload: str = LEDGER


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, what it rests on, and by which terms.

    `ledger_balanced` is None when no database was read; of another workload it says whether its invariant holds.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    operations: Operations
    losses: Losses
    writers: Writers
    acked: int
    duplicate: int
    ledger_balanced: bool | None
    orphans: OrphanList | None
    compared_old_volume: bool
    requests: tuple[Request, ...]
    terms: Terms
    faults: tuple[Fault, ...] = ()
    workload: str = LEDGER

    @property
    def of_ledger(self) -> bool:
        """Whether amounts and accounts are known, and the books were audited."""
        return self.workload == LEDGER

    @property
    def noun(self) -> str:
        """What one write is called."""
        return "transfer" if self.of_ledger else "write"


def judge(evidence: Evidence) -> Judgement:
    """Judge a drill; pure, and never raises for what histories or databases may hold."""
    operations = fold(evidence.histories)
    writers = judge_writers(operations.acks())
    findings = [
        *operations.doubts,
        *doubts_of(operations, evidence.survivor, evidence.faults, evidence.terms),
    ]
    findings += writers.findings
    findings += judge_stays(operations, evidence.faults, evidence.terms)
    findings += judge_requests(evidence.requests, evidence.terms)
    losses = Losses()
    duplicate, balanced = 0, None
    if evidence.survivor is not None:
        audit = books.audit(evidence.survivor)
        duplicate, balanced = audit.duplicates, audit.balanced
        findings += audit.findings
        findings += _content(operations, evidence.survivor)
        losses = judge_losses(
            operations, evidence.survivor, evidence.faults, writers.late_bare, evidence.orphans
        )
        findings += losses.findings
        findings += _loss_where_none_is_allowed(losses, evidence.terms)
        findings += judge_orphans(
            operations,
            losses,
            survivor=evidence.survivor,
            listed=evidence.orphans,
            old_volume=evidence.old_volume,
            terms=evidence.terms,
        )
    findings = _weakened(findings)
    return Judgement(
        verdict=verdict_of(tuple(findings)),
        findings=tuple(findings),
        operations=operations,
        losses=losses,
        writers=writers,
        acked=sum(1 for operation in operations.by_key.values() if operation.acks),
        duplicate=duplicate,
        ledger_balanced=balanced,
        orphans=evidence.orphans,
        compared_old_volume=evidence.old_volume is not None,
        requests=tuple(evidence.requests),
        terms=evidence.terms,
        faults=tuple(evidence.faults),
        workload=evidence.workload,
    )


def _content(operations: Operations, survivor: Survivor) -> list[Finding]:
    """Every write in the database was asked for, as it stands there, by a client not told that it failed."""
    findings = []
    for key in survivor.keys:
        operation = operations.by_key.get(key)
        if operation is None:
            detail = f"{survivor.region} holds a write nobody attempted"
            findings.append(Finding(Violation.NEVER_ATTEMPTED, detail, key))
        elif operation.refused:
            detail = f"every attempt returned failed, yet {survivor.region} holds it"
            findings.append(Finding(Violation.FAILED_LANDED, detail, key))
    return findings if isinstance(survivor, Holdings) else findings + _differing(operations, survivor)


def _differing(operations: Operations, ledger: Ledger) -> list[Finding]:
    findings = []
    for transfer in ledger.transfers:
        operation = operations.by_key.get(transfer.key)
        if operation and operation.content != (transfer.source, transfer.target, transfer.amount):
            findings.append(
                Finding(Violation.CONTENT_DIFFERS, _difference(operation, ledger.region), transfer.key)
            )
    return findings


def _difference(operation: Operation, region: str) -> str:
    if operation.content is None:
        return f"{region} holds a transfer, and the clients' histories do not say of what"
    source, target, amount = operation.content
    return f"{region} holds something else than the {amount} cents from {source} to {target} asked for"


def _loss_where_none_is_allowed(losses: Losses, terms: Terms) -> list[Finding]:
    if terms.loss_allowed:
        return []
    return [
        Finding(
            Violation.ACKED_MISSING, f"acknowledged by {ack.region}, missing, and nothing may be lost", ack.op
        )
        for ack in (*losses.lost, *losses.late_bare_lost)
    ]


def _weakened(findings: Sequence[Finding]) -> list[Finding]:
    """A broken witness proves less: with lines gone, what rests on something *not* standing there is a doubt,
    and with a clock that ran backwards, so is what rests on the order of events."""
    seen = {finding.kind for finding in findings}
    shaky: frozenset[Violation] = frozenset()
    if seen & _INCOMPLETE:
        shaky |= _RESTS_ON_ABSENCE
    if Doubt.CLOCK_BACKWARDS in seen:
        shaky |= _RESTS_ON_TIME
    return [
        Finding(Doubt.UNPROVEN, f"{finding.kind.value}: {finding.detail}", finding.op)
        if finding.kind in shaky
        else finding
        for finding in findings
    ]


def count_by_kind(findings: Sequence[Finding]) -> Mapping[str, int]:
    """How often each kind of finding occurs, violations first."""
    counts: dict[str, int] = {}
    for finding in sorted(findings, key=lambda finding: not finding.is_violation):
        counts[finding.kind.value] = counts.get(finding.kind.value, 0) + 1
    return counts
