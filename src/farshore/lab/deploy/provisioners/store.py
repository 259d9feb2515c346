"""The authority table and the secrets."""

from collections.abc import Mapping
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old, capitals

_REPLICA = {
    "regionName",
    "consistencyMode",
    "kmsKeyArn",
    "pointInTimeRecovery",
    "deletionProtectionEnabled",
    "propagateTags",
}


def _table(call: Call) -> Made:
    """The regions join in one update, as strong consistency wants it."""
    dynamodb, inputs = call.client("dynamodb"), call.inputs
    keys = (("hashKey", "HASH"), ("rangeKey", "RANGE"))
    made = dynamodb.create_table(
        TableName=inputs["name"],
        AttributeDefinitions=[
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in inputs["attributes"]
        ],
        KeySchema=[{"AttributeName": inputs[name], "KeyType": kind} for name, kind in keys if name in inputs],
        **call.given("billingMode tableClass deletionProtectionEnabled"),
        **_encryption(inputs),
        Tags=call.tag_list(),
    )["TableDescription"]
    if update := _regions(inputs, "Create"):
        modes = {replica.get("consistencyMode", "EVENTUAL") for replica in inputs["replicas"]}
        (mode,) = modes
        dynamodb.update_table(TableName=inputs["name"], MultiRegionConsistency=mode, **update)
    if backups := inputs.get("pointInTimeRecovery"):
        _back_up(dynamodb, inputs["name"], backups["enabled"], backups.get("recoveryPeriodInDays"))
    for replica in inputs.get("replicas", []):
        _finish_replica(call, replica, made["TableArn"])
    return Made(inputs["name"], {"arn": made["TableArn"]})


def _back_up(dynamodb: Any, table: str, enabled: bool, days: int | None = None) -> None:
    period = {} if days is None else {"RecoveryPeriodInDays": days}
    dynamodb.update_continuous_backups(
        TableName=table,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled, **period},
    )


def _finish_replica(call: Call, replica: Mapping[str, Any], arn: str) -> None:
    """What joining does not set, each in the replica's own region."""
    if unheard := replica.keys() - _REPLICA:
        raise ValueError(f"of a replica, {', '.join(sorted(unheard))} is not passed on")
    table, dynamodb = call.inputs["name"], call.clients("dynamodb", replica["regionName"])
    if replica.get("pointInTimeRecovery"):
        _back_up(dynamodb, table, enabled=True)
    if replica.get("deletionProtectionEnabled"):
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    if replica.get("propagateTags"):
        there = arn.replace(f":{call.region}:", f":{replica['regionName']}:")
        dynamodb.tag_resource(ResourceArn=there, Tags=call.tag_list())


def _encryption(inputs: Any) -> dict[str, Any]:
    given = inputs.get("serverSideEncryption")
    if not given:
        return {}
    key = {"SSEType": "KMS", "KMSMasterKeyId": given["kmsKeyArn"]} if "kmsKeyArn" in given else {}
    return {"SSESpecification": {"Enabled": given["enabled"], **key}}


def _regions(inputs: Any, verb: str) -> dict[str, Any]:
    update: dict[str, Any] = {}
    if replicas := inputs.get("replicas"):
        update["ReplicaUpdates"] = [
            {verb: {"RegionName": replica["regionName"], **_replica_key(replica, verb)}}
            for replica in replicas
        ]
    if witness := inputs.get("globalTableWitness"):
        update["GlobalTableWitnessUpdates"] = [{verb: {"RegionName": witness["regionName"]}}]
    return update


def _replica_key(replica: Any, verb: str) -> dict[str, str]:
    return {"KMSMasterKeyId": replica["kmsKeyArn"]} if verb == "Create" and "kmsKeyArn" in replica else {}


def _delete_table(old: Old) -> None:
    dynamodb = old.client("dynamodb")
    if update := _regions(old.resource.inputs, "Delete"):
        dynamodb.update_table(TableName=old.id, **update)
    dynamodb.delete_table(TableName=old.id)


def _secret(call: Call) -> Made:
    name = call.inputs.get("name") or call.auto_name()
    replicas = capitals(call.inputs.get("replicas", []))
    made = call.client("secretsmanager").create_secret(
        Name=name,
        **call.given("description kmsKeyId forceOverwriteReplicaSecret"),
        **({"AddReplicaRegions": replicas} if replicas else {}),
        Tags=call.tag_list(),
    )
    if "policy" in call.inputs:
        call.client("secretsmanager").put_resource_policy(
            SecretId=made["ARN"], ResourcePolicy=call.inputs["policy"]
        )
    return Made(made["ARN"], {"name": name, "arn": made["ARN"]})


def _delete_secret(old: Old) -> None:
    manager = old.client("secretsmanager")
    if regions := [replica["region"] for replica in old["replicas"] or []]:
        manager.remove_regions_from_replication(SecretId=old.id, RemoveReplicaRegions=regions)
    days = old["recoveryWindowInDays"]
    how = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": days or 30}
    manager.delete_secret(SecretId=old.id, **how)


def _version(call: Call) -> Made:
    text = call.inputs.get("secretString") or call.inputs["secretStringWo"]
    made = call.client("secretsmanager").put_secret_value(
        SecretId=call.inputs["secretId"], SecretString=text, **call.given("versionStages")
    )
    return Made(
        f"{call.inputs['secretId']}|{made['VersionId']}",
        {"arn": made["ARN"], "versionId": made["VersionId"], "versionStages": made["VersionStages"]},
    )


def _rotation(call: Call) -> Made:
    secret = call.inputs["secretId"]
    call.client("secretsmanager").rotate_secret(
        SecretId=secret,
        RotateImmediately=call.inputs.get("rotateImmediately", True),
        RotationRules=capitals(call.inputs["rotationRules"]),
        **call.given("", rotationLambdaArn="RotationLambdaARN"),
    )
    return Made(secret, {"rotationEnabled": True})


def _delete_rotation(old: Old) -> None:
    old.client("secretsmanager").cancel_rotate_secret(SecretId=old.id)


KINDS = {
    "aws:dynamodb/table:Table": Kind(
        "name attributes hashKey rangeKey billingMode tableClass deletionProtectionEnabled serverSideEncryption "
        "replicas globalTableWitness pointInTimeRecovery",
        _table,
        _delete_table,
    ),
    "aws:secretsmanager/secret:Secret": Kind(
        "name description kmsKeyId policy replicas forceOverwriteReplicaSecret recoveryWindowInDays",
        _secret,
        _delete_secret,
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Kind(
        "secretId secretString secretStringWo secretStringWoVersion versionStages",
        _version,
        secret=("secretString", "secretStringWo"),
    ),
    "aws:secretsmanager/secretRotation:SecretRotation": Kind(
        "secretId rotationLambdaArn rotationRules rotateImmediately", _rotation, _delete_rotation
    ),
}
