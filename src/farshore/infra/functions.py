"""A region's functions: each with a role and a log of its own; monitor and controller on a one-minute schedule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document, trust
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
class Shape:
    """What makes a function: `statements` says what it may do, given the ARN of its log group; `others` are further
    arguments of `aws.lambda_.Function`."""

    site: Site
    kind: Kind
    keys: Keys
    code: pulumi.Archive
    environment: Mapping[str, pulumi.Input[str]]
    log_retention_days: int
    statements: Callable[[pulumi.Output[str]], Sequence[Statement]]
    timeout_s: int
    memory_mb: int
    concurrency: int
    others: Mapping[str, Any] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class OwnFunction(pulumi.ComponentResource):
    """Function, role, log. Its subclasses say what starts it, and register the outputs."""

    def __init__(
        self, token: str, name: str, shape: Shape, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(token, name, None, opts)
        self._name, self._site = name, shape.site
        self.function_name = shape.site.names.function(shape.kind, shape.site.region)
        log_name = shape.site.names.function_log_group(self.function_name)
        log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=log_name,
            retention_in_days=shape.log_retention_days,
            kms_key_id=shape.keys.data.arn,
            tags=tagged(log_name),
            opts=shape.site.options(self),
        )
        role, policy = self._role(shape, log)
        self.function = aws.lambda_.Function(
            f"{name}-function",
            name=self.function_name,
            description=f"farshore's {shape.kind} in {shape.site.region}",
            runtime=RUNTIME,
            architectures=["x86_64"],
            handler=f"farshore.lambdas.{shape.kind}.handler",
            role=role.arn,
            code=shape.code,
            timeout=shape.timeout_s,
            memory_size=shape.memory_mb,
            reserved_concurrent_executions=shape.concurrency,
            environment={"variables": shape.environment},
            tags=tagged(self.function_name),
            opts=shape.site.options(self, depends_on=[log, policy, *shape.after]),
            **shape.others,
        )

    def _role(self, shape: Shape, log: aws.cloudwatch.LogGroup) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role_name = shape.site.names.function_role(shape.site.region, shape.kind)
        role = aws.iam.Role(
            f"{self._name}-role",
            name=role_name,
            description=f"What the {shape.kind} of {shape.site.region} may do",
            assume_role_policy=trust("lambda.amazonaws.com"),
            tags=tagged(role_name),
            opts=shape.site.options(self),
        )
        policy = aws.iam.RolePolicy(
            f"{self._name}-policy",
            name=role_name,
            role=role.id,
            policy=document(*shape.statements(log.arn)),
            opts=shape.site.options(self),
        )
        return role, policy


@dataclass(frozen=True, slots=True)
class FunctionArgs:
    """A function in the VPC of its region, with dead letters. `after`: the way to AWS's APIs."""

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

    def statements(self, log_group: pulumi.Output[str]) -> list[Statement]:
        grants = Grants(
            table=self.table_arn,
            global_cluster=self.global_cluster_arn,
            cluster=self.cluster_arn,
            other_cluster=self.other_cluster_arn,
            secrets=self.secret_arns,
            data_key=self.keys.data.arn,
            log_group=log_group,
            dead_letters=self.dead_letters.arn,
            topic=self.topic_arn,
            alerts_key=self.keys.alerts.arn,
        )
        return statements(self.kind, self.site, grants)


class RegionFunction(OwnFunction):
    """What the regions' own functions share: the VPC, the dead letters, the time they may take."""

    def __init__(
        self, token: str, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        self._args = args
        shape = Shape(
            site=args.site,
            kind=args.kind,
            keys=args.keys,
            code=args.code,
            environment=args.environment,
            log_retention_days=args.log_retention_days,
            statements=args.statements,
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            concurrency=args.concurrency,
            others={
                "dead_letter_config": {"target_arn": args.dead_letters.arn},
                "vpc_config": {
                    "subnet_ids": [subnet.id for subnet in args.network.subnets],
                    "security_group_ids": [args.network.function_group.id],
                },
            },
            after=[*args.network.rules, *args.after],
        )
        super().__init__(token, name, shape, opts)


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
