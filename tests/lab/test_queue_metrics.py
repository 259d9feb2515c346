"""What waits in a queue is a metric, and an alarm as the stack's on its dead letters rings for one."""

import time

import pytest
from cloudkit import HOME, STANDBY, Links, client, make_cloud

from farshore.lab.cloud import cloudwatch
from farshore.lab.cloud.cloudwatch import AlarmEvaluator
from farshore.lab.cloud.service_metrics import QueueMetrics


@pytest.fixture
def links():
    return Links()


@pytest.fixture
def alarms(links):
    made = AlarmEvaluator(lost=links.lost)
    yield made
    made.close()


@pytest.fixture
def cloud(tmp_path, links, alarms):
    made = make_cloud(tmp_path, links, overlays=(lambda: cloudwatch.install(alarms),))
    yield made
    made.close()


def queue(cloud, region):
    """A client, the URL of a region's queue of dead letters, and the alarm that infra/alarms.py puts on it."""
    sqs = client(cloud, "sqs", region)
    client(cloud, "cloudwatch", region).put_metric_alarm(
        AlarmName="dead-letters",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "dead-letters"}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    return sqs, sqs.create_queue(QueueName="dead-letters")["QueueUrl"]


def test_a_dead_letter_rings(cloud, links, alarms):
    sqs, url = queue(cloud, HOME)
    metrics = QueueMetrics(links.lost)

    def state(at_s):
        metrics.tick()
        alarms.tick(at_s)
        api = client(cloud, "cloudwatch", HOME)
        return api.describe_alarms(AlarmNames=["dead-letters"])["MetricAlarms"][0]["StateValue"]

    now_s = time.time()
    assert state(now_s + 30) == "OK"
    sqs.send_message(QueueUrl=url, MessageBody="an event that nobody took")
    assert state(now_s + 90) == "ALARM"


def test_what_is_in_flight_does_not_wait_and_a_lost_region_says_nothing(cloud, links):
    for region in (HOME, STANDBY):
        sqs, url = queue(cloud, region)
        for body in ("one", "two"):
            sqs.send_message(QueueUrl=url, MessageBody=body)
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    links.lost_regions.add(STANDBY)
    QueueMetrics(links.lost).tick()
    links.lost_regions.clear()
    assert values(cloud, HOME) == [1.0]
    assert values(cloud, STANDBY) == []


def values(cloud, region):
    now_s = time.time()
    found = client(cloud, "cloudwatch", region).get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "dead-letters"}],
        StartTime=now_s - 300,
        EndTime=now_s + 60,
        Period=60,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in found["Datapoints"]]
