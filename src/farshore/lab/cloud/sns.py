"""SNS overlay: subscriptions that wait for their confirmation, and delivery to web servers, functions and mailboxes.

Queues and functions of the same account are confirmed at once; HTTP and e-mail are not before somebody visits the link
that they were sent. https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
HTTP: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html (15 s for an answer; what is no
client's error is tried again three times, 20 s apart) and https://docs.aws.amazon.com/sns/latest/dg/http-header.html
Nothing leaves this computer: an HTTP endpoint must be on loopback, and mail goes to a file.
"""

import base64
import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from moto.awslambda.models import lambda_backends
from moto.core.responses import ActionResult
from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.sns import models, urls
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import Subscription, sns_backends
from moto.sns.responses import SNSResponse

from farshore.lab.cloud.mailbox import Mailbox
from farshore.lab.cloud.overlay import patch, swap
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.webhooks import is_loopback, post
from farshore.lab.cloud.wire import Answer, HttpRequest, HttpServer, Silence
from farshore.lab.ports import Address

RETRY_PAUSES_S = (20.0, 20.0, 20.0)
_AT_ONCE = ("sqs", "lambda")
_BY_LINK = ("http", "email", "email-json")
_PENDING = "PendingConfirmation"
_log = logging.getLogger(__name__)
moto_publish = Subscription.publish


class Deliveries:
    """Sends what topics publish, and answers the links that confirm a subscription; `host` is where it listens."""

    def __init__(
        self,
        *,
        host: str,
        mailbox: Mailbox,
        lost: Callable[[str], bool] = lambda _region: False,
        retry_pauses_s: tuple[float, ...] = RETRY_PAUSES_S,
    ) -> None:
        self._mailbox, self._lost, self._retry_pauses_s = mailbox, lost, retry_pauses_s
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="sns")
        self._tokens: dict[str, str] = {}
        self._links = HttpServer(Address(host, 0), self._visited, "sns-links")

    def close(self) -> None:
        self._closing.set()
        self._links.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def invite(self, subscription: Subscription) -> None:
        """Send a link that confirms; a second invitation carries the same token."""
        token = self._tokens.setdefault(subscription.arn, uuid.uuid4().hex * 4)
        topic = subscription.topic.arn
        url = (
            f"http://{self._links.address}/?Action=ConfirmSubscription&TopicArn={quote(topic)}&Token={token}"
        )
        text = f"You have chosen to subscribe to the topic {topic}.\nTo confirm the subscription, visit the "
        document = _signed(
            subscription,
            {
                "Type": "SubscriptionConfirmation",
                "MessageId": str(uuid.uuid4()),
                "Token": token,
                "TopicArn": topic,
                "Message": f"{text}SubscribeURL included in this message.",
                "SubscribeURL": url,
            },
        )
        if subscription.protocol == "http":
            self._pool.submit(self._post, subscription, document)
        else:
            body = f"{text}link below:\n{url}\n" if subscription.protocol == "email" else json.dumps(document)
            subject = "AWS Notification - Subscription Confirmation"
            self._pool.submit(self._mailbox.deliver, subscription.endpoint, subject, body)

    def confirm(self, topic_arn: str, token: str) -> Subscription | None:
        """The subscription that a token confirms, from now on; None for a token that nobody was sent."""
        arn = next((arn for arn, sent in self._tokens.items() if sent == token), "")
        _, _, _, region, account, *_ = topic_arn.split(":")
        found: Subscription | None = sns_backends[account][region].subscriptions.get(arn)
        if found is None or found.topic.arn != topic_arn:
            return None
        found.confirmed, found.attributes[_PENDING] = True, "false"
        return found

    def publish(self, subscription: Subscription, message: str, message_id: str, **told: Any) -> None:
        """One message to one subscriber, without waiting for it."""
        matcher = subscription._filter_policy_matcher  # noqa: SLF001 - moto has no other way
        attributes = told.get("message_attributes")
        if self._lost(subscription.topic.sns_backend.region_name) or not subscription.confirmed:
            return
        if subscription.protocol == "sqs":
            self._pool.submit(moto_publish, subscription, message, message_id, **told)
            return
        if matcher is not None and not matcher.matches(attributes, message):
            return
        if told.get("message_structure") == "json":
            structured = json.loads(message)
            message = structured.get(subscription.protocol) or structured["default"]
        subject = told.get("subject")
        if subscription.protocol == "email":
            self._pool.submit(self._mail, subscription, subject, message)
            return
        document = subscription.get_post_data(message, message_id, subject, attributes)
        if subscription.protocol == "email-json":
            self._pool.submit(self._mail, subscription, subject, json.dumps(document, indent=2))
        elif subscription.protocol == "lambda":
            self._pool.submit(_invoke, subscription, document)
        else:
            self._pool.submit(self._post, subscription, document)

    def _mail(self, subscription: Subscription, subject: str | None, body: str) -> None:
        foot = f"\n--\nSent by the topic {subscription.topic.arn} of a farshore lab.\n"
        self._mailbox.deliver(subscription.endpoint, subject or "AWS Notification Message", body + foot)

    def _post(self, subscription: Subscription, document: Mapping[str, Any]) -> None:
        raw = subscription.attributes.get("RawMessageDelivery") is True and "Token" not in document
        body = str(document["Message"]) if raw else json.dumps(document)
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": str(document["Type"]),
            "x-amz-sns-message-id": str(document["MessageId"]),
            "x-amz-sns-topic-arn": str(document["TopicArn"]),
            **({"x-amz-sns-rawdelivery": "true"} if raw else {}),
        }
        if subscription.confirmed:
            headers["x-amz-sns-subscription-arn"] = subscription.arn
        region = subscription.topic.sns_backend.region_name
        for pause_s in (*self._retry_pauses_s, None):
            if self._lost(region) or self._closing.is_set():
                return
            problem = post(subscription.endpoint, body.encode(), headers)
            if problem is None:
                return
            why, again = problem
            _log.warning("%s was not delivered to %s: %s", document["Type"], subscription.endpoint, why)
            if not again or pause_s is None or self._closing.wait(pause_s):
                return

    def _visited(self, request: HttpRequest) -> Answer:
        """Somebody follows a link that only the subscriber was sent; so AWS asks for no signature."""
        asked = {name: values[0] for name, values in parse_qs(request.query).items()}
        topic_arn = asked.get("TopicArn", "")
        if asked.get("Action") != "ConfirmSubscription" or topic_arn.count(":") < 5:  # noqa: PLR2004 - an ARN's
            return Answer(
                HTTPStatus.BAD_REQUEST, b"ConfirmSubscription with TopicArn and Token is all there is here.\n"
            )
        region = topic_arn.split(":")[3]
        if self._lost(region):
            raise Silence(over=lambda: not self._lost(region))
        confirmed = self.confirm(topic_arn, asked.get("Token", ""))
        if confirmed is None:
            return Answer(HTTPStatus.BAD_REQUEST, b"Invalid token\n")
        return Answer(HTTPStatus.OK, f"Subscription confirmed: {confirmed.arn}\n".encode())


