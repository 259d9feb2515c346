"""Lag, alerts, black holes and DNS on a lab that runs: real servers, functions, alarms, mail and sockets.

The tests share one lab, in order; the last ones end every function and put the test in their place.
"""

import json
import time
from pathlib import Path

import psycopg
import pytest
from botocore.exceptions import ReadTimeoutError
from running import HOME, STANDBY, Pulse, RunningLab, murder, stopped, unique, wait_for
from test_route53 import TABLE
from watching import (
    VIEWS,
    Inbox,
    Voices,
    alarm_states,
    answers,
    confirm_mails,
    mails,
    sightings,
    subscribe,
)

from farshore.core.profile import FAST
from farshore.lab.cloud.health import Insufficient
from farshore.lab.postgres.volume import SUPERUSER

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
CADENCE = 120
REGIONS = (HOME, STANDBY)
WORDS = {"h": "says OK", "w": "says ALARM", "m": "insufficient data"}


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("w"), "--cadence", str(CADENCE))
    try:
        running.await_ready().make_pulse_table()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def inbox(lab):
    made = Inbox()
    for region in REGIONS:
        subscribe(lab, region, "http", made.url)
        subscribe(lab, region, "email", f"{region}@example.com")
    confirm_mails(lab, 2)
    yield made
    made.close()


def known(lab):
    """Both monitors know the lag by every reading that there should be."""
    seen = sightings(lab)
    return set(seen) == set(REGIONS) and all(s.lag_state == "ok" and not s.lag_doubts for s in seen.values())


def test_auroras_own_lag_is_where_the_secondary_is_and_nothing_rings(lab):
    wait_for("both monitors know the lag", lambda: known(lab))
    listed = {
        region: {
            m["MetricName"]
            for m in lab.aws("cloudwatch", region).list_metrics(Namespace="AWS/RDS")["Metrics"]
        }
        for region in REGIONS
    }
    assert listed == {HOME: set(), STANDBY: {"AuroraGlobalDBRPOLag", "AuroraGlobalDBReplicationLag"}}
    for region in REGIONS:
        wait_for(
            "the unknown is nothing", lambda region=region: alarm_states(lab, region)["lag-unknown"] == "OK"
        )
        ringing = {what for what, state in alarm_states(lab, region).items() if state == "ALARM"}
        assert not ringing


def test_a_lag_that_nobody_knows_is_told_by_both_monitors_and_alarms(lab, inbox):
    """The link between the regions is cut: the writer loses sight of its secondary, and the secondary of its writer."""
    wait_for("both monitors know the lag", lambda: known(lab))
    cut = time.monotonic()

    def heard(region, what, met, after=cut):
        return wait_for(f"{region}: {what}", lambda: inbox.first(met, after), 90)

    lab.cut(HOME, STANDBY)
    try:
        rang = {
            region: heard(region, "the alarm", alarm("lag-unknown", region, "ALARM")) for region in REGIONS
        }
        told = {region: heard(region, "the notice", notice(region, "unknown")) for region in REGIONS}
        assert all(alarm_states(lab, region)["lag-unknown"] == "ALARM" for region in REGIONS)
    finally:
        lab.join(HOME, STANDBY)
    for region in REGIONS:
        heard(region, "the end of the alarm", alarm("lag-unknown", region, "OK"), rang[region][0])
        heard(region, "the end", notice(region, "ok"), told[region][0])
        assert (told[region][1]["before"], told[region][1]["lag_ms"]) == ("ok", None)
    for what, messages in (("alarm", rang), ("notice", told)):
        print(f"{what} after", {region: f"{at - cut:.1f} s" for region, (at, _) in messages.items()})


def alarm(what, region, state):
    def met(document):
        arn = document.get("AlarmArn", "")
        return document.get("NewStateValue") == state and region in arn and f"-{what}-alarm-" in arn

    return met


def notice(region, state):
    return lambda document: (document.get("region"), document.get("state")) == (region, state)


def test_a_dead_letter_rings(lab, inbox):
    sqs = lab.aws("sqs", STANDBY)
    url = sqs.get_queue_url(QueueName=lab.names.dead_letters(STANDBY))["QueueUrl"]
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="an event that nobody took")
    wait_for("its alarm's message", lambda: inbox.first(alarm("dead-letters", STANDBY, "ALARM"), sent))
    sqs.purge_queue(QueueUrl=url)
    wait_for("the end", lambda: inbox.first(alarm("dead-letters", STANDBY, "OK"), sent))


