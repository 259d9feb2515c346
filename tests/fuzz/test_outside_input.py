"""Whatever comes from outside ends in a value or in the error that is documented for it, never in another one.

Documents are valid ones with a part changed, taken away or added, and now and then anything at all.
"""

import contextlib
import copy
import io
import json
import struct
from types import SimpleNamespace

import dns.message
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from farshore.aws.documents import JournalDamagedError, decode, encode
from farshore.aws.journal import DynamoJournal
from farshore.aws.opinions import Opinion, is_event, opinion_in
from farshore.aws.rotation import Rotation
from farshore.cli.app import app
from farshore.clock import SystemClock
from farshore.controller import World
from farshore.core.authority import (
    Aftermath,
    Approval,
    Authority,
    Basis,
    Event,
    Intent,
    Phase,
    Plan,
    PlanKind,
    Proposal,
    Quiet,
)
from farshore.core.errors import UnknownOutcomeError, UsageError
from farshore.core.facts import Endpoints, LagReading
from farshore.core.lag import Metric
from farshore.drill.events import parse_history
from farshore.drill.ledger import OrphanListError, parse_orphans
from farshore.drill.matrix import Matrix, row_of, worst
from farshore.drill.matrixpage import render, terminal
from farshore.infra.config import StackConfig
from farshore.infra.load import load
from farshore.lab.dns import Answer, DnsServer
from farshore.lab.ports import Address
from farshore.lambdas import authority, controller, failover, loop, monitor, rotation
from farshore.operate import budget as operate_budget
from farshore.ports import Presence, Sighting
from farshore.settings import from_environment

FEW = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
HERE, THERE = "us-east-1", "us-west-2"


def places(document, path=()):
    """The way to each part of a document, itself included."""
    yield path
    parts = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in parts:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


@st.composite
def spoilt(draw, valid):
    """A valid document with up to three parts changed, dropped or added."""
    document = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(sorted(places(document), key=repr)))
        if not path:
            return draw(ANYTHING)
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(["change", "drop", "add"]))
        if what == "drop" or (what == "add" and isinstance(parent, list)):
            del parent[path[-1]]
        elif what == "add":
            parent[draw(st.text(max_size=5))] = draw(ANYTHING)
        else:
            parent[path[-1]] = draw(ANYTHING)
        if not document:
            break
    return document


# --- the authority table ---------------------------------------------------------------------------------------------

EVENT = Event(9, 1, 3, Phase.HELD, HERE, "claim", "lost", "p", 5, "T-1")
PLAN = Plan("p", PlanKind.FAILOVER, HERE, THERE, "me", "lost", 1, 20, Intent(5, 1, 0, "p"), 2, False, 7, "T")
PROPOSAL = Proposal(
    "p", 3, HERE, THERE, Basis.LOST, "me", "why", 1, None, 1, 2, Approval("you", 1, 2, "T-2"), 4
)
RECORD = Authority(
    9, 3, Phase.PROMOTING, None, 4, 5, None, "auto", False, False, PLAN, EVENT, 7, Quiet(3, 1, HERE, 9),
    PROPOSAL, (Aftermath(2, HERE),),
)  # fmt: skip
SIGHTING = Sighting(
    HERE,
    "p/1",
    {HERE: Endpoints(1, None)},
    3,
    9,
    "ok",
    "why",
    ("a doubt",),
    "ok",
    ((1, 2, 3),),
    took_ms=7,
    lag_readings=(LagReading("database", "known", 3, 4),),
)
PRESENCE = Presence("monitor", HERE, "p", 1, 2)
ITEMS = {type(one): json.loads(encode(one)) for one in (RECORD, EVENT, SIGHTING, PRESENCE)}


@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_of_the_table(kind):
    @FEW
    @given(spoilt(ITEMS[kind]))
    @example({})
    @example([])
    def check(document):
        try:
            found = decode(kind, json.dumps(document))
        except JournalDamagedError:
            return
        assert decode(kind, encode(found)) == found

    check()
    assert decode(kind, json.dumps(ITEMS[kind])) is not None


