"""The few resources the drill needs, made through boto3 until the stack program creates them.

Everything here is what an AWS account would be asked for too; the lab's gateway is just the endpoint.
"""

import json
import secrets
import string
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from farshore.lambdas import bundle
from farshore.names import Names

ENGINE = "aurora-postgresql"
INSTANCE_CLASS = "db.r5.large"
DBNAME = "ledger"
METRIC_PERIOD_S = 60
HOME_THRESHOLD = 4
INSUFFICIENT = ("Healthy", "Unhealthy", "LastKnownStatus")

Clients = Callable[[str, str], Any]
"""Gives a boto3 client for (service, region)."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `ttl_s` is the failover record's; `environment` goes to the functions, per region."""

    names: Names
    engine_version: str
    ttl_s: int
    environment: Callable[[str], dict[str, str]]
    endpoint: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Made:
    master_password: str
    app_password: str
    zone_id: str


def password() -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(24))


@contextmanager
def _together() -> Iterator[Callable[[Callable[[], object]], Future[object]]]:
    """Run independent work at the same time; the first failure is raised at the end."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        running: list[Future[object]] = []

        def start(work: Callable[[], object]) -> Future[object]:
            running.append(pool.submit(work))
            return running[-1]

        yield start
        for future in running:
            future.result()


def create(wanted: Wanted, clients: Clients, tell: Tell) -> Made:
    """Create everything but the functions (`start_functions`), which need the guard first."""
    master, controller, app = password(), password(), password()
    with _together() as start:
        start(lambda: _database(wanted, clients, master, tell))
        start(lambda: _secrets(wanted, clients, master, controller, tell))
        start(lambda: _authority_table(wanted, clients, tell))
        zone = start(lambda: _dns(wanted, clients, tell))
    return Made(master, app, str(zone.result()))


def _database(wanted: Wanted, clients: Clients, master: str, tell: Tell) -> None:
    names = wanted.names
    home, standby = names.regions
    rds = clients("rds", home)
    tell(f"global cluster {names.global_cluster}, engine {ENGINE} {wanted.engine_version}")
    rds.create_global_cluster(
        GlobalClusterIdentifier=names.global_cluster, Engine=ENGINE, EngineVersion=wanted.engine_version
    )
    rds.create_db_cluster(
        DBClusterIdentifier=names.cluster(home),
        GlobalClusterIdentifier=names.global_cluster,
        Engine=ENGINE,
        EngineVersion=wanted.engine_version,
        DatabaseName=DBNAME,
        MasterUsername="dbadmin",
        MasterUserPassword=master,
        StorageEncrypted=True,
    )
    _instances(rds, names, home, tell)
    remote = clients("rds", standby)
    remote.create_db_cluster(
        DBClusterIdentifier=names.cluster(standby),
        GlobalClusterIdentifier=names.global_cluster,
        Engine=ENGINE,
        EngineVersion=wanted.engine_version,
    )
    _instances(remote, names, standby, tell)


def _instances(rds: Any, names: Names, region: str, tell: Tell) -> None:
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=names.instance(region, number),
            DBClusterIdentifier=names.cluster(region),
            Engine=ENGINE,
            DBInstanceClass=INSTANCE_CLASS,
        )
    waiter = rds.get_waiter("db_instance_available")
    for number in (1, 2):
        identifier = names.instance(region, number)
        waiter.wait(DBInstanceIdentifier=identifier, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
        tell(f"{identifier} in {region} is available")


def _secrets(wanted: Wanted, clients: Clients, master: str, controller: str, tell: Tell) -> None:
    names = wanted.names
    contents = {
        names.master_secret: {"username": "dbadmin", "password": master},
        names.controller_secret: {"username": "farshore", "password": controller},
    }
    for region in names.regions:
        manager = clients("secretsmanager", region)
        for secret, content in contents.items():
            manager.create_secret(Name=secret, SecretString=json.dumps(content))
    tell(f"secrets {names.master_secret} and {names.controller_secret} in both regions")


def _authority_table(wanted: Wanted, clients: Clients, tell: Tell) -> None:
    names = wanted.names
    authority_table(names, clients("dynamodb", names.home_region))
    tell(f"authority table {names.authority_table}: strong consistency, witness in {names.witness_region}")


def authority_table(names: Names, dynamodb: Any) -> None:
    """One replica and one witness beside the home table; `dynamodb` is a client in the home region."""
    dynamodb.create_table(
        TableName=names.authority_table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "global_cluster", "AttributeType": "S"},
            {"AttributeName": "entry_key", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "global_cluster", "KeyType": "HASH"},
            {"AttributeName": "entry_key", "KeyType": "RANGE"},
        ],
    )
    dynamodb.update_table(
        TableName=names.authority_table,
        MultiRegionConsistency="STRONG",
        ReplicaUpdates=[{"Create": {"RegionName": names.standby_region}}],
        GlobalTableWitnessUpdates=[{"Create": {"RegionName": names.witness_region}}],
    )


def _dns(wanted: Wanted, clients: Clients, tell: Tell) -> str:
    """CORRECTNESS of the answer: docs/dns.md (the truth table); six children, threshold four, parent inverted."""
    names = wanted.names
    route53 = clients("route53", names.home_region)
    children: list[str] = []
    for region in names.regions:
        _authority_alarm(names, clients("cloudwatch", region), region)
        children += [_child_check(route53, names, region, insufficient) for insufficient in INSUFFICIENT]
    home_check = _parent_check(route53, f"home-{names.suffix}", children, inverted=False)
    standby_check = _parent_check(route53, f"standby-{names.suffix}", children, inverted=True)
    zone = route53.create_hosted_zone(
        Name=names.zone,
        CallerReference=f"zone-{names.suffix}",
        VPC={"VPCRegion": names.home_region, "VPCId": f"vpc-{names.suffix}"},
        HostedZoneConfig={"PrivateZone": True, "Comment": "farshore"},
    )["HostedZone"]["Id"]
    records = ((names.home_region, "PRIMARY", home_check), (names.standby_region, "SECONDARY", standby_check))
    route53.change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={
            "Changes": [
                {
                    "Action": "CREATE",
                    "ResourceRecordSet": {
                        "Name": names.writer_name,
                        "Type": "CNAME",
                        "SetIdentifier": failover.lower(),
                        "Failover": failover,
                        "TTL": wanted.ttl_s,
                        "HealthCheckId": check,
                        "ResourceRecords": [{"Value": wanted.endpoint(region)}],
                    },
                }
                for region, failover, check in records
            ]
        },
    )
    tell(f"{names.writer_name}: failover records over six health checks, TTL {wanted.ttl_s} s")
    return str(zone)


def _authority_alarm(names: Names, cloudwatch: Any, region: str) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=names.authority_alarm(region),
        Namespace=names.metric_namespace,
        MetricName="AuthorityHome",
        Dimensions=[{"Name": "Region", "Value": region}],
        Statistic="Minimum",
        Period=METRIC_PERIOD_S,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="missing",
    )


def _child_check(route53: Any, names: Names, region: str, insufficient: str) -> str:
    answer = route53.create_health_check(
        CallerReference=f"{region}-{insufficient}-{names.suffix}",
        HealthCheckConfig={
            "Type": "CLOUDWATCH_METRIC",
            "AlarmIdentifier": {"Region": region, "Name": names.authority_alarm(region)},
            "InsufficientDataHealthStatus": insufficient,
        },
    )
    return str(answer["HealthCheck"]["Id"])


def _parent_check(route53: Any, reference: str, children: list[str], *, inverted: bool) -> str:
    answer = route53.create_health_check(
        CallerReference=reference,
        HealthCheckConfig={
            "Type": "CALCULATED",
            "ChildHealthChecks": children,
            "HealthThreshold": HOME_THRESHOLD,
            "Inverted": inverted,
        },
    )
    return str(answer["HealthCheck"]["Id"])


def create_application_role(admin: "psycopg.Connection[Any]", name: str, secret: str) -> None:
    """What a ledger service would log in as: no superuser, no owner."""
    statement = sql.SQL("create role {} login password {}")
    admin.execute(statement.format(sql.Identifier(name), sql.Literal(secret)))


def start_functions(wanted: Wanted, clients: Clients, tell: Tell) -> None:
    """Monitors and controllers in both regions, their one-minute schedules, and a first invocation of each."""
    names = wanted.names
    code = bundle.build()
    role = clients("iam", names.home_region).create_role(
        RoleName=names.lambda_role(),
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )["Role"]["Arn"]
    with _together() as start:
        for region in names.regions:
            for what, function in (
                ("monitor", names.monitor_function(region)),
                ("controller", names.controller_function(region)),
            ):
                start(_starter(wanted, clients, region, what, function, role, code))
    origin = "exact wheels of Lambda's Python 3.11" if bundle.for_lambda() else "this computer's wheels"
    tell(f"monitors and controllers run in both regions, from a {len(code) // 1024} KiB bundle ({origin})")


def _starter(
    wanted: Wanted, clients: Clients, region: str, what: str, function: str, role: str, code: bytes
) -> Callable[[], None]:
    def start() -> None:
        functions, events = clients("lambda", region), clients("events", region)
        arn = functions.create_function(
            FunctionName=function,
            Runtime="python3.11",
            Role=role,
            Handler=f"farshore.lambdas.{what}.handler",
            Code={"ZipFile": code},
            Timeout=170,
            MemorySize=256,
            Environment={"Variables": wanted.environment(region)},
        )["FunctionArn"]
        functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=5)
        rule = wanted.names.schedule_rule(region, what)
        events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)", State="ENABLED")
        events.put_targets(Rule=rule, Targets=[{"Id": "loop", "Arn": arn}])
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")

    return start
