"""Aurora: the global database, its clusters and instances, and their groups."""

from collections.abc import Mapping
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old

_WAIT = {"Delay": 0.1, "MaxAttempts": 3000}


def _global(call: Call) -> Made:
    wanted = call.given(
        "globalClusterIdentifier engine engineVersion engineLifecycleSupport databaseName storageEncrypted "
        "deletionProtection"
    )
    made = call.client("rds").create_global_cluster(**wanted, Tags=call.tag_list())["GlobalCluster"]
    return Made(
        made["GlobalClusterIdentifier"],
        {
            "arn": made["GlobalClusterArn"],
            "endpoint": made.get("Endpoint"),
            "globalClusterResourceId": made["GlobalClusterResourceId"],
            "engineVersionActual": made["EngineVersion"],
        },
    )


def _delete_global(old: Old) -> None:
    old.client("rds").delete_global_cluster(GlobalClusterIdentifier=old.id)


_CLUSTER = (
    "engine engineVersion engineMode engineLifecycleSupport globalClusterIdentifier vpcSecurityGroupIds kmsKeyId "
    "storageEncrypted storageType backupRetentionPeriod preferredBackupWindow preferredMaintenanceWindow "
    "masterUsername databaseName deletionProtection copyTagsToSnapshot port "
)
_CLUSTER_RENAMED = {
    "clusterIdentifier": "DBClusterIdentifier",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "dbClusterParameterGroupName": "DBClusterParameterGroupName",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "masterPassword": "MasterUserPassword",
    "masterPasswordWo": "MasterUserPassword",
}
_CLUSTER_OWN = (
    "masterPasswordWoVersion skipFinalSnapshot finalSnapshotIdentifier applyImmediately deleteAutomatedBackups "
    "allowMajorVersionUpgrade"
)


def _cluster(call: Call) -> Made:
    wanted = call.given(_CLUSTER, **_CLUSTER_RENAMED)
    made = call.client("rds").create_db_cluster(**wanted, Tags=call.tag_list())["DBCluster"]
    return Made(
        made["DBClusterIdentifier"],
        {
            "arn": made["DBClusterArn"],
            "endpoint": made["Endpoint"],
            "readerEndpoint": made["ReaderEndpoint"],
            "port": made["Port"],
            "clusterResourceId": made["DbClusterResourceId"],
            "hostedZoneId": made.get("HostedZoneId"),
            "engineVersionActual": made["EngineVersion"],
        },
    )


def _delete_cluster(old: Old) -> None:
    """The provider detaches a cluster and then deletes it. After roles were swapped that is the writer, which
    leaves last: so the others are detached before it, and find themselves detached when their turn comes."""
    rds = old.client("rds")
    for member in _to_detach(rds, old["arn"]):
        region = member.split(":")[3]
        old.clients("rds", region).remove_from_global_cluster(
            GlobalClusterIdentifier=old["globalClusterIdentifier"], DbClusterIdentifier=member
        )
    final = {"FinalDBSnapshotIdentifier": old["finalSnapshotIdentifier"]}
    rds.delete_db_cluster(
        DBClusterIdentifier=old.id,
        **(
            {"SkipFinalSnapshot": True} if old["skipFinalSnapshot"] else {"SkipFinalSnapshot": False, **final}
        ),
    )


def _to_detach(rds: Any, arn: str) -> list[str]:
    for found in rds.describe_global_clusters()["GlobalClusters"]:
        members = {member["DBClusterArn"]: member["IsWriter"] for member in found["GlobalClusterMembers"]}
        if arn in members:
            others = [other for other in members if other != arn] if members[arn] else []
            return [*others, arn]
    return []


def _observe_cluster(old: Old) -> dict[str, Any]:
    """What a change of roles or a minor upgrade moves."""
    found = old.client("rds").describe_db_clusters(DBClusterIdentifier=old.id)["DBClusters"][0]
    member = bool(_to_detach(old.client("rds"), found["DBClusterArn"]))
    return {
        "replicationSourceIdentifier": found.get("ReplicationSourceIdentifier") or None,
        "globalClusterIdentifier": old["globalClusterIdentifier"] if member else None,
        "engineVersion": found["EngineVersion"],
    }


_INSTANCE = (
    "engine engineVersion preferredMaintenanceWindow promotionTier publiclyAccessible autoMinorVersionUpgrade "
    "availabilityZone monitoringInterval monitoringRoleArn copyTagsToSnapshot performanceInsightsRetentionPeriod"
)
_INSTANCE_RENAMED = {
    "identifier": "DBInstanceIdentifier",
    "clusterIdentifier": "DBClusterIdentifier",
    "instanceClass": "DBInstanceClass",
    "dbParameterGroupName": "DBParameterGroupName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "caCertIdentifier": "CACertificateIdentifier",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
}


