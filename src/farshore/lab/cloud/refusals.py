"""Errors written the way each AWS protocol writes them, so that every SDK raises ClientError with our code.

Formats: https://smithy.io/2.0/aws/protocols/ (awsJson, awsQuery, ec2Query, restJson1, restXml).
"""

import json
import uuid
from xml.sax.saxutils import escape

from farshore.lab.cloud.services import SERVICES
from farshore.lab.cloud.wire import Answer, HttpRequest

NOT_IN_THE_LAB = "NotInTheLab"
_REST_XML = frozenset({"route53", "s3", "cloudfront"})


class NotInTheLabError(Exception):
    """The lab cannot do this, and says so instead of pretending."""


def refusal(request: HttpRequest, service: str, *, status: int, code: str, message: str) -> Answer:
    """An error answer in the protocol in which the request was asked."""
    content_type = request.headers.get("content-type", "")
    if "x-amz-target" in request.headers:
        body = json.dumps({"__type": code, "message": message})
        return Answer(status, body.encode(), {"Content-Type": content_type, "x-amzn-errortype": code})
    if service == "ec2":
        return _xml(status, f"<Response><Errors>{_error(code, message)}</Errors>", "RequestID", "Response")
    if content_type.startswith("application/x-www-form-urlencoded") or service in _REST_XML:
        return _xml(status, f"<ErrorResponse>{_error(code, message)}", "RequestId", "ErrorResponse")
    body = json.dumps({"message": message})
    return Answer(status, body.encode(), {"Content-Type": "application/json", "x-amzn-errortype": code})


def not_in_the_lab(request: HttpRequest, service: str, operation: str, why: str) -> Answer:
    name = SERVICES[service].boto if service in SERVICES else service
    message = f"{name}:{operation} is not in the lab: {why}"
    return refusal(request, service, status=501, code=NOT_IN_THE_LAB, message=message)


def _error(code: str, message: str) -> str:
    return f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"


def _xml(status: int, opening: str, request_id: str, closing: str) -> Answer:
    body = f"{opening}<{request_id}>{uuid.uuid4()}</{request_id}></{closing}>"
    return Answer(status, body.encode(), {"Content-Type": "text/xml"})
