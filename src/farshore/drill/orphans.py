"""The product's list of orphans held against what the clients and the databases say."""

from collections import Counter
from collections.abc import Collection

from farshore.drill.findings import Doubt, Finding, Violation
from farshore.drill.ledger import Ledger, OrphanList, Survivor
from farshore.drill.losses import Losses
from farshore.drill.operations import Operations
from farshore.drill.terms import Terms

_CLAIMS_PRESENT = frozenset({"present", "replayed"})


def judge_orphans(
    operations: Operations,
    losses: Losses,
    *,
    survivor: Survivor,
    listed: OrphanList | None,
    old_volume: Survivor | None,
    terms: Terms,
) -> list[Finding]:
    """Each lost transfer must be named, and each named one must be lost."""
    present = set(survivor.keys)
    findings: list[Finding] = []
    if old_volume is not None:
        findings += _old_volume(operations, losses, present, old_volume)
    if listed is None:
        if terms.orphans_due:
            findings.append(Finding(Doubt.ORPHANS_MISSING, "the product gave no list of orphans"))
        return findings
    if old_volume is None and terms.orphans_due:
        detail = "the lost region's saved volume was not read: nothing shows what else was lost with it"
        findings.append(Finding(Doubt.OLD_VOLUME_MISSING, detail))
    findings += _names_wrongly(operations, present, listed, old_volume)
    findings += _leaves_out(losses, present, listed, old_volume)
    if not listed.complete:
        findings.append(Finding(Doubt.ORPHANS_INCOMPLETE, "the product says its list may be incomplete"))
    return findings


def _names_wrongly(
    operations: Operations, present: Collection[str], listed: OrphanList, old_volume: Survivor | None
) -> list[Finding]:
    findings = []
    counts = Counter(orphan.key for orphan in listed.orphans)
    for key, count in counts.items():
        if count > 1:
            findings.append(Finding(Violation.ORPHAN_LISTED_TWICE, f"named {count} times", key))
    on_old_volume = None if old_volume is None else set(old_volume.keys)
    for orphan in listed.orphans:
        operation = operations.by_key.get(orphan.key)
        if operation is None:
            findings.append(
                Finding(Violation.ORPHAN_NEVER_ATTEMPTED, "named, but nobody attempted it", orphan.key)
            )
        elif operation.refused:
            detail = "every attempt returned failed, yet the lost region had committed it"
            findings.append(Finding(Violation.FAILED_LANDED, detail, orphan.key))
        if orphan.state == "missing" and orphan.key in present:
            findings.append(
                Finding(Violation.ORPHAN_PRESENT, "called missing, yet the survivor has it", orphan.key)
            )
        if orphan.state in _CLAIMS_PRESENT and orphan.key not in present:
            detail = f"called {orphan.state}, yet the survivor lacks it"
            findings.append(Finding(Violation.ORPHAN_ABSENT, detail, orphan.key))
        if on_old_volume is not None and orphan.key not in on_old_volume:
            detail = "named, but the lost region's volume never held it"
            findings.append(Finding(Violation.ORPHAN_NOT_ON_OLD_VOLUME, detail, orphan.key))
    return findings


def _leaves_out(
    losses: Losses, present: Collection[str], listed: OrphanList, old_volume: Survivor | None
) -> list[Finding]:
    """What is lost and not named. A list that admits to be incomplete is a doubt already, and no lie."""
    if not listed.complete:
        return []
    named = {orphan.key for orphan in listed.orphans}
    lost = {ack.op: "acknowledged, lost, and not named" for ack in (*losses.lost, *losses.late_bare_lost)}
    if old_volume is not None:
        for key in old_volume.keys:
            if key not in present:
                lost.setdefault(key, "only on the lost region's volume, and not named")
    return [
        Finding(Violation.ORPHAN_NOT_LISTED, detail, key) for key, detail in lost.items() if key not in named
    ]


def _old_volume(
    operations: Operations, losses: Losses, present: Collection[str], old_volume: Survivor
) -> list[Finding]:
    findings = []
    held = set(old_volume.keys)
    content = {}
    if isinstance(old_volume, Ledger):
        content = {row.key: (row.source, row.target, row.amount) for row in old_volume.transfers}
    for ack in (*losses.lost, *losses.late_bare_lost):
        if ack.op not in held:
            detail = f"acknowledged by {ack.region}, on neither the survivor nor the lost region's volume"
            findings.append(Finding(Violation.ACKED_NOWHERE, detail, ack.op))
    for key in old_volume.keys:
        operation = operations.by_key.get(key)
        if key in present:
            continue
        if operation is None:
            detail = "the lost region's volume holds a write nobody attempted"
            findings.append(Finding(Violation.NEVER_ATTEMPTED, detail, key))
        elif key in content and operation.content != content[key]:
            detail = "the lost region's volume holds something else than was asked for"
            findings.append(Finding(Violation.CONTENT_DIFFERS, detail, key))
        elif operation.refused:
            detail = "every attempt returned failed, yet the lost region's volume holds it"
            findings.append(Finding(Violation.FAILED_LANDED, detail, key))
    return findings
