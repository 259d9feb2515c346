"""What the lab's AWS answers, operation by operation, and the clear refusal for everything else.

`real` means that the call has the effect it has at AWS, as far as this machine can have it. `stored` means that
the lab remembers the resource and shows it again, and nothing else happens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Kind(StrEnum):
    REAL = "real"
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class Entry:
    """Some operations of one service that share a kind and an explanation."""

    kind: Kind
    note: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """One AWS service: `signing` is its name in a signature's scope, `boto` in botocore, `module` in moto."""

    signing: str
    boto: str
    module: str
    entries: tuple[Entry, ...]

    @cached_property
    def operations(self) -> Mapping[str, Entry]:
        return {operation: entry for entry in self.entries for operation in entry.operations}


def _real(note: str, operations: str) -> Entry:
    return Entry(Kind.REAL, note, tuple(operations.split()))


def _stored(note: str, operations: str) -> Entry:
    return Entry(Kind.STORED, note, tuple(operations.split()))


_RDS = Service(
    "rds",
    "rds",
    "rds",
    (
        _real(
            "drives the PostgreSQL servers",
            "CreateGlobalCluster DescribeGlobalClusters ModifyGlobalCluster DeleteGlobalCluster"
            " FailoverGlobalCluster SwitchoverGlobalCluster RemoveFromGlobalCluster"
            " CreateDBCluster DescribeDBClusters DeleteDBCluster CreateDBInstance DescribeDBInstances"
            " DeleteDBInstance FailoverDBCluster RebootDBInstance DescribeEvents"
            " CreateDBClusterSnapshot CopyDBClusterSnapshot DeleteDBClusterSnapshot DescribeDBClusterSnapshots"
            " RestoreDBClusterFromSnapshot ModifyDBCluster",
        ),
        _stored(
            "kept as given; the servers do not change",
            "ModifyDBInstance CreateDBSubnetGroup DescribeDBSubnetGroups ModifyDBSubnetGroup"
            " DeleteDBSubnetGroup CreateDBClusterParameterGroup DescribeDBClusterParameterGroups"
            " DescribeDBClusterParameters ModifyDBClusterParameterGroup DeleteDBClusterParameterGroup"
            " CreateDBParameterGroup DescribeDBParameterGroups DescribeDBParameters ModifyDBParameterGroup"
            " DeleteDBParameterGroup DescribeOrderableDBInstanceOptions"
            " AddTagsToResource ListTagsForResource RemoveTagsFromResource",
        ),
    ),
)

_DYNAMODB = Service(
    "dynamodb",
    "dynamodb",
    "dynamodb",
    (
        _real(
            "tables and items; a strongly consistent global table needs a majority of its three regions",
            "CreateTable DescribeTable UpdateTable DeleteTable ListTables PutItem GetItem UpdateItem DeleteItem"
            " Query Scan BatchGetItem BatchWriteItem TransactWriteItems TransactGetItems",
        ),
        _stored(
            "kept as given",
            "TagResource UntagResource ListTagsOfResource DescribeContinuousBackups UpdateContinuousBackups"
            " DescribeTimeToLive DescribeLimits",
        ),
    ),
)

_LAMBDA = Service(
    "lambda",
    "lambda",
    "awslambda",
    (
        _real(
            "functions run in processes of their own through the Lambda runtime interface client",
            "CreateFunction GetFunction GetFunctionConfiguration ListFunctions UpdateFunctionCode"
            " UpdateFunctionConfiguration DeleteFunction Invoke PutFunctionConcurrency"
            " GetFunctionConcurrency DeleteFunctionConcurrency PutFunctionEventInvokeConfig"
            " GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig"
            " CreateFunctionUrlConfig GetFunctionUrlConfig DeleteFunctionUrlConfig",
        ),
        _stored(
            "kept as given; a function's resource policy is enforced for its URL only",
            "AddPermission GetPolicy RemovePermission TagResource UntagResource ListTags"
            " ListVersionsByFunction",
        ),
    ),
)

_EVENTS = Service(
    "events",
    "events",
    "events",
    (
        _real(
            "rate schedules fire on real minutes; patterns reach Lambda, SNS and SQS",
            "PutRule DescribeRule ListRules DeleteRule EnableRule DisableRule PutTargets ListTargetsByRule"
            " ListRuleNamesByTarget RemoveTargets PutEvents",
        ),
        _stored(
            "kept as given", "TagResource UntagResource ListTagsForResource DescribeEventBus ListEventBuses"
        ),
    ),
)

