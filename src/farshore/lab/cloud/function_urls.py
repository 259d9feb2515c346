"""Lambda function URLs: an HTTPS listener per region, which turns a request into the function's event and back.

Rules: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html (the event and the answer; 429 when throttled,
502 when the function fails) and https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html (a URL without
authentication needs both grants to everybody). They are reached from outside, over the internet.
"""

import base64
import json
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends

from farshore.lab.cloud.lambdas import Lambdas
from farshore.lab.cloud.pools import RegionLostError, ThrottledError
from farshore.lab.cloud.wire import Answer, HttpRequest, HttpServer, Silence
from farshore.lab.ports import OUTSIDE, Address, Links
from farshore.lab.postgres.tls import Authority


class FunctionUrls:
    """One listener for each of `hosts`, by region, at a port of its own; `ca_file` is what they are verified by."""

    def __init__(self, lambdas: Lambdas, links: Links, hosts: Mapping[str, str], folder: Path) -> None:
        self._lambdas, self._links = lambdas, links
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        self._servers = {region: self._listen(authority, region, host) for region, host in hosts.items()}

    def close(self) -> None:
        for server in self._servers.values():
            server.close()

    def find(self, host: str) -> Address | None:
        """Where a URL's host listens; None for a name that is no region's."""
        region = host.removesuffix(".on.aws").rpartition(".lambda-url.")[2]
        server = self._servers.get(region)
        return server.address if server is not None else None

    def listed(self) -> dict[str, str]:
        """Every URL that there is, and the address at which it is answered."""
        return {
            made.url_config.url: str(self._servers[made.region].address)
            for made in _functions()
            if made.url_config is not None and made.region in self._servers
        }

    def _listen(self, authority: Authority, region: str, host: str) -> HttpServer:
        files = authority.issue(region, [f"*.lambda-url.{region}.on.aws"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)

        def respond(request: HttpRequest) -> Answer:
            return self._respond(region, request)

        return HttpServer(Address(host, 0), respond, f"function-urls-{region}", context=context)

    def _respond(self, region: str, request: HttpRequest) -> Answer:
        self._travel(OUTSIDE, region)
        answer = self._answer(region, request)
        self._travel(region, OUTSIDE)
        return answer

    def _travel(self, origin: str, target: str) -> None:
        if not self._links.connected(origin, target):
            raise Silence(over=lambda: self._links.connected(origin, target))
        time.sleep(self._links.one_way_s(origin, target))

    def _answer(self, region: str, request: HttpRequest) -> Answer:
        made = _behind(region, request.headers.get("host", ""))
        if made is None or not _open_to_all(made):
            return _said(HTTPStatus.FORBIDDEN, "Forbidden")
        try:
            outcome = self._lambdas.invoke(made, json.dumps(event(request)).encode())
        except ThrottledError:
            return _said(HTTPStatus.TOO_MANY_REQUESTS, "Rate Exceeded.")
        except RegionLostError:
            raise Silence(over=lambda: self._links.connected(OUTSIDE, region)) from None
        return (
            _said(HTTPStatus.BAD_GATEWAY, "Internal Server Error")
            if outcome.failed
            else answer(outcome.payload)
        )


def event(request: HttpRequest) -> dict[str, Any]:
    """The event, of payload format 2.0."""
    host, now = request.headers.get("host", ""), time.time()
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": dict(request.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(request.body),
        **({"body": base64.b64encode(request.body).decode()} if request.body else {}),
    }


def answer(payload: bytes) -> Answer:
    """What goes back for what a function returned: its own status, headers and body, or all of it as JSON."""
    returned = json.loads(payload or b"null")
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
    if not isinstance(returned, dict) or "statusCode" not in returned:
        return Answer(HTTPStatus.OK, payload, headers)
    body = str(returned.get("body") or "").encode()
    if returned.get("isBase64Encoded"):
        body = base64.b64decode(body)
    own = {str(name): str(value) for name, value in (returned.get("headers") or {}).items()}
    return Answer(int(returned["statusCode"]), body, {**headers, **own})


def _functions() -> Iterator[LambdaFunction]:
    for _, _, backend in list(lambda_backends.iter_backends()):
        found: Any = backend
        yield from tuple(found.list_functions())


def _behind(region: str, host: str) -> LambdaFunction | None:
    url = f"https://{host.partition(':')[0]}"
    found = (
        f for f in _functions() if f.url_config is not None and f.region == region and f.url_config.url == url
    )
    return next(found, None)


def _open_to_all(made: LambdaFunction) -> bool:
    granted = made.policy.statements if made.policy is not None else []
    public = [s for s in granted if s.get("Effect") == "Allow" and s.get("Principal") == "*"]
    by_url = any(
        s["Action"] == "lambda:InvokeFunctionUrl" and s.get("FunctionUrlAuthType") in (None, "NONE")
        for s in public
    )
    return by_url and any(
        s["Action"] == "lambda:InvokeFunction" and s.get("InvokedViaFunctionUrl") in (None, True)
        for s in public
    )


def _said(status: HTTPStatus, message: str) -> Answer:
    return Answer(status, json.dumps({"Message": message}).encode(), {"Content-Type": "application/json"})