ATTRIBUTES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=8)),
        st.builds(lambda number: {"N": str(number)}, st.integers()),
        st.builds(lambda octets: {"B": octets}, st.binary(max_size=4)),
        st.builds(lambda yes: {"BOOL": yes}, st.booleans()),
        st.just({"NULL": True}),
        st.builds(lambda texts: {"SS": texts}, st.lists(st.text(max_size=4), min_size=1, max_size=2)),
        st.builds(lambda numbers: {"NS": numbers}, st.just(["1", "2"])),
        st.builds(lambda octets: {"BS": octets}, st.just([b"1"])),
    ),
    lambda inner: (
        st.builds(lambda parts: {"L": parts}, st.lists(inner, max_size=2))
        | st.builds(lambda parts: {"M": parts}, st.dictionaries(st.text(max_size=4), inner, max_size=2))
    ),
    max_leaves=4,
)
NO_TEXTS = ({"N": "1"}, {"B": b"{}"}, {"NULL": True}, {"BOOL": True}, {"M": {}}, {"L": []}, {"SS": ["{}"]})


def item(key, document=None):
    """An item as DynamoDB hands it over; its key is a string, as the table's own definition has it."""
    written = {} if document is None else {"document": document}
    return {"global_cluster": {"S": "c"}, "entry_key": {"S": key}, **written}


def journal_of(*items):
    return DynamoJournal(SimpleNamespace(query=lambda **_asked: {"Items": list(items)}), "t", "c")


def odd_items(key, kind):
    """One with any document or none, now and then one that is nearly right."""
    nearly = spoilt(ITEMS[kind]).map(lambda document: {"S": json.dumps(document)})
    return st.just(item(key)) | (ATTRIBUTES | nearly).map(lambda document: item(key, document))


@FEW
@given(
    odd_items("observation#us-east-1", Sighting),
    odd_items("observation#eu-west-1", Sighting),
    odd_items("presence#monitor#us-east-1", Presence),
)
@example(item(f"observation#{HERE}"), item("observation#"), item("presence#"))
@example(*[item(f"observation#{number}", NO_TEXTS[number]) for number in range(3)])
@example(*[item(f"presence#{number}", NO_TEXTS[number]) for number in range(3, 6)])
def test_what_a_neighbour_left_in_the_table(one, another, third):
    page = journal_of(item("authority", {"S": encode(RECORD)}), one, another, third).read()
    assert page.record == RECORD
    for sighting in page.sightings.values():
        assert decode(Sighting, encode(sighting)) == sighting


@FEW
@given(odd_items("authority", Authority), ATTRIBUTES)
@example(item("authority"), {"NULL": True})
@pytest.mark.parametrize("reading", ["read", "history"])
def test_the_record_and_the_story_are_never_passed_by(reading, found, other):
    journal = journal_of({**found, "of a newer version": other})
    kind = "Authority" if reading == "read" else "Event"
    try:
        read = getattr(journal, reading)()
    except JournalDamagedError as error:
        read = error
    if isinstance(read, JournalDamagedError):
        assert f"the table's {kind} cannot be read" in str(read)
        return
    assert reading == "read"
    assert read.record == decode(Authority, found["document"]["S"])


@pytest.mark.parametrize("document", NO_TEXTS, ids=str)
def test_a_record_without_a_text_says_what_it_has(document):
    with pytest.raises(JournalDamagedError, match=rf"'authority' is of type {next(iter(document))}, not S"):
        journal_of(item("authority", document)).read()


# --- what functions are called with ----------------------------------------------------------------------------------

REQUEST = {"move": "failover", "target": THERE, "ticket": "T-1", "reason": "lost", "accept_loss_ms": 5}
NEWS = {
    "source": "aws.rds",
    "id": "1",
    "region": HERE,
    "time": "2026-11-22T10:00:00Z",
    "detail": {"EventID": "RDS-EVENT-0071", "SourceIdentifier": "c", "Message": "failed over"},
}


NO_NUMBERS = st.sampled_from(["²", "①", "٣", "1e3", "-0", "+5", " 5 ", "9" * 5000])
CONTEXT = SimpleNamespace(
    aws_request_id="11111111-2222",
    invoked_function_arn=f"arn:aws:lambda:{HERE}:123456789012:function:f",
    get_remaining_time_in_millis=lambda: 0,
)


@FEW
@given(spoilt(REQUEST) | NO_NUMBERS.map(lambda text: {**REQUEST, "accept_loss_ms": text}))
@example({**REQUEST, "accept_loss_ms": "²"})
@example({**REQUEST, "accept_loss_ms": 10**400})
@example({**REQUEST, "target": []})
def test_a_request_for_a_move(event):
    try:
        request = failover.parse(event, "r")
    except UsageError:
        return
    assert request.accept_loss_ms is None or str(request.accept_loss_ms) == str(event["accept_loss_ms"])


