"""What `__main__.py` registers: the seed's architecture, resource by resource."""

import json
import shlex
import subprocess
import sys
import zipfile

import pytest

from farshore.aws.metrics import LAG_UNKNOWN
from farshore.infra.engine import major
from farshore.infra.load import load
from farshore.names import ALARMS
from farshore.settings import from_environment
from infra.recorder import CERTIFICATES, EVERYTHING, ROOT, recorded

SIDES = {"us-east-1": "primary", "us-west-2": "secondary"}
REGIONS = tuple(SIDES)


@pytest.fixture(scope="module")
def plain():
    return recorded()


@pytest.fixture(scope="module")
def production():
    return recorded(*EVERYTHING)


def in_region(resources, region):
    return [resource for resource in resources if resource.region == region]


# --- network ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("region", "number"), [("us-east-1", 0), ("us-west-2", 1)])
def test_a_vpc_with_three_private_subnets_in_three_zones(plain, region, number):
    (vpc,) = in_region(plain.of("Vpc"), region)
    subnets = in_region(plain.of("Subnet"), region)
    assert vpc.inputs["cidrBlock"] == f"10.{number}.0.0/16"
    assert [subnet.inputs["cidrBlock"] for subnet in subnets] == [f"10.{number}.{n}.0/24" for n in (1, 2, 3)]
    assert {subnet.inputs["availabilityZone"] for subnet in subnets} == {f"{region}{z}" for z in "abc"}
    assert not any(subnet.inputs["mapPublicIpOnLaunch"] for subnet in subnets)


def test_peering_is_accepted_routed_both_ways_and_resolves_names(plain):
    connection, accepter = plain.one("VpcPeeringConnection"), plain.one("VpcPeeringConnectionAccepter")
    assert connection.inputs["tags"]["Name"] == "vpc-peering-demo"
    assert (connection.region, connection.inputs["peerRegion"]) == ("us-east-1", "us-west-2")
    assert (accepter.region, accepter.inputs["autoAccept"]) == ("us-west-2", True)
    routes = {route.region: route for route in plain.of("Route")}
    assert routes["us-east-1"].inputs["destinationCidrBlock"] == "10.1.0.0/16"
    assert routes["us-west-2"].inputs["destinationCidrBlock"] == "10.0.0.0/16"
    assert all(accepter.urn in route.dependencies for route in routes.values())
    options = plain.of("PeeringConnectionOptions")
    asked = {o.region: o.inputs.get("requester") or o.inputs["accepter"] for o in options}
    assert asked == {region: {"allowRemoteVpcDnsResolution": True} for region in REGIONS}
    assert all(accepter.urn in option.dependencies for option in options)


@pytest.mark.parametrize("region", REGIONS)
def test_the_database_hears_its_port_from_both_vpcs_and_nothing_else(plain, region):
    (group,) = [g for g in in_region(plain.of("SecurityGroup"), region) if "aurora" in g.name]
    group_id = group_of(plain, region, "aurora")
    heard = [
        rule.inputs
        for rule in in_region(plain.of("SecurityGroupIngressRule"), region)
        if rule.inputs["securityGroupId"] == group_id
    ]
    assert {rule["cidrIpv4"] for rule in heard} == {"10.0.0.0/16", "10.1.0.0/16"}
    assert {(rule["fromPort"], rule["toPort"], rule["ipProtocol"]) for rule in heard} == {(5432, 5432, "tcp")}
    assert not any(r.inputs["securityGroupId"] == group_id for r in plain.of("SecurityGroupEgressRule"))
    assert "ingress" not in group.inputs
    assert "egress" not in group.inputs


@pytest.mark.parametrize("region", REGIONS)
def test_functions_reach_databases_and_endpoints_only(plain, region):
    group_id = group_of(plain, region, "lambda")
    out = [
        rule.inputs
        for rule in in_region(plain.of("SecurityGroupEgressRule"), region)
        if rule.inputs["securityGroupId"] == group_id
    ]
    assert {rule["cidrIpv4"] for rule in out if "cidrIpv4" in rule} == {"10.0.0.0/16", "10.1.0.0/16"}
    assert [r["toPort"] for r in out if "referencedSecurityGroupId" in r or "prefixListId" in r] == [443, 443]
    assert len(out) == 4