_CLOUDWATCH = Service(
    "monitoring",
    "cloudwatch",
    "cloudwatch",
    (
        _real(
            "metrics are kept and alarms evaluated",
            "PutMetricData GetMetricData GetMetricStatistics ListMetrics PutMetricAlarm DescribeAlarms"
            " DescribeAlarmsForMetric DeleteAlarms SetAlarmState EnableAlarmActions DisableAlarmActions",
        ),
        _stored(
            "kept as given",
            "PutDashboard GetDashboard ListDashboards DeleteDashboards TagResource UntagResource"
            " ListTagsForResource",
        ),
    ),
)

_ROUTE53 = Service(
    "route53",
    "route53",
    "route53",
    (
        _real(
            "alarms and HTTPS endpoints are checked, and the zone is served over DNS",
            "CreateHostedZone GetHostedZone ListHostedZones ListHostedZonesByName DeleteHostedZone"
            " ChangeResourceRecordSets ListResourceRecordSets GetChange CreateHealthCheck GetHealthCheck"
            " GetHealthCheckStatus ListHealthChecks UpdateHealthCheck DeleteHealthCheck TestDNSAnswer",
        ),
        _stored(
            "kept as given",
            "AssociateVPCWithHostedZone DisassociateVPCFromHostedZone ListHostedZonesByVPC"
            " ChangeTagsForResource ListTagsForResource ListTagsForResources UpdateHostedZoneComment"
            " GetHostedZoneCount",
        ),
    ),
)

_SNS = Service(
    "sns",
    "sns",
    "sns",
    (
        _real(
            "messages reach queues, functions, web servers of this computer and the lab's mailbox",
            "Publish PublishBatch Subscribe ConfirmSubscription Unsubscribe",
        ),
        _stored(
            "kept as given; topic policies are not enforced",
            "CreateTopic DeleteTopic ListTopics GetTopicAttributes SetTopicAttributes ListSubscriptions"
            " ListSubscriptionsByTopic GetSubscriptionAttributes SetSubscriptionAttributes TagResource"
            " UntagResource ListTagsForResource",
        ),
    ),
)

_SQS = Service(
    "sqs",
    "sqs",
    "sqs",
    (
        _real(
            "messages are queued, hidden and redelivered",
            "SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch PurgeQueue"
            " ChangeMessageVisibility",
        ),
        _stored(
            "kept as given; queue policies are not enforced",
            "CreateQueue DeleteQueue GetQueueUrl GetQueueAttributes SetQueueAttributes ListQueues TagQueue"
            " UntagQueue ListQueueTags",
        ),
    ),
)

_SECRETS = Service(
    "secretsmanager",
    "secretsmanager",
    "secretsmanager",
    (
        _real(
            "rotation runs its function's four steps when asked; no schedule starts it",
            "RotateSecret CancelRotateSecret UpdateSecretVersionStage",
        ),
        _stored(
            "secrets and their versions are kept; replication is immediate",
            "CreateSecret GetSecretValue PutSecretValue UpdateSecret DescribeSecret ListSecrets DeleteSecret"
            " RestoreSecret ReplicateSecretToRegions RemoveRegionsFromReplication GetRandomPassword"
            " ListSecretVersionIds GetResourcePolicy PutResourcePolicy"
            " DeleteResourcePolicy TagResource UntagResource",
        ),
    ),
)

_STS = Service(
    "sts",
    "sts",
    "sts",
    (
        _real(
            "roles are assumed as their trust policies say, external ids included",
            "GetCallerIdentity AssumeRole",
        ),
    ),
)

_IAM = Service(
    "iam",
    "iam",
    "iam",
    (
        _stored(
            "roles and policies are kept; a role's calls are denied unless its policies allow them",
            "CreateRole GetRole ListRoles UpdateRole DeleteRole UpdateAssumeRolePolicy TagRole UntagRole"
            " ListRoleTags PutRolePolicy GetRolePolicy ListRolePolicies DeleteRolePolicy AttachRolePolicy"
            " DetachRolePolicy ListAttachedRolePolicies CreatePolicy GetPolicy ListPolicies DeletePolicy"
            " CreatePolicyVersion GetPolicyVersion ListPolicyVersions DeletePolicyVersion TagPolicy UntagPolicy"
            " ListPolicyTags ListInstanceProfilesForRole ListEntitiesForPolicy CreateServiceLinkedRole",
        ),
    ),
)

