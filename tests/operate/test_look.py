"""One look from afar: dark regions do not hold it up, and a wrong clock does not fool it. On a real table."""

import json
import threading
import time
from dataclasses import replace

import pytest
from botocore.exceptions import ConnectTimeoutError
from cloudkit import HOME, OUTSIDE, STANDBY, Links, authority_table, client, make_cloud

from core.scenes import RECORD
from farshore.aws.journal import DynamoJournal
from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Endpoints
from farshore.names import Names
from farshore.operate import look
from farshore.operate.ask import ask, reason
from farshore.operate.status import status
from farshore.ports import Sighting
from farshore.settings import from_environment
from farshore.workshop import Workshop
from operate.aws_stub import refused

NAMES = Names("t")
ENDPOINTS = {region: {"writer": f"w.{region}", "reader": f"r.{region}"} for region in NAMES.regions}
PATIENCE_S = 8.0  # for a machine that others use too; whatever hangs here would hang for longer
ANSWERS = {region: Endpoints(10, 10) for region in NAMES.regions}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    links = Links()
    cloud = make_cloud(tmp_path_factory.mktemp("cloud"), links)
    authority_table(NAMES, client(cloud, "dynamodb", HOME, read_timeout=20))
    yield cloud, links
    cloud.close()


@pytest.fixture
def links(running):
    yield running[1]
    running[1].lost_regions.clear()


@pytest.fixture
def journal(running, links):
    dynamodb = client(running[0], "dynamodb", STANDBY)
    made = DynamoJournal(dynamodb, NAMES.authority_table, NAMES.global_cluster)
    dynamodb.delete_item(
        TableName=NAMES.authority_table,
        Key={"global_cluster": {"S": NAMES.global_cluster}, "entry_key": {"S": "authority"}},
    )
    return made


@pytest.fixture
def workshop(running, monkeypatch):
    variables = {
        "AWS_REGION": STANDBY,
        "FARSHORE_SUFFIX": "t",
        "FARSHORE_PROFILE": "aws",
        "FARSHORE_ENDPOINTS": json.dumps(ENDPOINTS),
        "FARSHORE_SSLROOTCERT": "/nowhere",
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{running[0].endpoint(OUTSIDE)}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFARSHORELAB00000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    return Workshop(from_environment(variables))


def now_ms():
    return time.time_ns() // 1_000_000


def sighting(region, at_ms, sequence="p/1"):
    return Sighting(region, sequence, ANSWERS, 20, at_ms, lag_state="ok", lag_why="so")


def renewed(at_ms, version=9):
    return replace(RECORD, version=version, renewal_seq=version, renewed_at_ms=at_ms)


def all_is_well(journal, ago_ms=100):
    at_ms = now_ms() - ago_ms
    assert journal.compare_and_set(None, renewed(at_ms))
    for region in NAMES.regions:
        journal.put_sighting(sighting(region, at_ms))


def test_a_look_sees_record_and_monitors(workshop, journal):
    all_is_well(journal)
    begun = time.monotonic()
    found = status(workshop)
    assert time.monotonic() - begun < PATIENCE_S
    scene = found.scene
    assert (found.story.writer, scene.answered) == (HOME, True)
    assert 100 <= (scene.lease_age_ms or 0) < 5000
    assert scene.monitors[HOME].endpoints == ANSWERS
    # There is no global cluster here, and that is said, not hidden.
    assert [what.partition(":")[0] for what in scene.unread] == [HOME, STANDBY]
    assert found.story.exit_code == 3
    document = json.loads(json.dumps(found.as_dict(), default=str))
    assert (document["writer"], document["record"]["epoch"], document["exit_code"]) == (HOME, 3, 3)
    assert document["monitors"][STANDBY]["lag_state"] == "ok"


def test_a_dark_region_is_named_and_costs_two_seconds(workshop, journal, links):
    all_is_well(journal)
    links.lost_regions.add(HOME)
    begun = time.monotonic()
    scene = look.Looker(workshop).look()
    assert time.monotonic() - begun < look.WITHIN_S + PATIENCE_S
    assert scene.answered
    assert scene.record is not None
    assert any(what.startswith(f"{HOME}: neither the authority table nor RDS") for what in scene.unread)


def test_without_any_replica_nothing_is_claimed_to_be_known(workshop, journal, links):
    all_is_well(journal)
    links.lost_regions |= {HOME, STANDBY}
    begun = time.monotonic()
    found = status(workshop)
    assert time.monotonic() - begun < look.WITHIN_S + PATIENCE_S
    assert (found.story.known, found.story.writer, found.story.exit_code) == (False, None, 3)
    assert f"--table-name {NAMES.authority_table}" in (found.story.command or "")


@pytest.mark.parametrize("off_ms", [-90_000, 90_000], ids=["our clock is behind", "our clock is ahead"])
def test_a_wrong_clock_is_seen_by_what_changes(workshop, journal, off_ms):
    """The controllers' clock differs from ours by `off_ms`; they go on renewing."""
    all_is_well(journal, ago_ms=off_ms)
    stop = threading.Event()

    def renew():
        before, version = renewed(0), 9
        while not stop.wait(0.3):
            after = renewed(now_ms() - off_ms, version := version + 1)
            assert journal.compare_and_set(before, after)
            before = after
            for region in NAMES.regions:
                journal.put_sighting(sighting(region, now_ms() - off_ms, f"p/{version}"))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        found = status(workshop)
    finally:
        stop.set()
        thread.join()
    assert found.story.writer == HOME
    assert found.scene.clock_off_ms == pytest.approx(90_000, abs=10_000)
    assert all(found.scene.is_heard(region) for region in NAMES.regions)


def test_what_is_old_and_does_not_change_is_old(workshop, journal):
    all_is_well(journal, ago_ms=60_000)
    begun = time.monotonic()
    found = status(workshop)
    assert look.AGAIN_MS / 1000 <= time.monotonic() - begun < look.AGAIN_MS / 1000 + PATIENCE_S
    assert found.story.writer is None
    assert found.scene.clock_off_ms == 0
    assert "no monitor has been heard" in found.story.findings[0].words


def test_asking_waits_for_nobody_beyond_the_deadline():
    for_ever = threading.Event()

    def refuse():
        raise UnknownOutcomeError("the table is away") from ConnectTimeoutError(endpoint_url="x")

    begun = time.monotonic()
    answers = ask({"quick": lambda: 1, "dark": for_ever.wait, "refused": refuse}, 0.3)
    assert 0.3 <= time.monotonic() - begun < PATIENCE_S
    assert answers.heard == {"quick": 1}
    assert answers.silent == {"dark": "no answer within 0.3 s", "refused": "no answer"}
    for_ever.set()


def test_asking_ends_with_the_last_answer():
    begun = time.monotonic()
    assert ask({"one": lambda: None, "two": lambda: None}, 30).heard == {"one": None, "two": None}
    assert time.monotonic() - begun < PATIENCE_S


def test_a_reason_is_short_and_names_the_code():
    assert reason(refused("AccessDenied", "you may not")) == "AccessDenied: you may not"
    assert len(reason(OSError("x" * 1000))) == 160
