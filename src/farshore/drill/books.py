"""Whether a ledger's books are right by themselves, to the cent, whatever the clients say."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from farshore.drill.findings import Finding, Violation
from farshore.drill.ledger import Entry, Holdings, Ledger, Survivor, Transfer


@dataclass(frozen=True, slots=True)
class Books:
    """`balanced`: every transfer has its two sides, and every balance and the whole add up to the cent.

    `duplicates` counts transfers whose key stands twice or whose entries were written more than once.
    """

    findings: tuple[Finding, ...]
    balanced: bool
    duplicates: int


def audit(survivor: Survivor) -> Books:
    """Every check that needs nothing but the database itself; of another workload `balanced` is its invariant."""
    return _of_holdings(survivor) if isinstance(survivor, Holdings) else _of_ledger(survivor)


def _of_holdings(holdings: Holdings) -> Books:
    twice = [_key_twice(key, count) for key, count in Counter(holdings.keys).items() if count > 1]
    broken = [Finding(Violation.INVARIANT_BROKEN, words) for words in holdings.broken]
    return Books(findings=(*twice, *broken), balanced=not broken, duplicates=len(twice))


def _of_ledger(ledger: Ledger) -> Books:
    sides: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in ledger.entries:
        sides[entry.transfer].append(entry)
    keys = Counter(transfer.key for transfer in ledger.transfers)
    twice = [_key_twice(key, count) for key, count in keys.items() if count > 1]
    sided = [
        finding for transfer in ledger.transfers for finding in _two_sides(transfer, sides[transfer.key])
    ]
    stray = [_stray(key, entries) for key, entries in sides.items() if entries and key not in keys]
    sums = _sums(ledger)
    applied = [finding for finding in sided if finding.kind is Violation.APPLIED_TWICE]
    duplicated = {finding.op for finding in twice + applied}
    return Books(
        findings=(*twice, *sided, *stray, *sums),
        balanced=not (sided or stray or sums),
        duplicates=len(duplicated),
    )


def _key_twice(key: str, count: int) -> Finding:
    return Finding(Violation.KEY_TWICE, f"the key stands {count} times", key)


def _stray(key: str, entries: list[Entry]) -> Finding:
    return Finding(Violation.ENTRY_WITHOUT_TRANSFER, f"{len(entries)} entries without their transfer", key)


def _two_sides(transfer: Transfer, entries: list[Entry]) -> list[Finding]:
    wanted = Counter({(transfer.source, -transfer.amount): 1, (transfer.target, transfer.amount): 1})
    written = Counter((entry.account, entry.amount) for entry in entries)
    if written == wanted:
        return []
    key, count = transfer.key, len(entries)
    if all(written[side] > 1 for side in wanted):
        return [Finding(Violation.APPLIED_TWICE, f"applied more than once: {count} entries", key)]
    findings = []
    if count != len(wanted):
        findings.append(Finding(Violation.ENTRIES_NOT_TWO, f"{count} entries, wanted 2", key))
    total = sum(entry.amount for entry in entries)
    if total != 0:
        findings.append(
            Finding(Violation.TRANSFER_UNBALANCED, f"entries add up to {total} cents, wanted 0", key)
        )
    if not findings:
        findings.append(Finding(Violation.ENTRIES_DIFFER, "entries disagree with their transfer", key))
    return findings


def _sums(ledger: Ledger) -> list[Finding]:
    moved: defaultdict[int, int] = defaultdict(int)
    for entry in ledger.entries:
        moved[entry.account] += entry.amount
    findings = []
    for account in sorted(ledger.initial.keys() | ledger.balances.keys() | moved.keys()):
        expected = ledger.initial.get(account, 0) + moved[account]
        stated = ledger.balances.get(account)
        if stated != expected:
            said = "no balance" if stated is None else f"{stated} cents"
            detail = f"account {account}: {said}, initial and entries give {expected} cents"
            findings.append(Finding(Violation.BALANCE_WRONG, detail))
    before, after = sum(ledger.initial.values()), sum(ledger.balances.values())
    if before != after:
        detail = f"all balances add up to {after} cents, began with {before} cents"
        findings.append(Finding(Violation.LEDGER_UNBALANCED, detail))
    return findings