_KMS = Service(
    "kms",
    "kms",
    "kms",
    (
        _stored(
            "keys are kept; nothing in the lab is encrypted with them",
            "CreateKey DescribeKey ListKeys ScheduleKeyDeletion CancelKeyDeletion EnableKeyRotation"
            " DisableKeyRotation GetKeyRotationStatus GetKeyPolicy PutKeyPolicy ListKeyPolicies CreateAlias"
            " DeleteAlias UpdateAlias ListAliases TagResource UntagResource ListResourceTags"
            " UpdateKeyDescription",
        ),
    ),
)

_EC2 = Service(
    "ec2",
    "ec2",
    "ec2",
    (
        _stored(
            "networks are kept as given; the lab's own addresses and links carry the traffic",
            "CreateVpc DeleteVpc ModifyVpcAttribute DescribeVpcAttribute CreateSubnet DeleteSubnet"
            " ModifySubnetAttribute CreateRouteTable DeleteRouteTable AssociateRouteTable"
            " DisassociateRouteTable CreateRoute DeleteRoute CreateSecurityGroup DeleteSecurityGroup"
            " AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress"
            " RevokeSecurityGroupEgress CreateVpcEndpoint DeleteVpcEndpoints CreateVpcPeeringConnection"
            " AcceptVpcPeeringConnection DeleteVpcPeeringConnection ModifyVpcPeeringConnectionOptions"
            " CreateFlowLogs DeleteFlowLogs DescribeFlowLogs DescribeManagedPrefixLists"
            " CreateTags DeleteTags",
        ),
        _stored(
            "what is kept can be read",
            "DescribeVpcs DescribeSubnets DescribeSecurityGroups DescribeSecurityGroupRules DescribeRouteTables"
            " DescribeVpcPeeringConnections DescribeVpcEndpoints DescribeNetworkInterfaces DescribeRegions"
            " DescribeAvailabilityZones DescribeTags DescribeAccountAttributes",
        ),
    ),
)

_LOGS = Service(
    "logs",
    "logs",
    "logs",
    (
        _stored(
            "groups and events are kept; functions write to files in the lab's directory instead",
            "CreateLogGroup DescribeLogGroups DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy"
            " CreateLogStream DescribeLogStreams PutLogEvents GetLogEvents FilterLogEvents TagResource"
            " UntagResource ListTagsForResource TagLogGroup ListTagsLogGroup",
        ),
    ),
)

_TAGGING = Service(
    "tagging",
    "resourcegroupstaggingapi",
    "resourcegroupstaggingapi",
    (_stored("reads the tags of what is kept", "GetResources GetTagKeys GetTagValues"),),
)

_SSM = Service(
    "ssm",
    "ssm",
    "ssm",
    (
        _real(
            "runbooks are carried out step by step, in the name of their roles",
            "StartAutomationExecution GetAutomationExecution DescribeAutomationExecutions"
            " StopAutomationExecution",
        ),
        _stored(
            "kept as given",
            "CreateDocument GetDocument DescribeDocument ListDocuments DeleteDocument AddTagsToResource"
            " ListTagsForResource RemoveTagsFromResource",
        ),
    ),
)

SERVICES: Mapping[str, Service] = {
    service.signing: service
    for service in (
        _RDS,
        _DYNAMODB,
        _LAMBDA,
        _EVENTS,
        _CLOUDWATCH,
        _ROUTE53,
        _SNS,
        _SQS,
        _SECRETS,
        _STS,
        _IAM,
        _KMS,
        _EC2,
        _LOGS,
        _TAGGING,
        _SSM,
    )
}


def table() -> Iterator[tuple[str, Kind, str, str]]:
    """Rows for a person: service, kind, what it means, the operations."""
    for service in SERVICES.values():
        for entry in service.entries:
            yield service.boto, entry.kind, entry.note, " ".join(entry.operations)
