"""What one controller knows at one instant, read once and frozen. What could not be read is None: unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Now:
    """Wall clock for people and deadlines on paper, monotonic clock for every interval; both milliseconds."""

    wall_ms: int
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Endpoints:
    """How long a region's two database endpoints have been silent, in ms; None: never heard of."""

    writer_silent_ms: int | None
    reader_silent_ms: int | None

    def both_silent_for(self, threshold_ms: int) -> bool:
        """Only a known silence counts: an endpoint never probed is unknown, not dead (P4)."""
        silences = (self.writer_silent_ms, self.reader_silent_ms)
        return all(silent is not None and silent >= threshold_ms for silent in silences)


@dataclass(frozen=True, slots=True)
class Observation:
    """A region's monitor as read from the table; `unchanged_ms` is its age on the reader's own clock."""

    region: str
    sequence: str
    unchanged_ms: int
    endpoints: Mapping[str, Endpoints] = field(default_factory=dict)
    lag_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LagReading:
    """What one source of the lag was worth to a monitor (`core.lag.Quality`), and how old its word was then.

    `lag_ms` only of a known one; `age_ms` None: it has said nothing.
    """

    source: str
    quality: str
    lag_ms: int | None = None
    age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A database server's own word, from one query on its writer endpoint.

    `clock_us` is its clock_timestamp(), `clock_step_ms` how far that clock moved against the reader's monotonic
    clock since the query before, `lag_ms` the smallest RPO lag of its secondaries (None: unknown), `received_lsn`
    how far the foremost secondary has the log on disk, `writes_per_s` the rate of committed writes.
    """

    region: str
    in_recovery: bool
    epoch: int
    fenced: bool
    enforcing: bool
    clock_us: int
    lag_ms: int | None
    clock_step_ms: int = 0
    received_lsn: int | None = None
    writes_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class GlobalCluster:
    """DescribeGlobalClusters: who is writer, and whether a move is under way (FailoverState.Status)."""

    writer_region: str | None
    moving: str | None
    synchronized: bool


@dataclass(frozen=True, slots=True)
class Drained:
    """Fence set and barrier passed in `epoch`'s database: no byte of that epoch comes after `lsn`."""

    epoch: int
    lsn: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What AWS said to this process's request to move the writer; `ago_ms` since it was said."""

    epoch: int
    attempt: int
    accepted: bool
    ago_ms: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`lease_unchanged_ms`: how long this process has seen no renewal, on its monotonic clock (H8).

    `cluster_unchanged_ms`: how long it has seen the global cluster in this same state; `move_sent`: whether it has
    itself sent the request that the record intends; `record_unchanged_ms`: how long it has seen this very version;
    `own_renewal`: whether it has itself written the last renewal.
    """

    me: str
    process: str
    lease_unchanged_ms: int
    observations: Mapping[str, Observation] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    cluster: GlobalCluster | None = None
    cluster_unchanged_ms: int = 0
    record_unchanged_ms: int = 0
    own_renewal: bool = False
    move_sent: bool = False
    reply: Reply | None = None
    drained: Drained | None = None