class LabSns(SNSResponse):
    """moto's handlers; a subscription that must be confirmed is not taken for confirmed."""

    deliveries: ClassVar[Deliveries]

    def subscribe(self) -> ActionResult:
        protocol, endpoint = self._get_param("Protocol"), str(self._get_param("Endpoint"))
        _refuse_unreachable(protocol, endpoint)
        known = set(self.backend.subscriptions)
        super().subscribe()
        made = self.backend._find_subscription(self._get_param("TopicArn"), endpoint, protocol)  # noqa: SLF001
        assert made is not None
        if made.arn not in known:
            made.confirmed = protocol in _AT_ONCE
            made.attributes[_PENDING] = str(not made.confirmed).lower()
        if not made.confirmed:
            self.deliveries.invite(made)
        shown = made.confirmed or str(self._get_param("ReturnSubscriptionArn")).lower() == "true"
        return ActionResult({"SubscriptionArn": made.arn if shown else "pending confirmation"})

    def confirm_subscription(self) -> ActionResult:
        confirmed = self.deliveries.confirm(self._get_param("TopicArn"), self._get_param("Token"))
        if confirmed is None:
            raise SNSInvalidParameter("Invalid token")
        return ActionResult({"SubscriptionArn": confirmed.arn})

    def list_subscriptions(self) -> ActionResult:
        found, token = self.backend.list_subscriptions(next_token=self._get_param("NextToken"))
        return ActionResult({"Subscriptions": [_shown(one) for one in found], "NextToken": token})

    def list_subscriptions_by_topic(self) -> ActionResult:
        topic_arn, token = self._get_param("TopicArn"), self._get_param("NextToken")
        found, token = self.backend.list_subscriptions_by_topic(topic_arn, next_token=token)
        return ActionResult({"Subscriptions": [_shown(one) for one in found], "NextToken": token})

    def get_topic_attributes(self) -> ActionResult:
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        states = [one.confirmed for one in self.backend.subscriptions.values() if one.topic is topic]
        topic.subscriptions_confimed, topic.subscriptions_pending = states.count(True), states.count(False)
        return super().get_topic_attributes()


def install(deliveries: Deliveries) -> None:
    """Put the overlay into moto's url table and under its subscriptions; before the first request."""
    swap(urls, type("LabSns", (LabSns,), {"deliveries": deliveries}))

    def publish(subscription: Subscription, message: str, message_id: str, **told: Any) -> None:
        deliveries.publish(subscription, message, message_id, **told)

    patch(models.Subscription, "publish", publish)


def _refuse_unreachable(protocol: str, endpoint: str) -> None:
    if protocol not in (*_AT_ONCE, *_BY_LINK):
        raise NotInTheLabError(f"subscribers are {', '.join((*_AT_ONCE, *_BY_LINK))}, not {protocol}.")
    if protocol == "http" and not is_loopback(urlsplit(endpoint).hostname or ""):
        raise NotInTheLabError(
            f"nothing leaves this computer, so {endpoint} would hear nothing; use 127.0.0.1."
        )


def _shown(subscription: Subscription) -> dict[str, str]:
    return {
        "SubscriptionArn": subscription.arn if subscription.confirmed else _PENDING,
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic.arn,
    }


def _signed(subscription: Subscription, document: dict[str, str]) -> dict[str, str]:
    """As AWS signs: the fields in order of name, each with its value on the next line.

    https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    document = {**document, "Timestamp": iso_8601_datetime_with_milliseconds()}
    text = "".join(f"{name}\n{document[name]}\n" for name in sorted(document))
    signature = subscription.private_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {**document, "SignatureVersion": "2", "Signature": base64.b64encode(signature).decode()}


def _invoke(subscription: Subscription, document: Mapping[str, Any]) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    sent = {
        **document,
        "SigningCertUrl": document["SigningCertURL"],
        "UnsubscribeUrl": document["UnsubscribeURL"],
    }
    event = {
        "EventVersion": "1.0",
        "EventSource": "aws:sns",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {name: value for name, value in sent.items() if not name.endswith("URL")},
    }
    _, _, _, region, account, _, name, *_ = subscription.endpoint.split(":")
    made = lambda_backends[account][region].get_function(name)
    made.invoke(json.dumps({"Records": [event]}), {}, {})
