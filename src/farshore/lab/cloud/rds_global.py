"""RDS global clusters: AWS's rules, and the fleet that moves the writer."""

from moto.core.responses import ActionResult

from farshore.lab.cloud import rds_rules
from farshore.lab.cloud.rds_calls import ENGINE, RdsCalls
from farshore.lab.cloud.rds_models import LiveGlobalCluster, enliven
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.postgres.endpoints import ENDPOINT_WORD


class GlobalClusterCalls(RdsCalls):
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
