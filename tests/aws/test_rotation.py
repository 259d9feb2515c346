"""The four steps of a rotation, against Secrets Manager's own rules as moto keeps them: each may be repeated."""

import json

import boto3
import pytest
from moto import mock_aws

from farshore.aws.rotation import Rotation
from farshore.core.errors import RefusedError, UsageError

SECRET = "farshore-controller-demo"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
VERSION = "11111111-2222-3333-4444-555555555555"


class Database:
    """Knows one password per user; `deaf` stands for a writer that takes the change and then another's place."""

    def __init__(self, password):
        self.password, self.changes, self.deaf = password, 0, False

    def accepts(self, login):
        return login["password"] == self.password and not self.deaf

    def change(self, current, pending):
        assert current["password"] == self.password
        assert current["username"] == pending["username"] == "farshore"
        self.password = pending["password"]
        self.changes += 1


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        manager = boto3.client("secretsmanager", region_name="us-east-1")
        manager.create_secret(
            Name=SECRET, SecretString=json.dumps({"username": "farshore", "password": "old"})
        )
        described = manager.describe_secret

        def describe(**asked):
            answer = described(**asked)
            versions = {VERSION: ["AWSPENDING"], **answer["VersionIdsToStages"]}
            return {**answer, "RotationEnabled": True, "VersionIdsToStages": versions}

        manager.describe_secret = describe
        yield manager, Database("old")


def current(manager):
    return json.loads(manager.get_secret_value(SecretId=SECRET, VersionStage="AWSCURRENT")["SecretString"])


def test_a_rotation_changes_the_database_and_then_the_current_version(place):
    manager, database = place
    rotation = Rotation(manager, database)
    for step in STEPS[:3]:
        rotation.run(step, SECRET, VERSION)
    assert current(manager)["password"] == "old"
    rotation.run("finishSecret", SECRET, VERSION)
    assert current(manager) == {"username": "farshore", "password": database.password}
    assert database.password != "old"
    assert len(database.password) == 32
    assert database.password.isalnum()


def test_every_step_may_be_repeated(place):
    manager, database = place
    rotation = Rotation(manager, database)
    for step in STEPS:
        for _ in range(2):
            rotation.run(step, SECRET, VERSION)
    for step in STEPS:
        rotation.run(step, SECRET, VERSION)
    assert database.changes == 1
    assert current(manager)["password"] == database.password


def test_a_change_whose_reply_was_lost_is_not_made_again(place):
    manager, database = place
    rotation = Rotation(manager, database)
    rotation.run("createSecret", SECRET, VERSION)
    pending = manager.get_secret_value(SecretId=SECRET, VersionStage="AWSPENDING")
    database.password = json.loads(pending["SecretString"])["password"]
    rotation.run("setSecret", SECRET, VERSION)
    assert database.changes == 0


def test_a_writer_that_does_not_accept_it_stops_the_rotation(place):
    manager, database = place
    rotation = Rotation(manager, database)
    rotation.run("createSecret", SECRET, VERSION)
    rotation.run("setSecret", SECRET, VERSION)
    database.deaf = True
    with pytest.raises(RefusedError, match="does not accept"):
        rotation.run("testSecret", SECRET, VERSION)
    assert current(manager)["password"] == "old"


def test_what_is_not_being_rotated_is_left_alone(place):
    manager, database = place
    rotation = Rotation(manager, database)
    with pytest.raises(UsageError, match="is not being rotated"):
        rotation.run("setSecret", SECRET, "another-version")
    with pytest.raises(UsageError, match="none of the steps"):
        rotation.run("dropSecret", SECRET, VERSION)
