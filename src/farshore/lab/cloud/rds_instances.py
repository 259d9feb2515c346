"""RDS instances: real servers, whose start and restart take their time in threads of their own."""

import secrets
from collections.abc import Callable

from moto.core.responses import ActionResult

from farshore.core.errors import FarshoreError
from farshore.lab.cloud.rds_calls import ENGINE, RdsCalls
from farshore.lab.cloud.rds_models import LiveCluster, LiveInstance, enliven
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.cloud.refusals import NotInTheLabError

ENGINE_VERSION = "15.10"
INSTANCE_CLASSES = ("db.r5.large", "db.r6g.large", "db.r7g.large")


class InstanceCalls(RdsCalls):
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
