"""The databases at the end of a drill as the checker sees them: plain records, read by somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEDGER = "ledger"
"""The workload whose books the checker can audit by itself."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a workload whose content the checker does not know: its idempotency key and nothing else."""

    key: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row of the transfer table; `key` is the client's idempotency key, `amount` in cents."""

    key: str
    source: int
    target: int
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transfer in the double-entry ledger: `amount` cents, negative on the source."""

    transfer: str
    account: int
    amount: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything the ledger of one region holds, read in one snapshot; balances in cents by account."""

    region: str
    transfers: tuple[Transfer, ...]
    entries: tuple[Entry, ...]
    initial: Mapping[int, int]
    balances: Mapping[int, int]

    @property
    def keys(self) -> tuple[str, ...]:
        """The idempotency keys it holds, as often as they stand there."""
        return tuple(transfer.key for transfer in self.transfers)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one region's database holds of another workload's writes, read in one snapshot.

    `keys` as often as its probe found them; `broken` is what its invariant complains of, empty when it holds.
    """

    region: str
    keys: tuple[str, ...]
    broken: tuple[str, ...] = ()


Survivor = Ledger | Holdings


@dataclass(frozen=True, slots=True)
class Orphan:
    """A transfer the product calls lost: committed in the lost region, and what became of it since.

    `state` is the product's word: `missing` says it is not on the survivor, `present` and `replayed`
    say it is; any other word claims neither.
    """

    key: str
    state: str
    xid: int | None = None
    committed_at: str | None = None


@dataclass(frozen=True, slots=True)
class OrphanList:
    """`farshore orphans --json`; not `complete` when the old volume could not be read to its end.

    `unresolved` counts the transactions of which the survivor lacks a row, or has another one.
    """

    orphans: tuple[Orphan, ...]
    complete: bool
    lost_region: str | None = None
    epoch: int | None = None
    source: str | None = None
    unresolved: int = 0


class OrphanListError(ValueError):
    """The product's orphan list does not have the published form."""


def parse_orphans(
    document: Mapping[str, Any], *, table: str = "ledger.transfer", column: str = "id"
) -> OrphanList:
    """The writes named in the product's published list, one for each row of `table`, whose key is `column`.

    OrphanListError when a field is missing or of the wrong type: a list that cannot be read proves nothing.
    """
    try:
        orphans = [
            Orphan(
                key=str(row["key"][column]),
                state=str(row["state"]),
                xid=transaction.get("xid"),
                committed_at=transaction.get("committed_at"),
            )
            for transaction in document["orphans"]
            for row in transaction["rows"]
            if row["table"] == table
        ]
        unresolved = sum(
            any(row["state"] != "replayed" for row in transaction["rows"])
            for transaction in document["orphans"]
        )
        complete = document["complete"] is True
    except (KeyError, TypeError, AttributeError) as error:
        raise OrphanListError(f"orphan list: {type(error).__name__} {error}") from error
    return OrphanList(
        orphans=tuple(orphans),
        complete=complete,
        lost_region=document.get("lost_region"),
        epoch=document.get("epoch"),
        source=document.get("source"),
        unresolved=unresolved,
    )