def _instance(call: Call) -> Made:
    """Done when it is available: what depends on it may connect."""
    rds = call.client("rds")
    wanted = call.given(_INSTANCE, **_INSTANCE_RENAMED)
    made = rds.create_db_instance(**wanted, Tags=call.tag_list())["DBInstance"]
    identifier = made["DBInstanceIdentifier"]
    waiter = rds.get_waiter("db_instance_available")
    waiter.wait(DBInstanceIdentifier=identifier, WaiterConfig=_WAIT)
    found = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    return Made(
        identifier,
        {
            "arn": found["DBInstanceArn"],
            "endpoint": found["Endpoint"]["Address"],
            "port": found["Endpoint"]["Port"],
            "dbiResourceId": found["DbiResourceId"],
        },
    )


def _delete_instance(old: Old) -> None:
    old.client("rds").delete_db_instance(DBInstanceIdentifier=old.id, SkipFinalSnapshot=True)


def _subnet_group(call: Call) -> Made:
    name = call.inputs.get("name") or call.auto_name()
    made = call.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name,
        DBSubnetGroupDescription=call.inputs.get("description") or "Managed by Pulumi",
        **call.given("subnetIds"),
        Tags=call.tag_list(),
    )["DBSubnetGroup"]
    return Made(name, {"name": name, "arn": made["DBSubnetGroupArn"]})


def _delete_subnet_group(old: Old) -> None:
    old.client("rds").delete_db_subnet_group(DBSubnetGroupName=old.id)


def _parameters(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "ParameterName": parameter["name"],
            "ParameterValue": str(parameter["value"]),
            "ApplyMethod": parameter.get("applyMethod", "immediate"),
        }
        for parameter in call.inputs.get("parameters", [])
    ]


def _cluster_parameters(call: Call) -> Made:
    rds, name = call.client("rds"), call.inputs.get("name") or call.auto_name()
    made = rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name,
        DBParameterGroupFamily=call.inputs["family"],
        Description=call.inputs.get("description") or "Managed by Pulumi",
        Tags=call.tag_list(),
    )["DBClusterParameterGroup"]
    if parameters := _parameters(call):
        rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=name, Parameters=parameters)
    return Made(name, {"name": name, "arn": made["DBClusterParameterGroupArn"]})


def _delete_cluster_parameters(old: Old) -> None:
    old.client("rds").delete_db_cluster_parameter_group(DBClusterParameterGroupName=old.id)


_GROUP = "name family description parameters"


def _orderable(call: Call) -> Mapping[str, Any]:
    """The first class and version of the program's preferences that is offered."""
    rds, inputs = call.client("rds"), call.inputs
    classes = inputs.get("preferredInstanceClasses") or [inputs["instanceClass"]]
    for name in classes:
        found = rds.describe_orderable_db_instance_options(Engine=inputs["engine"], DBInstanceClass=name)
        offered = {
            option["EngineVersion"]: option
            for option in found["OrderableDBInstanceOptions"]
            if option["SupportsGlobalDatabases"] or not inputs.get("supportsGlobalDatabases")
        }
        for version in inputs.get("preferredEngineVersions") or sorted(offered):
            if version in offered:
                return {
                    "id": name,
                    "instanceClass": name,
                    "engineVersion": version,
                    "availabilityZones": [zone["Name"] for zone in offered[version]["AvailabilityZones"]],
                }
    raise ValueError(f"no RDS DB Instance Classes match the criteria: {dict(inputs)}")


FUNCTIONS = {"aws:rds/getOrderableDbInstance:getOrderableDbInstance": _orderable}
KINDS = {
    "aws:rds/globalCluster:GlobalCluster": Kind(
        "globalClusterIdentifier engine engineVersion engineLifecycleSupport databaseName storageEncrypted "
        "deletionProtection forceDestroy",
        _global,
        _delete_global,
    ),
    "aws:rds/cluster:Cluster": Kind(
        " ".join((_CLUSTER, *_CLUSTER_RENAMED, _CLUSTER_OWN)),
        _cluster,
        _delete_cluster,
        _observe_cluster,
        secret=("masterPassword", "masterPasswordWo"),
    ),
    "aws:rds/clusterInstance:ClusterInstance": Kind(
        " ".join((_INSTANCE, *_INSTANCE_RENAMED, "applyImmediately")), _instance, _delete_instance
    ),
    "aws:rds/subnetGroup:SubnetGroup": Kind(
        "name description subnetIds", _subnet_group, _delete_subnet_group
    ),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": Kind(
        _GROUP, _cluster_parameters, _delete_cluster_parameters
    ),
}
