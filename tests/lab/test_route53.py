"""Health checks and answers. The truth table is the one that makes DNS follow authority: each region's alarm feeds
three checks that differ in what missing data mean; the primary's parent needs four of six, the secondary's is inverted.
"""

import time

import boto3
import dns.message
import dns.query
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from farshore.aws.health_checks import HealthChecks
from farshore.lab.addresses import Addresses
from farshore.lab.cloud import checkers, cloudwatch, route53
from farshore.lab.cloud.alarm_rules import State
from farshore.lab.cloud.cloudwatch import AlarmEvaluator
from farshore.lab.cloud.health import (
    CALCULATED,
    CLOUDWATCH_METRIC,
    HTTPS,
    NOTHING_KNOWN,
    Check,
    Endpoint,
    Insufficient,
    Opinion,
    aggregate,
    choose_failover,
    evaluate,
    heard,
)
from farshore.lab.cloud.zones import HealthEvaluator, Zones
from farshore.lab.dns import Answer, DnsServer, Record
from farshore.lab.ports import OUTSIDE, Address

HOME, STANDBY = "us-east-1", "us-west-2"
ZONE, WRITER = "farshore-t.internal", "db.farshore-t.internal"
ENDPOINTS = {
    region: f"{side}.cluster-farshorelab.{region}.rds.amazonaws.com"
    for side, region in (("primary", HOME), ("secondary", STANDBY))
}
SAYS = {"h": State.OK, "w": State.ALARM, "m": State.INSUFFICIENT_DATA}

TABLE = [
    # what east and west say, one evaluation after the other; healthy children; answer
    ("hh", {6}, HOME),
    ("hm", {5}, HOME),
    ("mh", {5}, HOME),
    ("hh hm", {5}, HOME),
    ("hh mh", {5}, HOME),
    ("ww hm", {4}, HOME),
    ("ww mh", {4}, HOME),
    ("ww", {0}, STANDBY),
    ("wm", {2}, STANDBY),
    ("mw", {2}, STANDBY),
    ("ww wm", {1}, STANDBY),
    ("ww mw", {1}, STANDBY),
    ("hh wm", {2}, STANDBY),
    ("hh mw", {2}, STANDBY),
    ("hw", {3}, STANDBY),
    ("wh", {3}, STANDBY),
    ("mm", {4}, HOME),
    ("hh mm", {4}, HOME),
    ("ww mm", {2}, STANDBY),
    ("hw mm", {3}, STANDBY),
    ("wh mm", {3}, STANDBY),
    # the residual case: west dark since it said west, authority moved home, then east's metrics vanish too
    ("ww hm mm", {3}, STANDBY),
    # a failover in steps: home is lost, its data go missing, the standby reports itself
    ("hh mh mw", {2}, STANDBY),
    ("hh mh mw ww", {0}, STANDBY),
]
CASES = [pytest.param(said.split(), children, answer, id=said) for said, children, answer in TABLE]


def authority_checks():
    children = {
        f"{region} {insufficient}": Check(
            CLOUDWATCH_METRIC, alarm=(region, "authority"), insufficient=insufficient
        )
        for region in (HOME, STANDBY)
        for insufficient in Insufficient
    }
    parent = {"children": tuple(children), "threshold": 4}
    return {
        **children,
        "home": Check(CALCULATED, **parent),
        "standby": Check(CALCULATED, inverted=True, **parent),
    }


def hear(said):
    by_region = dict(zip((HOME, STANDBY), said, strict=True))
    return lambda region, _alarm: SAYS[by_region[region]]


def healthy_children(health):
    return sum(health.verdicts[name].healthy for name in health.verdicts if " " in name)


@pytest.mark.parametrize(("story", "children", "answer"), CASES)
def test_the_truth_table(story, children, answer):
    health = NOTHING_KNOWN
    for said in story:
        health = evaluate(authority_checks(), hear(said), health)
    assert {healthy_children(health)} == children
    checks = {HOME: "home", STANDBY: "standby"}
    assert choose_failover(HOME, STANDBY, lambda region: health.healthy(checks[region])) == answer
    assert health.healthy("home") != health.healthy("standby")


