"""What each function may do: exact actions on exact ARNs of its own region. Where AWS demands `*`, the reason stands.

A drill proves that these are enough; removing any one breaks a drill or a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi

from farshore.infra.documents import Statement
from farshore.infra.site import Site

Kind = Literal["monitor", "controller", "failover", "rotation", "authority"]
LOOPS: tuple[Kind, ...] = ("monitor", "controller")
ANY_RESOURCE = {
    "Metrics": "PutMetricData is limited by its namespace, not by a resource: "
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html",
    "LagMetric": "GetMetricData knows no resource and no condition on the namespace: "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html",
    "NetworkReading": "EC2 describe calls take no resource: "
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html",
}
"""Statements of identity policies that grant on `*`, each with AWS's reason."""


@dataclass(frozen=True, slots=True)
class Grants:
    """The ARNs a function of this region works with. `secrets`: what it reads, or rotates."""

    table: pulumi.Input[str]
    global_cluster: pulumi.Input[str]
    cluster: pulumi.Input[str]
    other_cluster: pulumi.Input[str]
    secrets: Sequence[pulumi.Input[str]]
    data_key: pulumi.Input[str]
    log_group: pulumi.Input[str]
    dead_letters: pulumi.Input[str]
    topic: pulumi.Input[str]
    alerts_key: pulumi.Input[str]


def statements(kind: Kind, site: Site, grants: Grants) -> list[Statement]:
    running = _running(site, grants)
    if kind == "failover":
        return [_authority(grants), _describing(grants), *running]
    if kind == "rotation":
        return [
            Statement("Authority", ["dynamodb:Query"], [grants.table]),
            *_rotating(site, grants),
            *running,
        ]
    looping = [_authority(grants), _metrics(site), *_secret(site, grants), *running]
    if kind == "controller":
        return [*looping, *_controlling(grants), *_alerting(site, grants), _telling(site)]
    return [*looping, Statement("LagMetric", ["cloudwatch:GetMetricData"], ["*"]), *_alerting(site, grants)]


def answering(table: pulumi.Input[str], log_group: pulumi.Input[str]) -> list[Statement]:
    """What the public endpoint may do."""
    return [Statement("Authority", ["dynamodb:Query"], [table]), _logs(log_group)]


def _logs(log_group: pulumi.Input[str]) -> Statement:
    streams = pulumi.Output.concat(log_group, ":log-stream:*")
    return Statement("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [streams])


def _authority(grants: Grants) -> Statement:
    return Statement("Authority", ["dynamodb:Query", "dynamodb:PutItem"], [grants.table])


def _metrics(site: Site) -> Statement:
    return Statement(
        "Metrics",
        ["cloudwatch:PutMetricData"],
        ["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": site.names.metric_namespace}},
    )


def _controlling(grants: Grants) -> list[Statement]:
    """A failover is asked for in the target's region, a switchover in the source's: each may promote one cluster."""
    return [
        _describing(grants),
        Statement("Failover", ["rds:FailoverGlobalCluster"], [grants.global_cluster, grants.cluster]),
        Statement(
            "Switchover", ["rds:SwitchoverGlobalCluster"], [grants.global_cluster, grants.other_cluster]
        ),
    ]


def _describing(grants: Grants) -> Statement:
    return Statement("Describe", ["rds:DescribeGlobalClusters"], [grants.global_cluster])


def _alerting(site: Site, grants: Grants) -> list[Statement]:
    """Whoever publishes to an encrypted topic needs its key.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#permissions-for-sns-encryption
    """
    via = f"sns.{site.region}.amazonaws.com"
    return [
        Statement("Alert", ["sns:Publish"], [grants.topic]),
        Statement(
            "AlertKey",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            [grants.alerts_key],
            conditions={"StringEquals": {"kms:ViaService": via}},
        ),
    ]


def _telling(site: Site) -> Statement:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html"""
    return Statement("Tell", ["events:PutEvents"], [site.arn("events", "event-bus/default")])


def _secret(site: Site, grants: Grants) -> list[Statement]:
    return [
        Statement("Secret", ["secretsmanager:GetSecretValue"], grants.secrets),
        _through_secrets_manager(site, grants, ["kms:Decrypt"]),
    ]


def _rotating(site: Site, grants: Grants) -> list[Statement]:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html"""
    actions = ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")
    return [
        Statement("Secret", [f"secretsmanager:{action}" for action in actions], grants.secrets),
        _through_secrets_manager(site, grants, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]


def _through_secrets_manager(site: Site, grants: Grants, actions: Sequence[str]) -> Statement:
    via = f"secretsmanager.{site.region}.amazonaws.com"
    return Statement(
        "SecretKey", actions, [grants.data_key], conditions={"StringEquals": {"kms:ViaService": via}}
    )


def _running(site: Site, grants: Grants) -> list[Statement]:
    """What Lambda does in the role's name: logs, the dead-letter queue, network interfaces in the VPC.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    return [
        _logs(grants.log_group),
        Statement("DeadLetters", ["sqs:SendMessage"], [grants.dead_letters]),
        Statement(
            "Network",
            [
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            ],
            [site.arn("ec2", "*/*")],
        ),
        Statement("NetworkReading", ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], ["*"]),
    ]
