"""RDS clusters: one in each region of the global database, besides restored snapshots."""

from moto.core.responses import ActionResult

from farshore.lab.cloud import rds_rules
from farshore.lab.cloud.rds_calls import ENGINE, RdsCalls
from farshore.lab.cloud.rds_models import LiveGlobalCluster
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.postgres import bootstrap
from farshore.lab.postgres.cluster import Role


class ClusterCalls(RdsCalls):
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
