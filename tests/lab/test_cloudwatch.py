"""Alarm evaluation; the tables are AWS's:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import json
import time

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.cloudwatch.models import cloudwatch_backends
from moto.sns.models import Subscription

from farshore.lab.cloud import cloudwatch
from farshore.lab.cloud.alarm_rules import Missing, Rule, Sample, State, evaluate, points, reason, statistic
from farshore.lab.cloud.cloudwatch import AlarmEvaluator
from farshore.lab.cloud.sns import moto_publish

OK, ALARM, INSUFFICIENT, RETAIN = State.OK, State.ALARM, State.INSUFFICIENT_DATA, None
HOME, STANDBY = "us-east-1", "us-west-2"


def rule(missing=Missing.MISSING, m=3, n=3, period_s=300):
    return Rule("GreaterThanThreshold", 1.0, period_s, n, m, missing)


def pattern(text):
    return [{"0": 0.0, "X": 2.0, "-": None}[mark] for mark in text.split()]


THREE_OF_THREE = [
    # points, MISSING, IGNORE, BREACHING, NOT BREACHING
    ("0 - X - X", OK, OK, OK, OK),
    ("0 - - - -", OK, OK, OK, OK),
    ("- - - - -", INSUFFICIENT, RETAIN, ALARM, OK),
    ("0 X X - X", ALARM, ALARM, ALARM, ALARM),
    ("- - X - -", ALARM, RETAIN, ALARM, OK),
]
TWO_OF_THREE = [
    ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
    ("0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
    ("0 - X - -", OK, OK, ALARM, OK),
    ("- - - - 0", OK, OK, ALARM, OK),
    ("- - - X -", ALARM, RETAIN, ALARM, OK),
]
CELLS = [
    pytest.param(m, points, treatment, expected, id=f"{m}of3 {points} {treatment}")
    for m, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for points, *row in table
    for treatment, expected in zip(Missing, row, strict=True)
]


@pytest.mark.parametrize(("m", "points", "treatment", "expected"), CELLS)
def test_the_published_tables(m, points, treatment, expected):
    assert evaluate(rule(treatment, m=m), pattern(points)).state is expected


@pytest.mark.parametrize("points", ["- - - - X", "- - - X -"])
def test_no_premature_alarm(points):
    """ "the alarm does not go immediately into ALARM state"; no real point says OK either."""
    assert evaluate(rule(), pattern(points)).state is RETAIN


@pytest.mark.parametrize(
    ("points", "old", "expected"),
    [
        ("- - - - -", 2.9, RETAIN),
        ("- - - - X", 2.9, RETAIN),
        ("- - X X X", 2.9, ALARM),
        ("- - - - 0", 2.9, OK),
        ("- - - - -", 3.0, ALARM),
    ],
)
def test_an_alarm_that_has_just_started_does_not_ring_for_what_is_missing(points, old, expected):
    """The points before an alarm's time are missing whether or not something is wrong; breaches count at once."""
    alarm = rule(Missing.BREACHING, m=3)
    assert evaluate(alarm, pattern(points), periods_old=old).state is expected


@pytest.mark.parametrize("points", ["- - - X 0", "- - X - 0"])
def test_a_good_point_after_a_lone_breach_is_ok(points):
    assert evaluate(rule(), pattern(points)).state is OK


def test_the_number_of_points_to_fill():
    assert evaluate(rule(), pattern("0 - X - X")).missing == 0
    assert evaluate(rule(m=2), pattern("0 - X - -")).missing == 1
    assert evaluate(rule(), pattern("- - X - -")).missing == 2


@given(
    st.lists(st.sampled_from([None, 0.0, 2.0]), min_size=5, max_size=5),
    st.sampled_from(Missing),
    st.integers(1, 3),
)
def test_enough_real_points_need_no_treatment(seen, treatment, m):
    if sum(point is not None for point in seen) >= 3:
        assert evaluate(rule(treatment, m=m), seen) == evaluate(rule(m=m), seen)


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", {2.0}),
        ("GreaterThanOrEqualToThreshold", {1.0, 2.0}),
        ("LessThanThreshold", {0.0}),
        ("LessThanOrEqualToThreshold", {0.0, 1.0}),
    ],
)
def test_comparisons(comparison, breaching):
    compared = Rule(comparison, 1.0, 60, 1, 1)
    assert {value for value in (0.0, 1.0, 2.0) if compared.breaches(value)} == breaching


def single(at_s, value, unit=None):
    return Sample(at_s, 1, value, value, value, unit)


def test_statistics():
    samples = [single(0, 1.0), single(1, 5.0), Sample(2, 2, 10.0, 4.0, 6.0)]
    expected = {"SampleCount": 4, "Sum": 16.0, "Average": 4.0, "Minimum": 1.0, "Maximum": 6.0}
    assert {name: statistic(name, samples) for name in expected} == expected
    assert statistic("Average", []) is None
    assert statistic("p50", [single(0, float(n)) for n in range(1, 11)]) == 5.0
    assert statistic("p99", [single(0, float(n)) for n in range(1, 11)]) == 10.0


