"""Transitions are told once as a rule, never not at all, in the documented form: on a real topic and a real bus."""

import json
import time
from dataclasses import replace
from pathlib import Path

import boto3
import fastjsonschema
import pytest
from cloudkit import HOME, STANDBY, Links, authority_table, client, eventually, make_cloud

from farshore.aws.events import TransitionEvents, topic_arn
from farshore.aws.journal import DynamoJournal
from farshore.core import told
from farshore.core.authority import Authority, Event, Phase
from farshore.core.errors import UnknownOutcomeError
from farshore.names import Names

NAMES = Names("t")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "transition.schema.json").read_text())
WRITER, OTHER = f"{HOME}/controller/1", f"{STANDBY}/controller/1"
EVENT = Event(7, 1_800_000_000_123, 2, Phase.HELD, HOME, "promoted", "it is promoted, at last", WRITER)
RECORD = Authority(
    version=7,
    epoch=2,
    phase=Phase.HELD,
    holder=HOME,
    renewal_seq=1,
    renewed_at_ms=0,
    lag_ms=0,
    mode="auto",
    paused=False,
    degraded=False,
    plan=None,
    last_event=EVENT,
)


VALIDATE = fastjsonschema.compile(SCHEMA)


def is_right(document):
    try:
        VALIDATE(document)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def of(version, by=WRITER):
    return replace(RECORD, last_event=replace(EVENT, version=version, by=by))


class Region:
    """One region's topic and bus with a queue behind each, and the table."""

    def __init__(self, cloud, region):
        self.region = region
        self.sns, self.bus = client(cloud, "sns", region), client(cloud, "events", region)
        self._sqs = client(cloud, "sqs", region)
        self.topic = self.sns.create_topic(Name=NAMES.topic(region))["TopicArn"]
        self.journal = DynamoJournal(
            client(cloud, "dynamodb", region), NAMES.authority_table, NAMES.global_cluster
        )
        self._urls = {}
        self._seen = {"topic": [], "bus": []}
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self._queue("topic"))
        pattern = {"source": ["farshore"], "detail-type": ["Authority transition"]}
        self.bus.put_rule(Name="told", EventPattern=json.dumps(pattern))
        self.bus.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": self._queue("bus")}])

    def _queue(self, name):
        self._urls[name] = self._sqs.create_queue(QueueName=f"{name}-{self.region}")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._urls[name], AttributeNames=["QueueArn"])
        return attributes["Attributes"]["QueueArn"]

    def heard(self, where, version):
        """What has come with a version, so far."""
        answer = self._sqs.receive_message(QueueUrl=self._urls[where], MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self._seen[where].append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._urls[where], ReceiptHandle=message["ReceiptHandle"])
        key = "Message" if where == "topic" else "detail"
        found = []
        for body in self._seen[where]:
            document = json.loads(body[key]) if where == "topic" else body[key]
            if document["version"] == version:
                found.append((body, document))
        return found

    def teller(self, **changes):
        parts = {"sns": self.sns, "bus": self.bus, "told": self.journal, "topic": self.topic}
        return TransitionEvents(**{**parts, **changes}, names=NAMES, region=self.region)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = make_cloud(tmp_path_factory.mktemp("cloud"), Links())
    authority_table(NAMES, client(made, "dynamodb", HOME, read_timeout=20))
    yield made
    made.close()


@pytest.fixture(scope="module")
def home(cloud):
    return Region(cloud, HOME)


@pytest.fixture(scope="module")
def standby(cloud):
    return Region(cloud, STANDBY)


@pytest.fixture
def at_once(monkeypatch):
    """The waits in the order they have, too short to wait for."""
    for place, name in enumerate(("WRITER_WAIT_MS", "LEADER_WAIT_MS", "NEIGHBOUR_WAIT_MS")):
        monkeypatch.setattr(told, name, 100 * place)


def test_topic_and_bus_get_the_documented_document(home, at_once):
    home.teller().transition(of(10), WRITER)
    message, document = eventually(lambda: home.heard("topic", 10))[0]
    assert is_right(document)
    assert document == {
        "schema": "farshore.transition/1",
        "version": 10,
        "at": "2027-01-15T08:00:00.123Z",
        "epoch": 2,
        "phase": "HELD",
        "holder": HOME,
        "action": "promoted",
        "reason": "it is promoted, at last",
        "by": WRITER,
        "ticket": None,
        "cluster": "aurora-global-t",
    }
    assert message["Subject"] == "farshore t: promoted, epoch 2, us-east-1 may write"
    attributes = {name: one["Value"] for name, one in message["MessageAttributes"].items()}
    assert attributes == {"kind": "transition", "action": "promoted", "phase": "HELD"}
    event, detail = eventually(lambda: home.heard("bus", 10))[0]
    assert detail == document
    assert (event["source"], event["detail-type"]) == ("farshore", "Authority transition")
    eventually(lambda: home.journal.was_told(10, STANDBY))
    assert not home.journal.was_told(11, STANDBY)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "farshore.transition/2"},
        {"version": "10"},
        {"at": "yesterday"},
        {"phase": "LOST"},
        {"more": 1},
    ],
    ids=str,
)
def test_the_schema_takes_nothing_else(change):
    good = told.document(EVENT, "aurora-global-t", "2027-01-15T08:00:00.123Z")
    assert is_right(good)
    assert not is_right({**good, **change})
    assert not is_right({name: value for name, value in good.items() if name != "reason"})


