"""The controller's ports into the simulated world; every journal write and every act is a point to break in at."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farshore.core.authority import Authority, Event
from farshore.core.errors import MoveRefusedError, UnknownOutcomeError
from farshore.core.facts import GlobalCluster, Server
from farshore.core.profile import SIGNATURE_LIFE_MS
from farshore.ports import Page, Presence, Sighting
from farshore.simulate import servers
from farshore.simulate.servers import Move, SimServer

if TYPE_CHECKING:
    from farshore.simulate.world import SimWorld


@dataclass
class SimJournal:
    world: "SimWorld"
    region: str
    process: str = ""

    def _reach(self) -> None:
        if self.region in self.world.cluster.lost or not self.world.answers("table"):
            raise UnknownOutcomeError("the table does not answer")

    def read(self) -> Page:
        self._reach()
        return Page(self.world.record, dict(self.world.sightings), ())

    def compare_and_set(self, before: Authority | None, after: Authority) -> bool:
        self._reach()
        self.world.at_point(f"before {after.phase}", self.process)
        self._reach()
        there = self.world.record
        if (there.version if there else None) != (before.version if before else None):
            return False
        self.world.record = after
        self.world.at_point(f"after {after.phase}", self.process)
        return True

    def put_event(self, event: Event) -> None:
        if event not in self.world.events:
            self.world.events.append(event)

    def put_presence(self, presence: Presence) -> None:
        raise NotImplementedError(presence)

    def put_sighting(self, sighting: Sighting) -> None:
        self.world.sightings[sighting.region] = sighting

    def history(self, after_version: int = 0) -> list[Event]:
        return [event for event in self.world.events if event.version > after_version]


@dataclass
class SimDatabase:
    world: "SimWorld"
    caller: str
    region: str
    process: str = ""

    def _server(self) -> SimServer | None:
        server = self.world.cluster.servers[self.region]
        return None if server.away or {self.caller, self.region} & self.world.cluster.lost else server

    def inspect(self, timeout_ms: int) -> Server | None:  # noqa: ARG002 - an answer takes no time here
        server = self._server()
        if server is None:
            return None
        received_lsn = self.world.cluster.received_lsn(self.region)
        return Server(
            region=self.region,
            in_recovery=server.in_recovery,
            epoch=server.epoch,
            fenced=server.fenced,
            enforcing=True,
            clock_us=self.world.clock.mono_ms * 1000,
            lag_ms=server.lag_ms if received_lsn is not None else None,
            received_lsn=received_lsn,
            writes_per_s=10,
        )

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:  # noqa: ARG002
        self.world.at_point("before renew", self.process)
        server = self._server()
        renewed = server is not None and server.grant_and_renew(epoch, started_us, ttl_ms)
        self.world.at_point("after renew", self.process)
        return renewed

    def fence(self, epoch: int, timeout_ms: int) -> bool:  # noqa: ARG002 - the port's signature
        self.world.at_point("before fence", self.process)
        server = self._server()
        return server is not None and server.fence(epoch)

    def drain(self, epoch: int, barrier_ms: int, timeout_ms: int) -> int | None:  # noqa: ARG002
        self.world.at_point("before drain", self.process)
        server = self._server()
        drained = server is not None and server.fence(epoch)
        lsn = server.lsn if server is not None and drained else None
        self.world.at_point("after drain", self.process)
        return lsn


@dataclass
class SimCloud:
    """AWS as its page describes it; a request reaches it at once, or late, or never, as the world says."""

    world: "SimWorld"
    region: str
    process: str = ""

    def describe(self) -> GlobalCluster | None:
        cluster = self.world.cluster
        if self.region in cluster.lost or not self.world.answers("describe"):
            return None
        moving = cluster.move.status if cluster.move else None
        return GlobalCluster(cluster.writer, moving, synchronized=cluster.connected())

    def promote(self, region: str) -> None:
        self._ask(region, planned=False)

    def switch(self, region: str) -> None:
        self._ask(region, planned=True)

    def _ask(self, region: str, *, planned: bool) -> None:
        world, what = self.world, "switchover" if planned else "promotion"
        signed_ms = world.clock.mono_ms
        world.asked(region, planned=planned, by=self.process)
        world.at_point(f"before {what} arrives", self.process)
        answer = world.aws()
        if self.region in world.cluster.lost or answer == "request lost":
            raise UnknownOutcomeError("no reply")
        if answer == "throttled" or world.clock.mono_ms - signed_ms > SIGNATURE_LIFE_MS:
            raise MoveRefusedError("AWS took no notice of it")
        self._begin(region, answer, planned=planned)
        world.at_point(f"after {what} arrived", self.process)
        if answer == "reply lost":
            raise UnknownOutcomeError("no reply")

    def _begin(self, region: str, answer: str, *, planned: bool) -> None:
        """Only a reader that follows can be asked for, and only while nothing else moves."""
        cluster = self.world.cluster
        unfit = planned and not cluster.connected()
        if answer == "refused" or cluster.move is not None or cluster.writer == region or unfit:
            raise MoveRefusedError("AWS said no")
        takes_ms = servers.SWITCHOVER_MS if planned else servers.PROMOTION_MS
        until_ms = self.world.clock.mono_ms + takes_ms
        cluster.begin(Move(region, until_ms, planned, answer == "cancelled"))


class SimPublisher:
    """Where DNS would hear it; the simulated clients look at the servers themselves."""

    def authority_home(self, *, is_home: bool, read_at_ms: int) -> None:
        """Nobody listens yet."""
