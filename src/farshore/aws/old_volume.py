"""The lost region's saved volume: found among its snapshots, opened as a temporary cluster, closed again."""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import FarshoreError
from farshore.log import log
from farshore.names import Names

OPENING_SECONDS_MAX = 3600
_POLL_SECONDS = 0.2


class OldVolumeError(FarshoreError):
    """The saved volume could not be opened; it is untouched."""

    exit_code = 3


class OldVolume:
    """`rds` is a client in the lost region: evidence is read when it answers again, nothing waits for it before."""

    def __init__(self, rds: Any, names: Names, region: str) -> None:
        self._rds = rds
        self._names = names
        self._region = region

    def saved_since(self, when: dt.datetime) -> str | None:
        """The newest finished snapshot that Aurora took of the old volume after `when`, or None."""
        prefix = f"rds:unplanned-global-failover-{self._names.cluster(self._region)}-"
        try:
            answer = self._rds.describe_db_cluster_snapshots(
                DBClusterIdentifier=self._names.cluster(self._region), SnapshotType="automated"
            )
        except (BotoCoreError, ClientError):
            return None
        saved = [
            snapshot
            for snapshot in answer["DBClusterSnapshots"]
            if snapshot["DBClusterSnapshotIdentifier"].startswith(prefix)
            and snapshot["Status"] == "available"
            and snapshot["SnapshotCreateTime"] >= when
        ]
        if not saved:
            return None
        newest = max(saved, key=lambda snapshot: snapshot["SnapshotCreateTime"])
        return str(newest["DBClusterSnapshotIdentifier"])

    @contextmanager
    def opened(self, snapshot: str) -> Iterator[str]:
        """Restore into a temporary cluster; yields its writer endpoint and removes the cluster afterwards."""
        cluster = f"farshore-evidence-{self._names.suffix}"
        instance = f"{cluster}-1"
        subnets = self._rds.describe_db_clusters(DBClusterIdentifier=self._names.cluster(self._region))
        original = subnets["DBClusters"][0]
        try:
            self._rds.restore_db_cluster_from_snapshot(
                DBClusterIdentifier=cluster,
                SnapshotIdentifier=snapshot,
                Engine="aurora-postgresql",
                DBSubnetGroupName=original.get("DBSubnetGroup") or "default",
                VpcSecurityGroupIds=[g["VpcSecurityGroupId"] for g in original.get("VpcSecurityGroups", [])],
                Tags=[{"Key": "DR-Role", "Value": "evidence"}],
            )
            self._rds.create_db_instance(
                DBInstanceIdentifier=instance,
                DBClusterIdentifier=cluster,
                Engine="aurora-postgresql",
                DBInstanceClass="db.r5.large",
            )
            yield self._endpoint(cluster, instance)
        except (BotoCoreError, ClientError) as error:
            raise OldVolumeError(f"{snapshot} could not be opened in {self._region}: {error}") from error
        finally:
            self._remove(cluster, instance)

    def _endpoint(self, cluster: str, instance: str) -> str:
        give_up = time.monotonic() + OPENING_SECONDS_MAX
        while time.monotonic() < give_up:
            found = self._rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
            if found["DBInstanceStatus"] == "available":
                clusters = self._rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
                return str(clusters[0]["Endpoint"])
            time.sleep(_POLL_SECONDS)
        raise OldVolumeError(f"{instance} did not become available within {OPENING_SECONDS_MAX} s")

    def _remove(self, cluster: str, instance: str) -> None:
        removals: tuple[tuple[Any, dict[str, Any]], ...] = (
            (self._rds.delete_db_instance, {"DBInstanceIdentifier": instance}),
            (self._rds.delete_db_cluster, {"DBClusterIdentifier": cluster}),
        )
        for remove, what in removals:
            try:
                remove(**what, SkipFinalSnapshot=True)
            except (BotoCoreError, ClientError) as error:
                log("evidence-not-removed", error=str(error), **what)
