"""Recorded resources as a CloudFormation template, so that AWS's own published resource schemas can judge them.

Only names differ between the two worlds; values pass through. What CloudFormation has no type for is named in
WITHOUT_SCHEMA, so that a new type cannot slip by unjudged.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from infra.recorder import Recording, Resource

WITHOUT_SCHEMA = {
    "pulumi:providers:aws": "Pulumi's own",
    "aws:ec2/peeringConnectionOptions:PeeringConnectionOptions": "an option that CloudFormation lacks",
    "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter": "CloudFormation accepts by itself",
    "aws:route53/zoneAssociation:ZoneAssociation": "part of AWS::Route53::HostedZone",
    "aws:secretsmanager/secretVersion:SecretVersion": "part of AWS::SecretsManager::Secret",
    "aws:cloudwatch/eventTarget:EventTarget": "judged with its rule",
}
_UNSAID = {"tagsAll"}


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {_capital(key): _pascal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_pascal(inner) for inner in value]
    return value


def _pairs(key: str, value: str) -> Callable[[dict[str, str]], list[dict[str, str]]]:
    return lambda given: [{key: name, value: text} for name, text in given.items()]


_document = json.loads
_dimensions = _pairs("Name", "Value")
Rename = str | None | tuple[str, Callable[[Any], Any]]

TYPES: dict[str, tuple[str, dict[str, Rename]]] = {
    "rds/globalCluster:GlobalCluster": ("AWS::RDS::GlobalCluster", {}),
    "rds/cluster:Cluster": (
        "AWS::RDS::DBCluster",
        {
            "clusterIdentifier": "DBClusterIdentifier",
            "dbSubnetGroupName": "DBSubnetGroupName",
            "dbClusterParameterGroupName": "DBClusterParameterGroupName",
            "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
            "masterPasswordWo": "MasterUserPassword",
            "masterPasswordWoVersion": None,
            "skipFinalSnapshot": None,
            "finalSnapshotIdentifier": None,
        },
    ),
    "rds/clusterInstance:ClusterInstance": (
        "AWS::RDS::DBInstance",
        {
            "identifier": "DBInstanceIdentifier",
            "clusterIdentifier": "DBClusterIdentifier",
            "instanceClass": "DBInstanceClass",
            "caCertIdentifier": "CACertificateIdentifier",
            "performanceInsightsEnabled": "EnablePerformanceInsights",
            "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
        },
    ),
    "rds/clusterParameterGroup:ClusterParameterGroup": (
        "AWS::RDS::DBClusterParameterGroup",
        {
            "name": "DBClusterParameterGroupName",
            "parameters": ("Parameters", lambda rows: {row["name"]: row["value"] for row in rows}),
        },
    ),
    "rds/subnetGroup:SubnetGroup": (
        "AWS::RDS::DBSubnetGroup",
        {"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"},
    ),
    "dynamodb/table:Table": (
        "AWS::DynamoDB::GlobalTable",
        {
            "name": "TableName",
            "hashKey": None,
            "rangeKey": None,
            "attributes": (
                "AttributeDefinitions",
                lambda rows: [{"AttributeName": row["name"], "AttributeType": row["type"]} for row in rows],
            ),
            "replicas": None,
            "globalTableWitness": (
                "GlobalTableWitnesses",
                lambda witness: [{"Region": witness["regionName"]}],
            ),
            "pointInTimeRecovery": None,
            "deletionProtectionEnabled": None,
            "tags": None,
        },
    ),
    "kms/key:Key": (
        "AWS::KMS::Key",
        {"deletionWindowInDays": "PendingWindowInDays", "policy": ("KeyPolicy", _document)},
    ),
    "kms/alias:Alias": ("AWS::KMS::Alias", {"name": "AliasName"}),
    "secretsmanager/secret:Secret": (
        "AWS::SecretsManager::Secret",
        {"replicas": "ReplicaRegions", "recoveryWindowInDays": None},
    ),
    "secretsmanager/secretRotation:SecretRotation": (
        "AWS::SecretsManager::RotationSchedule",
        {"rotationLambdaArn": "RotationLambdaARN", "rotateImmediately": "RotateImmediatelyOnUpdate"},
    ),
    "sns/topic:Topic": ("AWS::SNS::Topic", {"name": "TopicName"}),
    "sns/topicPolicy:TopicPolicy": (
        "AWS::SNS::TopicPolicy",
        {"arn": ("Topics", lambda arn: [arn]), "policy": ("PolicyDocument", _document)},
    ),
    "sns/topicSubscription:TopicSubscription": ("AWS::SNS::Subscription", {"topic": "TopicArn"}),
    "sqs/queue:Queue": (
        "AWS::SQS::Queue",
        {"name": "QueueName", "messageRetentionSeconds": "MessageRetentionPeriod"},
    ),
    "lambda/function:Function": (
        "AWS::Lambda::Function",
        {
            "name": "FunctionName",
            "code": ("Code", lambda _: {"ZipFile": "handled by the bundle's own tests"}),
            "environment": ("Environment", lambda given: {"Variables": given["variables"]}),
        },
    ),
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        "AWS::Lambda::EventInvokeConfig",
        {},
    ),
    "lambda/permission:Permission": (
        "AWS::Lambda::Permission",
        {"function": "FunctionName", "statementId": None},
    ),
    "cloudwatch/eventRule:EventRule": (
        "AWS::Events::Rule",
        {"eventPattern": ("EventPattern", _document)},
    ),
    "cloudwatch/metricAlarm:MetricAlarm": (
        "AWS::CloudWatch::Alarm",
        {"name": "AlarmName", "dimensions": ("Dimensions", _dimensions), "okActions": "OKActions"},
    ),
    "cloudwatch/dashboard:Dashboard": ("AWS::CloudWatch::Dashboard", {}),
    "cloudwatch/logGroup:LogGroup": ("AWS::Logs::LogGroup", {"name": "LogGroupName"}),
    "ssm/document:Document": (
        "AWS::SSM::Document",
        {"content": ("Content", _document), "name": None},  # one name in both regions, but one template
    ),
    "iam/role:Role": (
        "AWS::IAM::Role",
        {"name": "RoleName", "assumeRolePolicy": ("AssumeRolePolicyDocument", _document)},
    ),
    "iam/rolePolicy:RolePolicy": (
        "AWS::IAM::Policy",
        {
            "name": "PolicyName",
            "role": ("Roles", lambda role: [role]),
            "policy": ("PolicyDocument", _document),
        },
    ),
    "route53/zone:Zone": (
        "AWS::Route53::HostedZone",
        {
            "comment": ("HostedZoneConfig", lambda comment: {"Comment": comment}),
            "vpcs": (
                "VPCs",
                lambda rows: [{"VPCId": row["vpcId"], "VPCRegion": row["vpcRegion"]} for row in rows],
            ),
            "tags": ("HostedZoneTags", _pairs("Key", "Value")),
        },
    ),
    "route53/record:Record": (
        "AWS::Route53::RecordSet",
        {
            "zoneId": "HostedZoneId",
            "ttl": ("TTL", str),
            "records": "ResourceRecords",
            "failoverRoutingPolicies": ("Failover", lambda rows: rows[0]["type"]),
        },
    ),
    "ec2/vpc:Vpc": ("AWS::EC2::VPC", {}),
    "ec2/subnet:Subnet": ("AWS::EC2::Subnet", {}),
    "ec2/routeTable:RouteTable": ("AWS::EC2::RouteTable", {}),
    "ec2/routeTableAssociation:RouteTableAssociation": ("AWS::EC2::SubnetRouteTableAssociation", {}),
    "ec2/route:Route": ("AWS::EC2::Route", {}),
    "ec2/securityGroup:SecurityGroup": (
        "AWS::EC2::SecurityGroup",
        {"name": "GroupName", "description": "GroupDescription"},
    ),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "AWS::EC2::SecurityGroupIngress",
        {
            "securityGroupId": "GroupId",
            "cidrIpv4": "CidrIp",
            "referencedSecurityGroupId": "SourceSecurityGroupId",
        },
    ),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "AWS::EC2::SecurityGroupEgress",
        {
            "securityGroupId": "GroupId",
            "cidrIpv4": "CidrIp",
            "referencedSecurityGroupId": "DestinationSecurityGroupId",
            "prefixListId": "DestinationPrefixListId",
        },
    ),
    "ec2/vpcEndpoint:VpcEndpoint": ("AWS::EC2::VPCEndpoint", {}),
    "ec2/vpcPeeringConnection:VpcPeeringConnection": (
        "AWS::EC2::VPCPeeringConnection",
        {"autoAccept": None},
    ),
    "ec2/flowLog:FlowLog": (
        "AWS::EC2::FlowLog",
        {"vpcId": "ResourceId", "iamRoleArn": "DeliverLogsPermissionArn"},
    ),
}


def template(recording: Recording) -> dict[str, Any]:
    """Every recorded AWS resource that CloudFormation knows; raises KeyError for a type that nobody mapped."""
    resources = {}
    for resource in recording.resources:
        if resource.custom and resource.token not in WITHOUT_SCHEMA:
            logical = re.sub("[^A-Za-z0-9]", "", resource.name.title())
            resources[logical] = _translated(resource, recording)
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def _translated(resource: Resource, recording: Recording) -> dict[str, Any]:
    type_name, renames = (
        _health_check(resource)
        if resource.token.endswith(":HealthCheck")
        else TYPES[resource.token.removeprefix("aws:")]
    )
    properties: dict[str, Any] = {}
    for key, value in resource.inputs.items():
        rename = renames.get(key, _capital(key))
        if rename is None or key in _UNSAID:
            continue
        if isinstance(rename, tuple):
            properties[rename[0]] = rename[1](value)
        elif key == "tags":
            properties["Tags"] = [{"Key": name, "Value": text} for name, text in value.items()]
        else:
            properties[rename] = _pascal(value)
    properties.update(_added(resource, recording))
    return {"Type": type_name, "Properties": properties}


def _health_check(resource: Resource) -> tuple[str, dict[str, Rename]]:
    return "AWS::Route53::HealthCheck", dict.fromkeys(resource.inputs)


def _added(resource: Resource, recording: Recording) -> dict[str, Any]:
    """What is a resource of its own in Pulumi and a property in CloudFormation."""
    inputs = resource.inputs
    kind = resource.token.rpartition(":")[2]
    if kind == "Table":
        protected = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
        keys = [("HASH", inputs["hashKey"]), ("RANGE", inputs["rangeKey"])]
        regions = [resource.region, *(replica["regionName"] for replica in inputs["replicas"])]
        return {
            "KeySchema": [{"KeyType": kind, "AttributeName": name} for kind, name in keys],
            "MultiRegionConsistency": inputs["replicas"][0]["consistencyMode"],
            "Replicas": [{"Region": region, **protected} for region in regions],
        }
    if kind == "FunctionEventInvokeConfig":
        return {"Qualifier": "$LATEST"}
    if kind == "FlowLog":
        return {"ResourceType": "VPC"}
    if kind == "EventRule":
        targets = _named(recording.of("EventTarget"), "rule", inputs["name"])
        return {
            "Targets": [
                {
                    "Id": target.inputs["targetId"],
                    "Arn": target.inputs["arn"],
                    **({"Input": target.inputs["input"]} if "input" in target.inputs else {}),
                }
                for target in targets
            ]
        }
    if kind == "HealthCheck":
        return {"HealthCheckConfig": _check_config(inputs)}
    return {}


def _check_config(inputs: Any) -> dict[str, Any]:
    config = {
        "Type": inputs["type"],
        "ChildHealthChecks": inputs.get("childHealthchecks"),
        "HealthThreshold": inputs.get("childHealthThreshold"),
        "Inverted": inputs.get("invertHealthcheck"),
        "InsufficientDataHealthStatus": inputs.get("insufficientDataHealthStatus"),
    }
    if "cloudwatchAlarmName" in inputs:
        config["AlarmIdentifier"] = {
            "Name": inputs["cloudwatchAlarmName"],
            "Region": inputs["cloudwatchAlarmRegion"],
        }
    return {key: value for key, value in config.items() if value is not None}


def _named(resources: Iterable[Resource], key: str, value: str) -> list[Resource]:
    return [resource for resource in resources if resource.inputs[key] == value]