def test_whoever_sees_it_later_tells_it_only_if_its_writer_has_not(home, standby, at_once):
    home.teller().transition(of(20), WRITER)
    other = standby.teller()
    other.transition(of(20), OTHER)
    other.transition(of(21), OTHER)  # its writer died with it
    assert eventually(lambda: standby.heard("topic", 21))
    eventually(lambda: home.heard("topic", 20))
    assert standby.heard("topic", 20) == standby.heard("bus", 20) == []


def test_a_failing_call_silences_neither_the_other_nor_the_next(home, at_once, capfd):
    teller = home.teller(topic=f"{home.topic}-gone")
    teller.transition(of(30), WRITER)
    teller.transition(of(31), WRITER)
    assert eventually(lambda: home.heard("bus", 30))
    assert eventually(lambda: home.heard("bus", 31))
    eventually(lambda: home.journal.was_told(31, HOME))
    assert home.heard("topic", 30) == []
    assert "event-not-published" in capfd.readouterr().out


@pytest.mark.parametrize(("version", "broken"), [(32, "topic"), (34, "bus")])
def test_what_one_region_cannot_tell_the_other_does_and_neither_repeats_itself(
    home, standby, at_once, version, broken
):
    """Each controller that starts, one a minute and region, hands the last event to its region's teller again."""
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "none"}
    nobody = boto3.client("events", region_name=HOME, endpoint_url="http://127.0.0.1:1", **keys)
    hindered = home.teller(**({"bus": nobody} if broken == "bus" else {"topic": f"{home.topic}-gone"}))
    neighbour = standby.teller()
    hindered.transition(of(version), WRITER)
    neighbour.transition(of(version), OTHER)
    for where in ("topic", "bus"):
        assert eventually(lambda at=where: standby.heard(at, version))
    eventually(lambda: home.journal.was_told(version, "any"))
    for teller, process in ((hindered, f"{HOME}/controller/2"), (neighbour, OTHER)):
        teller.transition(of(version), process)
        teller.transition(of(version + 1), process)
    eventually(lambda: standby.heard("topic", version + 1))
    assert len(standby.heard("topic", version)) == len(standby.heard("bus", version)) == 1
    whole = "bus" if broken == "topic" else "topic"
    eventually(lambda: home.heard(whole, version + 1))
    assert (len(home.heard(whole, version)), home.heard(broken, version)) == (1, [])


def test_an_event_that_no_region_can_tell_whole_is_tried_once_by_each(home, standby, at_once):
    tellers = [(region, region.teller(topic=f"{region.topic}-gone")) for region in (home, standby)]
    for region, teller in tellers:
        for process in (f"{region.region}/controller/1", f"{region.region}/controller/2"):
            teller.transition(of(36), process)
            eventually(lambda at=region: at.journal.was_told(36, at.region))
        teller.transition(of(37), process)
    for region, _ in tellers:
        eventually(lambda at=region: at.heard("bus", 37))
        assert len(region.heard("bus", 36)) == 1
    assert not home.journal.was_told(36, "any")


class DeafTable:
    def was_told(self, version, region):
        raise UnknownOutcomeError("no reply")

    def put_told(self, version, failed_in=""):
        raise UnknownOutcomeError("no reply")


def test_without_the_table_it_is_told_rather_twice_than_never(home, at_once):
    teller = home.teller(told=DeafTable())
    teller.transition(of(40), WRITER)
    teller.transition(of(40), WRITER)
    eventually(lambda: len(home.heard("topic", 40)) == 2)
    first, second = (document for _, document in home.heard("topic", 40))
    assert first == second


def test_telling_holds_nobody_up(home):
    class Stuck:
        def publish(self, **_):
            time.sleep(3600)

    teller = home.teller(sns=Stuck())
    begun = time.monotonic()
    for version in range(50, 150):
        teller.transition(of(version), WRITER)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("by", "region", "process", "expected"),
    [
        (WRITER, HOME, WRITER, told.WRITER_WAIT_MS),
        (WRITER, HOME, f"{HOME}/controller/2", told.LEADER_WAIT_MS),
        (WRITER, STANDBY, OTHER, told.NEIGHBOUR_WAIT_MS),
        ("arn:aws:iam::1:user/a", HOME, WRITER, told.LEADER_WAIT_MS),
        ("arn:aws:iam::1:user/a", STANDBY, OTHER, told.NEIGHBOUR_WAIT_MS),
    ],
)
def test_the_writer_waits_least(by, region, process, expected):
    assert told.wait_ms(of(1, by), region, process) == expected


def test_the_topic_is_that_of_the_functions_account():
    arn = "arn:aws-us-gov:lambda:us-west-2:210987654321:function:f"
    assert topic_arn(NAMES, STANDBY, arn) == "arn:aws-us-gov:sns:us-west-2:210987654321:secondary-alerts-t"
