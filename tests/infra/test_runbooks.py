"""The runbooks that the program registers: right calls, by AWS's own names, and nothing past the journal."""

import json
import re

import botocore.session
import pytest

from farshore.lab.cloud import runbook
from farshore.names import Names
from infra.recorder import recorded

SIDES = {"us-east-1": "primary", "us-west-2": "secondary"}
NAMES = Names("demo")
MOVES = ("switchover", "failover", "failback")


def registered(region, move):
    (found,) = [
        one
        for one in recorded().of("ssm/document:Document")
        if one.region == region and one.inputs["name"] == f"dr-{move}-demo"
    ]
    return found


def content(region, move):
    return json.loads(registered(region, move).inputs["content"])


EVERY = pytest.mark.parametrize(("region", "move"), [(region, move) for region in SIDES for move in MOVES])


def test_three_moves_in_each_region():
    found = {(one.region, one.inputs["name"]) for one in recorded().of("ssm/document:Document")}
    assert found == {(region, f"dr-{move}-demo") for region in SIDES for move in MOVES}
    assert all(re.fullmatch(r"[a-zA-Z0-9_.-]{3,128}", name) for _, name in found)


@EVERY
def test_it_is_an_automation_runbook_that_waits_for_its_roles_policy(region, move):
    made = registered(region, move)
    assert (made.inputs["documentType"], made.inputs["documentFormat"]) == ("Automation", "JSON")
    assert content(region, move)["assumeRole"].endswith(f":role/{SIDES[region]}-automation-role-demo")
    (policy,) = [
        one for one in recorded().of("RolePolicy") if one.name == f"farshore-{SIDES[region]}-runbooks-policy"
    ]
    assert policy.urn in made.dependencies


@EVERY
def test_the_lab_can_carry_it_out(region, move):
    parsed = runbook.parse(content(region, move))
    assert list(parsed.steps) == [
        "AskFarshore",
        "WasItAccepted",
        "WaitUntilItIsOver",
        "WritesThereAlready",
        "ShowTheWriter",
    ]


@EVERY
def test_each_call_is_one_that_aws_knows_with_these_parameters(region, move):
    """The seed's runbook passed a bare name where AWS wants an ARN; names are judged by AWS's own model here."""
    own = {"Service", "Api", "PropertySelector", "DesiredValues"}
    calls = [step["inputs"] for step in content(region, move)["mainSteps"] if "Api" in step["inputs"]]
    assert len(calls) == 3
    for inputs in calls:
        service = botocore.session.get_session().get_service_model(inputs["Service"])
        operation = service.operation_model(inputs["Api"])
        given = {name: value for name, value in inputs.items() if name not in own}
        assert set(given) <= set(operation.input_shape.members)
        assert set(operation.input_shape.required_members) <= set(given)
        selector = inputs.get("PropertySelector", "$.GlobalClusters[0].GlobalClusterMembers")
        assert re.match(r"\$\.(\w+)", selector)[1] in operation.output_shape.members


@EVERY
def test_nothing_is_called_that_moves_a_writer(region, move):
    made = json.dumps(content(region, move))
    assert "FailoverGlobalCluster" not in made
    assert "SwitchoverGlobalCluster" not in made
    assert f"{SIDES[region]}-failover-function-demo" in made
    waited = content(region, move)["mainSteps"][2]["inputs"]
    assert waited["ConsistentRead"] is True
    assert waited["TableName"] == NAMES.authority_table


@EVERY
def test_the_roles_trust_is_bound_to_this_accounts_automations(region, move):
    (role,) = [
        one for one in recorded().of("Role") if one.inputs["name"] == f"{SIDES[region]}-automation-role-demo"
    ]
    (statement,) = role.document("assumeRolePolicy")["Statement"]
    assert statement["Principal"] == {"Service": "ssm.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ssm:{region}:123456789012:automation-execution/*"},
    }


def test_where_to_is_what_a_person_would_mean():
    assert content("us-west-2", "failover")["parameters"]["TargetRegion"]["default"] == "us-west-2"
    assert content("us-east-1", "failover")["parameters"]["TargetRegion"]["default"] == "us-east-1"
    back = content("us-west-2", "failback")["parameters"]["TargetRegion"]
    assert (back["default"], back["allowedValues"]) == ("us-east-1", ["us-east-1"])


@EVERY
def test_a_ticket_is_demanded_and_a_loss_accepted_only_where_there_is_one(region, move):
    parameters = content(region, move)["parameters"]
    assert "default" not in parameters["Ticket"]
    assert ("AcceptLossMilliseconds" in parameters) == (move == "failover")
    parsed = runbook.parse(content(region, move))
    with pytest.raises(runbook.RunbookError, match="Ticket"):
        runbook.arguments(parsed, {})
    assert runbook.arguments(parsed, {"Ticket": ["OPS-1"]})["Ticket"] == "OPS-1"