@pytest.mark.parametrize("region", REGIONS)
def test_functions_find_each_api_inside_their_vpc(plain, region):
    endpoints = {
        endpoint.inputs["serviceName"].removeprefix(f"com.amazonaws.{region}."): endpoint.inputs
        for endpoint in in_region(plain.of("VpcEndpoint"), region)
    }
    gateway = endpoints.pop("dynamodb")
    assert gateway["vpcEndpointType"] == "Gateway"
    assert len(gateway["routeTableIds"]) == 1
    assert set(endpoints) == {"rds", "monitoring", "sns", "secretsmanager", "events"}
    for endpoint in endpoints.values():
        assert (endpoint["vpcEndpointType"], endpoint["privateDnsEnabled"]) == ("Interface", True)
        assert len(endpoint["subnetIds"]) == 3


def group_of(recording, region, what):
    """The id of a security group, as rules name it."""
    rules = in_region(recording.of("SecurityGroupIngressRule"), region)
    rules += in_region(recording.of("SecurityGroupEgressRule"), region)
    names = {"aurora": "aurora-from-own", "lambda": "lambda-to-own", "endpoint": "endpoint-from-lambda"}
    (rule,) = [rule for rule in rules if rule.name.endswith(names[what])]
    return rule.inputs["securityGroupId"]


# --- database --------------------------------------------------------------------------------------------------------


