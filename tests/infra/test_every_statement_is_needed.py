"""Least privilege, both ways: what is called is allowed, and what is allowed is called.

CALLS says which calls the product, its operators and AWS in a role's name make, and where. Without any one statement,
action or resource of a role's policies, at least one of its calls is denied.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

import pytest

from farshore.infra.permissions import ANY_RESOURCE
from farshore.lab.cloud.policy import Outcome, evaluate, parse
from infra.recorder import ACCOUNT, EVERYTHING, ROOT, WITH_ENDPOINTS, recorded

SIDES = {"primary": "us-east-1", "secondary": "us-west-2"}
JOURNAL = "src/farshore/aws/journal.py"
EVENTS = "src/farshore/aws/events.py"
ROTATION = "src/farshore/aws/rotation.py"
TRANSCRIPT = "tests/lab/transcripts/seed_commands.txt"
DEPLOY = "docs/deploy.md"
REQUESTER = "src/farshore/requester.py"
RUNBOOKS = "src/farshore/infra/runbooks.py"
LAMBDA_LOGS = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"
LAMBDA_NETWORK = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html"
DEAD_LETTERS = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"
ROTATING = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html"
SECRET_KEY = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html"
PASSING = "https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-setup-iam.html"
TOPIC_KEY = "https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"
FLOW_LOGS = "https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html"

TABLE = "arn:aws:dynamodb:{region}:{account}:table/farshore-authority-demo"
GLOBAL = "arn:aws:rds::{account}:global-cluster:aurora-global-demo"
CLUSTER = "arn:aws:rds:{region}:{account}:cluster:{side}-aurora-cluster-demo"
OTHER_CLUSTER = "arn:aws:rds:{other_region}:{account}:cluster:{other}-aurora-cluster-demo"
CONTROLLER_SECRET = "arn:aws:secretsmanager:{region}:{account}:secret:farshore-controller-demo-AbCdEf"
MASTER_SECRET = "arn:aws:secretsmanager:{region}:{account}:secret:aurora-master-password-demo-AbCdEf"
KEY = "arn:aws:kms:{region}:{account}:key/farshore-{side}-keys-data"
ALERTS_KEY = "arn:aws:kms:{region}:{account}:key/farshore-{side}-keys-alerts"
TOPIC = "arn:aws:sns:{region}:{account}:{side}-alerts-demo"
BUS = "arn:aws:events:{region}:{account}:event-bus/default"
LETTERS = "arn:aws:sqs:{region}:{account}:{side}-dead-letters-demo"
INTERFACE = "arn:aws:ec2:{region}:{account}:network-interface/eni-1"
FLOW_GROUP = "arn:aws:logs:{region}:{account}:log-group:/farshore/{side}-vpc-demo/flow"
PUBLIC_LOG = "arn:aws:logs:{region}:{account}:log-group:/aws/lambda/{side}-authority-function-demo"
ALARM = "arn:aws:cloudwatch:{region}:{account}:alarm:{side}-lag-alarm-demo"
FAILOVER_FUNCTION = "arn:aws:lambda:{region}:{account}:function:{side}-failover-function-demo"
MONITOR = "arn:aws:lambda:{region}:{account}:function:{side}-monitor-function-demo"
EXECUTION = "arn:aws:ssm:{region}:{account}:automation-execution/0a1b"
ZONE = "arn:aws:route53:::hostedzone/Z0123456789"
METRICS = {"cloudwatch:namespace": "Farshore/demo"}
VIA = {"kms:viaservice": "secretsmanager.{region}.amazonaws.com"}
VIA_SNS = {"kms:viaservice": "sns.{region}.amazonaws.com"}
RECORD_NAMES = "route53:changeresourcerecordsetsnormalizedrecordnames"
RECORD = {RECORD_NAMES: "db.farshore-demo.internal"}


def check_arns() -> dict[str, str]:
    """Of the two parent health checks, by side."""
    outputs = recorded(*EVERYTHING).outputs
    return {side: f"arn:aws:route53:::healthcheck/{outputs[f'{side}HealthCheckId']}" for side in SIDES}


def child_arns() -> dict[str, list[str]]:
    """Of the three health checks of each side that both parents are calculated from."""
    parent = recorded(*WITH_ENDPOINTS).one("HealthCheck", "primary-check")
    arns = [f"arn:aws:route53:::healthcheck/{check}" for check in parent.inputs["childHealthchecks"]]
    return {"primary": arns[:3], "secondary": arns[3:]}


CHECK = "{check}"
CHILDREN = ("{children[0]}", "{children[1]}", "{children[2]}")
HEALTH_CHECKS = "src/farshore/aws/health_checks.py"


@dataclass(frozen=True)
class Call:
    """`who`: pattern of role names. `made`: an AWS page, or a file of this repository and words that stand in it.

    With {side} in it, `who` calls only what is on its own side; else it calls what is on either.
    """

    who: str
    action: str
    resources: tuple[str, ...]
    made: tuple[str, str]
    keys: dict[str, str] | None = None


def aws(page: str) -> tuple[str, str]:
    return page, ""


LOOPS, CONTROLLER, MONITORS = (
    "{side}-[mc]o*-role-demo",
    "{side}-controller-role-demo",
    "{side}-monitor-role-demo",
)
ROTATOR, FUNCTIONS, FLOW = "{side}-rotation-role-demo", "{side}-[mcr]*-role-demo", "{side}-flow-log-role-demo"
FAILOVER, AUTOMATION = "{side}-failover-role-demo", "{side}-automation-role-demo"
PUBLIC = "{side}-authority-role-demo"
RUNNING = (FUNCTIONS, FAILOVER)
OPERATIONS = "dr-operations-role-demo"
CALLS = [
    Call(LOOPS, "dynamodb:Query", (TABLE,), (JOURNAL, "self._dynamodb.query(")),
    Call(LOOPS, "dynamodb:PutItem", (TABLE,), (JOURNAL, "self._dynamodb.put_item(")),
    Call(
        CONTROLLER,
        "cloudwatch:PutMetricData",
        ("*",),
        ("src/farshore/controller.py", "publisher.authority_home("),
        METRICS,
    ),
    Call(
        MONITORS,
        "cloudwatch:PutMetricData",
        ("*",),
        ("src/farshore/lambdas/monitor.py", "publisher.lag"),
        METRICS,
    ),
    Call(
        MONITORS,
        "cloudwatch:GetMetricData",
        ("*",),
        ("src/farshore/aws/lag_metric.py", "self._cloudwatch.get_metric_data("),
    ),
    Call(MONITORS, "sns:Publish", (TOPIC,), ("src/farshore/aws/alerts.py", "self._sns.publish(")),
    Call(CONTROLLER, "sns:Publish", (TOPIC,), (EVENTS, "self._sns.publish(")),
    Call(CONTROLLER, "events:PutEvents", (BUS,), (EVENTS, "self._bus.put_events(")),
    *(
        Call(LOOPS, f"kms:{action}", (ALERTS_KEY,), aws(TOPIC_KEY), VIA_SNS)
        for action in ("Decrypt", "GenerateDataKey")
    ),
    Call(
        LOOPS,
        "secretsmanager:GetSecretValue",
        (CONTROLLER_SECRET,),
        ("src/farshore/workshop.py", "secrets.get_secret_value("),
    ),
    Call(LOOPS, "kms:Decrypt", (KEY,), aws(SECRET_KEY), VIA),
    Call(
        CONTROLLER,
        "rds:DescribeGlobalClusters",
        (GLOBAL,),
        ("src/farshore/aws/global_cluster.py", "self._reader.describe_global_clusters("),
    ),
    Call(
        CONTROLLER,
        "rds:FailoverGlobalCluster",
        (GLOBAL, CLUSTER),
        ("src/farshore/aws/global_cluster.py", "self._mover.failover_global_cluster"),
    ),
    Call(
        CONTROLLER,
        "rds:SwitchoverGlobalCluster",
        (GLOBAL, OTHER_CLUSTER),
        ("src/farshore/aws/global_cluster.py", "self._mover.switchover_global_cluster"),
    ),
    Call(
        ROTATOR,
        "dynamodb:Query",
        (TABLE,),
        ("src/farshore/lambdas/rotation.py", "workshop.journal.read()"),
    ),
    *(
        Call(ROTATOR, f"secretsmanager:{action}", (secret,), (ROTATION, f"self._manager.{method}("))
        for secret in (MASTER_SECRET, CONTROLLER_SECRET)
        for action, method in (
            ("DescribeSecret", "describe_secret"),
            ("GetSecretValue", "get_secret_value"),
            ("PutSecretValue", "put_secret_value"),
            ("UpdateSecretVersionStage", "update_secret_version_stage"),
        )
    ),
    *(
        Call(ROTATOR, f"kms:{action}", (KEY,), aws(ROTATING), VIA)
        for action in ("Decrypt", "GenerateDataKey")
    ),
    *(
        Call(
            "{side}-" + kind + "-role-demo",
            f"logs:{action}",
            (
                "arn:aws:logs:{region}:{account}:log-group:/aws/lambda/{side}-"
                + kind
                + "-function-demo:log-stream:2026/11/22/[$LATEST]0123",
            ),
            aws(LAMBDA_LOGS),
        )
        for kind in ("monitor", "controller", "failover", "rotation")
        for action in ("CreateLogStream", "PutLogEvents")
    ),
    *(Call(who, "sqs:SendMessage", (LETTERS,), aws(DEAD_LETTERS)) for who in RUNNING),
    *(
        Call(
            who,
            "ec2:CreateNetworkInterface",
            (
                INTERFACE,
                "arn:aws:ec2:{region}:{account}:subnet/subnet-1",
                "arn:aws:ec2:{region}:{account}:security-group/sg-1",
            ),
            aws(LAMBDA_NETWORK),
        )
        for who in RUNNING
    ),
    *(
        Call(who, f"ec2:{action}", (INTERFACE,), aws(LAMBDA_NETWORK))
        for who in RUNNING
        for action in ("DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")
    ),
    *(
        Call(who, f"ec2:{action}", ("*",), aws(LAMBDA_NETWORK))
        for who in RUNNING
        for action in ("DescribeNetworkInterfaces", "DescribeSubnets")
    ),
    Call(FAILOVER, "dynamodb:Query", (TABLE,), (REQUESTER, "journal.read()")),
    Call(FAILOVER, "dynamodb:PutItem", (TABLE,), (REQUESTER, "self.journal.compare_and_set(")),
    Call(
        FAILOVER,
        "rds:DescribeGlobalClusters",
        (GLOBAL,),
        (REQUESTER, "cloud.describe()"),
    ),
    Call(AUTOMATION, "lambda:InvokeFunction", (FAILOVER_FUNCTION,), (RUNBOOKS, '"invokeLambdaFunction"')),
    Call(AUTOMATION, "dynamodb:GetItem", (TABLE,), (RUNBOOKS, '"Api": "GetItem"')),
    Call(AUTOMATION, "rds:DescribeGlobalClusters", (GLOBAL,), (RUNBOOKS, 'Api="DescribeGlobalClusters"')),
    *(
        Call(FLOW, f"logs:{action}", (f"{FLOW_GROUP}:log-stream:eni-1-all",), aws(FLOW_LOGS))
        for action in ("CreateLogStream", "PutLogEvents")
    ),
    *(
        Call(FLOW, f"logs:{action}", (FLOW_GROUP,), aws(FLOW_LOGS))
        for action in ("CreateLogGroup", "DescribeLogStreams")
    ),
    Call(PUBLIC, "dynamodb:Query", (TABLE,), ("src/farshore/lambdas/authority.py", "journal.read()")),
    *(
        Call(PUBLIC, f"logs:{action}", (f"{PUBLIC_LOG}:log-stream:[$LATEST]0123",), aws(LAMBDA_LOGS))
        for action in ("CreateLogStream", "PutLogEvents")
    ),
    Call(FLOW, "logs:DescribeLogGroups", ("arn:aws:logs:{region}:{account}:log-group:*",), aws(FLOW_LOGS)),
    Call(
        OPERATIONS,
        "rds:FailoverGlobalCluster",
        (GLOBAL, CLUSTER),
        (TRANSCRIPT, "aws rds failover-global-cluster"),
    ),
    Call(
        OPERATIONS,
        "rds:SwitchoverGlobalCluster",
        (GLOBAL, CLUSTER),
        (DEPLOY, "aws rds switchover-global-cluster"),
    ),
    Call(
        OPERATIONS, "rds:DescribeGlobalClusters", (GLOBAL,), (TRANSCRIPT, "aws rds describe-global-clusters")
    ),
    Call(OPERATIONS, "rds:DescribeDBClusters", (CLUSTER,), (DEPLOY, "aws rds describe-db-clusters")),
    Call(
        OPERATIONS,
        "dynamodb:Query",
        (TABLE,),
        ("src/farshore/operate/look.py", "self._journals[region].read"),
    ),
    Call(
        OPERATIONS,
        "cloudwatch:DescribeAlarms",
        (ALARM,),
        (DEPLOY, "aws cloudwatch describe-alarms --alarm-names"),
    ),
    Call(OPERATIONS, "lambda:InvokeFunction", (MONITOR,), (TRANSCRIPT, "aws lambda invoke")),
    Call(
        OPERATIONS,
        "route53:GetHealthCheckStatus",
        CHILDREN,
        (HEALTH_CHECKS, "self._route53.get_health_check_status("),
    ),
    Call(
        OPERATIONS,
        "route53:GetHealthCheck",
        (CHECK, *CHILDREN),
        (HEALTH_CHECKS, "self._route53.get_health_check("),
    ),
    Call(
        OPERATIONS,
        "route53:UpdateHealthCheck",
        (CHECK,),
        (DEPLOY, "aws route53 update-health-check --inverted"),
    ),
    Call(
        OPERATIONS,
        "route53:ListResourceRecordSets",
        (ZONE,),
        (DEPLOY, "aws route53 list-resource-record-sets"),
    ),
    Call(
        OPERATIONS,
        "route53:ChangeResourceRecordSets",
        (ZONE,),
        (DEPLOY, "aws route53 change-resource-record-sets"),
        RECORD,
    ),
    *(
        Call(
            OPERATIONS,
            "ssm:StartAutomationExecution",
            ("arn:aws:ssm:{region}:{account}:automation-definition/dr-" + move + "-demo:$DEFAULT",),
            (DEPLOY, "aws ssm start-automation-execution"),
        )
        for move in ("switchover", "failover", "failback")
    ),
    *(
        Call(OPERATIONS, f"ssm:{action}AutomationExecution", (EXECUTION,), (DEPLOY, f"aws ssm {words}"))
        for action, words in (("Get", "get-automation-execution"), ("Stop", "stop-automation-execution"))
    ),
    Call(
        OPERATIONS,
        "iam:PassRole",
        ("arn:aws:iam::{account}:role/{side}-automation-role-demo",),
        aws(PASSING),
        {"iam:passedtoservice": "ssm.amazonaws.com"},
    ),
]

NEAR_MISSES = [
    (LOOPS, "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/RDS"}),
    (LOOPS, "kms:Decrypt", KEY, {}),
    (CONTROLLER, "sns:Publish", "arn:aws:sns:{region}:{account}:somebody-elses", {}),
    (CONTROLLER, "events:PutEvents", "arn:aws:events:{region}:{account}:event-bus/other", {}),
    (MONITORS, "events:PutEvents", BUS, {}),
    (MONITORS, "sns:Publish", "arn:aws:sns:{region}:{account}:somebody-elses", {}),
    (PUBLIC, "dynamodb:PutItem", TABLE, {}),
    (PUBLIC, "secretsmanager:GetSecretValue", CONTROLLER_SECRET, {}),
    (PUBLIC, "ec2:CreateNetworkInterface", INTERFACE, {}),
    (MONITORS, "kms:GenerateDataKey", ALERTS_KEY, {}),
    (FLOW, "logs:CreateLogGroup", "arn:aws:logs:{region}:{account}:log-group:other", {}),
    (LOOPS, "kms:Decrypt", KEY, {"kms:viaservice": "s3.{region}.amazonaws.com"}),
    (LOOPS, "secretsmanager:GetSecretValue", MASTER_SECRET, {}),
    (FUNCTIONS, "dynamodb:DeleteItem", TABLE, {}),
    (MONITORS, "rds:FailoverGlobalCluster", GLOBAL, {}),
    (
        CONTROLLER,
        "rds:FailoverGlobalCluster",
        "arn:aws:rds:{other_region}:{account}:cluster:{other}-aurora-cluster-demo",
        {},
    ),
    (
        FUNCTIONS,
        "logs:PutLogEvents",
        "arn:aws:logs:{region}:{account}:log-group:/aws/lambda/other:log-stream:1",
        {},
    ),
    (
        FUNCTIONS,
        "ec2:DeleteNetworkInterface",
        "arn:aws:ec2:{other_region}:{account}:network-interface/eni-1",
        {},
    ),
    (OPERATIONS, "rds:DeleteDBCluster", CLUSTER, {}),
    (OPERATIONS, "cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:{region}:{account}:alarm:*", {}),
    (OPERATIONS, "route53:ChangeResourceRecordSets", ZONE, {RECORD_NAMES: "www.farshore-demo.internal"}),
    (OPERATIONS, "route53:UpdateHealthCheck", CHILDREN[0], {}),
    (OPERATIONS, "dynamodb:PutItem", TABLE, {}),
    (OPERATIONS, "lambda:InvokeFunction", FAILOVER_FUNCTION, {}),
    (
        OPERATIONS,
        "iam:PassRole",
        "arn:aws:iam::{account}:role/{side}-automation-role-demo",
        {"iam:passedtoservice": "lambda.amazonaws.com"},
    ),
    (
        OPERATIONS,
        "ssm:StartAutomationExecution",
        "arn:aws:ssm:{region}:{account}:automation-definition/AWS-RunShellScript:$DEFAULT",
        {},
    ),
    (FAILOVER, "rds:FailoverGlobalCluster", GLOBAL, {}),
    (FAILOVER, "rds:SwitchoverGlobalCluster", GLOBAL, {}),
    (AUTOMATION, "rds:FailoverGlobalCluster", GLOBAL, {}),
    (AUTOMATION, "dynamodb:PutItem", TABLE, {}),
    (AUTOMATION, "lambda:InvokeFunction", MONITOR, {}),
]
"""What stands beside a granted call and is refused: role pattern, action, resource, condition keys."""

WILDCARDS = {
    "Logs": "log-stream:*",
    "Streams": "log-stream:*",
    "Network": ":*/*",
    "DescribeGroups": "log-group:*",
    "DescribeAlarms": "-*-demo",
    "FollowRunbooks": ":automation-execution/*",
    **dict.fromkeys(ANY_RESOURCE, "*"),
}
"""Sids of the statements with a `*` in a resource, and how that resource ends."""


def policies() -> dict[str, list[dict]]:
    """The statements of every role's policies, by role name."""
    found: dict[str, list[dict]] = {}
    for policy in recorded(*WITH_ENDPOINTS).of("RolePolicy"):
        found.setdefault(policy.inputs["role"], []).extend(policy.document()["Statement"])
    return found