@given(st.lists(st.sampled_from([a + b for a in "hwm" for b in "hwm"]), min_size=1, max_size=8))
def test_exactly_one_record_is_healthy_whatever_is_heard(story):
    health = NOTHING_KNOWN
    for said in story:
        health = evaluate(authority_checks(), hear(said), health)
        assert health.healthy("home") != health.healthy("standby")


@given(st.lists(st.sampled_from(["mm", "mw", "wm", "ww"]), max_size=6))
def test_dns_never_flips_back_by_itself(silence):
    """Once both said west, no pattern of missing data brings home back."""
    health = evaluate(authority_checks(), hear("ww"))
    for said in silence:
        health = evaluate(authority_checks(), hear(said), health)
        assert health.healthy("standby")


# With the https trigger four of the six children ask the endpoints: a silent one fails /home and passes the inverted
# /away, which is what missing data do to the checks set to Unhealthy and Healthy.
HTTPS_TABLE = [
    # what the endpoints say, how many LastKnownStatus children say home, answer
    *[("hh", known, HOME) for known in (0, 1, 2)],
    *[(said, known, STANDBY) for said in ("ww", "wm", "mw") for known in (0, 1, 2)],
    *[(said, known, HOME if known else STANDBY) for said in ("hm", "mh") for known in (0, 1, 2)],
    *[(said, known, HOME if known == 2 else STANDBY) for said in ("hw", "wh", "mm") for known in (0, 1, 2)],
]
KNOWN = {0: "ww", 1: "hw", 2: "hh"}
"""What the metrics said last, by how many LastKnownStatus children say home."""
PASSES = {"h": "home", "w": "away", "m": None}
"""The path at which an endpoint answers with 200."""


def https_checks():
    """The stack's children: two per region on what its endpoint says, one on its metric."""
    children = {
        f"{region} {path}": Check(
            HTTPS, inverted=path == "away", endpoint=Endpoint(f"{region}.example", f"/{path}", 10)
        )
        for region in (HOME, STANDBY)
        for path in ("home", "away")
    }
    for region in (HOME, STANDBY):
        children[f"{region} last"] = Check(CLOUDWATCH_METRIC, alarm=(region, "authority"))
    parent = {"children": tuple(children), "threshold": 4}
    return {
        **children,
        "home": Check(CALCULATED, **parent),
        "standby": Check(CALCULATED, inverted=True, **parent),
    }


def asking(said):
    """What the checkers make of endpoints that have said this for long enough."""
    by_region = dict(zip((HOME, STANDBY), said, strict=True))

    def verdict(name):
        region, path = name.split()
        passed, opinion = PASSES[by_region[region]] == path, Opinion()
        for _ in range(3):
            opinion = heard(opinion, passed, 3)
        return aggregate([opinion] * 3)

    return verdict


@pytest.mark.parametrize(("said", "known", "answer"), HTTPS_TABLE)
def test_the_truth_table_of_the_https_trigger(said, known, answer):
    for told in (KNOWN[known], "mm"):
        health = evaluate(https_checks(), hear(KNOWN[known]), endpoints=asking("mm"))
        health = evaluate(https_checks(), hear(told), health, asking(said))
        assert health.healthy("home") == (answer == HOME)
        assert health.healthy("home") != health.healthy("standby")


def test_at_first_boot_endpoints_of_which_nothing_is_known_mean_home():
    health = evaluate(https_checks(), hear("mm"))
    assert health.healthy("home")
    assert not health.healthy("standby")


@given(
    st.lists(
        st.tuples(st.sampled_from(["mm", "mw", "wm", "ww"]), st.sampled_from(["mm", "mw", "wm", "ww"])),
        max_size=6,
    )
)
def test_with_the_https_trigger_dns_never_flips_back_by_itself(silence):
    health = evaluate(https_checks(), hear("ww"), endpoints=asking("ww"))
    for endpoints, metrics in silence:
        health = evaluate(https_checks(), hear(metrics), health, asking(endpoints))
        assert health.healthy("standby")


