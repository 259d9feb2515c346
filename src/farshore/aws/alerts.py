"""Tells people by SNS, from a thread of its own: a slow SNS delays no observation."""

import json
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.lag import State, Verdict, lines
from farshore.log import log
from farshore.survive import endless

SCHEMA = "farshore.lag/1"
RETRY_S = 2.0
_SUBJECT_MAX = 100


class LagAlerts:
    """Sends the newest change of the lag's state until SNS takes it; a newer change replaces one that still waits.

    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    """

    def __init__(self, sns: Any, topic_arn: str, region: str, deployment: str) -> None:
        self._sns, self._topic_arn, self._region, self._deployment = sns, topic_arn, region, deployment
        self._waiting: tuple[State, Verdict] | None = None
        self._changed = threading.Condition()
        endless("alerts", self._turn)

    def lag(self, before: State, verdict: Verdict) -> None:
        with self._changed:
            self._waiting = before, verdict
            self._changed.notify()

    def _turn(self) -> None:
        before, verdict = news = self._next()
        sent = self._send(before, verdict)
        with self._changed:
            if sent and self._waiting is news:
                self._waiting = None
            elif not sent:
                self._changed.wait(RETRY_S)

    def _next(self) -> tuple[State, Verdict]:
        with self._changed:
            while self._waiting is None:
                self._changed.wait()
            return self._waiting

    def _send(self, before: State, verdict: Verdict) -> bool:
        shown = "unknown" if verdict.lag_ms is None else f"{verdict.lag_ms} ms"
        subject = f"farshore {self._deployment}: replication lag {shown} ({self._region})"
        document = {
            "schema": SCHEMA,
            "deployment": self._deployment,
            "region": self._region,
            "before": before,
            "state": verdict.state,
            "lag_ms": verdict.lag_ms,
            "why": verdict.why,
            "readings": list(lines(verdict))[1:],
        }
        try:
            self._sns.publish(
                TopicArn=self._topic_arn,
                Subject=subject[:_SUBJECT_MAX],
                Message=json.dumps(document, indent=2),
                MessageAttributes={
                    "kind": {"DataType": "String", "StringValue": "lag"},
                    "state": {"DataType": "String", "StringValue": verdict.state},
                },
            )
        except (BotoCoreError, ClientError) as error:
            log("alert-not-sent", topic=self._topic_arn, error=str(error))
            return False
        log("alert-sent", region=self._region, state=verdict.state, why=verdict.why)
        return True
