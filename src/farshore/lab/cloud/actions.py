"""Which action a call needs on which resources, for the operations of services that farshore uses.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
(a page per service: action, resource types, condition keys). An operation that lists and may name a resource is judged
on what it names, or on all of that type (`cluster:*`); one without resource types on `*`.
An operation that is not here is denied to everybody but the account's administrator.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from farshore.lab.cloud import stored
from farshore.lab.cloud.asked import Asked

Resources = Callable[[Asked], list[str]]
Keys = Mapping[str, Callable[[Asked], tuple[str, ...] | None]]
_ALL = "*"
_HASH_VALUE = r"(?<![\w#]){0}\s*=\s*(:\w+)"


@dataclass(frozen=True, slots=True)
class Rule:
    """`keys`: the condition keys of this request beyond those of every request."""

    action: str
    resources: Resources
    keys: Keys


def _arn(asked: Asked, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{asked.region}:{asked.account}:{resource}"


def _anything(_: Asked) -> list[str]:
    return [_ALL]


# RDS


def _named(*parameters: tuple[str, str], everything: bool = False) -> Resources:
    """Each (parameter, resource type) that is given. `everything`: a type that is not given stands for all of it."""

    def resources(asked: Asked) -> list[str]:
        return [
            _rds(asked, kind, given)
            for parameter, kind in parameters
            if (given := asked.one(parameter) or (_ALL if everything else None)) is not None
        ]

    return resources


def _rds(asked: Asked, kind: str, given: str) -> str:
    if given.startswith("arn:"):
        return given
    place = "" if kind == "global-cluster" else asked.region
    return f"arn:aws:rds:{place}:{asked.account}:{kind}:{given.lower()}"


_CLUSTER = ("DBClusterIdentifier", "cluster")
_GLOBAL = ("GlobalClusterIdentifier", "global-cluster")
_INSTANCE = ("DBInstanceIdentifier", "db")
_SNAPSHOT = ("DBClusterSnapshotIdentifier", "cluster-snapshot")
_SUBNETS = ("DBSubnetGroupName", "subgrp")
_PARAMETERS = ("DBClusterParameterGroupName", "cluster-pg")


def _moved(parameter: str) -> Resources:
    """The global cluster and the member that is named, by its ARN or, as the lab takes it, by its bare name."""

    def resources(asked: Asked) -> list[str]:
        global_cluster = asked.one("GlobalClusterIdentifier") or ""
        target = asked.one(parameter) or ""
        member = stored.global_member(asked.account, global_cluster, target)
        return [_rds(asked, "global-cluster", global_cluster), member or _rds(asked, "cluster", target)]

    return resources


# DynamoDB


def _table(asked: Asked) -> list[str]:
    name = asked.one("TableName") or ""
    table = name if name.startswith("arn:") else _arn(asked, "dynamodb", f"table/{name}")
    index = asked.one("IndexName")
    return [f"{table}/index/{index}"] if index else [table]


def _leading_keys(asked: Asked) -> tuple[str, ...] | None:
    """The partition key's value in the item, the key or the key condition."""
    hash_key = stored.hash_key(asked.account, asked.region, asked.one("TableName") or "")
    if hash_key is None:
        return None
    item = asked.document("Item") or asked.document("Key")
    if hash_key in item:
        return (_scalar(item[hash_key]),)
    expression, names = asked.one("KeyConditionExpression"), asked.document("ExpressionAttributeNames")
    written = [hash_key, *(alias for alias, name in names.items() if name == hash_key)]
    for name in written:
        found = re.search(_HASH_VALUE.format(re.escape(name)), expression or "")
        if found:
            return (_scalar(asked.document("ExpressionAttributeValues")[found[1]]),)
    return None


