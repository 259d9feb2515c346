"""Delivery by SNS: who hears at once, who not before a confirmation, what is tried again; real sockets and files.

https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

import json
import mailbox
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from cloudkit import Links as CloudLinks
from cloudkit import bundle, client, eventually, make_cloud
from moto import mock_aws
from moto.cloudwatch import urls as cloudwatch_urls
from moto.sns import urls as sns_urls
from moto.sns.models import Subscription

from farshore.core.transitions import TABLE
from farshore.lab.cloud import cloudwatch, sns
from farshore.lab.cloud.cloudwatch import AlarmEvaluator
from farshore.lab.cloud.mailbox import Mailbox
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.wire import Answer, HttpServer
from farshore.lab.ports import Address

HOME = "us-east-1"
TYPE = "x-amz-sns-message-type"
DOCS = Path(__file__).parents[2] / "docs"
PAGED = {
    "claim-lost-holder",
    "lost-while-draining",
    "lost-on-the-way",
    "promoted",
    "role-moved-outside",
    "role-moved-while-draining",
    "propose",
    "propose-while-draining",
    "propose-on-the-way",
    "propose-unhealed",
    "propose-unhealed-while-draining",
    "propose-unhealed-on-the-way",
}


class Subscriber:
    """A web server that keeps what is posted, and answers with the status that the test wants."""

    def __init__(self):
        self.heard, self.statuses = [], []
        self._server = HttpServer(Address("127.0.0.1", 0), self._respond, "subscriber")
        self.url = f"http://{self._server.address}/alerts?key=1"

    def _respond(self, request):
        self.heard.append(request)
        return Answer(self.statuses.pop(0) if self.statuses else 200)

    def close(self):
        self._server.close()

    def documents(self, kind):
        return [json.loads(request.body) for request in self.heard if request.headers[TYPE] == kind]


@pytest.fixture
def subscriber():
    made = Subscriber()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def moto_as_it_was(monkeypatch):
    """Overlays are for the life of a process; the next test file's moto must be without this one."""
    monkeypatch.setattr(Subscription, "publish", Subscription.publish)
    for urls in (sns_urls, cloudwatch_urls):
        monkeypatch.setattr(urls, "url_paths", dict(urls.url_paths))


class World:
    def __init__(self, path):
        self.lost, self.alarms = set(), AlarmEvaluator()
        self.mail = Mailbox(path / "mailbox")
        self.deliveries = sns.Deliveries(
            host="127.0.0.1", mailbox=self.mail, lost=self.lost.__contains__, retry_pauses_s=(0.01, 0.01)
        )
        sns.install(self.deliveries)
        cloudwatch.install(self.alarms)

    def connect(self):
        self.sns = boto3.client("sns", region_name=HOME)
        self.topic = self.sns.create_topic(Name="alerts")["TopicArn"]
        return self

    def subscribe(self, protocol, endpoint, **attributes):
        return self.sns.subscribe(
            TopicArn=self.topic,
            Protocol=protocol,
            Endpoint=endpoint,
            ReturnSubscriptionArn=True,
            Attributes=attributes,
        )["SubscriptionArn"]

    def publish(self, message="hello", **more):
        return self.sns.publish(TopicArn=self.topic, Message=message, Subject="a subject", **more)[
            "MessageId"
        ]

    def mails(self):
        return list(mailbox.mbox(self.mail.path)) if self.mail.path.exists() else []

    def counts(self):
        attributes = self.sns.get_topic_attributes(TopicArn=self.topic)["Attributes"]
        return int(attributes["SubscriptionsPending"]), int(attributes["SubscriptionsConfirmed"])


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made = World(tmp_path)
    # The subscribers' links are visited over loopback, beside moto's mock.
    with mock_aws(config={"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1.*"]}}}):
        yield made.connect()
    made.deliveries.close()
    made.alarms.close()


def visit(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status


def test_a_web_server_hears_nothing_before_it_has_visited_its_link(world, subscriber):
    arn = world.subscribe("http", subscriber.url)
    invitation = eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]
    assert invitation["TopicArn"] == world.topic
    assert subscriber.heard[0].target == "/alerts?key=1"
    assert world.counts() == (1, 0)
    assert world.sns.list_subscriptions_by_topic(TopicArn=world.topic)["Subscriptions"][0][
        "SubscriptionArn"
    ] == ("PendingConfirmation")
    world.publish("too early")
    assert visit(invitation["SubscribeURL"]) == 200
    assert world.counts() == (0, 1)
    message_id = world.publish("in time")
    (heard,) = eventually(lambda: subscriber.documents("Notification"))
    assert (heard["Message"], heard["Subject"], heard["MessageId"]) == ("in time", "a subject", message_id)
    headers = subscriber.heard[-1].headers
    assert headers["x-amz-sns-subscription-arn"] == arn
    assert headers["content-type"] == "text/plain; charset=UTF-8"


