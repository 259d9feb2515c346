"""The failover function: requests go into the journal or are refused in words; events are opinions and nothing else."""

import itertools
import json
import threading
import time
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from cloudkit import HOME, OUTSIDE, STANDBY, Links, authority_table, client, make_cloud

from farshore.aws.opinions import Opinions
from farshore.core.authority import Authority, Event, Phase
from farshore.core.errors import UnknownOutcomeError, UsageError
from farshore.core.facts import GlobalCluster
from farshore.core.profile import FAST
from farshore.lab.cloud.service_events import health_event
from farshore.lambdas import failover
from farshore.names import Names
from farshore.ports import Presence
from farshore.settings import from_environment
from farshore.workshop import Workshop

NAMES = Names("t")
CONTEXT = SimpleNamespace(aws_request_id="r-1")
ENDPOINTS = {region: {"writer": f"w.{region}", "reader": f"r.{region}"} for region in NAMES.regions}
IN_SYNC = GlobalCluster(writer_region=HOME, moving=None, synchronized=True)
HEALTH = {**health_event(HOME, "123456789012"), "time": "2026-11-22T20:00:00Z"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = make_cloud(tmp_path_factory.mktemp("cloud"), Links())
    authority_table(NAMES, client(made, "dynamodb", HOME, read_timeout=20))
    yield made
    made.close()


@pytest.fixture
def workshop(cloud, monkeypatch):
    """As the function finds it, but for the global cluster, which nobody runs here."""
    variables = {
        "AWS_REGION": STANDBY,
        "FARSHORE_SUFFIX": "t",
        "FARSHORE_PROFILE": "fast",
        "FARSHORE_MODE": "auto",
        "FARSHORE_ENDPOINTS": json.dumps(ENDPOINTS),
        "FARSHORE_SSLROOTCERT": "/nowhere",
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{cloud.endpoint(OUTSIDE)}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFARSHORELAB00000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    made = Workshop(from_environment(variables))
    made.__dict__["cloud"] = SimpleNamespace(describe=lambda: IN_SYNC)
    monkeypatch.setattr(failover, "_workshop", lambda: made)
    return made


def now_ms():
    return time.time_ns() // 1_000_000


def held_by(workshop, region, *, renewed_ms_ago=0, lag_ms=20):
    """Put a record into the table, whatever stood there."""
    page = workshop.journal.read()
    version = page.record.version + 1 if page.record else 1
    event = Event(version, now_ms(), version, Phase.HELD, region, "test", "a test", "a test")
    record = Authority(
        version=version,
        epoch=version,
        phase=Phase.HELD,
        holder=region,
        renewal_seq=9,
        renewed_at_ms=now_ms() - renewed_ms_ago,
        lag_ms=lag_ms,
        mode="auto",
        paused=False,
        degraded=False,
        plan=None,
        last_event=event,
    )
    assert workshop.journal.compare_and_set(page.record, record)
    return record


LOST = {"renewed_ms_ago": 60_000}


def asked(**event):
    answer = failover.handler({"ticket": "T-1", **event}, CONTEXT)
    return json.loads(json.dumps(answer))


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({}, "switchover, failover, failback"),
        ("failover", "switchover, failover, failback"),
        ({"move": "reboot", "ticket": "T"}, "switchover, failover, failback"),
        ({"move": "failover", "ticket": " "}, "ticket"),
        ({"move": "failover", "ticket": "T", "force": True}, "force"),
        ({"move": "failover", "ticket": "T", "accept_loss_ms": "much"}, "accept_loss_ms"),
        ({"move": "switchover", "ticket": "T", "accept_loss_ms": 5}, "loses nothing"),
    ],
)
def test_a_wrong_request_is_named(event, named):
    with pytest.raises(UsageError, match=named):
        failover.parse(event, "r-1")


@pytest.fixture
def controllers(workshop):
    """Both regions' controllers beat."""
    stopped = threading.Event()

    def beat():
        for beat in itertools.count(1):
            for region in NAMES.regions:
                workshop.journal.put_presence(Presence("controller", region, f"{region}/1", 1, beat))
            if stopped.wait(0.05):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    stopped.set()
    thread.join()


@pytest.mark.usefixtures("controllers")
def test_a_switchover_is_journalled_for_the_controllers(workshop):
    before = held_by(workshop, HOME)
    answer = asked(move="switchover", target=STANDBY, requested_by="runbook 7")
    assert answer["accepted"] is True
    record = workshop.journal.read().record
    assert (record.phase, record.plan.target, record.plan.ticket) == (Phase.DRAINING, STANDBY, "T-1")
    assert record.plan.requested_by == "runbook 7"
    assert (answer["epoch"], answer["version"]) == (before.epoch, record.version)
    assert workshop.journal.history(before.version)[-1].ticket == "T-1"


@pytest.mark.usefixtures("controllers")
def test_a_second_request_is_told_who_was_first(workshop):
    held_by(workshop, HOME)
    assert asked(move="switchover")["accepted"] is True
    again = asked(move="switchover", requested_by="somebody else")
    assert again["accepted"] is False
    assert "is under way" in again["reason"]