@pytest.mark.parametrize("other", ["h", "w", "m"])
def test_flooding_an_endpoint_moves_nothing(other):
    """Whoever silences a public endpoint can at most make it a silent one: with both metrics at home, DNS stays home
    unless the other endpoint says that authority has left."""
    for said in (f"m{other}", f"{other}m"):
        health = evaluate(https_checks(), hear("hh"), endpoints=asking(said))
        assert health.healthy("home") == (other != "w")


def minds(answers, failures=3):
    opinion, found = Opinion(), []
    for passed in answers:
        opinion = heard(opinion, passed == "+", failures)
        found.append(opinion.healthy)
    return found


@pytest.mark.parametrize(
    ("answers", "failures", "minds_made_up"),
    [
        ("+++", 3, [None, None, True]),
        ("---", 3, [None, None, False]),
        ("++-+++", 3, [None] * 5 + [True]),
        ("+++--+--", 3, [None, None] + [True] * 6),
        ("+++---++", 3, [None, None, True, True, True] + [False] * 3),
        ("+++---+++", 3, [None, None, True, True, True, False, False, False, True]),
        ("+-+", 1, [True, False, True]),
    ],
)
def test_a_checker_changes_its_mind_after_so_many_answers_in_a_row(answers, failures, minds_made_up):
    """RequestInterval x FailureThreshold is the time that a change takes."""
    assert minds(answers, failures) == minds_made_up


@pytest.mark.parametrize(
    ("well", "ill", "healthy"),
    [(1, 2, True), (0, 3, False), (1, 7, False), (2, 6, True), (18, 82, False), (19, 81, True), (0, 0, True)],
)
def test_an_endpoint_is_healthy_when_more_than_eighteen_percent_of_the_checkers_say_so(well, ill, healthy):
    undecided = [Opinion(None, True, 1)]
    assert aggregate([*[Opinion(True)] * well, *[Opinion(False)] * ill, *undecided]).healthy is healthy


def one(check, said=State.OK, others=None, before=NOTHING_KNOWN):
    return evaluate({"it": check, **(others or {})}, lambda *_: said, before).verdicts["it"].healthy


def metric(**changes):
    return Check(CLOUDWATCH_METRIC, alarm=(HOME, "a"), **changes)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_metric_check_follows_its_stream(inverted):
    assert one(metric(inverted=inverted), State.OK) != inverted
    assert one(metric(inverted=inverted), State.ALARM) == inverted


@pytest.mark.parametrize(
    ("setting", "first", "after_ok", "after_alarm"),
    [
        (Insufficient.HEALTHY, True, True, True),
        (Insufficient.UNHEALTHY, False, False, False),
        (Insufficient.LAST_KNOWN, True, True, False),
    ],
)
def test_insufficient_data(setting, first, after_ok, after_alarm):
    check = metric(insufficient=setting)
    assert one(check, State.INSUFFICIENT_DATA) == first
    for said, expected in ((State.OK, after_ok), (State.ALARM, after_alarm)):
        before = evaluate({"it": check}, lambda *_, said=said: said)
        assert one(check, State.INSUFFICIENT_DATA, before=before) == expected


def test_the_last_known_status_outlives_two_silences_and_a_new_setting():
    told = evaluate({"it": metric()}, lambda *_: State.ALARM)
    silent = evaluate(
        {"it": metric(insufficient=Insufficient.HEALTHY)}, lambda *_: State.INSUFFICIENT_DATA, told
    )
    assert one(metric(), State.INSUFFICIENT_DATA, before=silent) is False


def test_disabled_is_healthy_and_inversion_still_applies():
    assert one(metric(disabled=True), State.ALARM) is True
    assert one(metric(disabled=True, inverted=True), State.ALARM) is False


@pytest.mark.parametrize(
    ("threshold", "healthy"),
    [(0, True), (1, True), (2, True), (3, False), (4, False)],
    ids=str,
)
def test_a_calculated_check_counts_its_children(threshold, healthy):
    children = {"a": metric(), "b": metric(), "c": metric(inverted=True)}
    check = Check(CALCULATED, children=("a", "b", "c"), threshold=threshold)
    assert one(check, State.OK, children) is healthy