def wait_longer_for_replicas(lab, region):
    """The writer keeps a silent replica for a minute: at the lab's 5 s its lag is unknown before it is 5 s."""
    folder = Path(lab.postmaster(region, writer=True).cmdline()[-1]).parent.name
    with psycopg.connect(
        host=str(lab.directory / "run" / folder),
        port=lab.info["port"],
        user=SUPERUSER,
        dbname="postgres",
        autocommit=True,
    ) as superuser:
        superuser.execute("alter system set wal_sender_timeout = '60s'")
        superuser.execute("select pg_reload_conf()")


def walreceiver(lab, region):
    postmaster = lab.postmaster(region, writer=True)
    return next(p for p in postmaster.children() if "walreceiver" in " ".join(p.cmdline()))


def test_a_lag_above_five_seconds_is_told_by_monitor_and_alarm(lab, inbox):
    """The standby's receiver is frozen, so nothing of what the writer goes on committing arrives."""
    wait_for("both monitors know the lag", lambda: known(lab))
    wait_longer_for_replicas(lab, HOME)
    with Pulse(lab, HOME) as pulse:
        wait_for("a first write", pulse.confirmed)
        with stopped([walreceiver(lab, STANDBY)]):
            frozen = time.monotonic()
            late = wait_for("a late reading", lambda: _late(lab))
            told_at, told = wait_for(
                "the monitor's notice", lambda: inbox.first(lambda d: d.get("state") == "late", frozen)
            )
            rang_at, rang = wait_for(
                "the alarm's message",
                lambda: inbox.first(
                    lambda d: d.get("NewStateValue") == "ALARM" and "-lag-alarm" in d["AlarmName"], frozen
                ),
            )
            wait_for("the mails", lambda: "replication lag" in mails(lab) and "ALARM:" in mails(lab))
        over_at, _ = wait_for(
            "the end is told", lambda: inbox.first(lambda d: d.get("state") == "ok", told_at), 60
        )
    print(
        f"lag frozen: first late reading after {late - frozen:.2f} s, notice after {told_at - frozen:.2f} s, "
        f"alarm after {rang_at - frozen:.2f} s; notice of the end {over_at - told_at:.2f} s after the first"
    )
    assert told["schema"] == "farshore.lag/1"
    assert told["lag_ms"] > 5000
    assert told["before"] == "ok"
    assert rang["Trigger"]["MetricName"] == "AuroraGlobalDBRPOLag"
    assert told_at - late < 3


def _late(lab):
    return time.monotonic() if any(s.lag_state == "late" for s in sightings(lab).values()) else None


@pytest.mark.soak
def test_a_black_hole_in_one_endpoint_delays_no_other(lab):
    """After a late lag, CloudWatch's value of before may stand against the database's word for some minutes."""
    wait_for("both monitors know the lag", lambda: known(lab), 240)
    reader = lab.postmaster(STANDBY, writer=False)
    watched: dict[str, set[str]] = {region: set() for region in REGIONS}
    silences: dict[str, list[int]] = {}
    with stopped([reader, *reader.children()]):
        began = time.monotonic()
        while time.monotonic() - began < 10:
            for region, seen in sightings(lab).items():
                watched[region].add(seen.sequence)
                for probed, endpoints in seen.endpoints.items():
                    silences.setdefault(f"{probed} writer", []).append(endpoints.writer_silent_ms or 0)
                    silences.setdefault(f"{probed} reader", []).append(endpoints.reader_silent_ms or 0)
            time.sleep(0.1)
        seconds = time.monotonic() - began
    due = seconds * 1000 / FAST.probe_ms
    print({region: f"{len(written)} of {due:.0f}" for region, written in watched.items()})
    assert max(silences.pop(f"{STANDBY} reader")) > 2 * FAST.unreachable_after_ms
    assert all(max(silent) < FAST.unreachable_after_ms for silent in silences.values()), silences
    assert all(len(written) > 0.6 * due for written in watched.values())


def test_no_log_holds_a_secret(lab):
    """The functions have met silence, frozen servers and refused connections by now."""
    secrets = [lab.info["database"][key] for key in ("admin_password", "app_password")]
    for name in (lab.names.controller_secret, lab.names.master_secret):
        found = lab.aws("secretsmanager", HOME).get_secret_value(SecretId=name)
        secrets.append(json.loads(found["SecretString"])["password"])
    logs = list((lab.directory / "logs").rglob("*"))
    text = "".join(path.read_text(errors="replace") for path in logs if path.is_file())
    assert '"event": "lag"' in text
    assert all(len(secret) > 10 for secret in secrets)
    assert not [secret for secret in secrets if secret in text]


@pytest.fixture(scope="module")
def voices(lab):
    """From here on the test says where authority is: no schedule, no function."""
    for region in REGIONS:
        events = lab.aws("events", region)
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
    wait_for("no function is left", lambda: not murder(lab.functions()) and not lab.functions())
    with Voices(lab) as speaking:
        yield speaking


