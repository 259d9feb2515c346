import json
import time

import pytest
from botocore.exceptions import ClientError
from cloudkit import HOME, STANDBY, Links, bundle, client, eventually, make_cloud

from farshore.lab.cloud import service_events
from farshore.lab.cloud.events import Schedules
from farshore.lab.postgres import events as rds_events

ROLE = "arn:aws:iam::123456789012:role/runner"
SOURCE = """
import json
def handler(event, context):
    with open(event["path"], "a") as file:
        file.write(json.dumps(event) + "\\n")
"""
MINUTE_S = 0.4


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    links = Links()
    cloud = make_cloud(tmp_path_factory.mktemp("cloud"), links)
    cloud.schedules._minute_s = MINUTE_S
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client(cloud, "iam", HOME).create_role(
        RoleName="runner",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    yield cloud, links
    cloud.close()


@pytest.fixture
def east(running):
    cloud, links = running
    events = client(cloud, "events", HOME)
    yield events
    links.lost_regions.clear()
    cloud.region_back(HOME)
    for rule in events.list_rules()["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        if targets:
            events.remove_targets(Rule=rule["Name"], Ids=[t["Id"] for t in targets])
        events.delete_rule(Name=rule["Name"])


@pytest.fixture
def queue(running):
    sqs = client(running[0], "sqs", HOME)
    url = sqs.create_queue(QueueName=f"q{time.monotonic_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return Queue(sqs, url, arn)


class Queue:
    def __init__(self, sqs, url, arn):
        self.sqs, self.url, self.arn = sqs, url, arn
        self.seen = []

    def messages(self):
        for message in self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            self.seen.append(json.loads(message["Body"]))
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.seen


def make_function(cloud, region):
    lambdas = client(cloud, "lambda", region)
    return lambdas.create_function(
        FunctionName=f"ticker{time.monotonic_ns()}",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": bundle(SOURCE)},
    )["FunctionArn"]


def schedule(events, name, arn, rate="rate(1 minute)", **target):
    events.put_rule(Name=name, ScheduleExpression=rate)
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": arn, **target}])


def test_a_schedule_fires_first_after_one_period_and_then_each_period(east, queue):
    begin = time.monotonic()
    schedule(east, "tick", queue.arn)
    eventually(queue.messages)
    assert time.monotonic() - begin >= MINUTE_S
    eventually(lambda: len(queue.messages()) == 3)
    assert 3 * MINUTE_S <= time.monotonic() - begin < 12 * MINUTE_S
    event = queue.seen[0]
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["resources"][0].endswith(":rule/tick")


def test_a_schedule_invokes_a_function_with_its_input(running, east, tmp_path):
    path = tmp_path / "runs"
    arn = make_function(running[0], HOME)
    schedule(east, "tick", arn, Input=json.dumps({"path": str(path), "n": 7}))
    eventually(lambda: path.exists() and len(path.read_text().splitlines()) >= 2)
    assert json.loads(path.read_text().splitlines()[0])["n"] == 7


def test_a_killed_function_is_revived_by_its_schedule(running, east, tmp_path):
    cloud, _ = running
    path = tmp_path / "runs"
    schedule(east, "tick", make_function(cloud, HOME), Input=json.dumps({"path": str(path)}))
    eventually(path.exists)
    eventually(cloud.lambdas.kill_all)
    before = len(path.read_text().splitlines())
    eventually(lambda: len(path.read_text().splitlines()) > before)


def test_a_disabled_schedule_is_still(east, queue):
    schedule(east, "tick", queue.arn)
    east.disable_rule(Name="tick")
    time.sleep(2.5 * MINUTE_S)
    assert queue.messages() == []
    east.enable_rule(Name="tick")
    eventually(queue.messages)


def test_a_lost_regions_schedules_do_not_fire(running, east, queue):
    cloud, links = running
    schedule(east, "tick", queue.arn)
    eventually(queue.messages)
    links.lost_regions.add(HOME)
    cloud.region_lost(HOME)
    time.sleep(4 * MINUTE_S)
    links.lost_regions.clear()
    cloud.region_back(HOME)
    assert len(queue.messages()) <= 3
    known = len(queue.seen)
    eventually(lambda: len(queue.messages()) > known)


def test_held_schedules_are_counted_and_go_on_afterwards(running, east, queue):
    cloud, _ = running
    schedule(east, "tick", queue.arn)
    eventually(queue.messages)
    cloud.schedules.hold(HOME)
    queue.messages()
    known = len(queue.seen)
    eventually(lambda: cloud.schedules._held[HOME] >= 2)
    assert len(queue.messages()) <= known + 1, "at most the one that was on its way"
    known = len(queue.seen)
    assert cloud.schedules.let_go(HOME) >= 2
    eventually(lambda: len(queue.messages()) > known)


def test_missed_periods_are_skipped(running, east):
    schedules = Schedules(running[0].lambdas, Links())
    east.put_rule(Name="slow", ScheduleExpression="rate(1 hour)")
    (rule,) = [r for r, _ in schedules._rules() if r.name == "slow"]
    late = schedules._lateness_s(rule)
    assert 0 < late < 15
    assert not schedules._is_due(rule, 60.0, 0.0)
    assert not schedules._is_due(rule, 60.0, 59.9 + late)
    assert schedules._is_due(rule, 60.0, 60.1 + late)
    assert schedules._is_due(rule, 60.0, 1000.0 + late)
    assert not schedules._is_due(rule, 60.0, 1000.0 + late)
    assert schedules._is_due(rule, 60.0, 1020.1 + late)


def test_a_scheduled_function_does_not_break_put_events(running, east, queue, tmp_path):
    schedule(east, "tick", make_function(running[0], HOME), Input=json.dumps({"path": str(tmp_path / "x")}))
    east.put_rule(Name="pattern", EventPattern=json.dumps({"source": ["farshore"]}))
    east.put_targets(Rule="pattern", Targets=[{"Id": "t", "Arn": queue.arn}])
    entry = {"Source": "farshore", "DetailType": "told", "Detail": json.dumps({"epoch": 2})}
    other = entry | {"Source": "somebody.else"}
    assert east.put_events(Entries=[entry, other])["FailedEntryCount"] == 0
    (event,) = eventually(queue.messages)
    assert (event["detail-type"], event["detail"]) == ("told", {"epoch": 2})
    assert event["time"].endswith("Z")


def test_a_pattern_reaches_functions_and_topics(running, east, queue, tmp_path):
    cloud, _ = running
    path = tmp_path / "runs"
    sns = client(cloud, "sns", HOME)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    east.put_rule(Name="pattern", EventPattern=json.dumps({"source": ["farshore"]}))
    function = {"Id": "f", "Arn": make_function(cloud, HOME), "InputPath": "$.detail"}
    east.put_targets(Rule="pattern", Targets=[{"Id": "s", "Arn": topic}, function])
    detail = json.dumps({"path": str(path)})
    east.put_events(Entries=[{"Source": "farshore", "DetailType": "told", "Detail": detail}])
    eventually(path.exists)
    (notification,) = eventually(queue.messages)
    assert json.loads(notification["Message"])["detail"] == {"path": str(path)}


def test_a_topic_invokes_a_function(running, east, tmp_path):
    cloud, _ = running
    source = f"""
def handler(event, context):
    open({str(tmp_path / "told")!r}, "w").write(event["Records"][0]["Sns"]["Message"])
"""
    arn = client(cloud, "lambda", HOME).create_function(
        FunctionName="listener",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": bundle(source)},
    )["FunctionArn"]
    sns = client(cloud, "sns", HOME)
    topic = sns.create_topic(Name="to-function")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="alarm")
    eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text() == "alarm")


def test_one_region_does_not_fire_the_others_rules(running, east, queue):
    cloud, _ = running
    west = client(cloud, "events", STANDBY)
    west.put_rule(Name="pattern", EventPattern=json.dumps({"source": ["farshore"]}))
    west.put_targets(Rule="pattern", Targets=[{"Id": "t", "Arn": queue.arn}])
    east.put_events(Entries=[{"Source": "farshore", "DetailType": "told", "Detail": "{}"}])
    west.remove_targets(Rule="pattern", Ids=["t"])
    west.delete_rule(Name="pattern")
    assert queue.messages() == []


def test_other_schedules_than_rates_are_refused(east):
    with pytest.raises(ClientError) as refused:
        east.put_rule(Name="no", ScheduleExpression="cron(0 12 * * ? *)")
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"


@pytest.mark.parametrize(
    "target",
    [
        {"Arn": "arn:aws:logs:us-east-1:123456789012:log-group:x"},
        {"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "InputTransformer": {"InputTemplate": "1"}},
    ],
)
def test_targets_that_would_not_be_reached_are_refused(east, target):
    east.put_rule(Name="no", ScheduleExpression="rate(5 minutes)")
    with pytest.raises(ClientError) as refused:
        east.put_targets(Rule="no", Targets=[{"Id": "t", **target}])
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"


def heard_by(east, queue, source):
    east.put_rule(Name="pattern", EventPattern=json.dumps({"source": [source]}))
    east.put_targets(Rule="pattern", Targets=[{"Id": "t", "Arn": queue.arn}])


def test_nobody_speaks_in_awss_name(east, queue):
    heard_by(east, queue, "aws.health")
    entry = {"Source": "aws.health", "DetailType": "AWS Health Event", "Detail": "{}"}
    own = entry | {"Source": "farshore"}
    answer = east.put_events(Entries=[entry, own])
    assert answer["FailedEntryCount"] == 1
    assert [one.get("ErrorCode") for one in answer["Entries"]] == ["NotAuthorizedForSourceException", None]
    assert queue.messages() == []


def test_what_happens_to_a_database_is_told_on_its_regions_bus(running, east, queue):
    heard_by(east, queue, "aws.rds")
    service_events.hear_rds(rds_events.event(73, HOME, "some-cluster", instance="i-2"))
    service_events.hear_rds(rds_events.event(73, STANDBY, "some-cluster", instance="i-2"))
    (event,) = eventually(queue.messages)
    assert (event["detail-type"], event["region"]) == ("RDS DB Cluster Event", HOME)
    assert event["detail"]["EventID"] == "RDS-EVENT-0073"
    assert event["detail"]["SourceArn"].endswith(":cluster:some-cluster")
    assert event["time"].endswith("Z")


def test_a_regions_health_is_told_there_and_in_its_backup_region(running, east, queue):
    heard_by(east, queue, "aws.health")
    assert service_events.publish_health(STANDBY) == [STANDBY, HOME]
    assert service_events.publish_health(HOME) == [HOME, STANDBY]
    eventually(lambda: len(queue.messages()) == 2)
    assert [event["detail"]["eventRegion"] for event in queue.seen] == [STANDBY, HOME]
    assert {event["detail"]["eventTypeCategory"] for event in queue.seen} == {"issue"}


def test_a_lost_region_hears_nothing(running, east, queue):
    _, links = running
    heard_by(east, queue, "aws.health")
    links.lost_regions.add(HOME)
    service_events.publish_health(HOME)
    links.lost_regions.clear()
    assert queue.messages() == []
