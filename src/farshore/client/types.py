"""What the client is told (Settings, Target) and what it answers (Outcome)."""

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
class Settings:
    """How to reach the ledger. Times are seconds.

    writer_name    the DNS name that follows authority
    targets        the writer endpoint of each region
    sslrootcert    path of the authority's certificate, or "system"; the server's name is always verified
    nameservers    "address:port" each; empty means the system's resolver configuration
    attempt_s      one attempt's deadline: several round trips, well under any call's own deadline
    connect_s      deadline of one connection or probe made in the background
    warm           idle sessions kept open to each region, so that a new writer needs no handshake
    probe_pause_s  longest pause between two looks at one endpoint while no writer is known
    idle_check_s   pause between two looks at the warm sessions while the writer answers
    """

    writer_name: str
    targets: tuple[Target, ...]
    dbname: str
    user: str
    password: str
    sslrootcert: str = "system"
    nameservers: tuple[str, ...] = ()
    application_name: str = "farshore-client"
    attempt_s: float = 1.0
    connect_s: float = 1.0
    warm: int = 1
    probe_pause_s: float = 0.05
    idle_check_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets is empty: name the writer endpoint of each region")
        for name in ("attempt_s", "connect_s", "probe_pause_s", "idle_check_s"):
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