def test_whatever_the_failover_function_is_asked(monkeypatch):
    """The table answers nobody, so that no answer is yes."""

    def unknown(*_asked):
        raise UnknownOutcomeError("no reply")

    workshop = SimpleNamespace(
        settings=from_environment(ENVIRONMENT),
        clock=SystemClock(),
        journal=SimpleNamespace(read=unknown),
        cloud=SimpleNamespace(describe=unknown),
    )
    monkeypatch.setattr(failover, "_workshop", lambda: workshop)

    @FEW
    @given(spoilt(REQUEST))
    @example({**REQUEST, "accept_loss_ms": "²"})
    @example({**REQUEST, "target": [HERE]})
    @example(None)
    def check(event):
        if not is_event(event):
            assert failover.handler(event, CONTEXT)["accepted"] is False

    check()


@FEW
@given(spoilt(NEWS))
def test_awss_news(event):
    if isinstance(event, dict):
        assert isinstance(opinion_in(event, HERE, 1), Opinion | None)
    assert loop.starts(event) in (True, False)


@FEW
@given(st.text(), st.none() | st.booleans())
def test_a_health_checkers_question(path, is_home):
    assert authority.answer(path, is_home=is_home) in (200, 503, 404)


QUESTION = {
    "version": "2.0",
    "rawPath": "/home",
    "requestContext": {"http": {"method": "GET", "path": "/home"}},
}


@FEW
@given(spoilt(QUESTION))
@example({**QUESTION, "requestContext": None})
@example({**QUESTION, "requestContext": {"http": None}})
@example({**QUESTION, "rawPath": ["/home"]})
@example(None)
def test_a_request_at_the_public_url(event):
    path = authority.asked(event)
    assert path is None or (path == event["rawPath"] and event["requestContext"]["http"]["method"] == "GET")


ROTATION = {"Step": "setSecret", "SecretId": "arn", "ClientRequestToken": "1-2", "RotationToken": "x"}


@FEW
@given(spoilt(ROTATION))
@example({})
@example(None)
@example({**ROTATION, "Step": ["setSecret"]})
@example({**ROTATION, "SecretId": ""})
@example({**ROTATION, "ClientRequestToken": {}})
def test_a_rotations_event(event):
    def described(**_asked):
        return {"RotationEnabled": True, "VersionIdsToStages": {"1-2": ["AWSCURRENT"]}}

    manager = SimpleNamespace(describe_secret=described)
    with contextlib.suppress(UsageError):
        Rotation(manager, None).run(*rotation.parse(event))


def test_a_rotations_event_is_looked_at_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(rotation, "_workshop", lambda: pytest.fail("built"))
    with pytest.raises(UsageError, match="Step, SecretId, ClientRequestToken"):
        rotation.handler({"Step": "setSecret"}, None)


class Quiet:
    """Stands for whatever a handler builds but has no time left to use; an endpoint of it answers as a reader."""

    lag = None
    metric = Metric

    def row(self, *_asked):
        return (False, None)

    def close(self):
        pass

    def stop(self):
        pass


@pytest.mark.parametrize("kind", ["monitor", "controller"])
def test_whatever_starts_a_loop(monkeypatch, kind):
    workshop = SimpleNamespace(
        settings=from_environment(ENVIRONMENT),
        journal=None,
        clock=SystemClock(),
        publisher=Quiet(),
        session=lambda _endpoint: Quiet(),
    )
    module = {"monitor": monitor, "controller": controller}[kind]
    monkeypatch.setattr(module, "_workshop", lambda: workshop)
    if kind == "monitor":
        monkeypatch.setattr(monitor, "_reader", lambda _workshop: Quiet())
        monkeypatch.setattr(monitor, "_alerts", lambda _topic: Quiet())
    else:
        world = World(None, {}, None, None, workshop.clock)
        monkeypatch.setattr(controller, "_world", lambda _arn: world)

    @settings(FEW, max_examples=20)
    @given(spoilt(NEWS) | st.just({"source": "aws.scheduler"}))
    @example(None)
    @example([])
    @example({"source": []})
    @example({"source": "farshore"})
    def check(event):
        told = module.handler(event, CONTEXT)
        if kind == "controller" or loop.starts(event):
            assert (told["ended"], told["ticks"]) == ("time", 0)
        else:
            assert told["monitor"] == HERE

    check()


