"""From an HTTP request to moto's handlers, in this process and without a web framework in between.

A DynamoDB call through moto's own Flask server costs about 1.3 ms of CPU more than this.
"""

import gzip
import importlib
import io
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core.request import Request
from moto.core.routing import ServiceOperationRouter, get_service_router
from werkzeug.exceptions import HTTPException, NotFound

from farshore.lab.cloud.refusals import NotInTheLabError, not_in_the_lab, refusal
from farshore.lab.cloud.services import SERVICES
from farshore.lab.cloud.wire import Answer, HttpRequest

# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/global-services.html
# (their control planes are in us-east-1, in whatever region a request is signed)
GLOBAL_SERVICES = frozenset({"iam", "route53", "cloudfront", "organizations"})
CONTROL_PLANE_REGION = "us-east-1"

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_log = logging.getLogger(__name__)

Handler = Callable[[Any, str, Any], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One signed API call: `service` is that of the signature's scope, `region` the one that must answer."""

    access_key: str
    region: str
    service: str
    operation: str
    request: HttpRequest


class _LabRequest(Request):
    from_wsgi_server = True


class Dispatcher:
    """Routes calls to moto; services load on first use, with whatever overlay sits in their url table."""

    def __init__(self) -> None:
        self._routes: dict[str, tuple[tuple[re.Pattern[str], Handler], ...]] = {}
        self._routers: dict[str, ServiceOperationRouter] = {}
        self._lock = threading.Lock()

    def identify(self, request: HttpRequest) -> Call | Answer:
        """Who is asked for what; an Answer when the request is not a signed API call."""
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        if scope is None:
            message = "The lab answers signed API calls only; see `farshore lab env`."
            return refusal(request, "", status=403, code="MissingAuthenticationToken", message=message)
        if request.headers.get("content-encoding") == "gzip":
            plain = {name: value for name, value in request.headers.items() if name != "content-encoding"}
            request = replace(request, headers=plain, body=gzip.decompress(request.body))
        service = scope["service"].lower()
        region = CONTROL_PLANE_REGION if service in GLOBAL_SERVICES else scope["region"]
        return Call(scope["key"], region, service, self._operation(service, request), request)

    def knows(self, call: Call) -> bool:
        """Whether the operation is in the lab at all."""
        service = SERVICES.get(call.service)
        return service is not None and call.operation in service.operations

    def answer(self, call: Call) -> Answer:
        """What moto and the overlays say; NotInTheLab for everything they cannot do."""
        service = SERVICES.get(call.service)
        if service is None:
            why = f"the lab has {', '.join(sorted(SERVICES))}."
            return not_in_the_lab(call.request, call.service, call.operation, why)
        if call.operation not in service.operations:
            why = "of this service it has " + ", ".join(sorted(service.operations)) + "."
            return not_in_the_lab(call.request, call.service, call.operation, why)
        try:
            return self._ask(call)
        except NotInTheLabError as reason:
            return not_in_the_lab(call.request, call.service, call.operation, str(reason))
        except NotImplementedError:
            why = "moto does not implement it, and no overlay does."
            return not_in_the_lab(call.request, call.service, call.operation, why)
        except HTTPException as error:
            body = str(error.get_body() or "").encode()
            return Answer(error.code or 500, body, dict(error.get_headers()))

    def _ask(self, call: Call) -> Answer:
        path = unquote(call.request.path)
        handler = next((h for pattern, h in self._handlers(call.service) if pattern.fullmatch(path)), None)
        if handler is None:
            raise NotImplementedError
        request = _LabRequest(_environ(call.request))
        status, headers, body = _triple(handler(request, request.raw_url, dict(request.headers)))
        payload = body.encode() if isinstance(body, str) else bytes(body or b"")
        if status == NotFound.code and not payload:
            raise NotImplementedError
        kept = {str(name): str(value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
        return Answer(status, payload, kept)

    def _operation(self, signing_name: str, request: HttpRequest) -> str:
        target = request.headers.get("x-amz-target")
        if target is not None:
            return target.rpartition(".")[2]
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return parse_qs(request.body.decode()).get("Action", ["?"])[0]
        service = SERVICES.get(signing_name)
        if service is not None:
            try:
                operation, _ = self._router(service.boto).match(_LabRequest(_environ(request)))
            except (NotFound, NotImplementedError):
                return f"{request.method} {request.path}"
            return str(operation.name)
        return f"{request.method} {request.path}"

    def _router(self, boto: str) -> ServiceOperationRouter:
        with self._lock:
            if boto not in self._routers:
                self._routers[boto] = get_service_router(boto)
            return self._routers[boto]

    def _handlers(self, signing_name: str) -> tuple[tuple[re.Pattern[str], Handler], ...]:
        with self._lock:
            if signing_name not in self._routes:
                urls = importlib.import_module(f"moto.{SERVICES[signing_name].module}.urls")
                paths: Mapping[str, Handler] = urls.url_paths
                self._routes[signing_name] = tuple(
                    (re.compile(path.format("").rstrip("$") + "/?"), handler)
                    for path, handler in paths.items()
                )
            return self._routes[signing_name]


_OWN_HEADERS = frozenset({"status", "content-length", "date", "connection", "transfer-encoding"})


def _triple(result: Any) -> tuple[int, Mapping[str, Any], Any]:
    if isinstance(result, tuple):
        status, headers, body = result
        return int(status), headers, body
    return 200, {}, result


def _environ(request: HttpRequest) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
    }
    for name, value in request.headers.items():
        if name not in ("content-type", "content-length"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
