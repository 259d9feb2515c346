"""Function URLs over TLS, and Route 53's checkers that ask them: sockets, processes and handshakes are real."""

import http.client
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from cloudkit import HOME, STANDBY, Links, bundle, client, eventually, make_cloud

from farshore.lab.cloud import checkers
from farshore.lab.cloud.checkers import Checkers
from farshore.lab.cloud.health import Endpoint
from farshore.lab.cloud.wire import Answer, HttpServer, Silence
from farshore.lab.ports import Address

ROLE = "arn:aws:iam::123456789012:role/lambda-monitor-role-t"
SOURCE = """
import json

def handler(event, context):
    path = event["rawPath"]
    if path == "/raise":
        raise ValueError("no luck")
    if path == "/plain":
        return {"told": "all"}
    if path == "/teapot":
        return {"statusCode": 418, "headers": {"X-Tea": "green"}, "body": "short"}
    http = event["requestContext"]["http"]
    return {"statusCode": 200, "body": json.dumps(
        [event["version"], http["method"], path, event["rawQueryString"], http["userAgent"]])}
"""
GRANTS = {
    "public-url": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    "public-url-invoke": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
}


class Public:
    def __init__(self, cloud, links):
        self.cloud, self.links = cloud, links
        self.api = client(cloud, "lambda", HOME)
        self.api.create_function(
            FunctionName="says",
            Runtime="python3.11",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": bundle(SOURCE)},
            Timeout=10,
        )
        made = self.api.create_function_url_config(FunctionName="says", AuthType="NONE")
        self.host = made["FunctionUrl"].removeprefix("https://").rstrip("/")

    def open(self, *statements):
        for statement in statements:
            self.api.add_permission(
                FunctionName="says", StatementId=statement, Principal="*", **GRANTS[statement]
            )

    def ask(self, path, method="GET", host=None, timeout=15):
        """By a client that verifies the certificate."""
        found = self.cloud.urls.find(self.host)
        context = ssl.create_default_context(cafile=str(self.cloud.urls.ca_file))
        with (
            socket.create_connection((found.host, found.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=self.host) as secure,
        ):
            secure.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: {host or self.host}\r\nUser-Agent: me\r\n\r\n".encode()
            )
            reply = http.client.HTTPResponse(secure, method=method)
            reply.begin()
            return reply.status, reply.read().decode(), dict(reply.getheaders())


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    links = Links()
    cloud = make_cloud(tmp_path_factory.mktemp("cloud"), links)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client(cloud, "iam", HOME).create_role(
        RoleName=ROLE.rpartition("/")[2],
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    yield Public(cloud, links)
    cloud.close()


def test_a_url_is_closed_until_both_grants_to_everybody_are_there(public):
    assert public.ask("/home")[0] == 403
    public.open("public-url")
    assert public.ask("/home")[0] == 403
    public.open("public-url-invoke")
    assert public.ask("/home")[0] == 200
    public.api.remove_permission(FunctionName="says", StatementId="public-url")
    assert public.ask("/home")[0] == 403
    public.open("public-url")


def test_the_event_and_what_the_function_answers(public):
    status, body, _ = public.ask("/home?x=1", "POST")
    assert (status, json.loads(body)) == (200, ["2.0", "POST", "/home", "x=1", "me"])
    status, body, headers = public.ask("/teapot")
    assert (status, body, headers["X-Tea"]) == (418, "short", "green")
    assert json.loads(public.ask("/plain")[1]) == {"told": "all"}


def test_a_function_that_fails_is_a_bad_gateway_and_tells_nothing(public):
    status, body, _ = public.ask("/raise")
    assert (status, json.loads(body)) == (502, {"Message": "Internal Server Error"})


def test_a_function_without_concurrency_is_throttled(public):
    public.api.put_function_concurrency(FunctionName="says", ReservedConcurrentExecutions=0)
    assert public.ask("/home")[0] == 429
    public.api.delete_function_concurrency(FunctionName="says")
    assert public.ask("/home")[0] == 200


def test_a_host_that_is_no_url_of_the_region_is_forbidden(public):
    assert public.ask("/home", host="nobody.lambda-url.us-east-1.on.aws")[0] == 403
    assert public.cloud.urls.find(f"x.lambda-url.{STANDBY}.on.aws") is not None
    assert public.cloud.urls.find("x.lambda-url.eu-west-1.on.aws") is None
    assert public.cloud.urls.find("example.com") is None


def test_a_lost_region_answers_nothing(public):
    public.links.lost_regions.add(HOME)
    try:
        with pytest.raises(TimeoutError):
            public.ask("/home", timeout=0.5)
    finally:
        public.links.lost_regions.clear()
    assert public.ask("/home")[0] == 200


def test_urls_that_would_work_otherwise_are_refused(public):
    with pytest.raises(ClientError, match="NotInTheLab"):
        public.api.create_function_url_config(FunctionName="says", AuthType="AWS_IAM")


class Site:
    """An HTTPS server with a certificate that nobody vouches for, and what it is to answer."""

    def __init__(self, public):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = Path(public.cloud.urls.ca_file).parent
        context.load_cert_chain(folder / f"{HOME}.crt", folder / f"{HOME}.key")
        self.status, self.asked = 200, []
        self._server = HttpServer(Address("127.0.0.1", 0), self._respond, "site", context=context)
        self.address, self.close = self._server.address, self._server.close

    def _respond(self, request):
        self.asked.append((request.method, request.path, request.headers["host"]))
        if self.status is None:
            raise Silence(over=lambda: False)
        return Answer(self.status)


@pytest.fixture
def site(public):
    made = Site(public)
    yield made
    made.close()


@pytest.fixture
def asking(site, monkeypatch):
    monkeypatch.setattr(checkers, "FASTEST_S", 0.05)
    monkeypatch.setattr(checkers, "ANSWER_S", 0.2)
    lost = set()
    made = Checkers(lambda host: site.address if host == "a.example" else None, 1000, lost.__contains__)
    made.lost = lost
    made.changed = threading.Event()
    made.on_change = made.changed.set
    made.begin()
    yield made
    made.close()


def healthy(asking, check="it"):
    return asking.verdict(check).healthy


def test_an_endpoint_is_followed_by_its_status(asking, site):
    asking.follow({"it": Endpoint("a.example", "/home", 10)})
    assert healthy(asking), "a new check is healthy"
    for status, wanted in ((503, False), (301, True), (404, False), (204, True), (None, False)):
        site.status = status
        eventually(lambda wanted=wanted: healthy(asking) is wanted, 30)
    eventually(asking.changed.is_set)
    assert set(site.asked) == {("GET", "/home", "a.example")}
    assert {report.region for report in asking.reports("it")} == set(checkers.REGIONS)


def test_nothing_is_asked_before_the_beginning(asking, site):
    waiting = Checkers(lambda _host: site.address)
    waiting.follow({"it": Endpoint("a.example", "/waiting", 10)})
    asking.follow({"it": Endpoint("a.example", "/home", 10)})
    eventually(lambda: len(site.asked) >= 12, 30)
    assert {path for _, path, _ in site.asked} == {"/home"}
    waiting.begin()
    eventually(lambda: "/waiting" in {path for _, path, _ in site.asked}, 30)
    waiting.close()


def test_a_name_that_is_not_found_and_a_lost_checker(asking, site):
    asking.follow({"gone": Endpoint("b.example", "/home", 10)})
    eventually(lambda: not healthy(asking, "gone"), 30)
    assert all("DNS" in report.words for report in asking.reports("gone"))
    asking.lost.update(checkers.REGIONS)
    assert healthy(asking, "gone"), "nobody is left who knows"


def test_a_deleted_check_is_asked_no_more(asking, site):
    asking.follow({"it": Endpoint("a.example", "/home", 10), "other": Endpoint("a.example", "/away", 10)})
    eventually(lambda: len(asking.reports("it")) == 3 == len(asking.reports("other")), 30)
    asking.follow({"other": Endpoint("a.example", "/away", 10)})
    site.asked.clear()
    eventually(lambda: len(site.asked) >= 12, 30)
    assert [asked for asked in site.asked[6:] if asked[1] == "/home"] == []
    assert asking.reports("it") == []
