import io
import json
from types import SimpleNamespace

import pytest

from farshore.core.errors import UnknownOutcomeError
from farshore.core.profile import FAST
from farshore.names import ALARMS, Names
from farshore.operate import verify
from farshore.operate.checks import Check, Report, State, looked
from operate.aws_stub import Aws, refused

HOME, STANDBY = "us-east-1", "us-west-2"
NAMES = Names("t")


def report(*states):
    return Report([Check("c", State(state), "") for state in states])


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (("ok", "ok"), 0),
        (("ok", "skipped"), 0),
        (("ok", "unknown"), 3),
        (("unknown", "failed"), 1),
    ],
)
def test_a_failure_outweighs_what_could_not_be_seen(states, code):
    assert report(*states).exit_code == code


def _raises(error):
    def look():
        raise error

    return look


@pytest.mark.parametrize(
    ("error", "state", "seen"),
    [
        (refused("AccessDenied", "not you"), "unknown", "not you"),
        (refused("NotInTheLab", "rds:X is not in the lab: of this"), "skipped", "rds:X is not in the lab"),
        (UnknownOutcomeError("the table\ncould not be read"), "unknown", "the table could not be read"),
        (OSError("no address"), "unknown", "no address"),
    ],
)
def test_what_could_not_be_seen_is_not_called_well(error, state, seen):
    assert looked("c", _raises(error)) == Check("c", State(state), seen)


def test_a_fault_of_our_own_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        looked("c", _raises(ZeroDivisionError()))


@pytest.fixture
def shop():
    return SimpleNamespace(settings=SimpleNamespace(names=NAMES, region=HOME, profile=FAST, nameserver=None))


def stub(monkeypatch, answers):
    aws = Aws(answers)
    monkeypatch.setattr(verify, "client", aws.client)
    return aws


def member(region, *, writer=False, status="connected"):
    arn = f"arn:aws:rds:{region}:1:cluster:{NAMES.cluster(region)}"
    return {"DBClusterArn": arn, "IsWriter": writer, "SynchronizationStatus": status}


@pytest.mark.parametrize(
    ("members", "status", "well"),
    [
        ([member(HOME, writer=True), member(STANDBY)], "available", True),
        ([member(HOME), member(STANDBY, writer=True)], "available", True),
        ([member(HOME, writer=True), member(STANDBY, status="pending-resync")], "available", False),
        ([member(HOME), member(STANDBY)], "available", False),
        ([member(HOME, writer=True)], "available", False),
        ([member(HOME, writer=True), member(STANDBY)], "failing-over", False),
    ],
)
def test_the_global_database_has_one_writer_and_a_connected_other(monkeypatch, shop, members, status, well):
    found = {"GlobalClusterMembers": members, "Status": status}
    stub(monkeypatch, {("rds", HOME, "describe_global_clusters"): {"GlobalClusters": [found]}})
    assert verify._global(shop)[0] is well


def test_every_instance_of_a_cluster_must_be_available(monkeypatch, shop):
    states = {"a": "available", "b": "rebooting"}
    members = [{"DBInstanceIdentifier": name} for name in states]
    cluster = {"Status": "available", "DBClusterMembers": members}
    stub(
        monkeypatch,
        {
            ("rds", HOME, "describe_db_clusters"): {"DBClusters": [cluster]},
            ("rds", HOME, "describe_db_instances"): lambda asked: {
                "DBInstances": [{"DBInstanceStatus": states[asked["DBInstanceIdentifier"]]}]
            },
        },
    )
    assert verify._cluster(shop, HOME) == (
        False,
        "primary-aurora-cluster-t available; a available, b rebooting",
    )
    states["b"] = "available"
    assert verify._cluster(shop, HOME)[0]
    cluster["DBClusterMembers"] = []
    assert verify._cluster(shop, HOME) == (False, "primary-aurora-cluster-t available; no instances")


def _monitor_answers(monkeypatch, body, **more):
    payload = {"Payload": io.BytesIO(json.dumps(body).encode()), **more}
    stub(monkeypatch, {("lambda", HOME, "invoke"): payload})


def test_a_monitor_must_reach_every_endpoint(monkeypatch, shop):
    def body(ms):
        return {
            "lag_ms": 4,
            "silent_ms": {HOME: {"writer": 1, "reader": 2}, STANDBY: {"writer": 3, "reader": ms}},
        }

    _monitor_answers(monkeypatch, body(5))
    assert verify._monitor(shop, HOME) == (True, "primary-monitor-function-t reaches 4 endpoints; lag 4 ms")
    for silent in (None, FAST.unreachable_after_ms):
        _monitor_answers(monkeypatch, body(silent))
        well, seen = verify._monitor(shop, HOME)
        assert not well
        assert "hears nothing from us-west-2 reader" in seen
    _monitor_answers(monkeypatch, {"errorMessage": "boom"}, FunctionError="Unhandled")
    assert "boom" in verify._monitor(shop, HOME)[1]


def test_alarms_that_ring_fail_and_the_one_that_steers_dns_does_not(monkeypatch, shop):
    states = {**dict.fromkeys(ALARMS, "OK"), "authority": "ALARM", "storage": "INSUFFICIENT_DATA"}

    def described(asked):
        named = {f"primary-{what}-alarm-t": state for what, state in states.items()}
        assert set(named) <= set(asked["AlarmNames"]), "asked by name, which a narrow role may"
        return {"MetricAlarms": [{"AlarmName": name, "StateValue": state} for name, state in named.items()]}

    stub(monkeypatch, {("cloudwatch", HOME, "describe_alarms"): described})
    assert verify._alarms(shop, HOME) == (True, "10 OK, 1 without enough data yet, in ALARM: none")
    states["lag"] = "ALARM"
    assert verify._alarms(shop, HOME) == (
        False,
        "9 OK, 1 without enough data yet, in ALARM: primary-lag-alarm-t",
    )
    states["lag"] = "OK"
    del states["cpu"]
    well, seen = verify._alarms(shop, HOME)
    assert not well
    assert seen.endswith("not there: primary-cpu-alarm-t")


def test_a_topic_takes_a_message_only_when_asked_to(monkeypatch, shop):
    arn = f"arn:aws:sns:{HOME}:1:{NAMES.topic(HOME)}"
    aws = stub(
        monkeypatch,
        {
            ("sns", HOME, "list_topics"): {"Topics": [{"TopicArn": arn}]},
            ("sns", HOME, "get_topic_attributes"): {"Attributes": {"SubscriptionsConfirmed": "2"}},
            ("sns", HOME, "publish"): {"MessageId": "m"},
        },
    )
    assert verify._topic(shop, HOME, publish=False) == (
        True,
        "primary-alerts-t with 2 subscriptions; nothing was sent",
    )
    assert "publish" not in [call[2] for call in aws.asked]
    assert verify._topic(shop, HOME, publish=True)[1].endswith("took message m")
    aws.answers["sns", HOME, "list_topics"] = {"Topics": []}
    assert verify._topic(shop, HOME, publish=True) == (False, "no topic primary-alerts-t")


@pytest.mark.parametrize(
    ("codes", "well"),
    [(["active"], True), (["deleted", "active"], True), (["pending-acceptance"], False), ([], False)],
)
def test_peering_must_be_active(monkeypatch, shop, codes, well):
    found = [{"VpcPeeringConnectionId": "p", "Status": {"Code": code}} for code in codes]
    stub(monkeypatch, {("ec2", HOME, "describe_vpc_peering_connections"): {"VpcPeeringConnections": found}})
    assert verify._peering(shop)[0] is well