POLICIES = policies()
STATEMENTS = [(role, statement["Sid"]) for role, statements in POLICIES.items() for statement in statements]


def filled(text: str, side: str) -> str:
    other = next(one for one in SIDES if one != side)
    return text.format(
        side=side,
        region=SIDES[side],
        other=other,
        other_region=SIDES[other],
        account=ACCOUNT,
        check=check_arns()[side],
        children=child_arns()[side],
    )


Asked = tuple[str, tuple[str, ...], dict[str, str]]


def asked_by(role: str) -> Iterator[Asked]:
    """Every call of a role: action, resources, condition keys."""
    for call, side in product(CALLS, SIDES):
        if fnmatchcase(role, filled(call.who, side)):
            keys = {key: filled(value, side) for key, value in (call.keys or {}).items()}
            yield call.action, tuple(filled(resource, side) for resource in call.resources), keys


def denied(role: str, statements: list[dict]) -> list[Asked]:
    """The role's calls that these statements do not carry; a call on several resources needs each of them."""
    parsed = parse(role, json.dumps({"Version": "2012-10-17", "Statement": statements}))

    def allowed(call: Asked) -> bool:
        action, resources, keys = call

        def context(key: str) -> tuple[str, ...] | None:
            return (keys[key],) if key in keys else None

        return all(evaluate(parsed, action, resource, context).allowed for resource in resources)

    return [call for call in asked_by(role) if not allowed(call)]


