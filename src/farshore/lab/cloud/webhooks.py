"""One POST to a web server of this computer, and whether to try again when it fails.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html: 15 s for an answer; a client's error is
final but for 429.
"""

import ipaddress
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

ANSWER_MAX_S = 15.0


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def post(endpoint: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, bool] | None:
    """None once it is delivered; else what went wrong, and whether trying again may help."""
    url = urlsplit(endpoint)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = HTTPConnection(url.hostname or "", url.port or 80, timeout=ANSWER_MAX_S)
    try:
        connection.request("POST", target, body, dict(headers))
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__, True
    finally:
        connection.close()
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    clients_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return f"HTTP {status}", not clients_error or status == HTTPStatus.TOO_MANY_REQUESTS
