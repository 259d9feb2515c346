"""The guard's functions behind the Database port: inspect, renew, fence."""

import time

from psycopg import sql

from farshore.core.errors import FarshoreError
from farshore.core.facts import Server
from farshore.postgres.session import DatabaseUnreachableError, Session

# aurora_global_db_status: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
# Its rows with rpo_lag_in_msec -1 are the writer's own.
_INSPECT = sql.SQL("""
    select pg_is_in_recovery(), l.epoch, l.fenced, l.enforcing,
           (date_part('epoch', clock_timestamp()) * 1e6)::bigint,
           case when not pg_is_in_recovery() then
               (select min(rpo_lag_in_msec) from aurora_global_db_status() where rpo_lag_in_msec >= 0) end
    from farshore.lease l
""")
_RENEW = sql.SQL("""
    select farshore.grant_epoch(%s, %s)
       and farshore.renew(%s, to_timestamp(%s::float8 / 1e6), %s * interval '1 millisecond')
""")
_FENCE = sql.SQL("select farshore.fence(%s)")


class GuardedDatabase:
    """One region's writer endpoint. A server that answers wrongly counts as unreachable: unknown, not healthy."""

    def __init__(self, region: str, session: Session) -> None:
        self._region = region
        self._session = session
        self._last_clocks: tuple[int, int, int] | None = None

    def inspect(self, timeout_ms: int) -> Server | None:
        asked_us = time.monotonic_ns() // 1000
        try:
            row = self._session.row(_INSPECT, (), timeout_ms)
        except DatabaseUnreachableError:
            self._last_clocks = None
            return None
        in_recovery, epoch, fenced, enforcing, clock_us, lag_ms = row
        return Server(
            region=self._region,
            in_recovery=in_recovery,
            epoch=epoch,
            fenced=fenced,
            enforcing=enforcing,
            clock_us=clock_us,
            lag_ms=None if lag_ms is None else int(lag_ms),
            clock_step_ms=self._clock_step_ms(clock_us, asked_us, time.monotonic_ns() // 1000),
        )

    def renew(self, region: str, epoch: int, started_us: int, ttl_ms: int, timeout_ms: int) -> bool:
        return self._said_yes(_RENEW, (region, epoch, epoch, started_us, ttl_ms), timeout_ms)

    def fence(self, epoch: int, timeout_ms: int) -> bool:
        return self._said_yes(_FENCE, (epoch,), timeout_ms)

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
