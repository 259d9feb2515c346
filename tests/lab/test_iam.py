"""Permissions at the gateway: what a role's session may do, and in which words it is refused."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from cloudkit import HOME, STANDBY, Links, bundle, client, make_cloud

from farshore.lab.cloud import actions
from farshore.lab.cloud.services import SERVICES

ACCOUNT = "123456789012"
TABLE = f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/authority"
SECRET = f"arn:aws:secretsmanager:{HOME}:{ACCOUNT}:secret:"
FUNCTIONS = {"Service": "lambda.amazonaws.com"}
OPERATORS = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = make_cloud(tmp_path_factory.mktemp("cloud"), Links(), enforce_permissions=True)
    client(made, "dynamodb", HOME).create_table(
        TableName="authority",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "global_cluster", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "global_cluster", "AttributeType": "S"}],
    )
    yield made
    made.close()


@pytest.fixture
def role(cloud, request):
    """Makes roles named after the test, with inline policies by name, and removes them again."""
    iam, made = client(cloud, "iam", HOME), []

    def make(*statements, trust=OPERATORS, condition=None, suffix="", **policies):
        name = f"{request.node.originalname}{suffix}"[-60:]
        trusting = {"Effect": "Allow", "Principal": trust, "Action": "sts:AssumeRole"}
        if condition:
            trusting["Condition"] = condition
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusting))["Role"]["Arn"]
        made.append(name)
        for policy, granted in {**({"own": statements} if statements else {}), **policies}.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document(*granted))
        return arn

    yield make
    for name in made:
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
        iam.delete_role(RoleName=name)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def assumed(cloud, arn, region=HOME, **more):
    sts = client(cloud, "sts", region, credentials=more.pop("credentials", None))
    made = sts.assume_role(RoleArn=arn, RoleSessionName="session", **more)["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def refused(call, **parameters):
    """The code, status and message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def item(key="aurora-global-t"):
    return {"global_cluster": {"S": key}}


def test_a_role_may_do_what_its_policy_allows_and_nothing_else(cloud, role):
    session = assumed(cloud, role(allow("dynamodb:PutItem", TABLE, Sid="Authority")))
    table = client(cloud, "dynamodb", HOME, credentials=session)
    table.put_item(TableName="authority", Item=item())
    words = (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/test_a_role_may_do_what_its_policy_allows_and_nothing_else/session "
        f"is not authorized to perform: dynamodb:GetItem on resource: {TABLE} "
        "because no identity-based policy allows the dynamodb:GetItem action"
    )
    assert refused(table.get_item, TableName="authority", Key=item()) == ("AccessDeniedException", 400, words)


def test_another_regions_replica_is_another_resource(cloud, role):
    session = assumed(cloud, role(allow("dynamodb:*", TABLE)))
    code, _, message = refused(
        client(cloud, "dynamodb", STANDBY, credentials=session).put_item, TableName="authority", Item=item()
    )
    assert code == "AccessDeniedException"
    assert f"dynamodb:{STANDBY}:{ACCOUNT}:table/authority" in message


