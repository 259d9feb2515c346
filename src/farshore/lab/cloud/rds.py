"""RDS: moto keeps the records, `Fleet` runs the servers, and AWS's rules stand between the two.

Instances, snapshots and changes of writer take their time in threads of their own; Describe shows how far they are.
"""

import datetime as dt
import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import moto.rds.urls
from moto.core.responses import ActionResult
from moto.rds.models import DBCluster, DBClusterSnapshot, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from farshore.core.errors import FarshoreError
from farshore.lab.cloud import overlay, rds_rules
from farshore.lab.cloud.rds_models import (
    LiveCluster,
    LiveGlobalCluster,
    LiveInstance,
    LiveSnapshot,
    endpoint_words,
    enliven,
)
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.postgres import bootstrap, volume
from farshore.lab.postgres.changes import Saved
from farshore.lab.postgres.cluster import Role
from farshore.lab.postgres.events import Event
from farshore.lab.postgres.fleet import ENDPOINT_WORD, Fleet

ENGINE = "aurora-postgresql"
ENGINE_VERSION = "15.10"
INSTANCE_CLASSES = ("db.r5.large", "db.r6g.large", "db.r7g.large")
EVENTS_DEFAULT_MINUTES = 60
log = logging.getLogger(__name__)


def install(fleet: Fleet) -> None:
    """Put the overlay into moto's url table; a later fleet takes an earlier one's place."""
    LabRds.fleet = fleet
    LabRds.heard = []
    fleet.on_event.append(LabRds.heard.append)
    fleet.changes.on_saved = _keep
    overlay.swap(moto.rds.urls, LabRds)


def _keep(saved: Saved) -> None:
    """Show the volume that was put aside as an automated snapshot in its own region."""
    for backend in _backends():
        cluster = backend.clusters.get(saved.cluster)
        if backend.region_name == saved.region and cluster is not None:
            _add_snapshot(backend, cluster, saved.identifier, "automated", saved.path)


def _backends() -> list[RDSBackend]:
    return [cast("RDSBackend", backend) for _, _, backend in rds_backends.iter_backends()]


def _add_snapshot(
    backend: RDSBackend, cluster: DBCluster, identifier: str, kind: str, path: Path, tags: Any = None
) -> LiveSnapshot:
    snapshot = enliven(
        DBClusterSnapshot(backend, cluster, identifier, kind, tags), LiveSnapshot, LabRds.fleet
    )
    snapshot.lab_volume = path
    backend.cluster_snapshots[snapshot.db_cluster_snapshot_identifier] = snapshot
    return snapshot


