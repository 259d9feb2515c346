"""The rules on AWS's own events: what they match, whom they tell, and that nobody they tell can move a writer."""

import json

import pytest
from moto.events.models import EventPattern

from farshore.lab.cloud.service_events import health_event, rds_event
from farshore.lab.postgres import events
from infra.recorder import ACCOUNT, EVERYTHING, recorded

SIDES = {"us-east-1": "primary", "us-west-2": "secondary"}
REGIONS = tuple(SIDES)


def rules(region):
    return {
        one.inputs["name"]: one.inputs
        for one in recorded().of("EventRule")
        if one.region == region and "eventPattern" in one.inputs
    }


def targets(region, rule):
    return {
        one.inputs["targetId"]: one.inputs
        for one in recorded().of("EventTarget")
        if one.region == region and one.inputs["rule"] == rule
    }


def matches(region, rule, event):
    return EventPattern.load(rules(region)[rule]["eventPattern"]).matches_event(event)


@pytest.mark.parametrize("region", REGIONS)
def test_two_rules_in_each_region_tell_the_failover_function(region):
    assert set(rules(region)) == {"auto-failover-rule-demo", "database-event-rule-demo"}
    for rule in rules(region):
        arn = targets(region, rule)["opinion"]["arn"]
        assert arn == f"arn:aws:lambda:{region}:{ACCOUNT}:function:{SIDES[region]}-failover-function-demo"


@pytest.mark.parametrize("region", REGIONS)
def test_awss_word_about_a_region_wakes_the_controller_as_its_schedule_does(region):
    woken = targets(region, "auto-failover-rule-demo")["wake"]
    assert woken["arn"].endswith(f":{SIDES[region]}-controller-function-demo")
    assert json.loads(woken["input"]) == {"source": "farshore"}
    assert "wake" not in targets(region, "database-event-rule-demo")


@pytest.mark.parametrize("region", REGIONS)
def test_each_target_may_be_invoked_by_its_rule_and_no_other(region):
    told = {
        (one.inputs["function"], one.inputs["sourceArn"].rpartition("/")[2])
        for one in recorded().of("Permission")
        if one.region == region
    }
    for rule in rules(region):
        for target in targets(region, rule).values():
            assert (target["arn"].rpartition(":")[2], rule) in told


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("about", REGIONS)
def test_health_of_either_region_is_heard_in_both(region, about):
    rule = "auto-failover-rule-demo"
    assert matches(region, rule, health_event(about, ACCOUNT))
    assert not matches(region, rule, health_event("eu-central-1", ACCOUNT))
    event = health_event(about, ACCOUNT)
    assert not matches(
        region, rule, {**event, "detail": {**event["detail"], "eventTypeCategory": "scheduledChange"}}
    )


def fleet_event(number, region="us-east-1", source="primary-aurora-cluster-demo"):
    words = {"instance": "i", "cluster": "c", "region": "r", "reason": "x"}
    return rds_event(events.event(number, region, source, **words), ACCOUNT)


@pytest.mark.parametrize(
    ("number", "heard"),
    [(73, True), (71, True), (69, True), (181, False), (185, False), (238, False), (170, False)],
)
def test_trouble_is_an_opinion_and_a_move_of_our_own_is_not(number, heard):
    assert matches("us-east-1", "database-event-rule-demo", fleet_event(number)) is heard


def test_other_databases_are_no_concern():
    other = fleet_event(73, source="somebody-elses-cluster")
    assert not matches("us-east-1", "database-event-rule-demo", other)
    assert not matches("us-west-2", "database-event-rule-demo", fleet_event(73))


def test_whoever_hears_may_move_nothing():
    for policy in recorded(*EVERYTHING).of("RolePolicy"):
        if "-failover-policy" in policy.name:
            actions = {action for one in policy.document()["Statement"] for action in one["Action"]}
            assert {action for action in actions if action.startswith("rds:")} == {
                "rds:DescribeGlobalClusters"
            }
            assert not any(action.startswith("route53:") for action in actions)