@pytest.mark.parametrize(
    ("service", "method", "parameters", "code", "status", "resource"),
    [
        ("rds", "describe_global_clusters", {"GlobalClusterIdentifier": "aurora-global-t"}, "AccessDenied", 403,
         f"arn:aws:rds::{ACCOUNT}:global-cluster:aurora-global-t"),
        ("rds", "failover_global_cluster",
         {"GlobalClusterIdentifier": "aurora-global-t", "TargetDbClusterIdentifier": "secondary-aurora-cluster-t"},
         "AccessDenied", 403, f"arn:aws:rds::{ACCOUNT}:global-cluster:aurora-global-t"),
        ("rds", "describe_db_clusters", {}, "AccessDenied", 403, f"arn:aws:rds:{HOME}:{ACCOUNT}:cluster:*"),
        ("cloudwatch", "put_metric_data", {"Namespace": "Farshore/t", "MetricData": [{"MetricName": "m", "Value": 1}]},
         "AccessDenied", 403, "*"),
        ("cloudwatch", "describe_alarms", {"AlarmNames": ["primary-cpu-alarm-t"]}, "AccessDenied", 403,
         f"arn:aws:cloudwatch:{HOME}:{ACCOUNT}:alarm:primary-cpu-alarm-t"),
        ("secretsmanager", "get_secret_value", {"SecretId": "farshore-controller-t"}, "AccessDeniedException", 400,
         f"{SECRET}farshore-controller-t"),
        ("sns", "publish", {"TopicArn": f"arn:aws:sns:{HOME}:{ACCOUNT}:alerts", "Message": "m"},
         "AuthorizationError", 403, f"arn:aws:sns:{HOME}:{ACCOUNT}:alerts"),
        ("sqs", "send_message", {"QueueUrl": f"http://x/{ACCOUNT}/dead", "MessageBody": "m"}, "AccessDenied", 403,
         f"arn:aws:sqs:{HOME}:{ACCOUNT}:dead"),
        ("logs", "create_log_stream", {"logGroupName": "/g", "logStreamName": "s"}, "AccessDeniedException", 400,
         f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:/g:log-stream:s"),
        ("lambda", "invoke", {"FunctionName": "primary-monitor-function-t"}, "AccessDeniedException", 403,
         f"arn:aws:lambda:{HOME}:{ACCOUNT}:function:primary-monitor-function-t"),
        ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]},
         "AccessDeniedException", 400, f"arn:aws:events:{HOME}:{ACCOUNT}:event-bus/default"),
        ("route53", "get_health_check_status", {"HealthCheckId": "abc"}, "AccessDenied", 403,
         "arn:aws:route53:::healthcheck/abc"),
        ("kms", "describe_key", {"KeyId": "abc"}, "AccessDeniedException", 400,
         f"arn:aws:kms:{HOME}:{ACCOUNT}:key/abc"),
        ("ec2", "describe_vpc_peering_connections", {}, "UnauthorizedOperation", 403, "*"),
    ],
)  # fmt: skip
def test_every_service_refuses_in_its_own_protocol_and_names_the_resource(
    cloud, role, service, method, parameters, code, status, resource
):
    session = assumed(cloud, role())
    answer = refused(getattr(client(cloud, service, HOME, credentials=session), method), **parameters)
    assert answer[:2] == (code, status)
    assert f"on resource: {resource} because no identity-based policy allows" in answer[2]


def test_a_move_of_the_writer_needs_the_global_cluster_and_the_member(cloud, role):
    target = f"arn:aws:rds:{STANDBY}:{ACCOUNT}:cluster:secondary-aurora-cluster-t"
    one = allow("rds:FailoverGlobalCluster", f"arn:aws:rds::{ACCOUNT}:global-cluster:*")
    two = allow("rds:FailoverGlobalCluster", target)
    asked = {"GlobalClusterIdentifier": "aurora-global-t", "TargetDbClusterIdentifier": target}
    half = client(cloud, "rds", STANDBY, credentials=assumed(cloud, role(one, suffix="half")))
    assert target in refused(half.failover_global_cluster, **asked)[2]
    whole = client(cloud, "rds", STANDBY, credentials=assumed(cloud, role(one, two, suffix="whole")))
    assert refused(whole.failover_global_cluster, **asked)[0] != "AccessDenied"


def test_metrics_are_limited_by_their_namespace(cloud, role):
    condition = {"StringEquals": {"cloudwatch:namespace": "Farshore/t"}}
    session = assumed(cloud, role(allow("cloudwatch:PutMetricData", "*", Condition=condition)))
    metrics = client(cloud, "cloudwatch", HOME, credentials=session)
    metrics.put_metric_data(Namespace="Farshore/t", MetricData=[{"MetricName": "m", "Value": 1}])
    assert refused(metrics.put_metric_data, Namespace="AWS/RDS", MetricData=[{"MetricName": "m", "Value": 1}])


def test_items_are_limited_by_their_leading_key(cloud, role):
    condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["aurora-global-t"]}}
    session = assumed(cloud, role(allow(["dynamodb:PutItem", "dynamodb:Query"], TABLE, Condition=condition)))
    table = client(cloud, "dynamodb", HOME, credentials=session)

    def query(key, name="global_cluster"):
        return {
            "TableName": "authority",
            "KeyConditionExpression": f"{name} = :k",
            "ExpressionAttributeValues": {":k": {"S": key}},
        }

    table.put_item(TableName="authority", Item=item())
    table.query(**query("aurora-global-t"))
    aliased = {"#g": "global_cluster"}
    table.query(**query("aurora-global-t", "#g"), ExpressionAttributeNames=aliased)
    assert refused(table.put_item, TableName="authority", Item=item("another"))
    assert refused(table.query, **query("another"))
    assert refused(table.query, **query("another", "#g"), ExpressionAttributeNames=aliased)