def test_the_global_database_under_the_seeds_names(plain):
    glob = plain.one("GlobalCluster")
    assert glob.inputs["globalClusterIdentifier"] == "aurora-global-demo"
    assert glob.inputs["storageEncrypted"] is True
    assert glob.inputs["engineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert "sourceDbClusterIdentifier" not in glob.inputs
    for cluster in plain.of("rds/cluster:Cluster"):
        side = SIDES[cluster.region]
        assert cluster.inputs["clusterIdentifier"] == f"{side}-aurora-cluster-demo"
        assert cluster.inputs["backupRetentionPeriod"] == 7
        assert cluster.inputs["preferredBackupWindow"] == "03:00-04:00"
        assert cluster.inputs["enabledCloudwatchLogsExports"] == ["postgresql"]
        assert cluster.inputs["kmsKeyId"].startswith(f"arn:aws:kms:{cluster.region}:")


def test_the_newest_version_that_both_regions_offer(plain):
    assert {cluster.inputs["engineVersion"] for cluster in plain.of("rds/cluster:Cluster")} == {"15.18"}
    asked = [args for token, args in plain.invokes if "getOrderableDbInstance" in token]
    assert len(asked) == 2
    assert all(
        args["supportsGlobalDatabases"] and args["preferredInstanceClasses"] == ["db.r5.large"]
        for args in asked
    )
    assert asked[0]["preferredEngineVersions"][-1] == "15.4"


def test_an_exact_pin_asks_nobody(production):
    assert {cluster.inputs["engineVersion"] for cluster in production.of("rds/cluster:Cluster")} == {"15.10"}
    assert not [token for token, _ in production.invokes if "rds" in token]


def test_two_instances_in_each_region(plain):
    instances = plain.of("ClusterInstance")
    assert {(i.region, i.inputs["identifier"]) for i in instances} == {
        (region, f"{side}-aurora-instance-{number}-demo")
        for region, side in SIDES.items()
        for number in (1, 2)
    }
    for instance in instances:
        assert instance.inputs["instanceClass"] == "db.r5.large"
        assert instance.inputs["publiclyAccessible"] is False
        assert instance.inputs["performanceInsightsEnabled"] is True
        assert instance.inputs["performanceInsightsKmsKeyId"].startswith(f"arn:aws:kms:{instance.region}:")


def test_the_secondary_waits_for_the_writers_instances_and_has_no_login_of_its_own(plain):
    home, standby = plain.one("rds/cluster:Cluster", "home"), plain.one("rds/cluster:Cluster", "standby")
    writers = {i.urn for i in plain.of("ClusterInstance") if i.region == "us-east-1"}
    assert writers < standby.dependencies
    for key in ("masterUsername", "masterPassword", "masterPasswordWo", "databaseName"):
        assert key not in standby.inputs
    assert home.inputs["masterUsername"] == "dbadmin"
    assert home.inputs["databaseName"] == "ledger"
    assert standby.create_timeout == "90m"


def test_parameters_force_tls_and_keep_commit_times(plain):
    for group in plain.of("ClusterParameterGroup"):
        values = {row["name"]: row["value"] for row in group.inputs["parameters"]}
        assert group.inputs["family"] == "aurora-postgresql15"
        assert values == {
            "rds.force_ssl": "1",
            "track_commit_timestamp": "1",
            "max_prepared_transactions": "0",
            "idle_in_transaction_session_timeout": "5000",
        }


def test_a_global_rpo_is_set_on_request(production):
    group = production.of("ClusterParameterGroup")[0]
    assert {"name": "rds.global_db_rpo", "value": "30", "applyMethod": "immediate"} in group.inputs[
        "parameters"
    ]
    assert (
        major(load({"suffix": "s", "createdAt": "2026-01-01T00:00:00Z", "engineVersion": "16.6"}, {})) == 16
    )


def test_the_authority_table_is_strongly_consistent_with_a_witness(plain):
    table = plain.one("dynamodb/table:Table").inputs
    (replica,) = table["replicas"]
    assert (table["hashKey"], table["rangeKey"]) == ("global_cluster", "entry_key")
    assert (replica["regionName"], replica["consistencyMode"]) == ("us-west-2", "STRONG")
    assert table["globalTableWitness"] == {"regionName": "us-east-2"}


# --- DNS -------------------------------------------------------------------------------------------------------------


def test_the_zone_is_private_to_both_vpcs(plain):
    zone, association = plain.one("Zone"), plain.one("ZoneAssociation")
    assert zone.inputs["name"] == "farshore-demo.internal"
    assert [vpc["vpcRegion"] for vpc in zone.inputs["vpcs"]] == ["us-east-1"]
    assert association.inputs["vpcRegion"] == "us-west-2"
    assert zone.ignored == ("vpcs",)


def test_failover_records_follow_calculated_checks_with_real_children(plain):
    records = {r.inputs["failoverRoutingPolicies"][0]["type"]: r for r in plain.of("Record")}
    checks = plain.of("HealthCheck")
    children = [check for check in checks if check.inputs["type"] == "CLOUDWATCH_METRIC"]
    parents = {check.name: check.inputs for check in checks if check.inputs["type"] == "CALCULATED"}
    assert set(records) == {"PRIMARY", "SECONDARY"}
    assert {(r.inputs["name"], r.inputs["type"], r.inputs["ttl"]) for r in records.values()} == {
        ("db.farshore-demo.internal", "CNAME", 60)
    }
    assert sorted(
        (c.inputs["cloudwatchAlarmRegion"], c.inputs["insufficientDataHealthStatus"]) for c in children
    ) == [(region, status) for region in REGIONS for status in ("Healthy", "LastKnownStatus", "Unhealthy")]
    home, standby = (parents[f"farshore-dns-{side}-check"] for side in ("primary", "secondary"))
    assert len(set(home["childHealthchecks"])) == 6
    assert home["childHealthchecks"] == standby["childHealthchecks"]
    assert home["childHealthThreshold"] == standby["childHealthThreshold"] == 4
    assert (home["invertHealthcheck"], standby["invertHealthcheck"]) == (False, True)
    assert records["PRIMARY"].inputs["records"][0].startswith("primary-aurora-cluster-demo.")
    assert records["SECONDARY"].inputs["records"][0].startswith("secondary-aurora-cluster-demo.")


def test_nothing_is_public_unless_it_is_chosen(plain):
    assert plain.of("FunctionUrl") == []
    assert {check.inputs["type"] for check in plain.of("HealthCheck")} == {"CLOUDWATCH_METRIC", "CALCULATED"}
    assert "*" not in {permission.inputs["principal"] for permission in plain.of("Permission")}


def test_the_https_trigger_asks_each_region_whether_authority_is_home_or_away():
    chosen = recorded(("dnsTrigger", "https"))
    checks = {check.name.removeprefix("farshore-dns-"): check.inputs for check in chosen.of("HealthCheck")}
    for region in REGIONS:
        side = SIDES[region]
        (url,) = in_region(chosen.of("FunctionUrl"), region)
        assert url.inputs["authorizationType"] == "NONE"
        home, away = checks[f"{side}-home"], checks[f"{side}-away"]
        assert (home["resourcePath"], home.get("invertHealthcheck", False)) == ("/home", False)
        assert (away["resourcePath"], away["invertHealthcheck"]) == ("/away", True)
        for check in (home, away):
            assert (check["type"], check["port"], check["enableSni"]) == ("HTTPS", 443, True)
            assert (check["requestInterval"], check["failureThreshold"]) == (10, 3)
            assert check["fqdn"] == f"{url.inputs['functionName']}.lambda-url.{region}.on.aws"
        assert checks[f"{side}-lastknownstatus"]["type"] == "CLOUDWATCH_METRIC"
    for parent in ("primary-check", "secondary-check"):
        assert len(set(checks[parent]["childHealthchecks"])) == 6
        assert checks[parent]["childHealthThreshold"] == 4


def test_the_public_endpoint_is_small_alone_and_outside_of_the_vpc():
    chosen = recorded(("dnsTrigger", "https"))
    functions = [f for f in chosen.of("Function") if "authority" in f.inputs["name"]]
    assert tuple(f.region for f in functions) == REGIONS
    for function in functions:
        assert "vpcConfig" not in function.inputs
        assert function.inputs["handler"] == "farshore.lambdas.authority.handler"
        assert function.inputs["reservedConcurrentExecutions"] == 10
        permissions = [p.inputs for p in chosen.of("Permission")]
        opened = [given for given in permissions if given["function"] == function.inputs["name"]]
        assert {p["action"] for p in opened} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        assert {p["principal"] for p in opened} == {"*"}
        (by_url,) = [p for p in opened if p["action"] == "lambda:InvokeFunction"]
        assert by_url["invokedViaFunctionUrl"] is True


def test_a_health_checks_alarm_is_one_plain_metric(plain):
    for alarm in [a for a in plain.of("MetricAlarm") if a.name.endswith("-authority")]:
        inputs = alarm.inputs
        assert (inputs["namespace"], inputs["metricName"]) == ("Farshore/demo", "AuthorityHome")
        assert inputs["dimensions"] == {"Region": alarm.region}
        assert (inputs["statistic"], inputs["period"], inputs["evaluationPeriods"]) == ("Minimum", 60, 1)
        assert (inputs["comparisonOperator"], inputs["threshold"]) == ("LessThanThreshold", 1)
        assert "alarmActions" not in inputs


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["monitor", "controller"])
@pytest.mark.parametrize("region", REGIONS)
def test_a_function_with_its_schedule(plain, region, kind):
    side = SIDES[region]
    name = f"{side}-{kind}-function-demo"
    (function,) = [f for f in plain.of("Function") if f.inputs["name"] == name]
    inputs = function.inputs
    assert function.region == region
    assert (inputs["runtime"], inputs["handler"]) == ("python3.11", f"farshore.lambdas.{kind}.handler")
    assert (inputs["reservedConcurrentExecutions"], inputs["timeout"], inputs["memorySize"]) == (5, 170, 256)
    assert inputs["role"].endswith(f"role/{side}-{kind}-role-demo")
    assert inputs["deadLetterConfig"]["targetArn"].endswith(f":{side}-dead-letters-demo")
    assert len(inputs["vpcConfig"]["subnetIds"]) == 3
    (rule,) = [r for r in plain.of("EventRule") if r.inputs["name"] == f"{side}-{kind}-schedule-demo"]
    assert rule.inputs["scheduleExpression"] == "rate(1 minute)"
    (target,) = [t for t in plain.of("EventTarget") if t.inputs["rule"] == rule.inputs["name"]]
    assert target.inputs["arn"].endswith(f":{name}")
    (permission,) = [
        p
        for p in plain.of("Permission")
        if (p.inputs["function"], p.inputs["statementId"]) == (name, "schedule")
    ]
    assert permission.inputs["principal"] == "events.amazonaws.com"
    assert permission.inputs["sourceArn"].endswith(f"rule/{rule.inputs['name']}")


