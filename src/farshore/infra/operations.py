"""The role of whoever operates the deployment, in this account or a trusted one: with an external id, and no more
than what a switchover, a failover and looking at them take.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document
from farshore.infra.runbooks import MOVES
from farshore.infra.site import Site, tagged

SESSION_S = 3600


@dataclass(frozen=True, slots=True)
class OperationsArgs:
    """`clusters`, `tables`, `functions`, `runbook_roles`: the ARNs of both regions. `checks`, `children`: the ids
    of the two records' health checks, and of those that they are calculated from."""

    home: Site
    standby: Site
    trusted_accounts: Sequence[str]
    global_cluster: pulumi.Input[str]
    clusters: Sequence[pulumi.Input[str]]
    tables: Sequence[pulumi.Input[str]]
    functions: Sequence[pulumi.Input[str]]
    zone_id: pulumi.Input[str]
    checks: Sequence[pulumi.Input[str]]
    children: Sequence[pulumi.Input[str]]
    runbook_roles: Sequence[pulumi.Input[str]]


class OperationsRole(pulumi.ComponentResource):
    def __init__(self, name: str, args: OperationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:OperationsRole", name, None, opts)
        self._args = args
        names = args.home.names
        self.role = aws.iam.Role(
            f"{name}-role",
            name=names.operations_role,
            description="Operates the global database: switchover, failover, status",
            max_session_duration=SESSION_S,
            assume_role_policy=self._trust(),
            tags=tagged(names.operations_role),
            opts=args.home.options(self),
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            name=names.operations_role,
            role=self.role.id,
            policy=document(*self._moving(), *self._looking(), *self._naming(), *self._running_books()),
            opts=args.home.options(self),
        )
        self.register_outputs({"roleArn": self.role.arn})

    def _trust(self) -> pulumi.Output[str]:
        accounts: list[pulumi.Input[str]] = [self._args.home.account, *self._args.trusted_accounts]
        roots = [pulumi.Output.format("arn:aws:iam::{0}:root", account) for account in accounts]
        return document(
            Statement(
                "Operators",
                ["sts:AssumeRole"],
                principal={"AWS": roots},
                conditions={"StringEquals": {"sts:ExternalId": self._args.home.names.external_id}},
            )
        )

    def _moving(self) -> list[Statement]:
        args = self._args
        return [
            Statement(
                "MoveTheWriter",
                ["rds:SwitchoverGlobalCluster", "rds:FailoverGlobalCluster"],
                [args.global_cluster, *args.clusters],
            )
        ]

    def _looking(self) -> list[Statement]:
        args = self._args
        alarms = [
            site.arn("cloudwatch", f"alarm:{site.side}-*-{site.names.suffix}")
            for site in (args.home, args.standby)
        ]
        return [
            Statement("DescribeGlobal", ["rds:DescribeGlobalClusters"], [args.global_cluster]),
            Statement("DescribeClusters", ["rds:DescribeDBClusters"], args.clusters),
            Statement("ReadAuthority", ["dynamodb:Query"], args.tables),
            Statement("DescribeAlarms", ["cloudwatch:DescribeAlarms"], alarms),
            Statement("TestMonitors", ["lambda:InvokeFunction"], args.functions),
        ]

    def _naming(self) -> list[Statement]:
        """The seed's DNS permissions, on this deployment's checks and its one name. AWS tells no status of a calculated
        check: it is worked out from the children's."""
        args = self._args
        checks, children = (
            [pulumi.Output.format("arn:aws:route53:::healthcheck/{0}", check) for check in ids]
            for ids in (args.checks, args.children)
        )
        zone = pulumi.Output.format("arn:aws:route53:::hostedzone/{0}", args.zone_id)
        record_key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        return [
            Statement("ReadChecks", ["route53:GetHealthCheck"], [*checks, *children]),
            Statement("ChildrenStatus", ["route53:GetHealthCheckStatus"], children),
            Statement("InvertChecks", ["route53:UpdateHealthCheck"], checks),
            Statement("ReadRecords", ["route53:ListResourceRecordSets"], [zone]),
            Statement(
                "WriterRecord",
                ["route53:ChangeResourceRecordSets"],
                [zone],
                conditions={"ForAllValues:StringEquals": {record_key: [args.home.names.writer_name]}},
            ),
        ]

    def _running_books(self) -> list[Statement]:
        """Whoever starts a runbook passes its role. An execution is named when it has begun, hence `*`.

        https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-setup-iam.html
        """
        args, sites = self._args, (self._args.home, self._args.standby)
        definitions = [
            site.arn("ssm", f"automation-definition/{site.names.runbook(move)}:$DEFAULT")
            for site in sites
            for move in MOVES
        ]
        executions = [site.arn("ssm", "automation-execution/*") for site in sites]
        return [
            Statement("StartRunbooks", ["ssm:StartAutomationExecution"], definitions),
            Statement(
                "FollowRunbooks", ["ssm:GetAutomationExecution", "ssm:StopAutomationExecution"], executions
            ),
            Statement(
                "PassRunbookRoles",
                ["iam:PassRole"],
                args.runbook_roles,
                conditions={"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
            ),
        ]
