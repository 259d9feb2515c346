"""The replication lag as whichever region is the standby now sees it."""

import threading
import time

import psycopg

from farshore.drill.product import LabInfo

_CLOSE_S = 3.0
_LAG = """
SELECT pg_is_in_recovery(), (
    SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000
    FROM pg_stat_wal_receiver WHERE last_msg_receipt_time > clock_timestamp() - interval '1 second')
"""


class LagSampler:
    """Asks the standby several times a second how old the last transaction is that reached it.

    `samples` pairs monotonic nanoseconds with milliseconds; None when the region hears from no writer, or could
    not be asked. A region that writes itself has no lag: then the other one is asked.
    """

    def __init__(self, info: LabInfo, every_s: float = 0.25) -> None:
        self.samples: list[tuple[int, float | None]] = []
        self._info, self._every_s = info, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._thread.start()

    @property
    def latest_ms(self) -> float | None:
        return self.samples[-1][1] if self.samples else None

    def close(self) -> None:
        self._stop.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        standby, other = self._info.standby_region, self._info.home_region
        while not self._stop.is_set():
            try:
                self._sample(standby)
            except (psycopg.Error, OSError):
                self._stop.wait(self._every_s)
            self.samples.append((time.monotonic_ns(), None))
            standby, other = other, standby

    def _sample(self, region: str) -> None:
        """Until it writes itself."""
        with self._info.connect(region, admin=True) as connection:
            connection.autocommit = True
            while not self._stop.wait(self._every_s):
                row = connection.execute(_LAG).fetchone()
                if row is None or not row[0]:
                    return
                self.samples.append((time.monotonic_ns(), None if row[1] is None else float(row[1])))