def test_points_fall_into_the_periods_that_end_now():
    samples = [single(99.9, 7.0), single(100.0, 1.0), single(119.9, 3.0), single(130.0, 9.0)]
    assert points("Maximum", samples, now_s=130.0, period_s=10.0, length=3) == [1.0, 3.0, None]


def test_a_unit_selects_data():
    samples = [single(1, 1.0, "Seconds"), single(2, 8.0, "Count")]
    assert points("Maximum", samples, now_s=10, period_s=10, length=1, unit="Seconds") == [1.0]


def test_intervals_are_those_of_aws():
    assert rule(period_s=60).interval_s == 60
    assert rule(period_s=10).interval_s == 10
    assert rule(period_s=86400, n=2).interval_s == 3600


def test_reasons_read_like_cloudwatch():
    outcome = evaluate(rule(), pattern("0 0 X X X"))
    assert reason(rule(), outcome, ALARM) == (
        "Threshold Crossed: 3 out of the last 3 datapoints [2.0, 2.0, 2.0] were greater than the threshold (1.0) "
        "(minimum 3 datapoints for OK -> ALARM transition)."
    )
    assert "not greater than" in reason(rule(), evaluate(rule(), pattern("0 0 0 0 0")), OK)


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    cloudwatch.install()
    # The cloud of an earlier test may have put its deliveries here, and ended them.
    monkeypatch.setattr(Subscription, "publish", moto_publish)
    with mock_aws():
        yield lambda service, region=HOME: boto3.client(service, region_name=region)


def put_alarm(client, **changes):
    client.put_metric_alarm(
        **{
            "AlarmName": "authority",
            "Namespace": "Farshore/t",
            "MetricName": "AuthorityHome",
            "Dimensions": [{"Name": "Region", "Value": HOME}],
            "Statistic": "Minimum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "LessThanThreshold",
            **changes,
        }
    )


def put_value(client, value, at_s, **changes):
    datum = {
        "MetricName": "AuthorityHome",
        "Dimensions": [{"Name": "Region", "Value": HOME}],
        "Value": value,
        "Timestamp": at_s,
        **changes,
    }
    client.put_metric_data(Namespace="Farshore/t", MetricData=[datum])


def state(client, name="authority"):
    return client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


