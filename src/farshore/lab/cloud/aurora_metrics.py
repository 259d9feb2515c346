"""The metrics of replication that Aurora publishes, from the lab's servers, as often as AWS does.

AuroraGlobalDBRPOLag and AuroraGlobalDBReplicationLag come every minute from the region that is a secondary, and from
no other: they move when roles swap, and end when the secondary does not know its lag.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from farshore.lab.postgres.cluster import Cluster, Role

INTERVAL_S = 60.0
_LAG = """select rpo_lag_in_msec, durability_lag_in_msec from aurora_global_db_status()
           where rpo_lag_in_msec >= 0 and aws_region = '{}'"""
_log = logging.getLogger(__name__)


class AuroraMetrics:
    """Publishes for every secondary in a region that is not lost, every `INTERVAL_S / cadence`."""

    def __init__(
        self,
        clusters: Callable[[], Mapping[str, Cluster]],
        lost: Callable[[str], bool],
        cadence: int = 1,
    ) -> None:
        self._clusters, self._lost, self._interval_s = clusters, lost, INTERVAL_S / cadence
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aurora-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def tick(self) -> None:
        for region, cluster in tuple(self._clusters().items()):
            if cluster.role is Role.SECONDARY and cluster.leader is not None and not self._lost(region):
                rows = cluster.leader.ask(_LAG.format(region), min(1.0, self._interval_s))
                if rows and None not in rows[0]:
                    rpo_ms, replication_ms = (float(value or 0) for value in rows[0])
                    _put(region, cluster, rpo_ms, replication_ms)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a server in mid-change must not end the metrics
                _log.exception("Aurora's metrics were not published; they go on with the next interval")


def _put(region: str, cluster: Cluster, rpo_ms: float, replication_ms: float) -> None:
    dimensions = [
        {"Name": "DBClusterIdentifier", "Value": cluster.identifier},
        {"Name": "SourceRegion", "Value": cluster.writer_region},
    ]
    at = datetime.now(UTC).replace(tzinfo=None)  # moto compares times without zones
    data: list[dict[str, Any]] = [
        {
            "MetricName": name,
            "Dimensions": dimensions,
            "Value": value,
            "Unit": "Milliseconds",
            "Timestamp": at,
        }
        for name, value in (
            ("AuroraGlobalDBRPOLag", rpo_ms),
            ("AuroraGlobalDBReplicationLag", replication_ms),
        )
    ]
    cloudwatch_backends[DEFAULT_ACCOUNT_ID][region].put_metric_data("AWS/RDS", data)
