"""What the client is told (Settings, Target, Key) and what it answers (Outcome)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Status = Literal["ok", "failed", "unknown"]
T = TypeVar("T")


class AlreadyAppliedError(Exception):
    """Raise it from `work` when the idempotency key shows that the work is in the database already."""


class WorkError(Exception):
    """`work` broke its contract with transact(); what it did before is not known to be undone."""


@dataclass(frozen=True, slots=True)
class Target:
    """One region's writer endpoint; `host` is the name in the server's certificate."""

    region: str
    host: str
    port: int = 5432


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: the row that `work` leaves behind, and only that work.

    table    "ledger.payment": the table that `work` inserts into; the database user must be able to read it
    columns  the columns of one unique constraint of that table, and the values that `work` inserts there
    """

    table: str
    columns: Mapping[str, object]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError(
                f"Key({self.table!r}): columns is empty: name the columns that identify the work"
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the ledger. Times are seconds.

    writer_name    the DNS name that follows authority
    targets        the writer endpoint of each region
    password       or a function of the target, asked for each new session: rotated secrets, IAM tokens;
                   it must answer at once, because nothing bounds it
    sslrootcert    path of the authority's certificate, or "system"; the server's name is always verified
    nameservers    "address:port" each; empty means the system's resolver configuration
    attempt_s      one attempt's deadline: several round trips, well under any call's own deadline
    connect_s      deadline of one connection or probe made in the background
    warm           idle sessions kept open to each region, so that a new writer needs no handshake
    spare_s        an idle session above `warm` that was not used for so long is closed
    probe_pause_s  longest pause between two looks at one endpoint while no writer is known; it grows with
                   the search, to one second at most
    idle_check_s   pause between two looks at the warm sessions while the writer answers
    """

    writer_name: str
    targets: tuple[Target, ...]
    dbname: str
    user: str
    password: str | Callable[[Target], str]
    sslrootcert: str = "system"
    nameservers: tuple[str, ...] = ()
    application_name: str = "farshore-client"
    attempt_s: float = 1.0
    connect_s: float = 1.0
    warm: int = 1
    spare_s: float = 60.0
    probe_pause_s: float = 0.05
    idle_check_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets is empty: name the writer endpoint of each region")
        for name in ("attempt_s", "connect_s", "spare_s", "probe_pause_s", "idle_check_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be above 0 seconds")
        if self.warm < 1:
            raise ValueError(f"warm = {self.warm}: keep at least 1 session per region")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a transaction ended.

    ok       committed, and confirmed as the only writer's: `region` and `epoch` say whose
    failed   certainly not committed
    unknown  it may have been committed; ask again with the same idempotency key

    `value` is what `work` returned in the attempt that ended it (None if `replayed`: an earlier attempt with
    the same key had landed). `error` is an SQLSTATE or a short text, `cause` the exception behind it.
    """

    status: Status
    attempts: int
    region: str | None = None
    epoch: int | None = None
    value: T | None = None
    replayed: bool = False
    error: str | None = None
    cause: BaseException | None = None
