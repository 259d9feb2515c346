"""Custom metrics, published from a thread of their own: a slow CloudWatch never delays a lease."""

import queue
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.lag import Verdict
from farshore.log import log
from farshore.survive import endless

AUTHORITY_HOME = "AuthorityHome"
REPLICATION_LAG = "ReplicationLagMs"
LAG_UNKNOWN = "LagReadingsUnknown"


class MetricPublisher:
    """Keeps only the newest value of each metric that waits to be sent."""

    def __init__(self, cloudwatch: Any, namespace: str, region: str) -> None:
        self._cloudwatch = cloudwatch
        self._namespace = namespace
        self._region = region
        self._waiting: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        endless("metrics", self._turn)

    def authority_home(self, *, is_home: bool, read_at_ms: int) -> None:
        self.publish(AUTHORITY_HOME, float(is_home), read_at_ms)

    def lag(self, verdict: Verdict, read_at_ms: int) -> None:
        """How many readings are unknown that should not be, once it can be said; and the lag, when it is known."""
        if verdict.unknown is not None:
            self.publish(LAG_UNKNOWN, float(verdict.unknown), read_at_ms)
        if verdict.lag_ms is not None:
            self.publish(REPLICATION_LAG, float(verdict.lag_ms), read_at_ms)

    def publish(self, metric: str, value: float, at_unix_ms: int) -> None:
        with self._lock:
            self._waiting[metric] = (value, at_unix_ms)
        self._wake.put(None)

    def _turn(self) -> None:
        self._wake.get()
        with self._lock:
            batch, self._waiting = self._waiting, {}
        if batch:
            self._send(batch)

    def _send(self, batch: dict[str, tuple[float, int]]) -> None:
        data = [
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "Region", "Value": self._region}],
                "Value": value,
                "Timestamp": at_unix_ms / 1000,
            }
            for metric, (value, at_unix_ms) in batch.items()
        ]
        try:
            self._cloudwatch.put_metric_data(Namespace=self._namespace, MetricData=data)
        except (BotoCoreError, ClientError) as error:
            log("metrics-not-published", metrics=sorted(batch), error=str(error))