def test_a_function_starts_only_when_it_can_work(plain):
    for function in plain.of("Function"):
        needed = [
            *[log for log in plain.of("LogGroup") if log.inputs["name"].endswith(function.inputs["name"])],
            *[p for p in plain.of("RolePolicy") if p.name == function.name.replace("-function", "-policy")],
            *in_region(plain.of("VpcEndpoint"), function.region),
            *plain.of("Route"),
        ]
        assert len(needed) == 10
        assert {resource.urn for resource in needed} <= function.dependencies


def test_the_environment_is_what_the_settings_read(plain):
    for function in plain.of("Function"):
        variables = function.inputs["environment"]["variables"]
        settings = from_environment({**variables, "AWS_REGION": function.region})
        assert settings.names.suffix == "demo"
        assert settings.endpoints["us-west-2"].reader.startswith("secondary-aurora-cluster-demo.cluster-ro-")
        assert (settings.profile.name, settings.mode, settings.dbname) == ("aws", "auto", "ledger")
        assert settings.sslrootcert == "/var/task/rds-ca.pem"
        assert settings.nameserver is None
        assert settings.lag_alert_ms == 5000


def test_other_timings_reach_the_functions(production):
    variables = production.of("Function")[0].inputs["environment"]["variables"]
    profile = from_environment({**variables, "AWS_REGION": "us-east-1"}).profile
    assert (profile.lease_ttl_ms, profile.loss_budget_ms) == (30_000, 60_000)


