"""What the tests of a watched lab use: a subscriber, voices that say where authority is, and every view."""

import contextlib
import json
import re
import threading
import time
import urllib.request
from pathlib import Path
from typing import Self

import dns.message
import dns.query
from botocore.exceptions import BotoCoreError
from running import HOME, OUTSIDE, STANDBY, RunningLab, wait_for

from farshore.aws.journal import DynamoJournal
from farshore.aws.metrics import AUTHORITY_HOME
from farshore.lab.cloud.wire import Answer, HttpServer
from farshore.lab.ports import Address

VIEWS = (HOME, STANDBY, OUTSIDE)
EVERY_S = 0.1


class Inbox:
    """A web server that confirms what it is invited to, and keeps what it is told with the time at which it was."""

    def __init__(self) -> None:
        self.told: list[tuple[float, dict]] = []
        self._server = HttpServer(Address("127.0.0.1", 0), self._respond, "inbox")
        self.url = f"http://{self._server.address}/"

    def _respond(self, request) -> Answer:
        document = json.loads(request.body)
        if document["Type"] == "SubscriptionConfirmation":
            urllib.request.urlopen(document["SubscribeURL"], timeout=5).close()
        else:
            self.told.append((time.monotonic(), document))
        return Answer(200)

    def close(self) -> None:
        self._server.close()

    def first(self, met, after: float = 0.0):
        """When the first message that satisfies `met` came, and its inner document."""
        for at, document in list(self.told):
            inner = json.loads(document["Message"])
            if at > after and met(inner):
                return at, inner
        return None


def subscribe(lab: RunningLab, region: str, protocol: str, endpoint: str) -> None:
    sns = lab.aws("sns", region)
    topic = next(
        t["TopicArn"] for t in sns.list_topics()["Topics"] if lab.names.topic(region) in t["TopicArn"]
    )
    sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def confirm_mails(lab: RunningLab, count: int) -> None:
    """Visit the first `count` links in the lab's mailbox."""
    found = wait_for("the invitations", lambda: _links(lab) if len(_links(lab)) >= count else None)
    for link in found:
        urllib.request.urlopen(link, timeout=5).close()


def _links(lab: RunningLab) -> list[str]:
    text = mails(lab)
    return re.findall(r"http://\S+Action=ConfirmSubscription\S+", text)


def mails(lab: RunningLab) -> str:
    box = Path(lab.info["mailbox"])
    return box.read_text() if box.exists() else ""


def sightings(lab: RunningLab):
    journal = DynamoJournal(lab.aws("dynamodb", STANDBY), lab.names.authority_table, lab.names.global_cluster)
    return journal.read().sightings


def alarm_states(lab: RunningLab, region: str) -> dict[str, str]:
    found = lab.aws("cloudwatch", region).describe_alarms(MaxRecords=100)["MetricAlarms"]
    suffix = f"-alarm-{lab.name}"
    return {a["AlarmName"].split("-", 1)[1].removesuffix(suffix): a["StateValue"] for a in found}


class Voices:
    """Says in each region what the test wants: h, w, or m for nothing; in the place of both controllers."""

    def __init__(self, lab: RunningLab) -> None:
        self.said = "hh"
        self._namespace = lab.names.metric_namespace
        self._clients = {region: lab.aws("cloudwatch", region) for region in (HOME, STANDBY)}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(at, region), daemon=True)
            for at, region in enumerate((HOME, STANDBY))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _run(self, at: int, region: str) -> None:
        """A lost region's CloudWatch does not answer, and what is not heard is not said."""
        datum = {"MetricName": AUTHORITY_HOME, "Dimensions": [{"Name": "Region", "Value": region}]}
        while not self._stop.wait(EVERY_S):
            voice = self.said[at]
            if voice != "m":
                data = [{**datum, "Value": float(voice == "h")}]
                with contextlib.suppress(BotoCoreError):
                    self._clients[region].put_metric_data(Namespace=self._namespace, MetricData=data)


def ask(lab: RunningLab, view: str, how) -> list[str]:
    """The target of the writer's name, over UDP or TCP."""
    host, port = lab.info["dns"][view].split(":")
    query = dns.message.make_query(lab.info["writer_name"], "CNAME")
    answer = how(query, host, port=int(port), timeout=3)
    return [item.to_text(omit_final_dot=True) for rrset in answer.answer for item in rrset]


def answers(lab: RunningLab, views=VIEWS) -> set[str]:
    """What every view's resolver answers, over UDP and TCP."""
    found = [ask(lab, view, how) for view in views for how in (dns.query.udp, dns.query.tcp)]
    assert all(len(one) == 1 for one in found)
    return {one[0] for one in found}