class LabRds(RDSResponse):
    """One call. `region` is that of the caller's signature: the region that answers."""

    fleet: ClassVar[Fleet]
    heard: ClassVar[list[Event]]

    def describe_orderable_db_instance_options(self) -> ActionResult:
        """What the lab offers: one version of one engine, in the class that is asked for.

        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeOrderableDBInstanceOptions.html
        """
        wanted, version = self.params.get("DBInstanceClass"), self.params.get("EngineVersion")
        offered = self.params.get("Engine") == ENGINE and version in (None, ENGINE_VERSION)
        option = {
            "Engine": ENGINE,
            "EngineVersion": ENGINE_VERSION,
            "LicenseModel": "postgresql-license",
            "AvailabilityZones": [{"Name": f"{self.region}{letter}"} for letter in "abc"],
            "StorageType": "aurora",
            "Vpc": True,
            "SupportedEngineModes": ["provisioned"],
            "SupportsGlobalDatabases": True,
            "SupportsPerformanceInsights": True,
            "SupportsStorageEncryption": True,
        }
        classes = [wanted] if wanted else INSTANCE_CLASSES
        options = [{**option, "DBInstanceClass": name} for name in classes] if offered else []
        return ActionResult({"OrderableDBInstanceOptions": options})

    # Global clusters

    def _global(self) -> LiveGlobalCluster:
        wanted = str(self.params["GlobalClusterIdentifier"]).lower()
        found = self.global_backend.global_clusters.get(wanted)
        if found is None:
            raise Fault("GlobalClusterNotFoundFault", f"Global cluster {wanted} not found.")
        return cast("LiveGlobalCluster", found)

    def create_global_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateGlobalCluster.html."""
        identifier = str(self.params["GlobalClusterIdentifier"]).lower()
        if identifier in self.global_backend.global_clusters:
            raise Fault("GlobalClusterAlreadyExistsFault", f"Global cluster {identifier} already exists.")
        if self.global_backend.global_clusters:
            raise NotInTheLabError("it holds one global database.")
        if not self.params.get("SourceDBClusterIdentifier") and self.params.get("Engine") != ENGINE:
            raise NotInTheLabError(f"its engine is {ENGINE}.")
        self.params["GlobalClusterIdentifier"] = identifier
        answer = super().create_global_cluster()
        made = enliven(self.global_backend.global_clusters[identifier], LiveGlobalCluster, self.fleet)
        made.unique_identifier = ENDPOINT_WORD
        for member in made.members:
            member.global_cluster_identifier = identifier
        self.fleet.global_name = identifier
        return answer

    def describe_global_clusters(self) -> ActionResult:
        if self.params.get("GlobalClusterIdentifier"):
            return ActionResult({"GlobalClusters": [self._global()]})
        return ActionResult({"GlobalClusters": list(self.global_backend.global_clusters.values())})

    def modify_global_cluster(self) -> ActionResult:
        found = self._global()
        unknown = {"NewGlobalClusterIdentifier", "EngineVersion", "AllowMajorVersionUpgrade"} & self._given()
        if unknown:
            raise NotInTheLabError(
                f"of a global cluster only DeletionProtection changes, not {sorted(unknown)}."
            )
        if "DeletionProtection" in self._given():
            found.deletion_protection = self.params["DeletionProtection"]
        return ActionResult({"GlobalCluster": found})

    def delete_global_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteGlobalCluster.html."""
        found = self._global()
        if found.deletion_protection:
            raise Fault(
                "InvalidGlobalClusterStateFault", "Cannot delete a global cluster with deletion protection."
            )
        if found.members:
            raise Fault("InvalidGlobalClusterStateFault", f"Global Cluster {found.arn} is not empty")
        del self.global_backend.global_clusters[found.global_cluster_identifier]
        self.fleet.global_name = None
        return ActionResult({"GlobalCluster": found})

    def failover_global_cluster(self) -> ActionResult:
        """Without AllowDataLoss this is a switchover, as at AWS."""
        if self.params.get("AllowDataLoss") and self.params.get("Switchover"):
            raise Fault(
                "InvalidParameterCombination", "Specify either AllowDataLoss or Switchover, not both."
            )
        if not self.params.get("AllowDataLoss"):
            return self.switchover_global_cluster()
        found, target = self._target("TargetDbClusterIdentifier")
        changing = self.fleet.change() is not None
        rds_rules.check_failover(target, called_in=self.region, changing=changing)
        return self._move(found, target, data_loss=True)

    def switchover_global_cluster(self) -> ActionResult:
        found, target = self._target("TargetDbClusterIdentifier")
        writer = self.fleet.writer
        linked = writer is not None and self.fleet.links.connected(writer.region, target.region)
        changing = self.fleet.change() is not None
        rds_rules.check_switchover(
            found.facts(), target, called_in=self.region, changing=changing, linked=linked
        )
        return self._move(found, target, data_loss=False)

    def remove_from_global_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RemoveFromGlobalCluster.html."""
        found, target = self._target("DbClusterIdentifier")
        rds_rules.check_remove(found.facts(), target, changing=self.fleet.change() is not None)
        record = next(member for member in found.members if member.db_cluster_arn == target.arn)
        self.fleet.detach(target.region)
        found.members.remove(record)
        record.global_cluster_identifier = None
        return ActionResult({"GlobalCluster": found})

    def _target(self, parameter: str) -> tuple[LiveGlobalCluster, rds_rules.Member]:
        found = self._global()
        return found, rds_rules.target_of(found.facts(), str(self.params[parameter]))

    def _move(self, found: LiveGlobalCluster, target: rds_rules.Member, *, data_loss: bool) -> ActionResult:
        if not self.fleet.changes.begin(self.fleet.clusters[target.region], data_loss=data_loss):
            raise Fault("InvalidGlobalClusterStateFault", "Another switchover or failover has just begun.")
        return ActionResult({"GlobalCluster": found})

    # Clusters

    def create_db_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html."""
        params = self.params
        identifier = self._new_cluster_identifier()
        global_name = params.get("GlobalClusterIdentifier")
        secondary = False
        if params.get("Engine") != ENGINE:
            raise NotInTheLabError(f"its engine is {ENGINE}.")
        if global_name:
            params["GlobalClusterIdentifier"] = str(global_name).lower()
            secondary = self._check_member(self._global())
        if self.region not in self.fleet.sites or self.region in self.fleet.clusters:
            places = " and ".join(self.fleet.sites)
            raise NotInTheLabError(f"it holds one cluster in each of {places}, besides restored snapshots.")
        if not secondary and not (params.get("MasterUsername") and params.get("MasterUserPassword")):
            raise Fault(
                "InvalidParameterValue",
                "The parameters MasterUsername and MasterUserPassword must be provided and must not be blank.",
            )
        record = self._record_cluster()
        master = (params.get("MasterUsername"), params.get("MasterUserPassword"), params.get("DatabaseName"))
        self.fleet.create_cluster(self.region, identifier, None if secondary else bootstrap.Master(*master))
        return ActionResult({"DBCluster": record})

    def _check_member(self, found: LiveGlobalCluster) -> bool:
        """Whether the new member is a secondary."""
        if self.params.get("ManageMasterUserPassword"):
            raise Fault(
                "InvalidParameterCombination",
                "ManageMasterUserPassword isn't supported for global database members.",
            )
        if not found.members:
            return False
        taken = [
            name for name in ("MasterUsername", "MasterUserPassword", "DatabaseName") if self.params.get(name)
        ]
        rds_rules.check_secondary_parameters(taken)
        return True

    def _new_cluster_identifier(self) -> str:
        identifier = str(self.params["DBClusterIdentifier"]).lower()
        if identifier in self.backend.clusters:
            raise Fault("DBClusterAlreadyExistsFault", f"DB cluster {identifier} already exists.")
        self.params["DBClusterIdentifier"] = identifier
        return identifier

    def _record_cluster(self) -> LiveCluster:
        before = set(self.backend.cluster_snapshots)
        made = self.backend.create_db_cluster(self.params)
        for name in set(self.backend.cluster_snapshots) - before:
            del self.backend.cluster_snapshots[
                name
            ]  # moto's first automated snapshot has no volume behind it
        endpoint_words(made, self.fleet.port)
        return enliven(made, LiveCluster, self.fleet)

    def modify_db_cluster(self) -> ActionResult:
        record = self._cluster_record(self.params["DBClusterIdentifier"])
        if self.params.get("NewDBClusterIdentifier"):
            raise NotInTheLabError("clusters keep their names.")
        running = self.fleet.clusters.get(self.region)
        if password := self.params.get("MasterUserPassword"):
            if running is None or running.leader is None or running.role is not Role.WRITER:
                raise Fault(
                    "InvalidDBClusterStateFault", "The master password is changed on the primary DB cluster."
                )
            bootstrap.set_password(running.leader, str(record.master_username), str(password))
        return super().modify_db_cluster()

    def delete_db_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBCluster.html."""
        record = self._cluster_record(self.params["DBClusterIdentifier"])
        if record.global_cluster_identifier:
            raise Fault(
                "InvalidDBClusterStateFault",
                "This cluster is a part of a global cluster, please remove it from globalcluster first",
            )
        if not self.params.get("SkipFinalSnapshot"):
            if self.params.get("FinalDBSnapshotIdentifier"):
                raise NotInTheLabError("a cluster is deleted without a final snapshot; take one before.")
            raise Fault(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        deleted = self.backend.delete_db_cluster(record.db_cluster_identifier)
        running = self.fleet.clusters.get(self.region)
        if running is not None and running.identifier == record.db_cluster_identifier:
            self.fleet.delete_cluster(self.region)
        return ActionResult({"DBCluster": deleted})

    def failover_db_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverDBCluster.html."""
        record = self._cluster_record(self.params["DBClusterIdentifier"])
        wanted = self.params.get("TargetDBInstanceIdentifier")
        running = self.fleet.clusters.get(self.region)
        if (
            running is None
            or running.identifier != record.db_cluster_identifier
            or running.role is not Role.WRITER
        ):
            raise Fault(
                "InvalidDBClusterStateFault", f"{record.db_cluster_identifier} is not a primary DB cluster."
            )
        standby = running.synchronous
        if standby is None or wanted not in (None, standby.identifier):
            raise Fault(
                "InvalidDBClusterStateFault",
                f"{record.db_cluster_identifier} should have at least two database instances in valid states.",
            )
        self._later(lambda: self.fleet.fail_over_in_region(running.region, standby.identifier))
        return ActionResult({"DBCluster": record})

    def _cluster_record(self, identifier: Any) -> LiveCluster:
        return cast("LiveCluster", self.backend.describe_db_clusters(str(identifier).lower())[0])

    # Instances

    def create_db_instance(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html."""
        if not self.params.get("DBClusterIdentifier"):
            raise NotInTheLabError("instances belong to clusters.")
        identifier = str(self.params["DBInstanceIdentifier"]).lower()
        self.params["DBInstanceIdentifier"] = identifier
        if identifier in self.backend.databases:
            raise Fault("DBInstanceAlreadyExists", "DB instance already exists")
        cluster = self._cluster_record(self.params["DBClusterIdentifier"])
        self.params["DBClusterIdentifier"] = cluster.db_cluster_identifier
        start = self._starter(cluster, identifier)
        record = enliven(self.backend.create_db_instance(self.params), LiveInstance, self.fleet)
        record.port = self.fleet.port
        record.dbi_resource_id = f"db-{secrets.token_hex(13).upper()}"
        record.status = "creating"
        self._later(start, record)
        return ActionResult({"DBInstance": record})

    def _starter(self, cluster: LiveCluster, identifier: str) -> Callable[[], object]:
        """What makes the instance run; claims its place now, so that a refusal is the call's answer."""
        fleet, region, name = self.fleet, self.region, cluster.db_cluster_identifier
        saved = cluster.lab_volume
        try:
            if saved is None:
                server = fleet.add_instance(region, identifier)
                return lambda: fleet.start_instance(server)
        except FarshoreError as refusal:
            raise NotInTheLabError(str(refusal)) from refusal
        if (region, name) in fleet.restored:
            raise NotInTheLabError("a restored cluster has one instance.")
        return lambda: fleet.restore(region, name, identifier, saved)

    def delete_db_instance(self) -> ActionResult:
        identifier = str(self.params["DBInstanceIdentifier"]).lower()
        if identifier not in self.backend.databases:
            raise Fault("DBInstanceNotFound", f"DBInstance {identifier} not found.")
        answer = ActionResult({"DBInstance": self.backend.delete_db_instance(identifier)})
        if server := self.fleet.server(self.region, identifier):
            self.fleet.delete_instance(server)
        return answer

    def reboot_db_instance(self) -> ActionResult:
        identifier = str(self.params["DBInstanceIdentifier"]).lower()
        record = self.backend.databases.get(identifier)
        server = self.fleet.server(self.region, identifier)
        if record is None or server is None:
            raise Fault("DBInstanceNotFound", f"DBInstance {identifier} not found.")
        if self.params.get("ForceFailover"):
            raise Fault("InvalidParameterCombination", "Cannot force failover of an Aurora DB instance.")
        if record.status != "available":
            raise Fault("InvalidDBInstanceState", f"Instance {identifier} is {record.status}.")
        record.status = "rebooting"
        self._later(lambda: self.fleet.reboot(server), record)
        return ActionResult({"DBInstance": record})

    # Snapshots

    def create_db_cluster_snapshot(self) -> ActionResult:
        record = self._cluster_record(self.params["DBClusterIdentifier"])
        identifier = str(self.params["DBClusterSnapshotIdentifier"]).lower()
        if identifier in self.backend.cluster_snapshots:
            raise Fault("DBClusterSnapshotAlreadyExistsFault", f"Snapshot {identifier} already exists.")
        running = self.fleet.clusters.get(self.region)
        if running is None or running.identifier != record.db_cluster_identifier:
            raise NotInTheLabError("a restored cluster takes no snapshots of its own.")
        path = Path("/nonexistent")
        snapshot = _add_snapshot(self.backend, record, identifier, "manual", path, self.params.get("Tags"))
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
        copied = _add_snapshot(self.backend, source.cluster, identifier, "manual", source.lab_volume)
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

    # Events

    def describe_events(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html."""
        source, kind = self.params.get("SourceIdentifier"), self.params.get("SourceType")
        if source and not kind:
            raise Fault("InvalidParameterCombination", "Cannot specify source identifier without source type")
        since, until = self._window()
        wanted = set(self.params.get("EventCategories") or ())
        events = [
            self._shown(event)
            for event in list(self.heard)
            if event.region == self.region
            and since <= event.at <= until
            and (not kind or event.source_type == kind)
            and (not source or event.source == str(source).lower())
            and (not wanted or wanted & set(event.categories))
        ]
        return ActionResult({"Events": events})

    def _window(self) -> tuple[dt.datetime, dt.datetime]:
        now = dt.datetime.now(dt.UTC)
        minutes = int(self.params.get("Duration") or EVENTS_DEFAULT_MINUTES)
        since = self.params.get("StartTime") or now - dt.timedelta(minutes=minutes)
        until = self.params.get("EndTime") or now
        return _aware(since), _aware(until)

    def _shown(self, event: Event) -> dict[str, Any]:
        kind = {"db-cluster": "cluster", "db-instance": "db", "db-cluster-snapshot": "cluster-snapshot"}
        scope = f"{event.region}:{self.current_account}:{kind[event.source_type]}"
        return {
            "SourceIdentifier": event.source,
            "SourceType": event.source_type,
            "SourceArn": f"arn:{self.backend.partition}:rds:{scope}:{event.source}",
            "Message": event.message,
            "EventCategories": list(event.categories),
            "Date": event.at,
        }

    # Work that outlives the call

    def _given(self) -> set[str]:
        return set(self.params.original_dict())

    def _later(self, work: Callable[[], object], record: Any = None) -> None:
        """Do the work in a thread; the record is `available` afterwards, or `failed`."""

        def run() -> None:
            try:
                work()
            except FarshoreError:
                log.exception("RDS work failed")
                outcome = "failed"
            else:
                outcome = "available"
            if record is not None:
                record.status = outcome

        threading.Thread(target=run, name=f"rds-{self.region}", daemon=True).start()


def _aware(moment: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