def test_the_bundle_carries_the_certificates(plain):
    code = plain.archive
    with zipfile.ZipFile(code) as bundle:
        assert bundle.read("rds-ca.pem") == CERTIFICATES.read_bytes()
        assert "farshore/lambdas/controller.py" in bundle.namelist()


def test_production_rotates_both_logins_where_the_primary_secrets_are(plain, production):
    assert not plain.of("SecretRotation")
    rotations = production.of("SecretRotation")
    assert {r.region for r in rotations} == {"us-east-1"}
    assert {r.inputs["secretId"] for r in rotations} == {
        "aurora-master-password-demo",
        "farshore-controller-demo",
    }
    function = production.one("Function", "rotation").inputs
    assert (function["handler"], function["reservedConcurrentExecutions"]) == (
        "farshore.lambdas.rotation.handler",
        1,
    )
    assert all(r.inputs["rotationLambdaArn"].endswith(function["name"]) for r in rotations)
    assert {r.inputs["rotationRules"]["automaticallyAfterDays"] for r in rotations} == {30}
    (permission,) = [p for p in production.of("Permission") if p.inputs["function"] == function["name"]]
    assert permission.inputs["principal"] == "secretsmanager.amazonaws.com"
    assert permission.inputs["sourceAccount"] == "123456789012"


# --- alerts ----------------------------------------------------------------------------------------------------------

SEED_ALARMS = {
    "cpu": ("CPUUtilization", 80),
    "storage": ("VolumeBytesUsed", 0.85 * 80 * 2**30),
}


@pytest.mark.parametrize("region", REGIONS)
def test_the_same_alarms_in_both_regions(plain, region):
    side = SIDES[region]
    alarms = {
        alarm.inputs["name"].removeprefix(f"{side}-").removesuffix("-alarm-demo"): alarm.inputs
        for alarm in in_region(plain.of("MetricAlarm"), region)
    }
    assert set(alarms) == {"authority", *ALARMS}
    for what, (metric, threshold) in SEED_ALARMS.items():
        assert (alarms[what]["metricName"], alarms[what]["threshold"]) == (metric, threshold)
        assert alarms[what]["dimensions"] == {"DBClusterIdentifier": f"{side}-aurora-cluster-demo"}
    told = [f"arn:aws:sns:{region}:123456789012:{side}-alerts-demo"]
    assert all(
        a["alarmActions"] == a["okActions"] == told for what, a in alarms.items() if what != "authority"
    )


@pytest.mark.parametrize(("region", "source"), [REGIONS, REGIONS[::-1]])
def test_lag_is_unknown_when_nobody_says_it(plain, region, source):
    alarms = {a.inputs["name"].split("-", 1)[1]: a.inputs for a in in_region(plain.of("MetricAlarm"), region)}
    lag, unknown = alarms["lag-alarm-demo"], alarms["lag-unknown-alarm-demo"]
    assert (lag["metricName"], lag["threshold"], lag["dimensions"]["SourceRegion"]) == (
        "AuroraGlobalDBRPOLag",
        5000,
        source,
    )
    assert lag["treatMissingData"] == "notBreaching"
    asked = [unknown[key] for key in ("metricName", "statistic", "threshold", "treatMissingData")]
    assert asked == [LAG_UNKNOWN, "Minimum", 0, "breaching"]
    for stops in ("controller-deadlock", "controller-stopped", "monitor-stopped"):
        assert alarms[f"{stops}-alarm-demo"]["treatMissingData"] == "breaching"


@pytest.mark.parametrize("region", REGIONS)
def test_a_dashboard_shows_every_alarm_and_metric_of_its_region(plain, region):
    (board,) = in_region(plain.of("Dashboard"), region)
    widgets = json.loads(board.inputs["dashboardBody"])["widgets"]
    assert board.inputs["dashboardName"] == f"{SIDES[region]}-dashboard-demo"
    alarms = in_region(plain.of("MetricAlarm"), region)
    assert len(widgets[0]["properties"]["alarms"]) == len(alarms)
    shown = {(row[0], row[1]) for widget in widgets[1:] for row in widget["properties"]["metrics"]}
    watched = {(a.inputs["namespace"], a.inputs["metricName"]) for a in alarms}
    assert watched - shown <= {("AWS/SQS", "ApproximateNumberOfMessagesVisible")}
    places = {(w["x"], w["y"]) for w in widgets}
    assert len(places) == len(widgets)


