"""The evaluator alone, row by row after AWS's own pages."""

import json

import pytest

from farshore.lab.cloud import policy
from farshore.lab.cloud.conditions import UnsupportedPolicyError
from farshore.lab.cloud.policy import Outcome

ALLOWED, DENIED, IMPLICIT = Outcome.ALLOWED, Outcome.EXPLICIT_DENY, Outcome.IMPLICIT_DENY
CLUSTER = "arn:aws:rds:us-east-1:123456789012:cluster:primary-aurora-cluster-t"


def allow(action="rds:DescribeDBClusters", resource=CLUSTER, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="rds:*", resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def judged(statements, action="rds:DescribeDBClusters", resource=CLUSTER, **keys):
    parsed = policy.parse("p", json.dumps({"Version": "2012-10-17", "Statement": statements}))
    given = {key.replace("__", ":").lower(): value for key, value in keys.items()}
    return policy.evaluate(parsed, action, resource, given.get)


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
@pytest.mark.parametrize(
    ("statements", "outcome"),
    [
        ([], IMPLICIT),
        (allow(), ALLOWED),
        ([allow(action="rds:FailoverGlobalCluster")], IMPLICIT),
        ([allow(), deny()], DENIED),
        ([deny(), allow()], DENIED),
        ([allow(), deny(action="s3:*")], ALLOWED),
        ([deny(action="s3:*")], IMPLICIT),
    ],
)
def test_an_explicit_deny_then_an_allow_then_nothing(statements, outcome):
    assert judged(statements).outcome is outcome


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html and ..._notaction.html,
# ..._resource.html, ..._notresource.html
@pytest.mark.parametrize(
    ("statement", "outcome"),
    [
        (allow(action="*"), ALLOWED),
        (allow(action="RDS:describedbclusters"), ALLOWED),
        (allow(action="rds:Describe*"), ALLOWED),
        (allow(action="rds:DescribeDB?lusters"), ALLOWED),
        (allow(action="rds:DescribeDB?"), IMPLICIT),
        (allow(action=["sns:Publish", "rds:DescribeDBClusters"]), ALLOWED),
        ({"Effect": "Allow", "NotAction": "rds:*", "Resource": "*"}, IMPLICIT),
        ({"Effect": "Allow", "NotAction": "sns:*", "Resource": "*"}, ALLOWED),
        (allow(resource="*"), ALLOWED),
        (allow(resource="arn:aws:rds:*:123456789012:cluster:primary-*"), ALLOWED),
        (allow(resource="arn:aws:rds:us-*-1:123456789012:cluster:*"), ALLOWED),
        (allow(resource="arn:aws:rds:us-west-2:123456789012:cluster:*"), IMPLICIT),
        (allow(resource="arn:aws:rds:*:cluster:primary-*"), IMPLICIT),
        (allow(resource="arn:aws:rds:us-east-1:123456789012:cluster:PRIMARY-*"), IMPLICIT),
        ({"Effect": "Allow", "Action": "*", "NotResource": CLUSTER}, IMPLICIT),
        ({"Effect": "Allow", "Action": "*", "NotResource": CLUSTER + "x"}, ALLOWED),
    ],
)
def test_actions_ignore_case_and_wildcards_stay_inside_an_arns_parts(statement, outcome):
    assert judged([statement]).outcome is outcome


def test_a_call_on_everything_needs_a_grant_on_everything():
    everything = "arn:aws:rds:us-east-1:123456789012:cluster:*"
    assert judged([allow()], resource=everything).outcome is IMPLICIT
    assert judged([allow(resource=everything)], resource=everything).outcome is ALLOWED
    assert (
        judged([allow("ec2:DescribeSubnets", "arn:aws:ec2:*:*:subnet/*")], "ec2:DescribeSubnets", "*").outcome
        is IMPLICIT
    )


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
@pytest.mark.parametrize(
    ("operator", "wanted", "given", "holds"),
    [
        ("StringEquals", "Farshore/t", ("Farshore/t",), True),
        ("StringEquals", "Farshore/t", ("farshore/t",), False),
        ("StringEquals", ["a", "b"], ("b",), True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", ("b",), False),
        ("StringEqualsIgnoreCase", "A", ("a",), True),
        ("StringNotEquals", "a", ("b",), True),
        ("StringNotEquals", ["a", "b"], ("b",), False),
        ("StringNotEquals", "a", None, True),
        ("StringNotEqualsIgnoreCase", "A", ("a",), False),
        ("StringLike", "Farshore/*", ("Farshore/t",), True),
        ("StringLike", "Farshore/?", ("Farshore/tt",), False),
        ("StringNotLike", "Farshore/*", ("Other",), True),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("Null", "false", ("a",), True),
        ("Null", True, ("a",), False),
    ],
)
def test_condition_operators(operator, wanted, given, holds):
    statement = allow("cloudwatch:PutMetricData", "*", Condition={operator: {"CloudWatch:Namespace": wanted}})
    verdict = judged([statement], "cloudwatch:PutMetricData", "*", cloudwatch__namespace=given)
    assert verdict.allowed is holds


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
@pytest.mark.parametrize(
    ("operator", "given", "holds"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),
        ("ForAllValues:StringEquals", None, True),
        ("ForAnyValue:StringEquals", ("a", "c"), True),
        ("ForAnyValue:StringEquals", ("c",), False),
        ("ForAnyValue:StringEquals", None, False),
        ("ForAnyValue:StringNotEquals", ("a", "c"), True),
        ("ForAllValues:StringNotEquals", ("a", "c"), False),
        ("ForAllValues:StringLike", ("a",), True),
    ],
)
def test_set_operators(operator, given, holds):
    statement = allow("dynamodb:Query", "*", Condition={operator: {"dynamodb:LeadingKeys": ["a", "b"]}})
    assert judged([statement], "dynamodb:Query", "*", dynamodb__leadingkeys=given).allowed is holds


@pytest.mark.parametrize(
    ("operator", "wanted", "holds"),
    [
        ("ArnLike", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*-t", True),
        ("ArnEquals", "arn:aws:cloudwatch:*:123456789012:alarm:primary-cpu-alarm-t", True),
        ("ArnLike", "arn:aws:cloudwatch:*:alarm:*", False),
        ("ArnNotLike", "arn:aws:sns:*:*:*", True),
    ],
)
def test_arn_operators(operator, wanted, holds):
    statement = allow("sns:Publish", "*", Condition={operator: {"aws:SourceArn": wanted}})
    arn = ("arn:aws:cloudwatch:us-east-1:123456789012:alarm:primary-cpu-alarm-t",)
    assert judged([statement], "sns:Publish", "*", aws__sourcearn=arn).allowed is holds


def test_every_operator_and_every_key_must_hold():
    condition = {
        "StringEquals": {"aws:PrincipalAccount": "1", "aws:RequestedRegion": "r"},
        "StringLike": {"aws:userid": "u*"},
    }
    granted = [allow(Condition=condition)]
    assert judged(
        granted, aws__principalaccount=("1",), aws__requestedregion=("r",), aws__userid=("u1",)
    ).allowed
    assert not judged(
        granted, aws__principalaccount=("2",), aws__requestedregion=("r",), aws__userid=("u1",)
    ).allowed
    assert not judged(
        granted, aws__principalaccount=("1",), aws__requestedregion=("r",), aws__userid=("x",)
    ).allowed


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (allow(Condition={"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}}), "DateGreaterThan"),
        (
            allow(Condition={"StringEquals": {"aws:MultiFactorAuthPresent": "true"}}),
            "aws:MultiFactorAuthPresent",
        ),
        (allow(Condition={"StringEquals": {"dynamodb:LeadingKeys": "a"}}), "without ForAllValues"),
        (allow(Condition={"ForEach:StringEquals": {"aws:userid": "a"}}), "ForEach"),
        (allow(resource="arn:aws:s3:::b/${aws:username}"), "variables"),
        ({**allow(), "NotPrincipal": {"AWS": "*"}}, "NotPrincipal"),
        ({**allow(), "Principal": {"AWS": "*"}}, "Principal"),
        ({**allow(), "NotAction": "rds:*"}, "exactly one of Action"),
        ({"Effect": "Permit", "Action": "*", "Resource": "*"}, "Permit"),
    ],
)
def test_what_is_not_evaluated_is_refused_by_name(statement, named):
    with pytest.raises(UnsupportedPolicyError, match="policy p"):
        judged([statement])
    with pytest.raises(UnsupportedPolicyError, match=named.replace("$", r"\$")):
        judged([statement])


def test_a_verdict_names_the_statements_that_made_it():
    verdict = judged([allow(Sid="Look"), allow(action="rds:*"), deny(action="sns:*")])
    assert [(one.policy, one.label) for one in verdict.by] == [("p", "Look"), ("p", "1")]
