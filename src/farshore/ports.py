"""What the controller needs from the world. The adapters are in aws/ and postgres/, the simulator has its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from farshore.core.authority import Authority, Event
from farshore.core.facts import Endpoints, GlobalCluster, LagReading, Now, Server


class Clock(Protocol):
    def now(self) -> Now: ...

    def sleep(self, milliseconds: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """A monitor's observation as it stands in the table; its age is for the reader to time.

    `lag_state` and `lag_why`: the verdict of `core.lag` on the readings; `lag_doubts`: those that should be known and
    are not; `lag_told`: the state that people were last told of; `lag_minutes`: the least and the most lag of each of
    the last minutes, as Unix minute, ms, ms; `lag_writer`: the region that writes, by the databases, and since when it
    has, in Unix ms; `took_ms`: from the start of the monitor's cycle before this one to its own; `lag_readings`: what
    each source of the lag was worth.
    """

    region: str
    sequence: str
    endpoints: Mapping[str, Endpoints]
    lag_ms: int | None
    at_unix_ms: int
    lag_state: str = ""
    lag_why: str = ""
    lag_doubts: Sequence[str] = ()
    lag_told: str = ""
    lag_minutes: Sequence[tuple[int, int, int]] = ()
    lag_writer: tuple[str, int] | None = None
    took_ms: int = 0
    lag_readings: Sequence[LagReading] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """A loop that says it is running, so that an older one of the same kind and region steps aside."""

    kind: str
    region: str
    process: str
    started_ms: int
    beat: int


@dataclass(frozen=True, slots=True)
class Page:
    """One strongly consistent read of everything the table says now."""

    record: Authority | None
    sightings: Mapping[str, Sighting]
    presences: Sequence[Presence]


class Journal(Protocol):
    """The authority table. Every method raises UnknownOutcomeError when no reply came in time."""

    def read(self) -> Page: ...

    def compare_and_set(self, before: Authority | None, after: Authority) -> bool:
        """Write `after` if the table still holds `before`'s version; False: somebody else was first."""

    def put_event(self, event: Event) -> None:
        """Keep an event for history; writing the same event again changes nothing."""

    def put_presence(self, presence: Presence) -> None: ...

    def put_sighting(self, sighting: Sighting) -> None: ...

    def history(self, after_version: int = 0) -> list[Event]: ...


class Database(Protocol):
    """A region's cluster through its writer endpoint, as the guard's role. Every call has a deadline."""

    def inspect(self, timeout_ms: int) -> Server | None:
        """None when it could not be reached in time."""

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:
        """Grant the epoch if it is new, then renew its lease from `started_us` (the server's clock)."""

    def fence(self, epoch: int, timeout_ms: int) -> bool: ...

    def drain(self, epoch: int, barrier_ms: int, timeout_ms: int) -> int | None:
        """Fence `epoch` and wait until nothing of it is on its way to disk; the log's end then.

        Sessions that hold the wait up for longer than `barrier_ms` are ended. None: it is not certain.
        """


InTime = Callable[[], bool]


class Cloud(Protocol):
    """The global cluster's control plane, called in this region only."""

    def describe(self) -> GlobalCluster | None:
        """None when it could not be read."""

    def promote(self, region: str, in_time: InTime) -> None:
        """FailoverGlobalCluster with AllowDataLoss towards `region`; sent once, never retried by the SDK.

        `in_time` is asked when the request has its date and its signature, before it leaves: what leaves later all
        the same is too old for AWS within a signature's life.
        Raises MoveTooLateError when it said no, MoveRefusedError when AWS did, UnknownOutcomeError without a reply.
        """

    def switch(self, region: str, in_time: InTime) -> None:
        """SwitchoverGlobalCluster towards `region`, as `promote`."""


class Publisher(Protocol):
    def authority_home(self, *, is_home: bool, read_at_ms: int) -> None:
        """Publish this region's word on whether authority is at home, as of a read at that wall-clock time.

        Must not block the caller.
        """


class Teller(Protocol):
    def transition(self, record: Authority, process: str) -> None:
        """Tell people and machines of the record's last event, which `process` has written or seen.

        Must not block the caller.
        """


class Silence:
    """A teller that tells nobody."""

    def transition(self, record: Authority, process: str) -> None:
        pass