def test_addresses_are_subscribed_on_request(production):
    subscribed = production.of("TopicSubscription")
    assert [(s.region, s.inputs["protocol"], s.inputs["endpoint"]) for s in subscribed] == [
        (region, "email", "ops@example.com") for region in REGIONS
    ]


# --- the switch, outputs, import -------------------------------------------------------------------------------------


def test_production_protects_what_holds_data(plain, production):
    kept = {
        "aws:rds/globalCluster:GlobalCluster",
        "aws:rds/cluster:Cluster",
        "aws:rds/clusterInstance:ClusterInstance",
        "aws:kms/key:Key",
        "aws:dynamodb/table:Table",
        "aws:secretsmanager/secret:Secret",
    }
    assert {r.token for r in production.resources if r.protected} == kept
    assert not [r for r in plain.resources if r.protected]
    for cluster in production.of("rds/cluster:Cluster"):
        assert cluster.inputs["deletionProtection"] is True
        assert cluster.inputs["skipFinalSnapshot"] is False
        assert (
            cluster.inputs["finalSnapshotIdentifier"] == f"{SIDES[cluster.region]}-aurora-cluster-demo-final"
        )
    for cluster in plain.of("rds/cluster:Cluster"):
        assert cluster.inputs["deletionProtection"] is False
        assert cluster.inputs["skipFinalSnapshot"] is True
    assert production.one("GlobalCluster").inputs["deletionProtection"] is True
    assert production.one("dynamodb/table:Table").inputs["deletionProtectionEnabled"] is True
    modes = {f.inputs["environment"]["variables"]["FARSHORE_MODE"] for f in production.of("Function")}
    assert modes == {"approve"}


def test_flow_logs_on_request(plain, production):
    assert not plain.of("FlowLog")
    assert {log.region for log in production.of("FlowLog")} == set(REGIONS)
    assert all(log.inputs["trafficType"] == "ALL" for log in production.of("FlowLog"))


def test_trusted_accounts_may_assume_the_operations_role_with_its_external_id(production):
    role = production.one("Role", "operations")
    (statement,) = role.document("assumeRolePolicy")["Statement"]
    assert role.inputs["name"] == "dr-operations-role-demo"
    assert statement["Principal"]["AWS"] == [
        f"arn:aws:iam::{n}:root" for n in ("123456789012", "210987654321")
    ]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "dr-ops-demo"}}


def test_outputs_are_for_operators(plain):
    assert plain.outputs["globalClusterId"] == "aurora-global-demo"
    assert plain.outputs["writerName"] == "db.farshore-demo.internal"
    assert plain.outputs["primaryEndpoint"].startswith("primary-aurora-cluster-demo.")
    assert plain.outputs["operationsRoleArn"].endswith("role/dr-operations-role-demo")
    assert {"primaryHealthCheckId", "secondaryHealthCheckId", "zoneId"} <= set(plain.outputs)


def test_the_environment_of_operators_is_what_the_verbs_read(plain):
    lines = shlex.split(plain.outputs["operatorEnvironment"])
    told = dict(word.split("=", 1) for word in lines if word != "export")
    found = from_environment({**told, "AWS_REGION": "us-west-2"})
    assert (found.region, found.names.suffix, found.dbname) == ("us-west-2", "demo", "ledger")
    assert found.endpoints["us-east-1"].writer == plain.outputs["primaryEndpoint"]
    assert found.zone_id == plain.outputs["zoneId"]


def test_every_component_is_in_the_tree_and_every_resource_in_a_component(plain):
    known = {resource.urn for resource in plain.resources}
    roots = [resource for resource in plain.resources if resource.parent not in known]
    assert [resource.name for resource in roots] == ["farshore"]
    components = {resource.token for resource in plain.resources if not resource.custom}
    assert all(token.startswith("farshore:infra:") for token in components)


def test_the_program_knows_no_lab_and_imports_quickly():
    program = (
        "import sys, time; import farshore.infra.load, farshore.infra.stack; "
        "unwanted = ('farshore.lab', 'farshore.drill', 'moto');"
        "print(time.process_time(), *(m for m in sys.modules if m.startswith(unwanted)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    seconds, *unwanted = done.stdout.split()
    assert unwanted == []
    assert float(seconds) < 10
