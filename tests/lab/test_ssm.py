"""Systems Manager through the gateway: documents, executions in the name of a role, and who may start them."""

import json

import pytest
from botocore.exceptions import ClientError
from cloudkit import HOME, STANDBY, Links, bundle, client, eventually, make_cloud

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runner"
FUNCTION = """
def handler(event, context):
    if event["move"] == "break":
        raise ValueError("broken")
    return {"accepted": event["move"] == "failover", "reason": event["ticket"]}
"""
TRUST_LAMBDA = {
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "ssm.amazonaws.com"},
    "Action": "sts:AssumeRole",
    "Condition": {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ssm:{STANDBY}:{ACCOUNT}:automation-execution/*"},
    },
}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def runbook(*steps, **more):
    return {
        "schemaVersion": "0.3",
        "assumeRole": ROLE,
        "parameters": {"Move": {"type": "String"}, "Ticket": {"type": "String", "default": "T-1"}},
        "mainSteps": list(steps),
        **more,
    }


ASK = {
    "name": "Ask",
    "action": "aws:invokeLambdaFunction",
    "inputs": {"FunctionName": "asked", "InputPayload": {"move": "{{ Move }}", "ticket": "{{ Ticket }}"}},
}
BRANCH = {
    "name": "Accepted",
    "action": "aws:branch",
    "inputs": {
        "Choices": [{"Variable": "{{ Ask.Payload }}", "Contains": '"accepted": true', "NextStep": "Look"}],
        "Default": "Refused",
    },
}


def look(name, action="executeAwsApi", **inputs):
    asked = {"Service": "dynamodb", "Api": "GetItem", "TableName": "t", "Key": {"k": {"S": "authority"}}}
    return {"name": name, "action": f"aws:{action}", "inputs": {**asked, **inputs}, "isEnd": True}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = make_cloud(tmp_path_factory.mktemp("cloud"), Links(), enforce_permissions=True)
    iam = client(made, "iam", HOME)
    iam.create_role(RoleName="runner", AssumeRolePolicyDocument=policy(TRUST, TRUST_LAMBDA))
    iam.put_role_policy(
        RoleName="runner",
        PolicyName="runner",
        PolicyDocument=policy(
            allow("lambda:InvokeFunction", f"arn:aws:lambda:{STANDBY}:{ACCOUNT}:function:asked"),
            allow("dynamodb:GetItem", f"arn:aws:dynamodb:{STANDBY}:{ACCOUNT}:table/t"),
        ),
    )
    client(made, "lambda", STANDBY).create_function(
        FunctionName="asked",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": bundle(FUNCTION)},
    )
    dynamodb = client(made, "dynamodb", STANDBY)
    dynamodb.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    hold(made, "us-east-1")
    yield made
    made.close()


def hold(cloud, region):
    item = {"k": {"S": "authority"}, "holder": {"S": region}}
    client(cloud, "dynamodb", STANDBY).put_item(TableName="t", Item=item)


@pytest.fixture
def ssm(cloud):
    made = client(cloud, "ssm", STANDBY)
    yield made
    for document in made.list_documents()["DocumentIdentifiers"]:
        made.delete_document(Name=document["Name"])


def create(ssm, content, name="move"):
    ssm.create_document(
        Name=name, Content=json.dumps(content), DocumentType="Automation", DocumentFormat="JSON"
    )


def start(ssm, name="move", **parameters):
    given = {key: [value] for key, value in parameters.items()}
    return ssm.start_automation_execution(DocumentName=name, Parameters=given)["AutomationExecutionId"]


def seen(ssm, identifier):
    return ssm.get_automation_execution(AutomationExecutionId=identifier)["AutomationExecution"]


def ended(ssm, identifier):
    return eventually(
        lambda: found if "ExecutionEndTime" in (found := seen(ssm, identifier)) else None, timeout_s=20
    )


def steps(execution):
    return {step["StepName"]: step for step in execution["StepExecutions"]}


REQUEST = runbook(
    ASK,
    BRANCH,
    look("Look"),
    look("Refused", "assertAwsResourceProperty", PropertySelector="$.Item.holder.S", DesiredValues=[STANDBY]),
    outputs=["Ask.Payload"],
)


def test_a_runbook_asks_a_function_and_goes_on_as_it_answers(ssm):
    create(ssm, REQUEST)
    done = ended(ssm, start(ssm, Move="failover", Ticket="T-7"))
    assert done["AutomationExecutionStatus"] == "Success"
    assert json.loads(done["Outputs"]["Ask.Payload"][0]) == {"accepted": True, "reason": "T-7"}
    assert done["Parameters"] == {"Move": ["failover"], "Ticket": ["T-7"]}
    assert steps(done)["Look"]["StepStatus"] == "Success"
    assert steps(done)["Refused"]["StepStatus"] == "Pending"
    assert done["ExecutedBy"].endswith("user/farshore-lab-administrator")


@pytest.mark.parametrize("move", ["switchover", "break"])
def test_a_refusal_and_a_broken_function_end_in_failure(ssm, move):
    create(ssm, REQUEST)
    done = ended(ssm, start(ssm, Move=move))
    assert done["AutomationExecutionStatus"] == "Failed"
    assert steps(done)["Look"]["StepStatus"] == "Pending"
    assert steps(done)["Ask"]["Outputs"]["FunctionError"] == (["Unhandled"] if move == "break" else [""])
    assert "$.Item.holder.S is us-east-1" in done["FailureMessage"]


def test_a_wait_sees_the_property_change(ssm, cloud):
    held = look(
        "Wait", "waitForAwsResourceProperty", PropertySelector="$.Item.holder.S", DesiredValues=[STANDBY]
    )
    create(ssm, runbook(held))
    identifier = start(ssm, Move="x")
    eventually(lambda: seen(ssm, identifier).get("CurrentStepName") == "Wait")
    assert seen(ssm, identifier)["AutomationExecutionStatus"] == "InProgress"
    hold(cloud, STANDBY)
    try:
        assert ended(ssm, identifier)["AutomationExecutionStatus"] == "Success"
    finally:
        hold(cloud, "us-east-1")


def test_executions_are_listed_and_stopped(ssm):
    held = look(
        "Wait", "waitForAwsResourceProperty", PropertySelector="$.Item.holder.S", DesiredValues=["nobody"]
    )
    create(ssm, runbook(held), "endless")
    identifier = start(ssm, "endless", Move="x")
    filters = [{"Key": "DocumentNamePrefix", "Values": ["endless"]}]
    (listed,) = ssm.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    assert listed["AutomationExecutionId"] == identifier
    ssm.stop_automation_execution(AutomationExecutionId=identifier)
    assert ended(ssm, identifier)["AutomationExecutionStatus"] == "Cancelled"
    assert_refused("InvalidAutomationStatusUpdateException", ssm.stop_automation_execution, identifier)


def assert_refused(code, call, identifier):
    with pytest.raises(ClientError) as refused:
        call(AutomationExecutionId=identifier)
    assert refused.value.response["Error"]["Code"] == code


def test_an_execution_is_known_in_its_region_only(ssm, cloud):
    create(ssm, runbook(look("Look")))
    identifier = start(ssm, Move="x")
    ended(ssm, identifier)
    there = client(cloud, "ssm", HOME).get_automation_execution
    assert_refused("AutomationExecutionNotFoundException", there, identifier)


def test_a_step_may_do_what_its_role_may_do(ssm):
    """Whoever starts a runbook lends it nothing: the administrator may read other tables, the role may not."""
    create(ssm, runbook(look("Look", TableName="other")))
    done = ended(ssm, start(ssm, Move="x"))
    assert done["AutomationExecutionStatus"] == "Failed"
    assert "is not authorized to perform: dynamodb:GetItem" in done["FailureMessage"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (runbook({"name": "Sleep", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}}), "aws:sleep"),
        ({key: value for key, value in runbook(ASK).items() if key != "assumeRole"}, "assumeRole"),
    ],
)
def test_what_is_not_in_the_lab_is_refused_when_the_document_is_made(ssm, content, named):
    with pytest.raises(ClientError) as refused:
        create(ssm, content)
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"
    assert named in str(refused.value)
    assert ssm.list_documents()["DocumentIdentifiers"] == []


def test_a_role_that_does_not_trust_systems_manager_here_is_not_assumed(cloud):
    """The role trusts executions of the standby region."""
    ssm = client(cloud, "ssm", HOME)
    create(ssm, runbook(look("Look")))
    with pytest.raises(ClientError) as refused:
        start(ssm, Move="x")
    assert "assume role is unable to be assumed" in str(refused.value)
    ssm.delete_document(Name="move")


def operator(cloud, name, *statements):
    iam, sts = client(cloud, "iam", HOME), client(cloud, "sts", HOME)
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy(*statements))
    keys = sts.assume_role(RoleArn=arn, RoleSessionName="op")["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    given = dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), names, strict=True))
    return client(cloud, "ssm", STANDBY, credentials={key: keys[value] for key, value in given.items()})


def test_starting_takes_the_runbook_and_the_passing_of_its_role(ssm, cloud):
    create(ssm, runbook(look("Look")))
    definition = f"arn:aws:ssm:{STANDBY}:{ACCOUNT}:automation-definition/move:$DEFAULT"
    may_start = allow("ssm:StartAutomationExecution", definition)
    passing = {
        **allow("iam:PassRole", ROLE),
        "Condition": {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
    }
    with pytest.raises(ClientError, match="iam:PassRole"):
        start(operator(cloud, "starts-only", may_start), Move="x")
    with pytest.raises(ClientError, match="ssm:StartAutomationExecution"):
        start(operator(cloud, "passes-only", passing), Move="x")
    execution = f"arn:aws:ssm:{STANDBY}:{ACCOUNT}:automation-execution/*"
    starter = operator(cloud, "both", may_start, passing, allow("ssm:GetAutomationExecution", execution))
    done = ended(starter, start(starter, Move="x"))
    assert done["AutomationExecutionStatus"] == "Success"
    assert done["ExecutedBy"].endswith("assumed-role/both/op")


def test_a_document_can_be_read_before_it_is_carried_out(ssm):
    create(ssm, REQUEST)
    assert json.loads(ssm.get_document(Name="move")["Content"]) == REQUEST
    described = ssm.describe_document(Name="move")["Document"]
    assert (described["DocumentType"], described["SchemaVersion"]) == ("Automation", "0.3")
    assert {one["Name"]: one.get("DefaultValue") for one in described["Parameters"]} == {
        "Move": None,
        "Ticket": "T-1",
    }
    with pytest.raises(ClientError) as unknown:
        start(ssm, "nothing", Move="x")
    assert unknown.value.response["Error"]["Code"] == "AutomationDefinitionNotFoundException"


def test_commands_for_servers_are_not_in_the_lab(ssm):
    with pytest.raises(ClientError) as refused:
        ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=["i-1"])
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"
    with pytest.raises(ClientError) as refused:
        ssm.create_document(Name="c", Content=json.dumps(REQUEST), DocumentType="Command")
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"