# --- configuration ---------------------------------------------------------------------------------------------------

STACK = {
    "suffix": "demo",
    "createdAt": "2026-11-22T17:00:00Z",
    "homeRegion": HERE,
    "homeCidr": "10.0.0.0/16",
    "profile": "aws",
    "mode": "approve",
    "instancesPerRegion": "2",
}
ENVIRONMENT = {
    "FARSHORE_SUFFIX": "demo",
    "AWS_REGION": HERE,
    "FARSHORE_PROFILE": "fast",
    "FARSHORE_MODE": "auto",
    "FARSHORE_PORT": "5432",
    "FARSHORE_SSLROOTCERT": "/ca.pem",
    "FARSHORE_TIMINGS": '{"renew_ms": 300}',
    "FARSHORE_REGION": "",
    "FARSHORE_HOME_REGION": HERE,
    "FARSHORE_STANDBY_REGION": THERE,
    "FARSHORE_WITNESS_REGION": "us-east-2",
    "FARSHORE_DBNAME": "postgres",
    "FARSHORE_NAMESERVER": "127.0.0.1:53",
    "FARSHORE_ZONE_ID": "Z1",
    "FARSHORE_TWO_PERSON": "no",
    "FARSHORE_LAG_ALERT_MS": "5000",
    "FARSHORE_ENDPOINTS": json.dumps(
        {region: {"writer": f"w.{region}", "reader": f"r.{region}"} for region in (HERE, THERE)}
    ),
}


@FEW
@given(spoilt(STACK))
def test_a_stacks_configuration(given_keys):
    if not isinstance(given_keys, dict):
        return
    with contextlib.suppress(UsageError):
        assert isinstance(load(given_keys, {}), StackConfig)


ODD = st.text(alphabet="\u00b2\u2460\u0663\n\r\t\x1b\u2028 +-.,:/{}[]\"'0159aeZ\udcff", max_size=12)


@FEW
@given(st.sampled_from(sorted(ENVIRONMENT)), ODD | NO_NUMBERS | st.text(max_size=12))
@example("FARSHORE_PORT", "²")
@example("FARSHORE_PORT", "9" * 5000)
@example("FARSHORE_LAG_ALERT_MS", "①")
@example("FARSHORE_LAG_ALERT_MS", "²")
@example("FARSHORE_NAMESERVER", "x")
@example("FARSHORE_NAMESERVER", "10.0.0.2:²")
@example("FARSHORE_TIMINGS", "[" * 50_000)
@example("FARSHORE_TIMINGS", '{"renew_ms": true}')
@example("FARSHORE_TIMINGS", '{"renew_ms": 1e3}')
@example("FARSHORE_TIMINGS", '{"name": "slow"}')
@example("FARSHORE_TIMINGS", f'{{"loss_budget_ms": {"9" * 400}}}')
@example("FARSHORE_TIMINGS", '{"loss_budget_ms": 1}')
@example("FARSHORE_ENDPOINTS", "[" * 50_000)
@example("FARSHORE_ENDPOINTS", json.dumps({one: {"writer": 5, "reader": None} for one in (HERE, THERE)}))
@example("AWS_REGION", "us\nx")
@example("FARSHORE_WITNESS_REGION", HERE)
@example("FARSHORE_SUFFIX", "demo\n")
@example("FARSHORE_SSLROOTCERT", "\udcff")
def test_a_functions_environment(variable, value):
    try:
        found = from_environment({**ENVIRONMENT, variable: value})
    except UsageError as error:
        found = error
    if not isinstance(found, UsageError):
        assert value in ("", getattr(found, NAMED.get(variable, ""), value))
        return
    assert found.exit_code == 2
    words = str(found)
    assert len(words.splitlines()) == 1
    if words.startswith("FARSHORE_MODE = 'auto': "):  # with a budget that no failover can keep
        assert variable in {"FARSHORE_MODE", "FARSHORE_TIMINGS", "FARSHORE_PROFILE"}
    else:
        assert words.startswith((f"{variable} = {value!r}", f"{variable} is not set"))


