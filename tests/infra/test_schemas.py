"""AWS's own published resource schemas and IAM action tables, as cfn-lint carries them, judge what is registered."""

import json
import re
from importlib import resources

import pytest
from cfnlint.api import ManualArgs, lint

from farshore.infra import engine
from infra.cloudformation import TYPES, WITHOUT_SCHEMA, template
from infra.recorder import EVERYTHING, recorded

DOES_NOT_APPLY = {
    "I3011": "deletion policies are CloudFormation's; `protect` and deletion protection are tested elsewhere",
    "W2501": "the password is Pulumi's secret here and stands in no template",
    "W3010": "three zones are configuration",
}


def findings(cloudformation):
    arguments = ManualArgs(regions=["us-east-1", "us-west-2"], include_checks=["I"])
    found = lint(json.dumps(cloudformation), config=arguments)
    return [
        f"{match.rule.id} {'/'.join(map(str, match.path[1:]))}: {match.message}"
        for match in found
        if match.rule.id not in DOES_NOT_APPLY
    ]


def test_every_resource_is_as_aws_publishes_it():
    recording = recorded()
    judged = template(recording)
    assert findings(judged) == []
    unjudged = {r.token for r in recording.resources if r.custom} - {f"aws:{token}" for token in TYPES}
    assert unjudged - set(WITHOUT_SCHEMA) == {"aws:route53/healthCheck:HealthCheck"}
    assert len(judged["Resources"]) > 130


def test_production_with_every_option_too():
    recording = recorded(*EVERYTHING)
    assert findings(template(recording)) == []


def policy(**statement):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyName": "p", "Roles": ["r"], "PolicyDocument": document},
    }


TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
CANARIES = {
    "an engine that does not exist": (
        {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "aurora-postgress"}},
        "Engine",
    ),
    "a version that AWS does not offer": (
        {
            "Type": "AWS::RDS::DBCluster",
            "Properties": {"Engine": "aurora-postgresql", "EngineVersion": "15.99"},
        },
        "EngineVersion",
    ),
    "a retention beyond the maximum": (
        {
            "Type": "AWS::RDS::DBCluster",
            "Properties": {"Engine": "aurora-postgresql", "BackupRetentionPeriod": 99},
        },
        "BackupRetentionPeriod",
    ),
    "a property that does not exist": (
        {"Type": "AWS::RDS::GlobalCluster", "Properties": {"Nonsense": 1}},
        "Nonsense",
    ),
    "a description that EC2 refuses": (
        {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "AWS's"}},
        "GroupDescription",
    ),
    "an action that does not exist": (
        policy(Action=["dynamodb:Querry"], Resource=[TABLE]),
        "querry",
    ),
    "a resource that the action does not take": (
        policy(Action=["dynamodb:Query"], Resource=["arn:aws:sqs:us-east-1:123456789012:q"]),
        "requires a resource",
    ),
    "a condition operator that does not exist": (
        policy(Action=["dynamodb:Query"], Resource=[TABLE], Condition={"StringEqual": {"aws:x": "y"}}),
        "StringEqual",
    ),
}


@pytest.mark.parametrize("what", CANARIES)
def test_the_judge_is_awake(what):
    resource, named = CANARIES[what]
    found = findings({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Canary": resource}})
    assert any(named in finding for finding in found), found


def test_every_version_that_aws_has_published_is_among_the_candidates():
    published = resources.files("cfnlint.data.schemas.extensions.aws_rds_dbcluster") / "engine_version.json"
    minors = {int(minor) for minor in re.findall(r'"15\.(\d+)"', published.read_text())}
    considered = {int(version.split(".")[1]) for version in engine.candidates()}
    assert {minor for minor in minors if minor >= engine.OLDEST_MINOR} <= considered
    assert max(minors) + 5 < max(considered)
    assert engine.older(["15.9", "15.10"]) == "15.9"
