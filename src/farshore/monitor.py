"""A region's monitor: probes the database endpoints of both regions, judges the lag, and writes down what it sees.

Endpoints, CloudWatch, the publishing of metrics and of alerts each have a thread of their own: whatever of them is slow
or dead delays none of the others, and never an observation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Endpoints, LagReading, Now
from farshore.core.lag import (
    LIMITS,
    Limits,
    Metric,
    Minute,
    Patience,
    Seen,
    State,
    Verdict,
    around,
    is_news,
    judge,
    noted,
    sole_writer,
)
from farshore.core.profile import Profile
from farshore.log import log
from farshore.ports import Clock, Journal, Sighting
from farshore.postgres.session import Session
from farshore.prober import Prober

UNKNOWN_FOR_MS = 30_000
"""How long the lag may be unknown before people are told; a loop lives a minute, and must live to see it."""
OVERRUN = 1.1
"""A cycle that takes so many paces is reported; less is a busy computer that wakes a thread late."""
_LOOK_MS = 20
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Outlets:
    """Beyond the table. None of them may block: `metric` tells what CloudWatch answered last, `publish` takes a verdict
    and its time every `metric_ms`, `alert` the state that people were told of before and a verdict that is news."""

    metric: Callable[[], Metric] = Metric
    publish: Callable[[Verdict, int], None] = lambda _verdict, _at_unix_ms: None
    alert: Callable[[State, Verdict], None] = lambda _before, _verdict: None


NOWHERE = Outlets()


@dataclass(slots=True)
class _Lasting:
    """The lag's state, since when it has been so, and what people were last told; None: not yet read in the table.

    `writer`: the region that writes and the Unix ms at which it was first seen to; kept while nobody can be seen to.
    """

    state: State = State.OK
    since_ms: int = 0
    told: State | None = None
    minutes: tuple[Minute, ...] = field(default_factory=tuple)
    writer: tuple[str, int] | None = None


class Monitor:
    """`sessions`: for each region one session per endpoint, writer first."""

    def __init__(
        self,
        *,
        region: str,
        process: str,
        sessions: Mapping[str, tuple[Session, Session]],
        profile: Profile,
        journal: Journal,
        clock: Clock,
        limits: Limits = LIMITS,
        outlets: Outlets = NOWHERE,
    ) -> None:
        self._region, self._process, self._profile = region, process, profile
        self._journal, self._clock = journal, clock
        self._limits, self._outlets = limits, outlets
        self._patience = Patience(profile.probe_ms, UNKNOWN_FOR_MS, 3 * profile.probe_ms)
        self._began_ms = clock.now().mono_ms
        self._lasting = _Lasting(since_ms=self._began_ms)
        self._published_ms: int | None = None
        self._started_ms: int | None = None
        self._round = self._overran = self._took_ms = 0
        self._probers = {
            probed: (Prober(writer, profile, clock), Prober(reader, profile, clock))
            for probed, (writer, reader) in sessions.items()
        }
        for probed, (writer_prober, reader_prober) in self._probers.items():
            writer_prober.start(f"{probed} writer")
            reader_prober.start(f"{probed} reader")

    def tick(self) -> int:
        """Write one observation; returns how many ms to rest. Raises UnknownOutcomeError without the table."""
        self._round += 1
        started = self._clock.now()
        self._note_pace(started.mono_ms)
        self._adopt()
        verdict = self._verdict(started)
        if verdict is not None:
            self._publish(verdict, started)
            self._tell(verdict, started)
        self._journal.put_sighting(self._sighting(verdict, started))
        return max(0, self._profile.probe_ms - (self._clock.now().mono_ms - started.mono_ms))

    def look(self) -> tuple[dict[str, Endpoints], Verdict]:
        """What every endpoint answers to one probe, and the lag; nothing is written. Takes one deadline at most."""
        give_up_ms = self._clock.now().mono_ms + self._profile.unreachable_after_ms + self._profile.probe_ms
        while self._clock.now().mono_ms < give_up_ms:
            if all(
                seen.writer_silent_ms is not None and seen.reader_silent_ms is not None
                for seen in self._endpoints().values()
            ):
                break
            self._clock.sleep(_LOOK_MS)
        return self._endpoints(), judge(self._seen(), self._limits)

    def counts(self) -> dict[str, object]:
        """Cycles, those whose successor began late, and for each endpoint the probes asked and answered."""
        probes = {
            f"{probed} {which}": [prober.asked, prober.answered]
            for probed, pair in self._probers.items()
            for which, prober in zip(("writer", "reader"), pair, strict=True)
        }
        return {"cycles": self._round, "overran": self._overran, "probes": probes}

    def stop(self) -> None:
        """End the probing; each prober closes its session on its way out."""
        for pair in self._probers.values():
            for prober in pair:
                prober.stop()

    def _note_pace(self, started_ms: int) -> None:
        """From start to start, so that what the loop does between two ticks counts too."""
        before_ms, self._started_ms = self._started_ms, started_ms
        if before_ms is None:
            return
        self._took_ms, pace_ms = started_ms - before_ms, self._profile.probe_ms
        if self._took_ms > pace_ms * OVERRUN:
            self._overran += 1
            log("cycle-overran", region=self._region, took_ms=self._took_ms, pace_ms=pace_ms)

    def _adopt(self) -> None:
        """What the loop before this one told people and saw in the last minutes; without the table, nothing yet."""
        if self._lasting.told is not None:
            return
        try:
            before = self._journal.read().sightings.get(self._region)
        except UnknownOutcomeError:
            return
        self._lasting.told = State(before.lag_told or State.OK) if before else State.OK
        self._lasting.minutes = (*(before.lag_minutes if before else ()), *self._lasting.minutes)
        own, theirs = self._lasting.writer, before.lag_writer if before else None
        if theirs is not None and (own is None or own[0] == theirs[0]):
            self._lasting.writer = theirs

    def _verdict(self, now: Now) -> Verdict | None:
        """None while a monitor that has just started has not heard enough to call anything unknown."""
        seen, lasting = self._seen(), self._lasting
        has_waited = (
            now.mono_ms - self._began_ms > self._profile.unreachable_after_ms + self._profile.probe_ms
        )
        if not has_waited and not any(word.writes for word in seen.words.values()):
            return None
        verdict = judge(seen, self._limits)
        if verdict.lag_ms is not None:
            lasting.minutes = noted(lasting.minutes, now.wall_ms // _MINUTE_MS, verdict.lag_ms)
        if verdict.state is not lasting.state:
            lasting.state, lasting.since_ms = verdict.state, now.mono_ms
            log("lag", region=self._region, state=verdict.state, lag_ms=verdict.lag_ms, why=verdict.why)
        return verdict

    def _seen(self) -> Seen:
        words = {
            region: word
            for region, (writer, _) in self._probers.items()
            if (word := writer.word()) is not None
        }
        metric = self._outlets.metric()
        recent = None if metric.minute is None else around(self._lasting.minutes, metric.minute)
        return Seen(self._region, words, metric, recent, self._writer_for_ms(sole_writer(words)))

    def _writer_for_ms(self, writer: str | None) -> int | None:
        now_ms, before = self._clock.now().wall_ms, self._lasting.writer
        if writer is None:
            return None
        if before is None or before[0] != writer:
            self._lasting.writer = before = (writer, now_ms)
        return max(0, now_ms - before[1])

    def _publish(self, verdict: Verdict, now: Now) -> None:
        if self._published_ms is None or now.mono_ms - self._published_ms >= self._profile.metric_ms:
            self._published_ms = now.mono_ms
            self._outlets.publish(verdict, now.wall_ms)

    def _tell(self, verdict: Verdict, now: Now) -> None:
        """Loops overlap: before people are told, the table is asked whether the other loop has told them."""
        lasting = self._lasting
        lasted_ms = now.mono_ms - lasting.since_ms
        if lasting.told is None or not is_news(lasting.told, verdict.state, lasted_ms, self._patience):
            return
        before, lasting.told = lasting.told, verdict.state
        try:
            other = self._journal.read().sightings.get(self._region)
        except UnknownOutcomeError:
            other = None
        if other is None or other.lag_told != verdict.state:
            self._outlets.alert(before, verdict)

    def _sighting(self, verdict: Verdict | None, now: Now) -> Sighting:
        return Sighting(
            region=self._region,
            sequence=f"{self._process}/{self._round}",
            endpoints=self._endpoints(),
            lag_ms=verdict.lag_ms if verdict else None,
            at_unix_ms=now.wall_ms,
            lag_state=verdict.state if verdict else "",
            lag_why=verdict.why if verdict else "the monitor has just started",
            lag_doubts=verdict.doubts if verdict else (),
            lag_told=self._lasting.told or "",
            lag_minutes=self._lasting.minutes,
            lag_writer=self._lasting.writer,
            took_ms=self._took_ms,
            lag_readings=tuple(
                LagReading(one.source, one.quality, one.lag_ms, one.age_ms)
                for one in (verdict.readings if verdict else ())
            ),
        )

    def _endpoints(self) -> dict[str, Endpoints]:
        return {
            probed: Endpoints(writer.silent_ms(), reader.silent_ms())
            for probed, (writer, reader) in self._probers.items()
        }