def test_a_calculated_check_without_children():
    assert one(Check(CALCULATED, threshold=0)) is True
    assert one(Check(CALCULATED, threshold=1)) is False


def test_deleted_and_nested_children_do_not_count():
    nested = {"inner": Check(CALCULATED, threshold=0)}
    assert one(Check(CALCULATED, children=("gone",), threshold=1)) is False
    assert one(Check(CALCULATED, children=("inner",), threshold=1), others=nested) is False


@pytest.mark.parametrize(
    ("healthy", "answer"),
    [({"p", "s"}, "p"), ({"p"}, "p"), ({"s"}, "s"), (set(), "p")],
    ids=["both", "primary", "secondary", "none: fail open"],
)
def test_failover_choice(healthy, answer):
    assert choose_failover("p", "s", healthy.__contains__) == answer


def test_failover_with_one_record_only():
    assert choose_failover(None, "s", lambda _: False) == "s"
    assert choose_failover("p", None, lambda _: False) == "p"


def test_a_record_without_a_check_is_healthy():
    assert NOTHING_KNOWN.healthy(None)
    assert not NOTHING_KNOWN.healthy("deleted")


class World:
    """The overlay in moto, with what the two regions say in the test's hand."""

    def __init__(self):
        self.said = "hh"
        self.changes = []
        self.health = HealthEvaluator(
            self.stream,
            on_change=lambda name, healthy, why: self.changes.append((name, healthy, why)),
        )
        self.addresses = {ENDPOINTS[HOME]: ("127.1.1.11", 5), ENDPOINTS[STANDBY]: ("127.1.1.21", 5)}
        self.zones = Zones(self.health, lambda view, name: self.addresses.get(name))
        route53.install(self.health, self.zones)

    def stream(self, region, alarm):
        return hear(self.said)(region, alarm)

    def create(self):
        self.api = boto3.client("route53", region_name=HOME)
        children = [self.child(region, setting) for region in (HOME, STANDBY) for setting in Insufficient]
        self.parents = [
            self.check(
                f"parent-{inverted}",
                Type="CALCULATED",
                ChildHealthChecks=children,
                HealthThreshold=4,
                Inverted=inverted,
            )
            for inverted in (False, True)
        ]
        self.zone = self.api.create_hosted_zone(
            Name=ZONE,
            CallerReference="zone",
            HostedZoneConfig={"PrivateZone": True},
            VPC={"VPCRegion": HOME, "VPCId": "vpc-1"},
        )["HostedZone"]["Id"]
        for role, region, check in zip(("PRIMARY", "SECONDARY"), ENDPOINTS, self.parents, strict=True):
            self.record(
                Name=WRITER,
                Type="CNAME",
                TTL=1,
                SetIdentifier=role,
                Failover=role,
                HealthCheckId=check,
                ResourceRecords=[{"Value": ENDPOINTS[region]}],
            )
        return self

    def check(self, reference, **config):
        return self.api.create_health_check(CallerReference=reference, HealthCheckConfig=config)[
            "HealthCheck"
        ]["Id"]

    def child(self, region, setting):
        return self.check(
            f"{region}-{setting}",
            Type="CLOUDWATCH_METRIC",
            AlarmIdentifier={"Region": region, "Name": "authority"},
            InsufficientDataHealthStatus=setting.value,
        )

    def record(self, **record):
        changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
        self.api.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": changes})

    def hear(self, said):
        self.said = said
        self.health.tick()

    def writer(self):
        answer = self.zones.answer(OUTSIDE, WRITER, "A")
        return answer.records[0].values[0]

    def test_answer(self):
        return self.api.test_dns_answer(HostedZoneId=self.zone, RecordName=WRITER, RecordType="CNAME")

    def status(self, check):
        observations = self.api.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        return observations[0]["StatusReport"]["Status"]


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made = World()
    cloudwatch.install()
    with mock_aws():
        yield made.create()


