"""Asks CloudWatch for Aurora's own lag of this region's cluster, from a thread of its own.

AuroraGlobalDBRPOLag and AuroraGlobalDBReplicationLag come once a minute, in milliseconds, in the region that is a
secondary now, by DBClusterIdentifier and SourceRegion.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.lag import Metric
from farshore.core.profile import Profile
from farshore.log import log
from farshore.ports import Clock
from farshore.survive import survive

NAMES = ("AuroraGlobalDBRPOLag", "AuroraGlobalDBReplicationLag")
PERIOD_S = 60
LOOK_BACK_S = 600
EVERY_MS_MIN = 5000
EAGER = 5
"""How many times as often it asks while there is no value: always in the region that writes."""
_MINUTE_MS = 60_000


def every_ms(profile: Profile) -> int:
    """Pause between two questions: the metrics are a minute's, and asking much oftener learns nothing."""
    return max(EVERY_MS_MIN, 3 * profile.metric_ms)


class LagMetricReader:
    """`metric` gives the newest answer at once, as old as it is by now; the RPO lag, or the replication lag if AWS has
    that one alone. Asks every `every_ms`, and `EAGER` times as often while there is nothing."""

    def __init__(
        self, cloudwatch: Any, cluster: str, source_region: str, every_ms: int, clock: Clock
    ) -> None:
        self._cloudwatch, self._clock, self._every_ms = cloudwatch, clock, every_ms
        dimensions = [
            {"Name": "DBClusterIdentifier", "Value": cluster},
            {"Name": "SourceRegion", "Value": source_region},
        ]
        self._queries = [
            {
                "Id": name.lower(),
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/RDS", "MetricName": name, "Dimensions": dimensions},
                    "Period": PERIOD_S,
                    "Stat": "Maximum",
                },
            }
            for name in NAMES
        ]
        self._began_ms = clock.now().mono_ms
        self._answer: tuple[int, tuple[int, int] | None] | None = None
        self._stopped = threading.Event()

    def start(self) -> "LagMetricReader":
        threading.Thread(target=self._run, name="lag metric", daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()

    def metric(self) -> Metric:
        now, answer = self._clock.now(), self._answer
        asked_ms = now.mono_ms - self._began_ms
        if answer is None:
            return Metric(asked_ms=asked_ms)
        answered_at_ms, newest = answer
        answered_ms = now.mono_ms - answered_at_ms
        if newest is None:
            return Metric(answered_ms=answered_ms, asked_ms=asked_ms)
        lag_ms, began_unix_ms = newest
        age_ms = max(0, now.wall_ms - began_unix_ms - PERIOD_S * 1000)
        return Metric(lag_ms, age_ms, answered_ms, asked_ms, began_unix_ms // _MINUTE_MS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            survive("lag metric", self.ask)
            has_value = self._answer is not None and self._answer[1] is not None
            self._stopped.wait((self._every_ms if has_value else self._every_ms / EAGER) / 1000)

    def ask(self) -> None:
        """One question; what cannot be answered leaves the last answer to grow old."""
        now = datetime.fromtimestamp(self._clock.now().wall_ms / 1000, UTC)
        until = now.replace(second=0, microsecond=0) + timedelta(seconds=PERIOD_S)
        try:
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=self._queries,
                StartTime=until - timedelta(seconds=LOOK_BACK_S),
                EndTime=until,
                ScanBy="TimestampDescending",
            )
        except (BotoCoreError, ClientError) as error:
            log("lag-metric-not-read", error=str(error))
            return
        found = {result["Id"]: result for result in answer["MetricDataResults"] if result["Values"]}
        newest = next((found[name.lower()] for name in NAMES if name.lower() in found), None)
        value = None
        if newest is not None:
            value = round(newest["Values"][0]), int(newest["Timestamps"][0].timestamp() * 1000)
        self._answer = self._clock.now().mono_ms, value