def test_a_token_confirms_by_the_api_and_a_wrong_one_does_not(world, subscriber):
    arn = world.subscribe("http", subscriber.url)
    token = eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["Token"]
    with pytest.raises(ClientError, match="Invalid token"):
        world.sns.confirm_subscription(TopicArn=world.topic, Token="guessed")
    invitation = subscriber.documents("SubscriptionConfirmation")[0]["SubscribeURL"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        visit(invitation.replace(token, "guessed"))
    other = world.sns.create_topic(Name="other")["TopicArn"]
    with pytest.raises(ClientError, match="Invalid token"):
        world.sns.confirm_subscription(TopicArn=other, Token=token)
    assert world.counts() == (1, 0)
    assert world.sns.confirm_subscription(TopicArn=world.topic, Token=token)["SubscriptionArn"] == arn
    assert world.counts() == (0, 1)


@pytest.mark.parametrize(
    ("statuses", "attempts"),
    [([200], 1), ([500, 200], 2), ([429, 503, 200], 3), ([500, 500, 500], 3), ([404], 1), ([403], 1)],
    ids=str,
)
def test_a_servers_error_is_tried_again_and_a_clients_is_not(world, subscriber, statuses, attempts):
    world.subscribe("http", subscriber.url)
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    subscriber.statuses = list(statuses)
    world.publish()
    eventually(lambda: len(subscriber.heard) == 1 + attempts)
    world.deliveries._pool.shutdown(wait=True)
    heard = subscriber.heard[1:]
    assert len(heard) == attempts
    assert len({request.headers["x-amz-sns-message-id"] for request in heard}) == 1


def test_raw_delivery_is_the_message_alone(world, subscriber):
    world.subscribe("http", subscriber.url, RawMessageDelivery="true")
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    world.publish("as it is")
    request = eventually(lambda: subscriber.heard[1:])[0]
    assert (request.body, request.headers["x-amz-sns-rawdelivery"]) == (b"as it is", "true")


def test_filter_policies_choose(world, subscriber):
    world.subscribe("http", subscriber.url, FilterPolicy=json.dumps({"kind": ["lag"]}))
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    world.publish("other", MessageAttributes={"kind": {"DataType": "String", "StringValue": "move"}})
    world.publish("lag", MessageAttributes={"kind": {"DataType": "String", "StringValue": "lag"}})
    (heard,) = eventually(lambda: subscriber.documents("Notification"))
    world.deliveries._pool.shutdown(wait=True)
    assert [each["Message"] for each in subscriber.documents("Notification")] == ["lag"] == [heard["Message"]]


def test_the_documented_pager_hears_what_takes_the_writer_away_or_needs_a_person_and_nothing_else(tmp_path):
    """docs/events.md's filter, as SNS applies it, against every action there is."""
    (attributes,) = re.findall(r"--attributes '(.*)'", (DOCS / "events.md").read_text())
    deliveries = sns.Deliveries(host="127.0.0.1", mailbox=Mailbox(tmp_path / "mailbox"))
    cloud = make_cloud(tmp_path, CloudLinks(), overlays=(lambda: sns.install(deliveries),))
    try:
        api, queues = client(cloud, "sns", HOME), client(cloud, "sqs", HOME)
        topic = api.create_topic(Name="alerts")["TopicArn"]
        urls = {name: queues.create_queue(QueueName=name)["QueueUrl"] for name in ("pager", "all")}
        for name, given in (("pager", json.loads(attributes)), ("all", {})):
            arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
            api.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=given)
        told = [row.name for row in TABLE]
        for action in told:
            api.publish(
                TopicArn=topic, Message=action, MessageAttributes=named(kind="transition", action=action)
            )
        api.publish(TopicArn=topic, Message="lag", MessageAttributes=named(kind="lag", state="late"))
        api.publish(TopicArn=topic, Message="alarm")
        deliveries._pool.shutdown(wait=True)
        heard = {name: messages(queues, url) for name, url in urls.items()}
    finally:
        cloud.close()
        deliveries.close()
    assert heard["all"] == {*told, "lag", "alarm"}
    assert heard["pager"] == PAGED