class Checks:
    """The health checks of the stack, and what they are said to see."""

    def __init__(self, lab):
        self.api = lab.aws("route53", HOME)
        found = self.api.list_health_checks()["HealthChecks"]
        self.children = {region: [] for region in REGIONS}
        for check in found:
            alarm = check["HealthCheckConfig"].get("AlarmIdentifier")
            if alarm:
                self.children[alarm["Region"]].append(check["Id"])
        self.parents = {
            check["HealthCheckConfig"]["Inverted"]: check["Id"]
            for check in found
            if check["HealthCheckConfig"]["Type"] == "CALCULATED"
        }
        self.zone = self.api.list_hosted_zones()["HostedZones"][0]["Id"]

    def status(self, check):
        observed = self.api.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        return observed[0]["StatusReport"]["Status"]

    def hear(self, said):
        return all(
            WORDS[voice] in self.status(check)
            for region, voice in zip(REGIONS, said, strict=True)
            for check in self.children[region]
        )

    def test_answer(self, name):
        told = self.api.test_dns_answer(HostedZoneId=self.zone, RecordName=name, RecordType="CNAME")
        return {value.rstrip(".") for value in told["RecordData"]}


def ends(rows):
    """What is said last, and what comes of it."""
    return {(story.split()[-1], *children, answer) for story, children, answer in rows}


def test_the_truth_table_on_running_alarms_checks_and_resolvers(lab, voices):
    checks = Checks(lab)
    assert {region: len(found) for region, found in checks.children.items()} == {HOME: 3, STANDBY: 3}
    stories = [row for row in TABLE if "m" not in row[0][:2]]
    assert ends(stories) == ends(TABLE), (
        "what begins with nothing known, a running lab tells from a start that is"
    )
    for story, (children,), answer in stories:
        for said in story.split():
            voices.said = said
            wait_for(f"{said} of {story} is heard", lambda said=said: checks.hear(said), 20)
        wanted = {lab.endpoint(answer)}
        wait_for(
            f"{story}: {children} healthy children",
            lambda n=children: f"{n} of 6 child" in checks.status(checks.parents[False]),
        )
        assert answers(lab) == wanted, story
        assert checks.test_answer(lab.info["writer_name"]) == wanted, story
        healthy = {
            inverted: checks.status(check).startswith("Success") for inverted, check in checks.parents.items()
        }
        assert healthy == {False: answer == HOME, True: answer != HOME}, story


def test_at_first_boot_silence_means_home(lab, voices):
    """New checks on silent alarms know nothing yet: four of six are healthy."""
    checks, made = Checks(lab), []
    voices.said = "mm"
    wait_for("silence is heard", lambda: checks.hear("mm"), 20)
    for region in REGIONS:
        for setting in Insufficient:
            config = {
                "Type": "CLOUDWATCH_METRIC",
                "AlarmIdentifier": {"Region": region, "Name": lab.names.authority_alarm(region)},
                "InsufficientDataHealthStatus": setting.value,
            }
            reference = f"first-boot-{region}-{setting}"
            answer = checks.api.create_health_check(CallerReference=reference, HealthCheckConfig=config)
            made.append(answer["HealthCheck"]["Id"])
    config = {"Type": "CALCULATED", "ChildHealthChecks": made, "HealthThreshold": 4}
    parent = checks.api.create_health_check(CallerReference="first-boot", HealthCheckConfig=config)
    made.insert(0, parent["HealthCheck"]["Id"])
    assert checks.status(made[0]).startswith("Success: 4 of 6 child")
    for check in made:
        checks.api.delete_health_check(HealthCheckId=check)


def test_dns_leaves_a_lost_region_without_asking_it_and_never_comes_back_by_itself(lab, voices):
    """The lost region holds Route 53's control plane as well; only the standby speaks, and then nobody does."""
    checks = Checks(lab)
    voices.said = "hh"
    wait_for("home is heard", lambda: checks.hear("hh"), 20)
    assert answers(lab) == {lab.endpoint(HOME)}
    voices.said = "mw"
    lab.fault("region-loss", HOME)
    lost = time.monotonic()
    others = [view for view in VIEWS if view != HOME]
    wait_for("DNS follows", lambda: answers(lab, others) == {lab.endpoint(STANDBY)})
    print(f"DNS followed {time.monotonic() - lost:.2f} s after the loss at cadence {CADENCE}")
    with pytest.raises(ReadTimeoutError):
        checks.status(checks.parents[False])
    voices.said = "mm"
    lab.fault("heal", HOME)
    given = set()
    until = time.monotonic() + 6 * 60 / CADENCE
    while time.monotonic() < until:
        given |= answers(lab)
    assert given == {lab.endpoint(STANDBY)}
