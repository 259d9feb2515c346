"""A region's monitor: probes the database endpoints of both regions and writes down what it sees.

Each endpoint has a thread of its own, so that one slow or dead endpoint never delays the sampling of the others.
"""

import threading
from collections.abc import Callable, Mapping

from psycopg import sql

from farshore.core.facts import Endpoints, Now
from farshore.core.profile import Profile
from farshore.log import log
from farshore.ports import Clock, Journal, Sighting
from farshore.postgres.session import DatabaseUnreachableError, Session

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
# Only the writer knows how far its secondaries are behind; its own row carries -1.
_PROBE = sql.SQL("""
    select case when not pg_is_in_recovery() then
        (select min(rpo_lag_in_msec) from aurora_global_db_status() where rpo_lag_in_msec >= 0) end
""")
_LOOK_MS = 20


class Prober:
    """Probes one endpoint for ever; `silent_ms` is None until a first probe has been answered or has failed.

    A process that was frozen asked nobody: a turn that took longer than a probe can is no evidence of silence (P4).
    """

    def __init__(self, session: Session, profile: Profile, clock: Clock) -> None:
        self._session = session
        self._profile = profile
        self._clock = clock
        self._turn_max_ms = profile.unreachable_after_ms + 3 * profile.probe_ms
        self._heard_ms = self._turned_ms = clock.now().mono_ms
        self._tried = False
        self._lag: tuple[int, int] | None = None
        self._stopped = threading.Event()

    def start(self, name: str) -> None:
        threading.Thread(target=self._run, name=f"probe {name}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def silent_ms(self) -> int | None:
        now_ms = self._clock.now().mono_ms
        frozen = now_ms - self._turned_ms > self._turn_max_ms
        return now_ms - self._heard_ms if self._tried and not frozen else None

    def lag_ms(self) -> int | None:
        """The writer's own word on its secondaries, while it is fresh; otherwise unknown."""
        lag = self._lag
        if lag is None or self._clock.now().mono_ms - lag[1] > self._profile.stale_after_ms:
            return None
        return lag[0]

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._turn()
            self._stopped.wait(self._profile.probe_ms / 1000)
        self._session.close()

    def _turn(self) -> None:
        if self._clock.now().mono_ms - self._turned_ms > self._turn_max_ms:
            self._forget()
        self._probe()
        if self._clock.now().mono_ms - self._turned_ms > self._turn_max_ms:
            self._forget()
        self._turned_ms = self._clock.now().mono_ms

    def _forget(self) -> None:
        self._heard_ms = self._turned_ms = self._clock.now().mono_ms
        self._tried = False

    def _probe(self) -> None:
        try:
            lag_ms = self._session.row(_PROBE, (), self._profile.unreachable_after_ms)[0]
        except DatabaseUnreachableError:
            self._tried = True
            return
        now_ms = self._clock.now().mono_ms
        self._lag = None if lag_ms is None else (int(lag_ms), now_ms)
        self._heard_ms, self._tried = now_ms, True


class Monitor:
    """`sessions`: for each region one session per endpoint, writer first.

    `tell_lag(lag_ms, at_unix_ms)` hears a known lag every `metric_ms`, in both regions alike; an unknown one, never.
    """

    def __init__(
        self,
        *,
        region: str,
        process: str,
        sessions: Mapping[str, tuple[Session, Session]],
        profile: Profile,
        journal: Journal,
        clock: Clock,
        tell_lag: Callable[[int, int], None] = lambda _lag_ms, _at_unix_ms: None,
    ) -> None:
        self._region = region
        self._process = process
        self._profile = profile
        self._journal = journal
        self._clock = clock
        self._tell_lag = tell_lag
        self._told_ms: int | None = None
        self._round = 0
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
        lag_ms = self._lag_ms()
        started = self._clock.now()
        self._tell(lag_ms, started)
        self._journal.put_sighting(
            Sighting(
                region=self._region,
                sequence=f"{self._process}/{self._round}",
                endpoints=self._endpoints(),
                lag_ms=lag_ms,
                at_unix_ms=started.wall_ms,
            )
        )
        took_ms = self._clock.now().mono_ms - started.mono_ms
        if took_ms > self._profile.stale_after_ms:
            log("observation-late", took_ms=took_ms, region=self._region)
        return max(0, self._profile.probe_ms - took_ms)

    def _tell(self, lag_ms: int | None, now: Now) -> None:
        is_due = self._told_ms is None or now.mono_ms - self._told_ms >= self._profile.metric_ms
        if lag_ms is not None and is_due:
            self._told_ms = now.mono_ms
            self._tell_lag(lag_ms, now.wall_ms)

    def look(self) -> tuple[dict[str, Endpoints], int | None]:
        """What every endpoint answers to one probe, and the lag; nothing is written. Takes one deadline at most."""
        give_up_ms = self._clock.now().mono_ms + self._profile.unreachable_after_ms + self._profile.probe_ms
        while self._clock.now().mono_ms < give_up_ms:
            if all(
                seen.writer_silent_ms is not None and seen.reader_silent_ms is not None
                for seen in self._endpoints().values()
            ):
                break
            self._clock.sleep(_LOOK_MS)
        return self._endpoints(), self._lag_ms()

    def _endpoints(self) -> dict[str, Endpoints]:
        return {
            probed: Endpoints(writer.silent_ms(), reader.silent_ms())
            for probed, (writer, reader) in self._probers.items()
        }

    def _lag_ms(self) -> int | None:
        lags = [lag for writer, _ in self._probers.values() if (lag := writer.lag_ms()) is not None]
        return min(lags) if lags else None

    def stop(self) -> None:
        """End the probing; each prober closes its session on its way out."""
        for pair in self._probers.values():
            for prober in pair:
                prober.stop()