@pytest.mark.usefixtures("controllers")
def test_a_failback_means_home(workshop):
    held_by(workshop, STANDBY)
    assert asked(move="failback")["target"] == HOME
    held_by(workshop, HOME)
    assert "is the writer already" in asked(move="failback")["reason"]


def test_an_unknown_region_is_refused(workshop):
    before = held_by(workshop, HOME)
    answer = asked(move="switchover", target="eu-central-1")
    assert (answer["accepted"], "eu-central-1" in answer["reason"]) == (False, True)
    assert workshop.journal.read().record == before


def test_a_healthy_region_is_not_left_by_failover(workshop):
    before = held_by(workshop, HOME)
    assert asked(move="failover", accept_loss_ms=10_000)["accepted"] is False
    assert workshop.journal.read().record == before


def test_a_failover_takes_a_loss_that_is_accepted_in_numbers(workshop):
    bound = FAST.loss_bound_ms(20)
    before = held_by(workshop, HOME, **LOST)
    silent = asked(move="failover")
    assert (silent["accepted"], str(bound) in silent["next"]) == (False, True)
    assert asked(move="failover", accept_loss_ms=str(bound - 1))["accepted"] is False
    assert workshop.journal.read().record == before
    answer = asked(move="failover", accept_loss_ms=str(bound))
    assert answer["accepted"] is True
    record = workshop.journal.read().record
    assert (record.phase, record.epoch, record.plan.target) == (Phase.CLAIMED, before.epoch + 1, STANDBY)


def test_a_loss_that_nobody_can_bound_is_accepted_by_that_word_only(workshop):
    held_by(workshop, HOME, lag_ms=None, **LOST)
    assert "unknown" in asked(move="failover")["next"]
    assert asked(move="failover", accept_loss_ms=999_999)["accepted"] is False
    assert asked(move="failover", accept_loss_ms="unknown")["accepted"] is True


def test_where_two_persons_are_needed_a_failover_is_proposed(workshop, monkeypatch):
    object.__setattr__(workshop.settings, "two_person", True)
    held_by(workshop, HOME, **LOST)
    answer = asked(move="failover", accept_loss_ms="unknown")
    assert (answer["accepted"], "farshore approve" in answer["next"]) == (False, True)
    record = workshop.journal.read().record
    assert (record.phase, record.proposal.target) == (Phase.HELD, STANDBY)


def opinions(workshop, cloud):
    table = client(cloud, "dynamodb", STANDBY)
    return Opinions(table, NAMES.authority_table, NAMES.global_cluster).read()


@pytest.mark.parametrize(
    "more", [{}, {"move": "failover", "ticket": "T-1", "accept_loss_ms": "unknown", "target": STANDBY}]
)
def test_an_event_is_an_opinion_whatever_else_it_says(workshop, cloud, more):
    before = held_by(workshop, HOME, **LOST)
    assert failover.handler({**HEALTH, **more}, CONTEXT) == {"opinion": True, "kept": True}
    assert workshop.journal.read().record == before
    (found,) = opinions(workshop, cloud)
    assert (found.source, found.about, found.region) == ("aws.health", HOME, STANDBY)
    assert found.what == "AWS_RDS_OPERATIONAL_ISSUE, open"
    assert found.age_ms(found.at_unix_ms + 5000) == 5000


def test_an_event_of_somebody_elses_is_nothing(workshop, cloud):
    known = opinions(workshop, cloud)
    event = {**HEALTH, "source": "aws.ec2", "move": "failover", "ticket": "T-1"}
    assert failover.handler(event, CONTEXT) == {"opinion": False}
    assert failover.handler({"detail-type": "x", "move": "failover"}, CONTEXT) == {"opinion": False}
    assert opinions(workshop, cloud) == known


def test_an_opinion_is_written_again_when_nobody_answered(workshop, cloud, monkeypatch):
    put, tried = Opinions.put, []

    def first_fails(self, opinion):
        tried.append(opinion)
        if len(tried) == 1:
            raise UnknownOutcomeError("no answer")
        put(self, opinion)

    monkeypatch.setattr(Opinions, "put", first_fails)
    assert failover.handler(HEALTH, CONTEXT) == {"opinion": True, "kept": True}
    assert len(tried) == 2
    monkeypatch.setattr(failover, "PUT_TRIES", 0)
    assert failover.handler(HEALTH, CONTEXT) == {"opinion": True, "kept": False}


def test_the_monitors_page_is_read_past_an_opinion(workshop):
    failover.handler(HEALTH, CONTEXT)
    page = workshop.journal.read()
    assert not page.sightings
    assert page.record is not None


def test_without_the_table_a_request_is_not_said_to_be_refused_for_good(workshop):
    workshop.__dict__["journal"] = type(workshop.journal)(
        client_that_hears_nothing(), NAMES.authority_table, NAMES.global_cluster
    )
    answer = asked(move="switchover")
    assert answer["accepted"] is False
    assert "nobody knows" in answer["reason"]


def client_that_hears_nothing():
    return boto3.client(
        "dynamodb",
        region_name=STANDBY,
        endpoint_url="http://127.0.0.1:1",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
