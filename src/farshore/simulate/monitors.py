"""The unmodified monitor and its probers in the simulated world: each look is a turn of every prober, one by one."""

from collections.abc import Sequence
from typing import Any, cast

from farshore.core.errors import UnknownOutcomeError
from farshore.monitor import Monitor
from farshore.ports import Clock
from farshore.postgres.session import DatabaseUnreachableError, Session
from farshore.prober import Prober
from farshore.simulate.ports import SimJournal
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld


class SimSession:
    """One endpoint of a region, as the prober of another or the same region asks it."""

    def __init__(self, world: SimWorld, caller: str, region: str, which: str) -> None:
        self._world, self._caller, self.region, self._which = world, caller, region, which
        self.answered_ms = -1

    def row(self, _query: object, _parameters: Sequence[object], _timeout_ms: int) -> tuple[bool, Any]:
        world = self._world
        cluster = world.cluster
        server = cluster.servers[self.region]
        if self._which == "reader" and server.away and not server.reader_away:
            reached = world.reached_region(self._caller, self.region)
        else:
            reached = world.reached(self._caller, self.region) is not None
        if not reached:
            raise DatabaseUnreachableError("no answer")
        self.answered_ms = world.clock.mono_ms
        if server.in_recovery or self._which == "reader":
            return False, None
        known = cluster.received_lsn(self.region) is not None and server.lag_ms is not None
        other = world.names.other(self.region)
        lag_ms = max(server.lag_ms or 0, cluster.behind_ms())
        return True, ((other, lag_ms, 0),) if known else ()


class SimMonitor:
    """A region's monitor; it lives on, its probers' threads are turns taken here."""

    def __init__(self, world: SimWorld, region: str, process: str, clock: Clock) -> None:
        self.region = region
        self.sessions = {
            probed: tuple(SimSession(world, region, probed, which) for which in ("writer", "reader"))
            for probed in (HOME, STANDBY)
        }
        self._monitor = Monitor(
            region=region,
            process=process,
            sessions={},
            profile=world.profile,
            journal=SimJournal(world, region, process),
            clock=clock,
        )
        self._probers = {
            probed: tuple(Prober(cast("Session", s), world.profile, clock) for s in pair)
            for probed, pair in self.sessions.items()
        }
        self._monitor._probers = cast("Any", self._probers)  # noqa: SLF001 - threads would not be repeatable

    def tick(self) -> None:
        for pair in self._probers.values():
            for prober in pair:
                prober._turn()  # noqa: SLF001 - what its thread does for ever
        try:
            self._monitor.tick()
        except UnknownOutcomeError:
            return

    def answered_ms(self, region: str) -> int:
        """When an endpoint of `region` last answered this monitor, on the true clock."""
        return max(session.answered_ms for session in self.sessions[region])