NAMED = {
    "AWS_REGION": "region",
    "FARSHORE_REGION": "region",
    "FARSHORE_NAMESERVER": "nameserver",
    "FARSHORE_ZONE_ID": "zone_id",
    "FARSHORE_DBNAME": "dbname",
    "FARSHORE_SSLROOTCERT": "sslrootcert",
}


@FEW
@given(
    st.dictionaries(
        st.sampled_from(["renew_ms", "lease_ttl_ms", "drift_ppm", "name", "x"]), ANYTHING, max_size=2
    )
)
def test_timings_of_any_kind(timings):
    try:
        profile = from_environment({**ENVIRONMENT, "FARSHORE_TIMINGS": json.dumps(timings)}).profile
    except UsageError as error:
        words = str(error)
    else:
        assert all(getattr(profile, name) == value for name, value in timings.items())
        return
    assert words.startswith(("FARSHORE_TIMINGS = ", "FARSHORE_MODE = 'auto'"))


@pytest.mark.parametrize(("variable", "value"), [("FARSHORE_PORT", "²"), ("FARSHORE_NAMESERVER", "x")])
def test_a_wrong_variable_ends_a_command_in_one_line(variable, value):
    told = CliRunner().invoke(app, ["status"], env={**ENVIRONMENT, variable: value})
    assert told.exit_code == 2
    assert told.stderr.startswith(f"farshore: {variable} = {value!r} is no ")
    assert told.stderr.count("\n") == 1


# --- reports and histories -------------------------------------------------------------------------------------------

ORPHANS = {
    "orphans": [
        {
            "xid": 7,
            "committed_at": None,
            "rows": [{"table": "ledger.transfer", "key": {"id": "k"}, "row": {}, "state": "missing"}],
        }
    ],
    "complete": True,
    "lost_region": HERE,
    "epoch": 2,
    "source": "s",
}
LINE = {"type": "return", "op": "k", "t": 5, "outcome": "ok", "tag": "bare", "region": HERE, "epoch": 2}


@FEW
@given(spoilt(ORPHANS))
def test_a_list_of_orphans(document):
    with contextlib.suppress(OrphanListError):
        parse_orphans(document)


@FEW
@given(st.lists(spoilt(LINE).map(json.dumps) | st.text(max_size=20), max_size=4), st.booleans())
def test_a_clients_history(lines, torn):
    history = parse_history("c1", "\n".join(lines) + ("" if torn else "\n"))
    assert history.name == "c1"


REPORT = {
    "verdict": "valid",
    "sentence": "s",
    "checks": [{"held": True, "codes": ["P1", "books"]}, {"held": None, "codes": ["P3"]}],
    "epochs": [{"region": HERE}, {"region": THERE}],
    "moves": [{"must_move": True}],
    "outage_seconds": 2.5,
    "outage_seconds_dns_only": None,
    "lost_acked": 3,
    "acked": 100,
}


def test_a_drills_report(tmp_path):
    (tmp_path / "wan-cut").mkdir()
    console = Console(width=200, file=io.StringIO())

    @FEW
    @given(spoilt(REPORT))
    @example([1])
    @example(3)
    @example({"verdict": "valid"})
    @example({"checks": [{}]})
    @example({**REPORT, "verdict": []})
    @example({**REPORT, "sentence": "\ud800"})
    @example({**REPORT, "epochs": [{"region": "[/bold]"}]})
    @example({**REPORT, "outage_seconds": 10**400})
    @example({**REPORT, "outage_seconds": float("nan")})
    @example({**REPORT, "acked": -1})
    def check(document):
        (tmp_path / "wan-cut" / "report.json").write_text(json.dumps(document))
        row = row_of("wan-cut", "what", THERE, tmp_path, 1.0, "why")
        table = Matrix(
            verdict=worst([row], []), seed=1, profile="fast", cadence=1, started_at="t", took_seconds=1.0,
            command="c", rows=[row], not_run=[], acked=row["acked"] or 0, lost_acked=row["lost_acked"] or 0,
            platform="p", lab_figures=True,
        )  # fmt: skip
        render(table).encode()
        console.print(terminal(table))
        assert row["report"] is not None or row["verdict"] == "unknown"

    check()
    (tmp_path / "wan-cut" / "report.json").write_text(json.dumps(REPORT))
    assert row_of("wan-cut", "what", THERE, tmp_path, 1.0, "why")["verdict"] == "valid"


