"""The guard's functions behind the Database port: inspect, renew, fence."""

import time

from psycopg import sql

from farshore.core.errors import FarshoreError
from farshore.core.facts import Server
from farshore.core.lag import LIMITS
from farshore.postgres.session import DatabaseUnreachableError, Session

# aurora_global_db_status: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
# Its rows with rpo_lag_in_msec -1 are the writer's own. A lag that was calculated long ago is not told: what it has
# become since is the core's to say (H11).
_INSPECT = sql.SQL("""
    select pg_is_in_recovery(), l.epoch, l.fenced, l.enforcing,
           (date_part('epoch', clock_timestamp()) * 1e6)::bigint,
           case when not pg_is_in_recovery() then
               (select array[min(rpo_lag_in_msec) filter (
                                 where last_lag_calculation_time > clock_timestamp() - %s * interval '1 millisecond'),
                             max(highest_lsn_written)]
                  from aurora_global_db_status() where rpo_lag_in_msec >= 0) end,
           case when not pg_is_in_recovery() then pg_snapshot_xmax(pg_current_snapshot())::text::bigint end
    from farshore.lease l
""")
_RENEW = sql.SQL("""
    select farshore.grant_epoch(%s, %s)
       and farshore.renew(%s, to_timestamp(%s::float8 / 1e6), %s * interval '1 millisecond')
""")
_FENCE = sql.SQL("select farshore.fence(%s)")
_DRAIN = sql.SQL("select farshore.drain(%s, %s * interval '1 millisecond')")
_RATE_OVER_US = 1_000_000


class GuardedDatabase:
    """One region's writer endpoint. A server that answers wrongly counts as unreachable: unknown, not healthy."""

    def __init__(self, region: str, session: Session) -> None:
        self._region = region
        self._session = session
        self._last_clocks: tuple[int, int, int] | None = None
        self._writes = WriteRate()

    def inspect(self, timeout_ms: int) -> Server | None:
        asked_us = time.monotonic_ns() // 1000
        try:
            row = self._session.row(_INSPECT, (LIMITS.status_stale_ms,), timeout_ms)
        except DatabaseUnreachableError:
            self._last_clocks = None
            return None
        in_recovery, epoch, fenced, enforcing, clock_us, secondary, next_xid = row
        lag_ms, received_lsn = secondary or (None, None)
        return Server(
            region=self._region,
            in_recovery=in_recovery,
            epoch=epoch,
            fenced=fenced,
            enforcing=enforcing,
            clock_us=clock_us,
            lag_ms=lag_ms,
            received_lsn=received_lsn,
            writes_per_s=self._writes.after(next_xid, clock_us),
            clock_step_ms=self._clock_step_ms(clock_us, asked_us, time.monotonic_ns() // 1000),
        )

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:
        return self._said_yes(_RENEW, (region, epoch, epoch, started_us, ttl_ms), timeout_ms)

    def fence(self, epoch: int, timeout_ms: int) -> bool:
        return self._said_yes(_FENCE, (epoch,), timeout_ms)

    def drain(self, epoch: int, barrier_ms: int, timeout_ms: int) -> int | None:
        """Fenced in a transaction of its own: whoever asks after it must see the fence, not wait for it."""
        if not self.fence(epoch, timeout_ms):
            return None
        try:
            lsn = self._session.row(_DRAIN, (epoch, barrier_ms), timeout_ms)[0]
        except FarshoreError:
            return None
        return None if lsn is None else int(lsn)

    def _said_yes(self, statement: sql.SQL, values: tuple[object, ...], timeout_ms: int) -> bool:
        try:
            return bool(self._session.row(statement, values, timeout_ms)[0])
        except FarshoreError:
            return False

    def _clock_step_ms(self, clock_us: int, asked_us: int, answered_us: int) -> int:
        """How far the server's clock certainly moved against ours since the last look; a slow network is no step."""
        before, self._last_clocks = self._last_clocks, (clock_us, asked_us, answered_us)
        if before is None:
            return 0
        moved_us = clock_us - before[0]
        shortest_us, longest_us = asked_us - before[2], answered_us - before[1]
        if moved_us > longest_us:
            return (moved_us - longest_us) // 1000
        return min(0, moved_us - shortest_us) // 1000


class WriteRate:
    """Committed write transactions a second, from how fast the server gives out transaction ids."""

    def __init__(self) -> None:
        self._since: tuple[int, int] | None = None
        self._rate: int | None = None

    def after(self, next_xid: int | None, clock_us: int) -> int | None:
        if next_xid is None:
            self._since = self._rate = None
            return None
        if self._since is None or next_xid < self._since[0]:
            self._since = (next_xid, clock_us)
        elapsed_us = clock_us - self._since[1]
        if elapsed_us >= _RATE_OVER_US:
            self._rate = (next_xid - self._since[0]) * 1_000_000 // elapsed_us
            self._since = (next_xid, clock_us)
        return self._rate
