"""The journal on the lab's own authority table: strong consistency, a majority, compare-and-set."""

import dataclasses
import json

import boto3
import pytest
from botocore.config import Config
from cloudkit import HOME, STANDBY, WITNESS, Links, authority_table, make_cloud

from farshore.aws.documents import JournalDamagedError, decode, encode
from farshore.aws.journal import DynamoJournal
from farshore.core.authority import Authority, Event, Intent, Phase, Plan, PlanKind
from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Endpoints, LagReading
from farshore.names import Names
from farshore.ports import Presence, Sighting

NAMES = Names("t")
EVENT = Event(1, 1000, 1, Phase.HELD, HOME, "first-boot", "a test", "us-east-1/controller/1")
RECORD = Authority(
    version=1,
    epoch=1,
    phase=Phase.HELD,
    holder=HOME,
    renewal_seq=1,
    renewed_at_ms=1000,
    lag_ms=None,
    mode="auto",
    paused=False,
    degraded=False,
    plan=None,
    last_event=EVENT,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    links = Links()
    cloud = make_cloud(tmp_path_factory.mktemp("cloud"), links)

    def connect(region, timeout_s=1.0):
        return boto3.client(
            "dynamodb",
            region_name=region,
            endpoint_url=f"http://{cloud.endpoint(region)}",
            aws_access_key_id="AKIAFARSHORELAB00000",
            aws_secret_access_key="none",
            config=Config(read_timeout=timeout_s, retries={"total_max_attempts": 1}),
        )

    authority_table(NAMES, connect(HOME, timeout_s=20))
    yield links, connect
    cloud.close()


@pytest.fixture
def journals(place, request):
    _links, connect = place
    return [
        DynamoJournal(connect(region), NAMES.authority_table, request.node.name) for region in (HOME, STANDBY)
    ]


def test_a_record_comes_back_as_it_was_written(journals):
    home, standby = journals
    plan = Plan("failover-2", PlanKind.FAILOVER, HOME, STANDBY, "me", "lost", 5, 20, Intent(99, 1))
    moving = dataclasses.replace(RECORD, phase=Phase.PROMOTING, holder=None, plan=plan)
    assert home.compare_and_set(None, moving)
    assert standby.read().record == moving


def test_only_one_of_two_first_boots_wins(journals):
    home, standby = journals
    assert home.compare_and_set(None, RECORD)
    assert not standby.compare_and_set(None, dataclasses.replace(RECORD, holder=STANDBY))
    assert standby.read().record == RECORD


def test_a_write_on_an_old_version_loses(journals):
    home, standby = journals
    home.compare_and_set(None, RECORD)
    second = dataclasses.replace(RECORD, version=2, renewal_seq=2)
    assert home.compare_and_set(RECORD, second)
    assert not standby.compare_and_set(RECORD, dataclasses.replace(second, epoch=2))
    assert standby.read().record == second


def test_without_a_majority_the_outcome_is_unknown(journals, place):
    links, _ = place
    home, _standby = journals
    links.cut(HOME, STANDBY)
    links.cut(HOME, WITNESS)
    try:
        with pytest.raises(UnknownOutcomeError):
            home.compare_and_set(None, RECORD)
        with pytest.raises(UnknownOutcomeError):
            home.read()
    finally:
        links.join(HOME, STANDBY)
        links.join(HOME, WITNESS)


def test_a_lost_region_does_not_stop_the_others(journals, place):
    links, _ = place
    links.lost_regions.add(HOME)
    try:
        assert journals[1].compare_and_set(None, RECORD)
        assert journals[1].read().record == RECORD
    finally:
        links.lost_regions.clear()


def test_observations_presences_and_history(journals):
    home, standby = journals
    sighting = Sighting(HOME, "p/1", {HOME: Endpoints(5, None), STANDBY: Endpoints(None, 70)}, 12, 1000)
    home.put_sighting(sighting)
    home.put_presence(Presence("monitor", HOME, "p", 1, 2))
    home.compare_and_set(None, RECORD)
    for version in (1, 2, 3):
        home.put_event(dataclasses.replace(EVENT, version=version))
        home.put_event(dataclasses.replace(EVENT, version=version))
    page = standby.read()
    assert page.sightings == {HOME: sighting}
    assert page.presences == [Presence("monitor", HOME, "p", 1, 2)]
    assert [event.version for event in standby.history()] == [1, 2, 3]
    assert [event.version for event in standby.history(after_version=2)] == [3]


def test_history_however_long_is_no_part_of_what_every_tick_reads(journals):
    home, _standby = journals
    home.compare_and_set(None, RECORD)
    for version in range(1, 6):
        home.put_event(dataclasses.replace(EVENT, version=version))
    asked = []
    query = home._dynamodb.query

    def counted(**request):
        answer = query(**request)
        asked.append(answer["ScannedCount"])
        return answer

    home._dynamodb.query = counted
    home.read()
    assert asked == [1]


def test_a_damaged_record_is_refused_not_guessed():
    document = dataclasses.asdict(RECORD)
    with pytest.raises(JournalDamagedError, match="cannot be read"):
        decode(Authority, json.dumps({**document, "phase": "PERHAPS"}))
    del document["epoch"]
    with pytest.raises(JournalDamagedError):
        decode(Authority, json.dumps(document))


def test_an_observation_of_before_the_verdicts_still_reads():
    old = '{"region":"us-east-1","sequence":"p/1","endpoints":{},"lag_ms":3,"at_unix_ms":9}'
    sighting = decode(Sighting, old)
    assert (sighting.lag_ms, sighting.lag_state, sighting.lag_doubts) == (3, "", ())
    assert sighting.lag_readings == ()
    readings = (LagReading("database", "missing"), LagReading("cloudwatch", "known", 40, 20_000))
    told = Sighting(
        HOME, "p/2", {}, None, 9, "unknown", "nobody answers", ("database: nobody answers",), "ok",
        lag_readings=readings,
    )  # fmt: skip
    assert decode(Sighting, encode(told)) == told