class Clock:
    """Minutes of AWS at any cadence: `tick` moves to the end of a period and evaluates."""

    def __init__(self, evaluator, period_s=60.0):
        self.evaluator, self.period_s = evaluator, period_s
        self.now_s = (time.time() // 60 - 20) * 60

    def tick(self, client=None, value=None):
        if client is not None:
            put_value(client, value, self.now_s + self.period_s / 2)
        self.now_s += self.period_s
        self.evaluator.tick(self.now_s)


def test_a_new_alarm_has_insufficient_data_and_an_update_keeps_its_state(aws):
    client = aws("cloudwatch")
    put_alarm(client)
    assert state(client) == "INSUFFICIENT_DATA"
    client.set_alarm_state(AlarmName="authority", StateValue="ALARM", StateReason="test")
    put_alarm(client, Threshold=2.0)
    assert state(client) == "ALARM"


@pytest.mark.parametrize("cadence", [1, 60])
def test_an_alarm_follows_its_metric(aws, cadence):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator(cadence)
    clock = Clock(evaluator, 60 / cadence)
    put_alarm(client)
    for value, expected in ((1, "OK"), (0, "ALARM"), (1, "OK")):
        clock.tick(client, value)
        assert state(client) == expected
        assert evaluator.stream(HOME, "authority") == expected
    for _ in range(2):
        clock.tick()
        assert state(client) == "OK", "the last point is within the evaluation range"
    clock.tick()
    assert state(client) == "INSUFFICIENT_DATA"


def test_alarms_of_true_time_metrics_ignore_the_cadence(aws):
    """One invocation a minute keeps an alarm quiet at any cadence, and its absence rings within minutes."""
    client, evaluator = aws("cloudwatch"), AlarmEvaluator(cadence=60)
    function = [{"Name": "FunctionName", "Value": "primary-monitor-function-t"}]
    put_alarm(
        client,
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=function,
        Statistic="Sum",
        EvaluationPeriods=5,
        DatapointsToAlarm=3,
        TreatMissingData="breaching",
    )
    start_s = time.time()
    seen = []
    for second in range(0, 20 * 60, 5):
        now_s = start_s + second
        if second % 60 == 0 and second <= 10 * 60:
            datum = {"MetricName": "Invocations", "Dimensions": function, "Value": 1, "Timestamp": now_s}
            client.put_metric_data(Namespace="AWS/Lambda", MetricData=[datum])
        evaluator.tick(now_s + 1)
        if not seen or seen[-1][1] != state(client):
            seen.append((second / 60, state(client)))
    (_, first), (well_after, well), (rang_after, rang) = seen
    assert (first, well, rang) == ("INSUFFICIENT_DATA", "OK", "ALARM")
    assert 2 <= well_after <= 4
    assert 13 <= rang_after <= 16


def test_set_alarm_state_does_not_touch_the_stream(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator()
    clock = Clock(evaluator)
    put_alarm(client)
    clock.tick(client, 1)
    client.set_alarm_state(AlarmName="authority", StateValue="ALARM", StateReason="by hand")
    assert evaluator.stream(HOME, "authority") == "OK"
    clock.tick(client, 1)
    assert state(client) == "OK", "the next evaluation sets the state back"


def test_other_dimensions_and_units_do_not_count(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator()
    clock = Clock(evaluator)
    put_alarm(client, Unit="Count")
    put_value(client, 0, clock.now_s + 1, Dimensions=[])
    put_value(client, 0, clock.now_s + 1, Unit="Seconds")
    put_value(client, 1, clock.now_s + 1, Unit="Count")
    clock.tick()
    assert state(client) == "OK"


def test_a_lost_region_evaluates_nothing_and_its_stream_is_silent(aws):
    lost = set()
    client, evaluator = aws("cloudwatch"), AlarmEvaluator(lost=lost.__contains__)
    clock = Clock(evaluator)
    put_alarm(client)
    clock.tick(client, 1)
    lost.add(HOME)
    assert evaluator.stream(HOME, "authority") == "INSUFFICIENT_DATA"
    for _ in range(4):
        clock.tick()
    assert state(client) == "OK"
    lost.clear()
    assert evaluator.stream(HOME, "authority") == "INSUFFICIENT_DATA", "nothing was evaluated since"
    clock.tick(client, 0)
    assert state(client) == "ALARM"


def test_transitions_reach_sns_subscribers_once(aws):
    seen = []
    client, sns, sqs = aws("cloudwatch"), aws("sns"), aws("sqs")
    evaluator = AlarmEvaluator(on_transition=seen.append)
    clock = Clock(evaluator)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox")
    put_alarm(client, AlarmActions=[topic])
    for value in (1, 0, 0):
        clock.tick(client, value)
    evaluator._actions.shutdown(wait=True)
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert len(messages) == 1
    document = json.loads(json.loads(messages[0]["Body"])["Message"])
    assert (document["OldStateValue"], document["NewStateValue"]) == ("OK", "ALARM")
    assert document["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [0.0]")
    assert document["Trigger"]["MetricName"] == "AuthorityHome"
    assert [(t.before, t.after) for t in seen] == [(INSUFFICIENT, OK), (OK, ALARM)]


def test_disabled_actions_and_missing_topics_do_no_harm(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator()
    clock = Clock(evaluator)
    put_alarm(client, AlarmActions=["arn:aws:sns:us-east-1:123456789012:nobody"])
    clock.tick(client, 0)
    client.disable_alarm_actions(AlarmNames=["authority"])
    clock.tick(client, 1)
    evaluator._actions.shutdown(wait=True)
    assert state(client) == "OK"


def test_unsupported_alarms_say_so(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator()
    client.put_metric_alarm(
        AlarmName="math",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=1.0,
        EvaluationPeriods=1,
        Metrics=[{"Id": "e1", "Expression": "1+1", "Period": 60}],
    )
    evaluator.tick(time.time())
    alarm = client.describe_alarms(AlarmNames=["math"])["MetricAlarms"][0]
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    assert "not evaluated in the lab" in alarm["StateReason"].lower()


def test_old_metric_data_are_forgotten_and_evaluation_goes_on(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator(keep_s=300)
    clock = Clock(evaluator)
    put_alarm(client)
    for _ in range(12):
        clock.tick(client, 1)
    (backend,) = [b for _, region, b in cloudwatch_backends.iter_backends() if region == HOME]
    assert 4 <= len(backend.metric_data) <= 6
    clock.tick(client, 0)
    assert state(client) == "ALARM"


def test_a_deleted_alarm_has_no_stream(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator()
    clock = Clock(evaluator)
    put_alarm(client)
    clock.tick(client, 1)
    client.delete_alarms(AlarmNames=["authority"])
    clock.tick()
    assert evaluator.stream(HOME, "authority") == "INSUFFICIENT_DATA"


def test_the_thread_evaluates_by_itself(aws):
    client, evaluator = aws("cloudwatch"), AlarmEvaluator(cadence=200)
    put_alarm(client)
    evaluator.start()
    try:
        deadline = time.monotonic() + 5
        while state(client) != "ALARM":
            put_value(client, 0, time.time())
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        evaluator.close()
    assert not evaluator._thread.is_alive()
