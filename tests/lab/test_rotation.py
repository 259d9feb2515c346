"""RotateSecret runs the secret's own function, step by step."""

import json

import pytest
from botocore.exceptions import ClientError
from cloudkit import HOME, STANDBY, Links, bundle, client, eventually, make_cloud

ROLE = "arn:aws:iam::123456789012:role/rotator"
SOURCE = """
import json, boto3

manager = boto3.client("secretsmanager")

def handler(event, _context):
    step, secret, version = event["Step"], event["SecretId"], event["ClientRequestToken"]
    stages = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    print(step, stages)
    assert "AWSPENDING" in stages[version]
    if step == "createSecret":
        try:
            manager.get_secret_value(SecretId=secret, VersionId=version, VersionStage="AWSPENDING")
            raise ValueError("a version without a value has one")
        except manager.exceptions.ResourceNotFoundException:
            pass
        manager.put_secret_value(SecretId=secret, ClientRequestToken=version, SecretString="new",
                                 VersionStages=["AWSPENDING"])
    if step == "testSecret":
        if manager.get_secret_value(SecretId=secret)["SecretString"] == "stubborn":
            raise ValueError("the database does not take it")
        assert manager.get_secret_value(SecretId=secret, VersionStage="AWSPENDING")["SecretString"] == "new"
    if step == "finishSecret":
        current = next(v for v, names in stages.items() if "AWSCURRENT" in names)
        manager.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT",
                                            MoveToVersionId=version, RemoveFromVersionId=current)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("cloud")
    cloud = make_cloud(root, Links())
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client(cloud, "iam", HOME).create_role(
        RoleName="rotator",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    arn = client(cloud, "lambda", HOME).create_function(
        FunctionName="rotator",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": bundle(SOURCE)},
        Timeout=20,
    )["FunctionArn"]
    yield cloud, client(cloud, "secretsmanager", HOME), arn, root
    cloud.close()


def secret(manager, name, value):
    replicas = [{"Region": STANDBY}]
    return manager.create_secret(Name=name, SecretString=value, AddReplicaRegions=replicas)["ARN"]


def test_a_rotation_ends_with_a_new_current_version_in_both_regions(place):
    cloud, manager, function, _ = place
    arn = secret(manager, "login", "old")
    manager.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function,
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    described = manager.describe_secret(SecretId=arn)
    assert (described["RotationEnabled"], described["RotationLambdaARN"]) == (True, function)
    assert manager.get_secret_value(SecretId=arn)["SecretString"] == "old"

    version = manager.rotate_secret(SecretId=arn)["VersionId"]
    eventually(lambda: manager.get_secret_value(SecretId=arn)["SecretString"] == "new")
    stages = manager.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert "AWSCURRENT" in stages[version]
    assert ["AWSPREVIOUS"] in stages.values()
    standby = client(cloud, "secretsmanager", STANDBY)
    assert standby.get_secret_value(SecretId="login")["SecretString"] == "new"


def test_a_step_that_fails_leaves_the_current_version_alone(place):
    _, manager, function, root = place
    arn = secret(manager, "stubborn", "stubborn")
    manager.rotate_secret(SecretId=arn, RotationLambdaARN=function)

    log = root / "logs"
    eventually(lambda: any("the database does not take it" in file.read_text() for file in log.iterdir()))
    assert manager.get_secret_value(SecretId=arn)["SecretString"] == "stubborn"


def test_without_a_function_nothing_rotates(place):
    _, manager, function, _ = place
    arn = secret(manager, "bare", "x")
    with pytest.raises(ClientError, match="No Lambda rotation function"):
        manager.rotate_secret(SecretId=arn)
    with pytest.raises(ClientError, match="not found for ARN"):
        manager.rotate_secret(SecretId=arn, RotationLambdaARN=f"{function}-of-nobody")
