"""A region's functions: each with a role and a log of its own; monitor and controller on a one-minute schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import document, trust
from farshore.infra.keys import Keys
from farshore.infra.network import Network
from farshore.infra.permissions import Grants, Kind, statements
from farshore.infra.site import Site, tagged

RUNTIME = "python3.11"
TIMEOUT_S = 170
MEMORY_MB = 256
CONCURRENCY = 5
SCHEDULE = "rate(1 minute)"
EVENT_AGE_S = 60


@dataclass(frozen=True, slots=True)
class FunctionArgs:
    """`grants.log_group` is filled in by the function, whose log it is. `after`: the way to AWS's APIs."""

    site: Site
    kind: Kind
    network: Network
    keys: Keys
    code: pulumi.Archive
    environment: Mapping[str, pulumi.Input[str]]
    dead_letters: aws.sqs.Queue
    table_arn: pulumi.Input[str]
    global_cluster_arn: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    other_cluster_arn: pulumi.Input[str]
    secret_arns: Sequence[pulumi.Input[str]]
    topic_arn: pulumi.Input[str]
    log_retention_days: int
    after: Sequence[pulumi.Resource] = ()
    concurrency: int = CONCURRENCY


class RegionFunction(pulumi.ComponentResource):
    """Function, role, log. Its subclasses say what starts it, and register the outputs."""

    def __init__(
        self, token: str, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(token, name, None, opts)
        self._name, self._args = name, args
        names, region = args.site.names, args.site.region
        by_kind = {
            "monitor": names.monitor_function,
            "controller": names.controller_function,
            "failover": names.failover_function,
            "rotation": names.rotation_function,
        }
        self.function_name = by_kind[args.kind](region)
        self.log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=names.function_log_group(self.function_name),
            retention_in_days=args.log_retention_days,
            kms_key_id=args.keys.data.arn,
            tags=tagged(names.function_log_group(self.function_name)),
            opts=args.site.options(self),
        )
        self.role, policy = self._role()
        self.function = self._function([self.log, policy, *args.network.rules, *args.after])

    def _role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args = self._args
        role_name = args.site.names.function_role(args.site.region, args.kind)
        role = aws.iam.Role(
            f"{self._name}-role",
            name=role_name,
            description=f"What the {args.kind} of {args.site.region} may do",
            assume_role_policy=trust("lambda.amazonaws.com"),
            tags=tagged(role_name),
            opts=args.site.options(self),
        )
        grants = Grants(
            table=args.table_arn,
            global_cluster=args.global_cluster_arn,
            cluster=args.cluster_arn,
            other_cluster=args.other_cluster_arn,
            secrets=args.secret_arns,
            data_key=args.keys.data.arn,
            log_group=self.log.arn,
            dead_letters=args.dead_letters.arn,
            topic=args.topic_arn,
            alerts_key=args.keys.alerts.arn,
        )
        policy = aws.iam.RolePolicy(
            f"{self._name}-policy",
            name=role_name,
            role=role.id,
            policy=document(*statements(args.kind, args.site, grants)),
            opts=args.site.options(self),
        )
        return role, policy

    def _function(self, after: Sequence[pulumi.Resource]) -> aws.lambda_.Function:
        args = self._args
        return aws.lambda_.Function(
            f"{self._name}-function",
            name=self.function_name,
            description=f"farshore's {args.kind} in {args.site.region}",
            runtime=RUNTIME,
            architectures=["x86_64"],
            handler=f"farshore.lambdas.{args.kind}.handler",
            role=self.role.arn,
            code=args.code,
            timeout=TIMEOUT_S,
            memory_size=MEMORY_MB,
            reserved_concurrent_executions=args.concurrency,
            environment={"variables": args.environment},
            dead_letter_config={"target_arn": args.dead_letters.arn},
            vpc_config={
                "subnet_ids": [subnet.id for subnet in args.network.subnets],
                "security_group_ids": [args.network.function_group.id],
            },
            tags=tagged(self.function_name),
            opts=args.site.options(self, depends_on=list(after)),
        )


class LoopFunction(RegionFunction):
    """An invocation loops past its minute and overlaps with the next; five at once are more than ever needed."""

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:LoopFunction", name, args, opts)
        aws.lambda_.FunctionEventInvokeConfig(
            f"{self._name}-invocation",
            function_name=self.function.name,
            maximum_event_age_in_seconds=EVENT_AGE_S,
            maximum_retry_attempts=0,
            opts=args.site.options(self),
        )
        self._schedule()
        self.register_outputs({"functionName": self.function.name})

    def _schedule(self) -> None:
        """The next minute is the retry: an event that could not start in time is a dead letter, and alarms.

        https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
        """
        args = self._args
        rule_name = args.site.names.schedule_rule(args.site.region, args.kind)
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-schedule",
            name=rule_name,
            description=f"Starts {self.function_name} every minute",
            schedule_expression=SCHEDULE,
            state="ENABLED",
            tags=tagged(rule_name),
            opts=args.site.options(self),
        )
        permission = aws.lambda_.Permission(
            f"{self._name}-permission",
            statement_id="schedule",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=args.site.options(self),
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-target",
            rule=rule.name,
            target_id="loop",
            arn=self.function.arn,
            opts=args.site.options(self, depends_on=[permission]),
        )


def dead_letters(name: str, site: Site, parent: pulumi.Resource) -> aws.sqs.Queue:
    """One queue per region for what its functions could not take; encrypted with SQS's own key."""
    queue_name = site.names.dead_letters(site.region)
    return aws.sqs.Queue(
        f"{name}-dead-letters",
        name=queue_name,
        sqs_managed_sse_enabled=True,
        message_retention_seconds=14 * 24 * 3600,
        tags=tagged(queue_name),
        opts=site.options(parent),
    )