def _scalar(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


# CloudWatch


def _alarms(parameter: str) -> Resources:
    def resources(asked: Asked) -> list[str]:
        given = asked.many(parameter) or [asked.one(parameter) or _ALL]
        return [_arn(asked, "cloudwatch", f"alarm:{name}") for name in given]

    return resources


def _dashboard(asked: Asked) -> list[str]:
    return [f"arn:aws:cloudwatch::{asked.account}:dashboard/{asked.one('DashboardName')}"]


def _text(parameter: str) -> Callable[[Asked], tuple[str, ...] | None]:
    def key(asked: Asked) -> tuple[str, ...] | None:
        given = asked.one(parameter)
        return None if given is None else (given,)

    return key


# The other services with JSON or form parameters


def _secret(asked: Asked) -> list[str]:
    given = asked.one("SecretId") or ""
    known = stored.secret(asked.account, asked.region, given)
    fallback = given if given.startswith("arn:") else _arn(asked, "secretsmanager", f"secret:{given}")
    return [known.arn if known else fallback]


def _topic(asked: Asked) -> list[str]:
    return [asked.one("TopicArn") or asked.one("TargetArn") or ""]


def _key(asked: Asked) -> list[str]:
    return [stored.key_arn(asked.account, asked.region, asked.one("KeyId") or "")]


def _queue(asked: Asked) -> list[str]:
    name = (asked.one("QueueUrl") or asked.one("QueueName") or "").rpartition("/")[2]
    return [_arn(asked, "sqs", name)]


def _logs(asked: Asked) -> list[str]:
    """A group's ARN ends in its streams: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html"""
    group, stream = asked.one("logGroupName") or "", asked.one("logStreamName") or ""
    return [_arn(asked, "logs", f"log-group:{group}:log-stream:{stream}")]


def _rule(parameter: str) -> Resources:
    return lambda asked: [_arn(asked, "events", f"rule/{asked.one(parameter)}")]


def _bus(asked: Asked) -> list[str]:
    named = {entry.get("EventBusName", "default") for entry in asked.many("Entries")}
    return [n if n.startswith("arn:") else _arn(asked, "events", f"event-bus/{n}") for n in sorted(named)]


def _role(asked: Asked) -> list[str]:
    return [asked.one("RoleArn") or ""]


def _runbook(asked: Asked) -> list[str]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html.

    An execution that is yet to be is not named; a version that is not given is the default one.
    """
    name = (asked.one("DocumentName") or "").rpartition("/")[2]
    return [_arn(asked, "ssm", f"automation-definition/{name}:{asked.one('DocumentVersion') or '$DEFAULT'}")]


def _execution(asked: Asked) -> list[str]:
    return [_arn(asked, "ssm", f"automation-execution/{asked.one('AutomationExecutionId')}")]


def _document(asked: Asked) -> list[str]:
    return [_arn(asked, "ssm", f"document/{(asked.one('Name') or '').rpartition('/')[2]}")]


# REST services: names stand in the path


def _function(asked: Asked) -> list[str]:
    """/2015-03-31/functions/<name or ARN>/..."""
    given = asked.segments[2]
    return [given if given.startswith("arn:") else _arn(asked, "lambda", f"function:{given}")]


def _health_check(asked: Asked) -> list[str]:
    return [f"arn:aws:route53:::healthcheck/{asked.segments[2]}"]


def _zone(asked: Asked) -> list[str]:
    return [f"arn:aws:route53:::hostedzone/{asked.segments[2]}"]


def _change(asked: Asked) -> list[str]:
    return [f"arn:aws:route53:::change/{asked.segments[2]}"]


def _in_changes(element: str) -> Callable[[Asked], tuple[str, ...] | None]:
    """Names in lower case, without the dot at the end.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-conditions-route53.html
    """

    def key(asked: Asked) -> tuple[str, ...]:
        found = [e.text or "" for e in asked.xml.iter() if e.tag.rpartition("}")[2] == element]
        return tuple(text.lower().rstrip(".") for text in found) if element == "Name" else tuple(found)

    return key


def _service(prefix: str, resources: Resources, operations: str, keys: Keys | None = None) -> dict[str, Rule]:
    return {
        operation: Rule(f"{prefix}:{operation}", resources, keys or {}) for operation in operations.split()
    }


_LEADING: Keys = {"dynamodb:leadingkeys": _leading_keys}
_RECORDS: Keys = {
    "route53:changeresourcerecordsetsnormalizedrecordnames": _in_changes("Name"),
    "route53:changeresourcerecordsetsrecordtypes": _in_changes("Type"),
    "route53:changeresourcerecordsetsactions": _in_changes("Action"),
}

RULES: Mapping[str, Mapping[str, Rule]] = {
    "rds": {
        **_service("rds", _named(_GLOBAL, everything=True), "DescribeGlobalClusters"),
        **_service(
            "rds", _moved("TargetDbClusterIdentifier"), "FailoverGlobalCluster SwitchoverGlobalCluster"
        ),
        **_service("rds", _moved("DbClusterIdentifier"), "RemoveFromGlobalCluster"),
        **_service("rds", _named(_GLOBAL), "ModifyGlobalCluster DeleteGlobalCluster"),
        **_service("rds", _named(_CLUSTER, everything=True), "DescribeDBClusters"),
        **_service("rds", _named(_CLUSTER), "FailoverDBCluster DeleteDBCluster"),
        **_service("rds", _named(_CLUSTER, _PARAMETERS), "ModifyDBCluster"),
        **_service("rds", _named(_CLUSTER, _PARAMETERS, _SUBNETS, _GLOBAL), "CreateDBCluster"),
        **_service("rds", _named(_INSTANCE, everything=True), "DescribeDBInstances"),
        **_service("rds", _named(_INSTANCE, _CLUSTER, _SUBNETS), "CreateDBInstance"),
        **_service("rds", _named(_INSTANCE), "DeleteDBInstance ModifyDBInstance RebootDBInstance"),
        **_service("rds", _named(_CLUSTER, _SNAPSHOT, everything=True), "DescribeDBClusterSnapshots"),
        **_service("rds", _named(_CLUSTER, _SNAPSHOT), "CreateDBClusterSnapshot"),
        **_service("rds", _named(_SNAPSHOT), "DeleteDBClusterSnapshot"),
        **_service(
            "rds",
            _named(
                ("SourceDBClusterSnapshotIdentifier", "cluster-snapshot"),
                ("TargetDBClusterSnapshotIdentifier", "cluster-snapshot"),
            ),
            "CopyDBClusterSnapshot",
        ),
        **_service(
            "rds",
            _named(_CLUSTER, ("SnapshotIdentifier", "cluster-snapshot"), _SUBNETS, _PARAMETERS),
            "RestoreDBClusterFromSnapshot",
        ),
        **_service("rds", _named(_SUBNETS, everything=True), "DescribeDBSubnetGroups"),
        **_service(
            "rds",
            _named(_PARAMETERS, everything=True),
            "DescribeDBClusterParameterGroups DescribeDBClusterParameters",
        ),
        **_service("rds", _named(("ResourceName", "cluster")), "ListTagsForResource AddTagsToResource"),
        **_service("rds", _anything, "DescribeEvents DescribeOrderableDBInstanceOptions"),
    },
    "dynamodb": {
        **_service("dynamodb", _table, "Query GetItem PutItem UpdateItem DeleteItem", _LEADING),
        **_service("dynamodb", _table, "Scan DescribeTable DescribeContinuousBackups"),
        **_service("dynamodb", _anything, "ListTables DescribeLimits"),
    },
    "monitoring": {
        **_service("cloudwatch", _anything, "PutMetricData", {"cloudwatch:namespace": _text("Namespace")}),
        **_service(
            "cloudwatch", _anything, "GetMetricData GetMetricStatistics ListMetrics DescribeAlarmsForMetric"
        ),
        **_service(
            "cloudwatch",
            _alarms("AlarmNames"),
            "DescribeAlarms DeleteAlarms EnableAlarmActions DisableAlarmActions",
        ),
        **_service("cloudwatch", _alarms("AlarmName"), "PutMetricAlarm SetAlarmState"),
        **_service("cloudwatch", _dashboard, "GetDashboard PutDashboard"),
    },
    "secretsmanager": {
        **_service(
            "secretsmanager",
            _secret,
            "GetSecretValue DescribeSecret PutSecretValue UpdateSecretVersionStage ListSecretVersionIds",
        ),
        **_service("secretsmanager", _anything, "ListSecrets GetRandomPassword"),
    },
    "sns": {
        **_service("sns", _topic, "Publish Subscribe GetTopicAttributes ListSubscriptionsByTopic"),
        **_service("sns", _anything, "ListTopics ListSubscriptions"),
    },
    "sqs": _service("sqs", _queue, "SendMessage ReceiveMessage DeleteMessage GetQueueAttributes GetQueueUrl"),
    "logs": {
        **_service(
            "logs",
            _logs,
            "CreateLogGroup CreateLogStream PutLogEvents DescribeLogStreams GetLogEvents FilterLogEvents",
        ),
        **_service("logs", _anything, "DescribeLogGroups"),
    },
    "lambda": {
        "Invoke": Rule("lambda:InvokeFunction", _function, {}),
        **_service("lambda", _function, "GetFunction GetFunctionConfiguration GetFunctionConcurrency"),
        **_service("lambda", _anything, "ListFunctions"),
    },
    "events": {
        **_service("events", _bus, "PutEvents"),
        **_service("events", _rule("Name"), "DescribeRule EnableRule DisableRule"),
        **_service("events", _rule("Rule"), "ListTargetsByRule"),
        **_service("events", _anything, "ListRules"),
    },
    "route53": {
        **_service("route53", _health_check, "GetHealthCheck GetHealthCheckStatus UpdateHealthCheck"),
        **_service("route53", _zone, "GetHostedZone ListResourceRecordSets"),
        **_service("route53", _zone, "ChangeResourceRecordSets", _RECORDS),
        **_service("route53", _change, "GetChange"),
        **_service(
            "route53", _anything, "ListHealthChecks ListHostedZones ListHostedZonesByName TestDNSAnswer"
        ),
    },
    "sts": _service(
        "sts",
        _role,
        "AssumeRole",
        {"sts:externalid": _text("ExternalId"), "sts:rolesessionname": _text("RoleSessionName")},
    ),
    "ssm": {
        **_service("ssm", _runbook, "StartAutomationExecution"),
        **_service("ssm", _execution, "GetAutomationExecution StopAutomationExecution"),
        **_service("ssm", _document, "GetDocument DescribeDocument"),
        **_service("ssm", _anything, "DescribeAutomationExecutions ListDocuments"),
    },
    "kms": {
        **_service("kms", _key, "Decrypt GenerateDataKey DescribeKey GetKeyRotationStatus"),
        **_service("kms", _anything, "ListKeys ListAliases"),
    },
    "ec2": _service(
        "ec2",
        _anything,
        "DescribeVpcs DescribeSubnets DescribeSecurityGroups DescribeRouteTables DescribeVpcEndpoints"
        " DescribeVpcPeeringConnections DescribeNetworkInterfaces DescribeRegions DescribeAvailabilityZones",
    ),
}
"""By the service of the signature's scope, then by operation."""