# --- DNS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    running = DnsServer(Address("127.0.0.1", 0), "outside", lambda _view, _name, _kind: Answer("NXDOMAIN"))
    yield running
    running.close()


QUERY = dns.message.make_query("db.farshore-x.internal", "A", use_edns=0).to_wire()


@FEW
@given(st.data())
def test_a_packet_at_the_resolver(server, data):
    packet = bytearray(data.draw(st.sampled_from([QUERY, b""]) | st.binary(max_size=80)))
    for _ in range(data.draw(st.integers(0, 4))):
        if packet:
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    reply = server._reply(bytes(packet), over_tcp=data.draw(st.booleans()))
    if reply is not None:
        assert reply[:2] == bytes(packet[:2])
        assert struct.unpack("!H", reply[2:4])[0] & 0x8000, "it says that it is a response"


# --- what `farshore budget` is given ---------------------------------------------------------------------------------

BUDGET_REPORT = {
    "scenario": "region-loss",
    "command": "farshore drill region-loss",
    "started_at": "2026-11-22 18:40:59 UTC",
    "profile": "fast",
    "cadence": 60,
    "ttl_s": 1,
    "platform": "Linux",
    "postgres_version": "17.10",
    "stages": {"detect": 1.4, "decide": 0.2, "fence": 0.2, "promote": 0.2, "route": 0.0, "reconnect": None},
    "outage_seconds": 2.1,
    "outage_seconds_dns_only": None,
}
STACK_FILE = {"config": {f"farshore:{key}": value for key, value in STACK.items()}}
DEEP = "[" * 100_000


def changed(document, **parts):
    return json.dumps({**document, **parts}).encode()


def one_refusal(option, path, words):
    """One line that names the option, the file and a fix; what the stack's own loader refuses is named key by key."""
    assert "Fix: " in words
    if option == "--report" or str(path) in words:
        assert words.startswith(f"{option} {path}: ")
        assert "\n" not in words


@FEW
@given(spoilt(BUDGET_REPORT).map(json.dumps).map(str.encode) | st.binary(max_size=30))
@example(changed(BUDGET_REPORT, stages={"detect": "x"}))
@example(changed(BUDGET_REPORT, outage_seconds="2.1"))
@example(changed(BUDGET_REPORT, outage_seconds=[2.1]))
@example(changed(BUDGET_REPORT, outage_seconds=float("nan")))
@example(changed(BUDGET_REPORT, outage_seconds_dns_only=float("inf")))
@example(changed(BUDGET_REPORT, outage_seconds=10**400))
@example(changed(BUDGET_REPORT, platform="\ud800"))
@example(DEEP.encode())
@example(b"\xff")
def test_a_report_that_the_budget_is_given(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "report.json"
    path.write_bytes(content)
    try:
        found = operate_budget.measured(path)
    except UsageError as error:
        one_refusal("--report", path, str(error))
        return
    times = (found.lab.outage_ms, found.lab.outage_dns_only_ms, *found.lab.stages.values())
    assert all(ms is None or ms >= 0 for ms in times)
    assert "\n" not in found.words
    assert found.words.encode()


@FEW
@given(spoilt(STACK_FILE).map(json.dumps).map(str.encode) | st.binary(max_size=30))
@example(b"config:\n  farshore:createdAt: 2026-13-41\n")
@example(b"config:\n  farshore:createdAt: 2026-11-22 17:00:00 +99:99\n")
@example(b"config:\n  farshore:alertEmails: &a [*a]\n")
@example(b"config:\n  farshore:alertEmails: [{2026-01-01: 1}]\n")
@example(b"config:\n  ? [a]\n  : 1\n")
@example(b'{"config": {"\\ud800\\udc00": null}}')
@example(b"\xff")
@example(DEEP[:5000].encode())
@example(json.dumps({"config": {"farshore:alertEmails": DEEP}}).encode())
def test_a_stacks_file(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "Pulumi.fuzz.yaml"
    path.write_bytes(content)
    try:
        found = operate_budget.of_stack(path)
    except UsageError as error:
        one_refusal("--stack", path, str(error))
        return
    assert found.dns_trigger in ("metric", "https")


@example(DEEP)
@example("[NaN]")
@FEW
@given(st.text(max_size=20).map("[".__add__))
def test_a_list_in_a_stacks_configuration(text):
    with contextlib.suppress(UsageError):
        assert isinstance(load({**STACK, "alertEmails": text}, {}), StackConfig)
