"""Aurora's own metrics of replication: in the secondary's region only, and where the roles are now."""

from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from farshore.aws.lag_metric import LagMetricReader
from farshore.clock import SystemClock
from farshore.lab.cloud.aurora_metrics import AuroraMetrics
from farshore.lab.postgres.cluster import Role

HOME, STANDBY = "us-east-1", "us-west-2"


class Server:
    def __init__(self):
        self.answer = [("7", "9")]

    def ask(self, sql, timeout_s):
        return self.answer


def cluster(name, role, writer_region):
    return SimpleNamespace(identifier=name, role=role, writer_region=writer_region, leader=Server())


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield


def metrics(region):
    found = boto3.client("cloudwatch", region_name=region).list_metrics(Namespace="AWS/RDS")["Metrics"]
    return {(m["MetricName"], *sorted(d["Value"] for d in m["Dimensions"])) for m in found}


def reader(region, name, source):
    made = LagMetricReader(
        boto3.client("cloudwatch", region_name=region), name, source, 60_000, SystemClock()
    )
    made.ask()
    return made.metric()


def test_they_are_where_the_secondary_is_and_move_with_the_roles(aws):
    clusters = {
        HOME: cluster("primary", Role.WRITER, HOME),
        STANDBY: cluster("secondary", Role.SECONDARY, HOME),
    }
    published = AuroraMetrics(lambda: clusters, lambda _region: False)
    published.tick()
    assert metrics(HOME) == set()
    assert metrics(STANDBY) == {
        ("AuroraGlobalDBRPOLag", "secondary", HOME),
        ("AuroraGlobalDBReplicationLag", "secondary", HOME),
    }
    assert reader(STANDBY, "secondary", HOME).lag_ms == 7
    assert reader(HOME, "primary", STANDBY).lag_ms is None

    clusters[HOME] = cluster("primary", Role.SECONDARY, STANDBY)
    clusters[STANDBY] = cluster("secondary", Role.WRITER, STANDBY)
    published.tick()
    assert reader(HOME, "primary", STANDBY).lag_ms == 7


@pytest.mark.parametrize("answer", [None, [], [(None, None)]], ids=["silent", "not connected", "unknown"])
def test_a_secondary_that_does_not_know_publishes_nothing(aws, answer):
    clusters = {STANDBY: cluster("secondary", Role.SECONDARY, HOME)}
    clusters[STANDBY].leader.answer = answer
    AuroraMetrics(lambda: clusters, lambda _region: False).tick()
    assert metrics(STANDBY) == set()


def test_a_lost_region_publishes_nothing(aws):
    clusters = {STANDBY: cluster("secondary", Role.SECONDARY, HOME)}
    AuroraMetrics(lambda: clusters, lambda region: region == STANDBY).tick()
    assert metrics(STANDBY) == set()