def test_health_checks_keep_what_they_were_given(world):
    config = world.api.get_health_check(HealthCheckId=world.child(HOME, Insufficient.UNHEALTHY))[
        "HealthCheck"
    ]
    assert config["HealthCheckVersion"] == 1
    assert config["HealthCheckConfig"]["AlarmIdentifier"] == {"Region": HOME, "Name": "authority"}
    assert config["HealthCheckConfig"]["InsufficientDataHealthStatus"] == "Unhealthy"
    assert len(world.api.list_health_checks()["HealthChecks"]) == 8
    with pytest.raises(ClientError, match="AlreadyExists"):
        world.check(f"{HOME}-Unhealthy", Type="CALCULATED", HealthThreshold=1)


def test_an_update_changes_only_what_it_names(world):
    before = world.api.get_health_check(HealthCheckId=world.parents[0])["HealthCheck"]
    updated = world.api.update_health_check(HealthCheckId=world.parents[0], Inverted=True)["HealthCheck"]
    assert updated["HealthCheckConfig"] == {**before["HealthCheckConfig"], "Inverted": True}
    assert updated["HealthCheckVersion"] == 2
    with pytest.raises(ClientError, match="VersionMismatch"):
        world.api.update_health_check(HealthCheckId=world.parents[0], HealthCheckVersion=1, Inverted=False)


def test_inverting_moves_traffic_and_disabling_pins_it(world):
    world.api.update_health_check(HealthCheckId=world.parents[0], Inverted=True)
    world.health.tick()
    assert world.writer() == f"{ENDPOINTS[HOME]}", "both unhealthy: fail open to the primary"
    world.api.update_health_check(HealthCheckId=world.parents[1], Inverted=False)
    world.health.tick()
    assert world.writer() == ENDPOINTS[STANDBY]
    world.api.update_health_check(HealthCheckId=world.parents[0], Disabled=True, Inverted=False)
    world.hear("ww")
    assert world.writer() == ENDPOINTS[HOME], (
        "a disabled check is healthy, so the dead region keeps its traffic"
    )


@pytest.mark.parametrize(
    "config",
    [
        {"Type": "TCP", "IPAddress": "10.0.0.1", "Port": 5432},
        {"Type": "CLOUDWATCH_METRIC"},
        {"Type": "CALCULATED", "ChildHealthChecks": ["nobody"], "HealthThreshold": 1},
        {"Type": "HTTPS", "IPAddress": "10.0.0.1"},
        {"Type": "HTTPS", "FullyQualifiedDomainName": "a.example", "RequestInterval": 20},
        {"Type": "HTTPS", "FullyQualifiedDomainName": "a.example", "FailureThreshold": 11},
        {"Type": "HTTPS", "FullyQualifiedDomainName": "a.example", "Regions": list(checkers.REGIONS)},
    ],
    ids=["TCP", "no alarm", "no such child", "no name", "interval", "threshold", "places"],
)
def test_impossible_checks_are_refused(world, config):
    with pytest.raises(ClientError, match="InvalidInput"):
        world.check("bad", **config)


METRIC = {"Namespace": "F", "MetricName": "AuthorityHome"}
WATCHED = {**METRIC, "Statistic": "Minimum", "Period": 60}
SUM = {"Id": "sum", "Expression": "m1 + m2"}
PARTS = [
    {"Id": f"m{n}", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "Sum"}, "ReturnData": False}
    for n in (1, 2)
]


def watch(world, name, **settings):
    """A health check on an alarm with these settings."""
    boto3.client("cloudwatch", region_name=HOME).put_metric_alarm(
        **{
            "AlarmName": name,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "LessThanThreshold",
            **settings,
        }
    )
    return world.check(name, Type="CLOUDWATCH_METRIC", AlarmIdentifier={"Region": HOME, "Name": name})


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({**WATCHED, "Period": 10}, "high-resolution"),
        ({**METRIC, "Period": 60, "ExtendedStatistic": "p50"}, "extended"),
        ({**WATCHED, "EvaluationPeriods": 3, "DatapointsToAlarm": 2}, "M out of N"),
        ({"Metrics": [SUM, *PARTS]}, "metric of their own"),
    ],
)
def test_alarms_that_health_checks_do_not_support_are_refused(world, settings, why):
    """https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html"""
    with pytest.raises(ClientError, match=why):
        watch(world, "bad", **settings)
    good = watch(world, "good", **WATCHED)
    with pytest.raises(ClientError, match=why):
        world.api.update_health_check(HealthCheckId=good, AlarmIdentifier={"Region": HOME, "Name": "bad"})


