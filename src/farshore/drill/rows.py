"""Orphans as a person reads them: what the client knew of each, beside what the product says."""

from typing import TypedDict

from farshore.drill.checker import Judgement
from farshore.drill.operations import Operation


class OrphanRow(TypedDict):
    """A write lost with its region or named by the product; amount and accounts are the ledger's.

    `client_knew` is what the client was told: acknowledged (confirmed or bare), late (acknowledged after the
    takeover), unknown, or nothing at all. `state` is the product's word, None when it does not name it.
    `at_s` is the time of the acknowledgement, or of the last attempt, in seconds from the fault.
    """

    key: str
    amount_cents: int | None
    source: int | None
    target: int | None
    at_s: float | None
    region: str | None
    client: str | None
    client_knew: str
    state: str | None
    committed_at: str | None


def orphan_rows(judgement: Judgement, zero: int) -> list[OrphanRow]:
    """Every lost acknowledged transfer and every one the product names: the missing first, then by time."""
    named = {orphan.key: orphan for orphan in judgement.orphans.orphans} if judgement.orphans else {}
    late = {ack.op for ack in judgement.losses.late_bare_lost}
    keys = dict.fromkeys([ack.op for ack in judgement.losses.lost] + sorted(late) + list(named))
    rows = []
    for key in keys:
        operation = judgement.operations.by_key.get(key)
        orphan = named.get(key)
        row = _row(key, operation, zero, late=key in late)
        row["state"] = orphan.state if orphan else None
        row["committed_at"] = orphan.committed_at if orphan else None
        rows.append(row)
    return sorted(rows, key=_reading_order)


def _reading_order(row: OrphanRow) -> tuple[bool, bool, float, str]:
    return (row["state"] not in {"missing", None}, row["at_s"] is None, row["at_s"] or 0.0, row["key"])


def _row(key: str, operation: Operation | None, zero: int, *, late: bool) -> OrphanRow:
    row = OrphanRow(
        key=key,
        amount_cents=None,
        source=None,
        target=None,
        at_s=None,
        region=None,
        client=None,
        client_knew="nothing",
        state=None,
        committed_at=None,
    )
    if operation is None:
        return row
    if operation.content is not None:
        row["source"], row["target"], row["amount_cents"] = operation.content
    if operation.acks:
        ack = operation.acks[0]
        tag = "confirmed" if ack.confirmed else "bare"
        row["client_knew"] = "acknowledged late" if late else f"acknowledged ({tag})"
        row["client"], row["region"], row["at_s"] = (
            ack.client,
            ack.region,
            round((ack.returned - zero) / 1e9, 4),
        )
        return row
    attempt = operation.attempts[-1]
    row["client"], row["client_knew"] = attempt.client, "refused" if operation.refused else "unknown"
    row["at_s"] = round((attempt.invoke.t - zero) / 1e9, 4)
    return row
