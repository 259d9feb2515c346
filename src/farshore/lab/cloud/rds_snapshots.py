"""RDS cluster snapshots: volumes put aside, listed as moto's records."""

import secrets
from pathlib import Path
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.rds.models import DBCluster, DBClusterSnapshot, RDSBackend, rds_backends

from farshore.lab.cloud.rds_calls import RdsCalls
from farshore.lab.cloud.rds_models import LiveSnapshot, enliven
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.postgres import volume
from farshore.lab.postgres.changes import Saved
from farshore.lab.postgres.fleet import Fleet


def keep(fleet: Fleet, saved: Saved) -> None:
    """Show the volume that was put aside as an automated snapshot in its own region."""
    for backend in _backends():
        cluster = backend.clusters.get(saved.cluster)
        if backend.region_name == saved.region and cluster is not None:
            _add(fleet, backend, cluster, saved.identifier, "automated", saved.path)


def _backends() -> list[RDSBackend]:
    return [cast("RDSBackend", backend) for _, _, backend in rds_backends.iter_backends()]


def _add(
    fleet: Fleet,
    backend: RDSBackend,
    cluster: DBCluster,
    identifier: str,
    kind: str,
    path: Path,
    tags: Any = None,
) -> LiveSnapshot:
    snapshot = enliven(DBClusterSnapshot(backend, cluster, identifier, kind, tags), LiveSnapshot, fleet)
    snapshot.lab_volume = path
    backend.cluster_snapshots[snapshot.db_cluster_snapshot_identifier] = snapshot
    return snapshot


class SnapshotCalls(RdsCalls):
    def create_db_cluster_snapshot(self) -> ActionResult:
        record = self._cluster_record(self.params["DBClusterIdentifier"])
        identifier = str(self.params["DBClusterSnapshotIdentifier"]).lower()
        if identifier in self.backend.cluster_snapshots:
            raise Fault("DBClusterSnapshotAlreadyExistsFault", f"Snapshot {identifier} already exists.")
        running = self.fleet.clusters.get(self.region)
        if running is None or running.identifier != record.db_cluster_identifier:
            raise NotInTheLabError("a restored cluster takes no snapshots of its own.")
        path = Path("/nonexistent")
        tags = self.params.get("Tags")
        snapshot = _add(self.fleet, self.backend, record, identifier, "manual", path, tags)
        snapshot.status = "creating"

        def take() -> None:
            snapshot.lab_volume = self.fleet.save(running.region, identifier)

        self._later(take, snapshot)
        return ActionResult({"DBClusterSnapshot": snapshot})

    def copy_db_cluster_snapshot(self) -> ActionResult:
        """The source is a name in this region or an ARN; the copy is made where the call is made.

        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBClusterSnapshot.html
        """
        source = self._snapshot(str(self.params["SourceDBClusterSnapshotIdentifier"]))
        identifier = str(self.params["TargetDBClusterSnapshotIdentifier"]).lower()
        if identifier in self.backend.cluster_snapshots:
            raise Fault("DBClusterSnapshotAlreadyExistsFault", f"Snapshot {identifier} already exists.")
        if source.status != "available":
            raise Fault("InvalidDBClusterSnapshotStateFault", f"The source snapshot is {source.status}.")
        copied = _add(self.fleet, self.backend, source.cluster, identifier, "manual", source.lab_volume)
        return ActionResult({"DBClusterSnapshot": copied})

    def delete_db_cluster_snapshot(self) -> ActionResult:
        snapshot = self._snapshot(str(self.params["DBClusterSnapshotIdentifier"]))
        if snapshot.snapshot_type != "manual":
            raise Fault(
                "InvalidDBClusterSnapshotStateFault", "Automated snapshots are deleted with their cluster."
            )
        deleted = self.backend.delete_db_cluster_snapshot(snapshot.db_cluster_snapshot_identifier)
        kept = {cast("LiveSnapshot", s).lab_volume for b in _backends() for s in b.cluster_snapshots.values()}
        if snapshot.lab_volume not in kept:
            volume.remove(snapshot.lab_volume)
        return ActionResult({"DBClusterSnapshot": deleted})

    def restore_db_cluster_from_snapshot(self) -> ActionResult:
        """The cluster only: its server starts with CreateDBInstance, as at AWS.

        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterFromSnapshot.html
        """
        snapshot = self._snapshot(str(self.params["SnapshotIdentifier"]))
        if snapshot.status != "available":
            raise Fault("InvalidDBClusterSnapshotStateFault", f"The snapshot is {snapshot.status}.")
        self._new_cluster_identifier()
        # Users and passwords are those on the volume; the record's own password opens nothing.
        self.params["MasterUsername"] = snapshot.master_username or "restored"
        self.params["MasterUserPassword"] = secrets.token_urlsafe(16)
        record = self._record_cluster()
        record.lab_volume = snapshot.lab_volume
        return ActionResult({"DBCluster": record})

    def _snapshot(self, wanted: str) -> LiveSnapshot:
        """By name in this region, or by an ARN of a region that can be reached from here."""
        parts = wanted.split(":")
        region, name = (parts[3], ":".join(parts[6:])) if wanted.startswith("arn:") else (self.region, wanted)
        reachable = region == self.region or self.fleet.links.connected(region, self.region)
        found = rds_backends[self.current_account][region].cluster_snapshots.get(name.lower())
        if found is None or not reachable:
            raise Fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {wanted} not found.")
        return cast("LiveSnapshot", found)
