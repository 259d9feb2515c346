"""Probes one database endpoint for ever, in a thread of its own, so that no endpoint delays another's sampling."""

import threading

from psycopg import sql

from farshore.core.lag import Replica, Word
from farshore.core.profile import Profile
from farshore.ports import Clock
from farshore.postgres.session import DatabaseUnreachableError, Session
from farshore.survive import survive

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
# Only the writer knows how far its secondaries are behind; its own row carries -1, and one that has just connected has
# no calculation yet.
_PROBE = sql.SQL("""
    select not pg_is_in_recovery(), case when not pg_is_in_recovery() then
        (select coalesce(json_agg(json_build_array(aws_region, rpo_lag_in_msec, round(extract(epoch from
                clock_timestamp() - last_lag_calculation_time) * 1000)::bigint)), '[]')
           from aurora_global_db_status() where rpo_lag_in_msec >= 0 and last_lag_calculation_time is not null) end
""")


class Prober:
    """`silent_ms` is None until a first probe has been answered or has failed.

    A process that was frozen asked nobody: a turn that took longer than a probe can is no evidence of silence (P4).
    `asked` and `answered` count probes.
    """

    def __init__(self, session: Session, profile: Profile, clock: Clock) -> None:
        self.asked = self.answered = 0
        self._session = session
        self._profile = profile
        self._clock = clock
        self._turn_max_ms = profile.unreachable_after_ms + 3 * profile.probe_ms
        self._heard_ms = self._turned_ms = clock.now().mono_ms
        self._tried = False
        self._word: tuple[Word, int] | None = None
        self._stopped = threading.Event()

    def start(self, name: str) -> None:
        threading.Thread(target=self._run, args=(f"probe {name}",), name=f"probe {name}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def silent_ms(self) -> int | None:
        now_ms = self._clock.now().mono_ms
        frozen = now_ms - self._turned_ms > self._turn_max_ms
        return now_ms - self._heard_ms if self._tried and not frozen else None

    def word(self) -> Word | None:
        """What the endpoint said last, as old as it is by now; None once that is stale."""
        kept = self._word
        if kept is None:
            return None
        word, at_ms = kept
        since_ms = self._clock.now().mono_ms - at_ms
        if since_ms > self._profile.stale_after_ms:
            return None
        replicas = (Replica(r.region, r.rpo_lag_ms, r.age_ms + since_ms) for r in word.replicas)
        return Word(word.writes, tuple(replicas))

    def _run(self, name: str) -> None:
        while not self._stopped.is_set():
            survive(name, self._turn)
            self._stopped.wait(self._profile.probe_ms / 1000)
        self._session.close()

    def _turn(self) -> None:
        if self._clock.now().mono_ms - self._turned_ms > self._turn_max_ms:
            self._forget()
        try:
            self._probe()
        except Exception:
            self._forget()  # an answer that cannot be read is neither silence nor a sign of a writer
            raise
        turned_ms = self._clock.now().mono_ms
        if turned_ms - self._turned_ms > self._turn_max_ms:
            self._forget()
        self._turned_ms = turned_ms

    def _forget(self) -> None:
        self._heard_ms = self._turned_ms = self._clock.now().mono_ms
        self._tried = False

    def _probe(self) -> None:
        self.asked += 1
        try:
            writes, replicas = self._session.row(_PROBE, (), self._profile.unreachable_after_ms)
        except DatabaseUnreachableError:
            self._tried = True
            return
        now_ms = self._clock.now().mono_ms
        said = (
            Replica(region, int(lag_ms), max(0, int(age_ms))) for region, lag_ms, age_ms in replicas or ()
        )
        self._word = Word(bool(writes), tuple(said)), now_ms
        self._heard_ms, self._tried = now_ms, True
        self.answered += 1
