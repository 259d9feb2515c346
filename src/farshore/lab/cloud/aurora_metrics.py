"""The metrics of replication that Aurora publishes, from the lab's servers, as often as AWS does.

AuroraGlobalDBRPOLag and AuroraGlobalDBReplicationLag come every minute from the region that is a secondary, and from
no other: they move when roles swap, and end when the secondary does not know its lag.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

from collections.abc import Callable, Mapping

from moto.core.models import DEFAULT_ACCOUNT_ID

from farshore.lab.cloud.service_metrics import ServiceMetrics, put
from farshore.lab.postgres.cluster import Cluster, Role

_LAG = """select rpo_lag_in_msec, durability_lag_in_msec from aurora_global_db_status()
           where rpo_lag_in_msec >= 0 and aws_region = '{}'"""


class AuroraMetrics(ServiceMetrics):
    """Of every secondary in a region that is not lost."""

    def __init__(
        self,
        clusters: Callable[[], Mapping[str, Cluster]],
        lost: Callable[[str], bool],
        cadence: int = 1,
    ) -> None:
        super().__init__(lost, cadence)
        self._clusters = clusters

    def tick(self) -> None:
        for region, cluster in tuple(self._clusters().items()):
            if cluster.role is Role.SECONDARY and cluster.leader is not None and not self._lost(region):
                rows = cluster.leader.ask(_LAG.format(region), min(1.0, self._interval_s))
                if rows and None not in rows[0]:
                    rpo_ms, replication_ms = (float(value or 0) for value in rows[0])
                    _put(region, cluster, rpo_ms, replication_ms)


def _put(region: str, cluster: Cluster, rpo_ms: float, replication_ms: float) -> None:
    dimensions = {"DBClusterIdentifier": cluster.identifier, "SourceRegion": cluster.writer_region}
    lags = {"AuroraGlobalDBRPOLag": rpo_ms, "AuroraGlobalDBReplicationLag": replication_ms}
    put(DEFAULT_ACCOUNT_ID, region, "AWS/RDS", dimensions, "Milliseconds", lags)