def test_a_grant_may_ask_for_a_resources_tag(cloud, role):
    client(cloud, "dynamodb", HOME).tag_resource(
        ResourceArn=TABLE, Tags=[{"Key": "DR-Role", "Value": "primary"}]
    )
    for wanted, suffix in (("primary", "fits"), ("secondary", "not")):
        condition = {"StringEquals": {"aws:ResourceTag/DR-Role": wanted}}
        session = assumed(cloud, role(allow("dynamodb:GetItem", "*", Condition=condition), suffix=suffix))
        table = client(cloud, "dynamodb", HOME, credentials=session)
        if wanted == "primary":
            table.get_item(TableName="authority", Key=item())
        else:
            assert refused(table.get_item, TableName="authority", Key=item())[0] == "AccessDeniedException"


def test_records_are_limited_by_their_names(cloud, role):
    admin = client(cloud, "route53", HOME)
    zone = admin.create_hosted_zone(Name="iam.internal", CallerReference="iam")["HostedZone"]["Id"].split(
        "/"
    )[2]
    condition = {
        "ForAllValues:StringEquals": {
            "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["db.iam.internal"]
        }
    }
    grant = allow(
        "route53:ChangeResourceRecordSets", f"arn:aws:route53:::hostedzone/{zone}", Condition=condition
    )
    dns = client(cloud, "route53", HOME, credentials=assumed(cloud, role(grant)))

    def change(name):
        record = {"Name": name, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "a.example"}]}
        return {
            "HostedZoneId": zone,
            "ChangeBatch": {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
        }

    dns.change_resource_record_sets(**change("DB.iam.internal."))
    assert refused(dns.change_resource_record_sets, **change("other.iam.internal"))[0] == "AccessDenied"


def test_an_explicit_deny_wins_over_every_other_policy(cloud, role):
    arn = role(
        allow("dynamodb:*", TABLE), hands_off=[{"Effect": "Deny", "Action": "dynamodb:Put*", "Resource": "*"}]
    )
    table = client(cloud, "dynamodb", HOME, credentials=assumed(cloud, arn))
    table.get_item(TableName="authority", Key=item())
    assert refused(table.put_item, TableName="authority", Item=item())[2].endswith(
        "with an explicit deny in an identity-based policy"
    )


def test_a_changed_policy_counts_from_the_next_call(cloud, role):
    arn = role()
    iam = client(cloud, "iam", HOME)
    table = client(cloud, "dynamodb", HOME, credentials=assumed(cloud, arn))
    name = arn.rpartition("/")[2]
    read = {"TableName": "authority", "Key": item()}
    assert refused(table.get_item, **read)
    iam.put_role_policy(
        RoleName=name, PolicyName="p", PolicyDocument=document(allow("dynamodb:GetItem", TABLE))
    )
    table.get_item(**read)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    assert refused(table.get_item, **read)
    managed = iam.create_policy(PolicyName="m", PolicyDocument=document(allow("dynamodb:GetItem", TABLE)))
    managed_arn = managed["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=managed_arn)
    table.get_item(**read)
    iam.create_policy_version(
        PolicyArn=managed_arn, PolicyDocument=document(allow("dynamodb:PutItem", TABLE)), SetAsDefault=True
    )
    assert refused(table.get_item, **read)


def test_a_policy_of_awss_own_is_read_when_it_is_attached(cloud, role):
    arn = role()
    name = "AWSLambdaBasicExecutionRole"
    client(cloud, "iam", HOME).attach_role_policy(
        RoleName=arn.rpartition("/")[2], PolicyArn=f"arn:aws:iam::aws:policy/service-role/{name}"
    )
    assert cloud.permissions.may(
        arn, "logs:PutLogEvents", "arn:aws:logs:us-east-1:1:log-group:g:log-stream:s"
    ).allowed
    assert not cloud.permissions.may(arn, "dynamodb:PutItem", TABLE).allowed


def test_an_operation_nobody_mapped_is_denied_and_says_so(cloud, role):
    session = assumed(cloud, role(allow("*", "*")))
    code, _, message = refused(
        client(cloud, "dynamodb", HOME, credentials=session).delete_table, TableName="authority"
    )
    assert code == "AccessDeniedException"
    assert "the lab knows neither its action nor its resources" in message


def test_whoever_asks_who_he_is_is_told(cloud, role):
    session = assumed(cloud, role())
    answer = client(cloud, "sts", HOME, credentials=session).get_caller_identity()
    assert answer["Arn"].endswith("/session")


def test_credentials_without_their_token_are_nobodys(cloud, role):
    session = assumed(cloud, role(allow("dynamodb:*", "*")))
    for wrong in (
        {**session, "aws_session_token": None},
        {**session, "aws_session_token": "x"},
        {**session, "aws_access_key_id": "ASIASTRANGER"},
    ):
        table = client(cloud, "dynamodb", HOME, credentials=wrong)
        assert refused(table.get_item, TableName="authority", Key=item())[:2] == ("InvalidClientTokenId", 403)


def test_a_role_is_assumed_with_its_external_id_only(cloud, role):
    arn = role(condition={"StringEquals": {"sts:ExternalId": "dr-ops-t"}})
    assert assumed(cloud, arn, ExternalId="dr-ops-t")
    for wrong in ({"ExternalId": "dr-ops-x"}, {}):
        code, status, message = refused(assumed, cloud=cloud, arn=arn, **wrong)
        assert (code, status) == ("AccessDenied", 403)
        assert message.endswith(f"is not authorized to perform: sts:AssumeRole on resource: {arn}")


def test_a_role_that_is_not_there_or_trusts_others_cannot_be_assumed(cloud, role):
    stranger = role(trust={"AWS": "arn:aws:iam::999999999999:root"}, suffix="stranger")
    service = role(trust=FUNCTIONS, suffix="service")
    for arn in (stranger, service, f"arn:aws:iam::{ACCOUNT}:role/nobody"):
        assert refused(assumed, cloud=cloud, arn=arn)[0] == "AccessDenied"


def test_a_role_may_assume_another_if_both_sides_agree(cloud, role):
    wanted = role(suffix="wanted")
    lets_go = role(allow("sts:AssumeRole", wanted), suffix="letsgo")
    named = role(trust={"AWS": role(suffix="named-one")}, suffix="named")
    assert assumed(cloud, wanted, credentials=assumed(cloud, lets_go))
    plain = assumed(cloud, role(suffix="plain"))
    assert refused(assumed, cloud=cloud, arn=wanted, credentials=plain)[0] == "AccessDenied"
    assert refused(assumed, cloud=cloud, arn=named, credentials=plain)[0] == "AccessDenied"
    itself = assumed(cloud, named.replace("named", "named-one"))
    assert assumed(cloud, named, credentials=itself)


def test_lambda_takes_only_roles_with_which_it_can_work(cloud, role):
    functions = client(cloud, "lambda", HOME)
    wanted = {
        "FunctionName": "f",
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "Code": {"ZipFile": bundle("handler = print")},
    }
    answer = refused(functions.create_function, Role=role(suffix="closed"), **wanted)
    assert answer == (
        "InvalidParameterValueException",
        400,
        "The role defined for the function cannot be assumed by Lambda.",
    )
    poor = role(trust=FUNCTIONS, suffix="poor")
    network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert (
        "CreateNetworkInterface on EC2"
        in refused(functions.create_function, Role=poor, VpcConfig=network, **wanted)[2]
    )
    dead = {"TargetArn": f"arn:aws:sqs:{HOME}:{ACCOUNT}:dead"}
    assert (
        "SendMessage on SQS"
        in refused(functions.create_function, Role=poor, DeadLetterConfig=dead, **wanted)[2]
    )
    functions.create_function(Role=poor, **wanted)
    functions.delete_function(FunctionName="f")


def test_a_secret_under_a_customer_key_needs_the_key_too(cloud, role):
    key = {
        region: client(cloud, "kms", region).create_key()["KeyMetadata"]["Arn"] for region in (HOME, STANDBY)
    }
    secret = client(cloud, "secretsmanager", HOME).create_secret(
        Name="keyed",
        SecretString="s",
        KmsKeyId=key[HOME],
        AddReplicaRegions=[{"Region": STANDBY, "KmsKeyId": key[STANDBY]}],
    )["ARN"]
    for region in (HOME, STANDBY):
        mine = secret.replace(HOME, region)
        read = allow("secretsmanager:GetSecretValue", mine)
        via = {"StringEquals": {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com"}}
        decrypt = allow("kms:Decrypt", key[region], Condition=via)
        lacking = assumed(cloud, role(read, suffix=f"lacking{region}"))
        answer = refused(
            client(cloud, "secretsmanager", region, credentials=lacking).get_secret_value, SecretId="keyed"
        )
        assert f"kms:Decrypt on resource: {key[region]}" in answer[2]
        enough = assumed(cloud, role(read, decrypt, suffix=f"enough{region}"))
        secrets = client(cloud, "secretsmanager", region, credentials=enough)
        assert secrets.get_secret_value(SecretId=mine)["SecretString"] == "s"


@pytest.mark.parametrize("missing", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_publishing_to_a_topic_under_a_customer_key_needs_the_key_too(cloud, role, missing):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#permissions-for-sns-encryption"""
    suffix = missing.rpartition(":")[2].lower()
    key = client(cloud, "kms", HOME).create_key()["KeyMetadata"]["Arn"]
    topic = client(cloud, "sns", HOME).create_topic(
        Name=f"keyed-{suffix}", Attributes={"KmsMasterKeyId": key}
    )["TopicArn"]
    publish = allow("sns:Publish", topic)
    via = {"StringEquals": {"kms:ViaService": f"sns.{HOME}.amazonaws.com"}}
    both = allow(["kms:Decrypt", "kms:GenerateDataKey"], key, Condition=via)
    one = allow(next(a for a in both["Action"] if a != missing), key, Condition=via)
    lacking = assumed(cloud, role(publish, one, suffix=f"lacking{suffix}"))
    answer = refused(client(cloud, "sns", HOME, credentials=lacking).publish, TopicArn=topic, Message="m")
    assert f"{missing} on resource: {key}" in answer[2]
    enough = assumed(cloud, role(publish, both, suffix=f"enough{suffix}"))
    assert client(cloud, "sns", HOME, credentials=enough).publish(TopicArn=topic, Message="m")["MessageId"]


def test_what_the_lab_would_not_evaluate_is_refused_when_it_is_written(cloud, role):
    iam = client(cloud, "iam", HOME)
    name = role().rpartition("/")[2]
    odd = allow("s3:*", "*", Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01"}})
    code, _, message = refused(
        iam.put_role_policy, RoleName=name, PolicyName="odd", PolicyDocument=document(odd)
    )
    assert code == "NotInTheLab"
    assert "policy odd: statement 0: condition operator DateLessThan" in message


def test_each_statements_use_is_counted(cloud, role):
    arn = role(
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], TABLE, Sid="Used"), allow("sns:*", "*", Sid="Idle")
    )
    table = client(cloud, "dynamodb", HOME, credentials=assumed(cloud, arn))
    table.put_item(TableName="authority", Item=item())
    for _ in range(2):
        table.get_item(TableName="authority", Key=item())
    uses = {use.statement: use for use in cloud.permissions.uses() if use.role == arn.rpartition("/")[2]}
    assert uses["Used"].actions == {"dynamodb:GetItem": 2, "dynamodb:PutItem": 1}
    assert uses["Idle"].count == 0
    assert uses["0"].policy == "(trust)"
    assert uses["0"].count == 1


def test_each_denial_is_kept(cloud, role):
    table = client(cloud, "dynamodb", HOME, credentials=assumed(cloud, role()))
    message = refused(table.get_item, TableName="authority", Key=item())[2]
    assert cloud.permissions.denials()[message] == 1


def test_without_enforcement_everybody_may_do_everything(cloud, role):
    session = assumed(cloud, role())
    table = client(cloud, "dynamodb", HOME, credentials=session)
    assert refused(table.get_item, TableName="authority", Key=item())
    cloud.permissions.enforce = False
    try:
        table.get_item(TableName="authority", Key=item())
    finally:
        cloud.permissions.enforce = True


def test_every_mapped_operation_is_in_the_lab():
    for service, rules in actions.RULES.items():
        answered = SERVICES[service].operations
        assert {operation for operation in rules if operation not in answered} - {
            "Decrypt",
            "GenerateDataKey",
        } == set()


def test_judging_a_call_is_cheap(cloud, role):
    arn = role(*(allow("dynamodb:Query", f"{TABLE}-{n}") for n in range(8)), allow("dynamodb:PutItem", TABLE))
    session = assumed(cloud, arn)
    table = client(cloud, "dynamodb", HOME, credentials=session)
    seen = []
    refusal = cloud.permissions.refusal
    cloud.permissions.refusal = lambda call: seen.append(call) or refusal(call)
    try:
        table.put_item(TableName="authority", Item=item())
    finally:
        cloud.permissions.refusal = refusal
    started = time.thread_time()
    for _ in range(200):
        assert refusal(seen[0]) is None
    each = (time.thread_time() - started) / 200
    assert each < 0.0003