def named(**attributes):
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}


def messages(queues, url):
    """All that waits in a queue."""
    found = set()
    while got := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {json.loads(message["Body"])["Message"] for message in got}
    return found


def test_mail_goes_to_a_file_after_its_link_was_visited(world):
    world.subscribe("email", "ops@example.com")
    (invitation,) = eventually(world.mails)
    assert re.search(r"^http://\S+Action=ConfirmSubscription\S+$", world.mail.path.read_text(), re.MULTILINE)
    assert (invitation["To"], invitation["Subject"]) == (
        "ops@example.com",
        "AWS Notification - Subscription Confirmation",
    )
    world.publish("too early")
    link = re.search(r"http://\S+", invitation.get_payload(decode=True).decode())[0]
    assert visit(link) == 200
    world.publish("the lag is 6 s")
    eventually(lambda: len(world.mails()) == 2)
    mail = world.mails()[1]
    assert mail["Subject"] == "a subject"
    body = mail.get_payload(decode=True).decode()
    assert "the lag is 6 s" in body
    assert "too early" not in body


def test_queues_hear_at_once(world):
    queue = boto3.client("sqs", region_name=HOME).create_queue(QueueName="inbox")["QueueUrl"]
    world.subscribe("sqs", "arn:aws:sqs:us-east-1:123456789012:inbox")
    assert world.counts() == (0, 1)
    world.publish("to the queue")
    found = eventually(
        lambda: boto3.client("sqs", region_name=HOME).receive_message(QueueUrl=queue).get("Messages")
    )
    assert json.loads(found[0]["Body"])["Message"] == "to the queue"


def test_a_lost_region_delivers_nothing(world, subscriber):
    world.subscribe("http", subscriber.url)
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    world.lost.add(HOME)
    world.publish("lost")
    world.lost.clear()
    world.publish("found")
    eventually(lambda: subscriber.documents("Notification"))
    world.deliveries._pool.shutdown(wait=True)
    assert [each["Message"] for each in subscriber.documents("Notification")] == ["found"]


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [("http", "http://example.com/"), ("https", "https://127.0.0.1/"), ("sms", "+15550100")],
)
def test_what_would_leave_this_computer_is_refused(world, protocol, endpoint):
    with pytest.raises(NotInTheLabError):
        world.subscribe(protocol, endpoint)


def alarm(region=HOME, **actions):
    boto3.client("cloudwatch", region_name=region).put_metric_alarm(
        AlarmName="lag",
        AlarmDescription="Replication is late",
        Namespace="Farshore/t",
        MetricName="ReplicationLagMs",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5000,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="missing",
        **actions,
    )