@pytest.mark.parametrize(
    "settings", [{}, {"DatapointsToAlarm": 1}, {"EvaluationPeriods": 3}, {"Period": 300}], ids=str
)
def test_alarms_that_health_checks_support_are_taken(world, settings):
    assert watch(world, "good", **{**WATCHED, **settings})


def test_calculated_checks_do_not_nest(world):
    with pytest.raises(ClientError, match="CALCULATED"):
        world.check("nest", Type="CALCULATED", ChildHealthChecks=[world.parents[0]], HealthThreshold=1)


def test_other_routing_policies_are_refused(world):
    with pytest.raises(ClientError, match="not in the lab"):
        world.record(
            Name=f"w.{ZONE}",
            Type="A",
            TTL=1,
            SetIdentifier="x",
            Weight=1,
            ResourceRecords=[{"Value": "1.1.1.1"}],
        )


def test_the_truth_table_through_the_api(world):
    for story, (children,), answer in TABLE:
        world.health._health = NOTHING_KNOWN
        for said in story.split():
            world.hear(said)
        told = world.test_answer()
        assert (told["RecordData"], told["ResponseCode"]) == ([ENDPOINTS[answer]], "NOERROR"), story
        primary, secondary = (world.status(check) for check in world.parents)
        assert f"{children} of 6 child health checks" in primary, story
        assert primary.startswith("Success" if answer == HOME else "Failure"), story
        assert secondary.startswith("Failure" if answer == HOME else "Success"), story


def worked_out(world):
    """What the product makes of the children, as healthy or not, for both parents."""
    found = HealthChecks(world.api, gap_s=0).words(dict(enumerate(world.parents)))
    return [found[n].partition(" ")[0] == "healthy" for n in range(2)]


def test_what_is_worked_out_from_the_children_is_what_the_evaluator_says(world):
    for story, _, answer in TABLE:
        world.health._health = NOTHING_KNOWN
        for said in story.split():
            world.hear(said)
        assert worked_out(world) == [answer == HOME, answer != HOME], story
    world.hear("hh")
    config = world.api.get_health_check(HealthCheckId=world.parents[0])["HealthCheck"]["HealthCheckConfig"]
    for child in config["ChildHealthChecks"][:3]:
        world.api.update_health_check(HealthCheckId=child, Inverted=True)
    world.health.tick()
    assert worked_out(world) == [False, True]
    world.api.update_health_check(HealthCheckId=world.parents[0], Disabled=True)
    world.health.tick()
    assert worked_out(world) == [True, True]


def test_deleting_a_failover_record_spares_its_namesakes(world):
    other = {
        "Name": f"other.{ZONE}",
        "Type": "CNAME",
        "TTL": 1,
        "SetIdentifier": "PRIMARY",
        "Failover": "PRIMARY",
        "ResourceRecords": [{"Value": "x.example.com"}],
    }
    world.record(**other)
    changes = [{"Action": "DELETE", "ResourceRecordSet": other}]
    world.api.change_resource_record_sets(HostedZoneId=world.zone, ChangeBatch={"Changes": changes})
    assert world.zones.answer(HOME, f"other.{ZONE}", "A").code == "NXDOMAIN"
    assert world.writer() == ENDPOINTS[HOME]


def test_a_change_is_told_once_with_its_reason(world):
    world.changes.clear()
    world.hear("hm")
    world.hear("ww")
    world.hear("ww")
    parent_changes = [change for change in world.changes if change[0] in world.parents]
    assert [(name, healthy) for name, healthy, _ in parent_changes] == [
        (world.parents[0], False),
        (world.parents[1], True),
    ]
    assert "0 of 6" in parent_changes[0][2]


