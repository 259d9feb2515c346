"""DNS led by the public endpoints, on a lab that runs the real stack with them: the function of the bundle, behind its
URL, over TLS, asked by checkers. In the end the test writes the record in the controllers' place."""

import itertools
import json
import socket
import ssl
from http.client import HTTPResponse

import pytest
from running import HOME, STANDBY, RunningLab, murder, unique, wait_for
from test_route53 import HTTPS_TABLE, KNOWN
from watching import Voices, answers, sightings

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(900)]
REGIONS = (HOME, STANDBY)
HEARD_S = 60
RUNS = [row for row in HTTPS_TABLE if row[0] not in ("hw", "wh")]
"""One table with strong consistency does not say two things at the same time."""


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("h"), "--cadence", "20", "--dns-trigger", "https")
    try:
        yield running.await_ready()
    finally:
        running.close()


def ask(lab, region, method, path):
    """As anybody can: status, body, headers."""
    (url,) = [url for url in lab.info["function_urls"]["listening"] if region in url]
    host = url.removeprefix("https://")
    address, port = lab.info["function_urls"]["listening"][url].split(":")
    context = ssl.create_default_context(cafile=lab.info["function_urls"]["ca"])
    with (
        socket.create_connection((address, int(port)), 30) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        reply = HTTPResponse(secure, method=method)
        reply.begin()
        return reply.status, reply.read(), set(reply.headers.keys())


@pytest.mark.parametrize("region", REGIONS)
def test_the_endpoint_says_home_or_away_and_nothing_else(lab, region):
    told = {path: ask(lab, region, "GET", path) for path in ("/home", "/away", "/", "/home/x", "/status")}
    assert {path: status for path, (status, _, _) in told.items()} == {
        "/home": 200,
        "/away": 503,
        "/": 404,
        "/home/x": 404,
        "/status": 404,
    }
    others = [ask(lab, region, method, "/home") for method in ("POST", "PUT", "DELETE", "HEAD", "PATCH")]
    assert {status for status, _, _ in others} == {404}
    for _, body, headers in (*told.values(), *others):
        assert body == b""
        assert headers == {"Date", "Content-Type", "x-amzn-RequestId", "Content-Length"}


def test_nothing_else_is_public(lab):
    opened = []
    for region in REGIONS:
        functions = lab.aws("lambda", region)
        for name in (f["FunctionName"] for f in functions.list_functions()["Functions"]):
            try:
                policy = json.loads(functions.get_policy(FunctionName=name)["Policy"])
            except functions.exceptions.ResourceNotFoundException:
                continue
            opened += [name for one in policy["Statement"] if one["Principal"] == "*"]
    assert set(opened) == {lab.names.authority_function(region) for region in REGIONS}


def test_dns_follows_a_move_through_the_endpoints(lab):
    assert answers(lab) == {lab.endpoint(HOME)}
    lab.run("switchover", "--to", STANDBY, timeout_s=120)
    wait_for("DNS follows", lambda: answers(lab) == {lab.endpoint(STANDBY)}, HEARD_S)
    assert ask(lab, STANDBY, "GET", "/away")[0] == 200


def test_after_the_move_cloudwatchs_reading_of_the_lag_is_not_in_doubt(lab):
    """CloudWatch's values of before the move stay fresh for five minutes in true time: longer than this lab lives."""
    metric = lab.aws("cloudwatch", STANDBY).list_metrics(Namespace="AWS/RDS")["Metrics"]
    assert metric, "the new writer's region has values of before"
    wait_for("both monitors know the new writer", lambda: set(_writers(lab).values()) == {STANDBY}, HEARD_S)
    for _ in range(10):
        seen = sightings(lab)
        doubts = [doubt for one in seen.values() for doubt in one.lag_doubts]
        assert not [doubt for doubt in doubts if doubt.startswith("cloudwatch")]
        sequence = {region: one.sequence for region, one in seen.items()}
        wait_for("another look of each", lambda s=sequence: _went_on(lab, s), HEARD_S)


def _writers(lab):
    return {region: seen.lag_writer[0] for region, seen in sightings(lab).items() if seen.lag_writer}


def _went_on(lab, before):
    return all(seen.sequence != before[region] for region, seen in sightings(lab).items())


@pytest.fixture(scope="module")
def voices(lab):
    """From here on the test writes the record and the metrics: no schedule, no monitor, no controller."""
    for region in REGIONS:
        events = lab.aws("events", region)
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
    kinds = ("monitor", "controller")
    wait_for("no loop is left", lambda: not sum(murder(lab.functions(kind)) for kind in kinds))
    with Voices(lab) as speaking:
        yield speaking


class Said:
    """What the endpoints and the metrics are to say, and what the health checks make of it."""

    def __init__(self, lab, voices):
        self._lab, self._voices = lab, voices
        self._api = lab.aws("route53", HOME)
        self._checks = {
            check["Id"]: check["HealthCheckConfig"]
            for check in self._api.list_health_checks()["HealthChecks"]
        }
        self._hosts = {
            region: next(
                url.removeprefix("https://")
                for url in lab.info["function_urls"]["listening"]
                if region in url
            )
            for region in REGIONS
        }

    def endpoints(self, said):
        """One table, so those that speak say the same; a function without concurrency is a silent one."""
        voice = next((voice for voice in said if voice != "m"), "h")
        self._write(HOME if voice == "h" else STANDBY)
        for region, voice_there in zip(REGIONS, said, strict=True):
            functions, name = self._lab.aws("lambda", region), self._lab.names.authority_function(region)
            at_once = 0 if voice_there == "m" else 10
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=at_once)
        wait_for(f"the checkers hear {said}", lambda: all(self._heard(said)), HEARD_S)

    def _write(self, holder):
        dynamodb, names = self._lab.aws("dynamodb", STANDBY), self._lab.names
        key = {"global_cluster": {"S": names.global_cluster}, "entry_key": {"S": "authority"}}
        item = dynamodb.get_item(TableName=names.authority_table, Key=key, ConsistentRead=True)["Item"]
        document = {**json.loads(item["document"]["S"]), "holder": holder}
        dynamodb.put_item(
            TableName=names.authority_table, Item={**item, "document": {"S": json.dumps(document)}}
        )

    def _heard(self, said):
        """For each endpoint and path whether every checker has had the answer that is to be had."""
        for region, voice in zip(REGIONS, said, strict=True):
            for path, passing in (("/home", "h"), ("/away", "w")):
                (check,) = [
                    check
                    for check, config in self._checks.items()
                    if config.get("FullyQualifiedDomainName") == self._hosts[region]
                    and config["ResourcePath"] == path
                ]
                yield set(self._status(check)) == {"Success" if voice == passing else "Failure"}

    def metrics(self, said):
        self._voices.said = said
        words = {"h": "Success", "w": "Failure"}
        for region, voice in zip(REGIONS, said, strict=True):
            (check,) = [
                check
                for check, config in self._checks.items()
                if config.get("AlarmIdentifier", {}).get("Region") == region
            ]
            wait_for(
                f"{region} says {voice}", lambda c=check, v=voice: self._status(c) == [words[v]], HEARD_S
            )

    def _status(self, check):
        seen = self._api.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        return [one["StatusReport"]["Status"].partition(":")[0] for one in seen]

    def parents(self):
        """By inversion whether each CALCULATED check is healthy."""
        return {
            config["Inverted"]: self._status(check) == ["Success"]
            for check, config in self._checks.items()
            if config["Type"] == "CALCULATED"
        }


def holds(lab, said, row):
    """Three failures in a row change a checker's mind, so the answer comes after the last word was heard."""
    endpoints, known, answer = row
    said.endpoints("hh")
    said.metrics(KNOWN[known])
    said.endpoints(endpoints)
    wanted = {False: answer == HOME, True: answer != HOME}
    wait_for(f"{row}: the records' checks", lambda: said.parents() == wanted, HEARD_S)
    wait_for(f"{row}: the answer", lambda: answers(lab) == {lab.endpoint(answer)}, HEARD_S)


def test_the_endpoints_move_dns_whatever_the_metrics_say(lab, voices):
    said = Said(lab, voices)
    holds(lab, said, ("wm", 2, STANDBY))
    holds(lab, said, ("hh", 0, HOME))


def test_the_truth_table_of_the_https_trigger_on_a_lab_that_runs(lab, voices):
    said = Said(lab, voices)
    assert len(RUNS) == 21
    for row in itertools.chain(RUNS, reversed(RUNS[:6])):
        holds(lab, said, row)