def test_every_transition_of_an_alarm_has_its_own_actions(world):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html: a state that lasts
    is told once."""
    arns = {name: world.sns.create_topic(Name=name)["TopicArn"] for name in ("alarm", "ok", "none")}
    queues = {}
    for name, arn in arns.items():
        queues[name] = boto3.client("sqs", region_name=HOME).create_queue(QueueName=name)["QueueUrl"]
        world.sns.subscribe(
            TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:123456789012:{name}"
        )
    alarm(AlarmActions=[arns["alarm"]], OKActions=[arns["ok"]], InsufficientDataActions=[arns["none"]])
    now_s = (time.time() // 60 - 20) * 60
    for value in (10, 10, 9000, 9000, 10, None, None, None, None, 10):
        if value is not None:
            boto3.client("cloudwatch", region_name=HOME).put_metric_data(
                Namespace="Farshore/t",
                MetricData=[{"MetricName": "ReplicationLagMs", "Value": value, "Timestamp": now_s + 30}],
            )
        now_s += 60
        world.alarms.tick(now_s)
    world.alarms._actions.shutdown(wait=True)
    world.deliveries._pool.shutdown(wait=True)

    def transitions(name):
        found = boto3.client("sqs", region_name=HOME).receive_message(
            QueueUrl=queues[name], MaxNumberOfMessages=10
        )
        documents = [json.loads(json.loads(m["Body"])["Message"]) for m in found.get("Messages", [])]
        return sorted((d["OldStateValue"], d["NewStateValue"]) for d in documents)

    assert transitions("alarm") == [("OK", "ALARM")]
    assert transitions("none") == [("OK", "INSUFFICIENT_DATA")]
    assert transitions("ok") == [("ALARM", "OK"), ("INSUFFICIENT_DATA", "OK"), ("INSUFFICIENT_DATA", "OK")]


def test_an_alarm_writes_a_mail_for_people_and_a_document_for_machines(world, subscriber):
    world.subscribe("email", "ops@example.com")
    (invitation,) = eventually(world.mails)
    visit(re.search(r"http://\S+", invitation.get_payload(decode=True).decode())[0])
    world.subscribe("http", subscriber.url)
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    alarm(AlarmActions=[world.topic])
    boto3.client("cloudwatch", region_name=HOME).set_alarm_state(
        AlarmName="lag", StateValue="ALARM", StateReason="by hand"
    )
    eventually(lambda: len(world.mails()) == 2 and subscriber.documents("Notification"))
    mail = world.mails()[1]
    assert mail["Subject"] == 'ALARM: "lag" in us-east-1'
    body = " ".join(mail.get_payload(decode=True).decode().split())
    assert 'has entered the ALARM state, because "by hand"' in body
    (heard,) = subscriber.documents("Notification")
    assert json.loads(heard["Message"])["NewStateReason"] == "by hand"


def test_a_state_set_by_hand_acts_once(world, subscriber):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html"""
    world.subscribe("http", subscriber.url)
    visit(eventually(lambda: subscriber.documents("SubscriptionConfirmation"))[0]["SubscribeURL"])
    alarm(AlarmActions=[world.topic])
    api = boto3.client("cloudwatch", region_name=HOME)
    for _ in range(2):
        api.set_alarm_state(AlarmName="lag", StateValue="ALARM", StateReason="by hand")
    api.disable_alarm_actions(AlarmNames=["lag"])
    for state in ("OK", "ALARM"):
        api.set_alarm_state(AlarmName="lag", StateValue=state, StateReason="disabled")
    world.alarms._actions.shutdown(wait=True)
    world.deliveries._pool.shutdown(wait=True)
    assert len(subscriber.documents("Notification")) == 1


@pytest.mark.parametrize(
    "arn", ["arn:aws:automate:us-east-1:ec2:stop", "arn:aws:sns:us-west-2:123456789012:x"]
)
def test_actions_that_the_lab_does_not_carry_out_are_refused(world, arn):
    with pytest.raises(NotInTheLabError):
        alarm(AlarmActions=[arn])


FUNCTION = b"""
import json, os
def handler(event, context):
    with open(os.environ["KEPT"], "w") as kept:
        json.dump(event, kept)
"""


def test_functions_hear_the_documented_event(tmp_path):
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    deliveries = sns.Deliveries(host="127.0.0.1", mailbox=Mailbox(tmp_path / "mailbox"))
    cloud = make_cloud(tmp_path, CloudLinks(), overlays=(lambda: sns.install(deliveries),))
    try:
        role = client(cloud, "iam", HOME).create_role(
            RoleName="r",
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
        )["Role"]["Arn"]
        made = client(cloud, "lambda", HOME).create_function(
            FunctionName="hears",
            Runtime="python3.11",
            Role=role,
            Handler="app.handler",
            Code={"ZipFile": bundle(FUNCTION.decode())},
            Environment={"Variables": {"KEPT": str(tmp_path / "kept.json")}},
        )["FunctionArn"]
        api = client(cloud, "sns", HOME)
        topic = api.create_topic(Name="alerts")["TopicArn"]
        api.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=made)
        sent = api.publish(TopicArn=topic, Message="hello", Subject="s")["MessageId"]
        kept = eventually(lambda: _read(tmp_path / "kept.json"))
    finally:
        cloud.close()
        deliveries.close()
    (record,) = kept["Records"]
    assert record["EventSource"] == "aws:sns"
    told = record["Sns"]
    assert (told["MessageId"], told["TopicArn"], told["Message"], told["Subject"]) == (
        sent,
        topic,
        "hello",
        "s",
    )


def _read(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def test_mails_of_many_threads_do_not_mix(tmp_path):
    box = Mailbox(tmp_path / "mailbox")
    threads = [
        threading.Thread(target=box.deliver, args=("a@b", f"subject {n}", f"body {n}\n" * 50))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mails = list(mailbox.mbox(box.path))
    assert len(mails) == 20
    for mail in mails:
        number = mail["Subject"].split()[1]
        assert set(mail.get_payload(decode=True).decode().split("\n")) == {f"body {number}", ""}