def test_answers_follow_the_cname_to_the_endpoints_address(world):
    chain = (Record(WRITER, "CNAME", 1, (ENDPOINTS[HOME],)), Record(ENDPOINTS[HOME], "A", 5, ("127.1.1.11",)))
    assert world.zones.answer(HOME, WRITER, "A") == Answer(records=chain)
    assert world.zones.answer(HOME, WRITER, "CNAME").records == chain[:1]
    assert world.zones.answer(HOME, WRITER, "AAAA") == Answer(records=chain[:1])


def test_names_that_are_not(world):
    assert world.zones.answer(HOME, f"nobody.{ZONE}", "A").code == "NXDOMAIN"
    assert world.zones.answer(HOME, f"nobody.{ZONE}", "A").soa.ttl == 900
    assert world.zones.answer(HOME, "x.rds.amazonaws.com", "A").code == "NXDOMAIN"
    assert world.zones.answer(HOME, "example.com", "A").code == "REFUSED"
    world.addresses.clear()
    dangling = world.zones.answer(HOME, WRITER, "A")
    assert (dangling.code, len(dangling.records)) == ("NXDOMAIN", 1)


def test_a_cname_out_of_the_zones_is_the_askers_to_follow(world):
    world.record(Name=f"out.{ZONE}", Type="CNAME", TTL=7, ResourceRecords=[{"Value": "example.com"}])
    record = Record(f"out.{ZONE}", "CNAME", 7, ("example.com",))
    assert world.zones.answer(HOME, f"out.{ZONE}", "A") == Answer(records=(record,))


def test_a_name_that_exists_with_other_types_only(world):
    world.record(Name=f"a.b.{ZONE}", Type="TXT", TTL=1, ResourceRecords=[{"Value": '"x"'}])
    assert world.zones.answer(HOME, f"a.b.{ZONE}", "A").code == "NOERROR"
    assert world.zones.answer(HOME, f"b.{ZONE}", "A").code == "NOERROR"
    assert world.zones.answer(HOME, ZONE, "SOA").records[0].rdtype == "SOA"


def test_a_cname_loop_is_servfail(world):
    for name, target in (("x", "y"), ("y", "x")):
        world.record(
            Name=f"{name}.{ZONE}", Type="CNAME", TTL=1, ResourceRecords=[{"Value": f"{target}.{ZONE}"}]
        )
    assert world.zones.answer(HOME, f"x.{ZONE}", "A") == Answer("SERVFAIL")


def test_from_metric_to_resolver(world, tmp_path):
    """Both regions' metrics, alarms, six checks, and a real DNS query, by the threads that a lab runs."""
    lost = set()
    alarms = AlarmEvaluator(cadence=150, lost=lost.__contains__)
    health = HealthEvaluator(alarms.stream, cadence=150)
    zones = Zones(health, lambda view, name: world.addresses.get(name))
    clients = {region: boto3.client("cloudwatch", region_name=region) for region in (HOME, STANDBY)}
    for client in clients.values():
        client.put_metric_alarm(
            AlarmName="authority",
            Namespace="F",
            MetricName="AuthorityHome",
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
        )
    addresses = Addresses.claim(tmp_path)
    server = DnsServer(Address(addresses.view(OUTSIDE), addresses.dns_port), OUTSIDE, zones.answer)
    alarms.start()
    health.start()

    def answer_becomes(region, values):
        deadline = time.monotonic() + 8
        while True:
            for place, value in values.items():
                clients[place].put_metric_data(
                    Namespace="F", MetricData=[{"MetricName": "AuthorityHome", "Value": value}]
                )
            query = dns.message.make_query(f"{WRITER}.", "A")
            response = dns.query.udp(query, server.address.host, port=server.address.port, timeout=2)
            if response.answer[0][0].to_text() == f"{ENDPOINTS[region]}.":
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        answer_becomes(HOME, {HOME: 1, STANDBY: 1})
        lost.add(HOME)
        answer_becomes(STANDBY, {STANDBY: 0})
        lost.clear()
        answer_becomes(STANDBY, {HOME: 0, STANDBY: 0})
        answer_becomes(HOME, {HOME: 1, STANDBY: 1})
    finally:
        server.close()
        health.close()
        alarms.close()
        addresses.release()