def test_the_roles_are_those_of_the_program():
    assert set(POLICIES) == {role.inputs["name"] for role in recorded(*WITH_ENDPOINTS).of("Role")}
    assert len(STATEMENTS) == len(set(STATEMENTS)) > 50
    for call in CALLS:
        roles = {role for role, side in product(POLICIES, SIDES) if fnmatchcase(role, filled(call.who, side))}
        assert roles, f"{call} is nobody's"


@pytest.mark.parametrize("role", POLICIES)
def test_every_call_is_allowed(role):
    assert denied(role, POLICIES[role]) == []


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_a_call_fails_without_the_statement(role, sid):
    assert denied(role, [one for one in POLICIES[role] if one["Sid"] != sid])


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_a_call_fails_without_any_one_action_or_resource_of_it(role, sid):
    at = next(i for i, one in enumerate(POLICIES[role]) if one["Sid"] == sid)
    for part in ("Action", "Resource"):
        for granted in POLICIES[role][at][part]:
            fewer = copy.deepcopy(POLICIES[role])
            fewer[at][part].remove(granted)
            assert denied(role, fewer), f"nobody needs {granted}"


@pytest.mark.parametrize(("who", "action", "resource", "keys"), NEAR_MISSES)
def test_what_stands_beside_a_call_is_denied(who, action, resource, keys):
    judged = 0
    for role, side in product(POLICIES, SIDES):
        if not fnmatchcase(role, filled(who, side)):
            continue
        judged += 1
        given = {key: (filled(value, side),) for key, value in keys.items()}
        parsed = parse(role, json.dumps({"Statement": POLICIES[role]}))
        verdict = evaluate(parsed, action, filled(resource, side), given.get)
        assert verdict.outcome is Outcome.IMPLICIT_DENY, (role, side)
    assert judged


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_wildcards_are_listed(role, sid):
    (statement,) = (one for one in POLICIES[role] if one["Sid"] == sid)
    assert statement["Effect"] == "Allow"
    assert not any("*" in action or "?" in action for action in statement["Action"])
    wild = [resource for resource in statement["Resource"] if "*" in resource or "?" in resource]
    ending = WILDCARDS.get(sid)
    assert bool(wild) == (ending is not None)
    for resource in wild:
        assert resource.endswith(ending or "")
        assert (resource == "*") == (sid in ANY_RESOURCE)


@pytest.mark.parametrize("made", sorted({call.made for call in CALLS}), ids=" ".join)
def test_the_call_is_made_there(made):
    place, words = made
    if not place.startswith("https://docs.aws.amazon.com/"):
        assert words in (ROOT / place).read_text()
