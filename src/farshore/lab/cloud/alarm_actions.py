"""What an alarm does when its state changes: the message, and delivery to SNS topics."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.sns.models import sns_backends

from farshore.lab.cloud.alarm_rules import State

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transition:
    """One alarm's change of state; `message` is what AWS sends to SNS."""

    account: str
    region: str
    name: str
    before: State
    after: State
    reason: str
    at: datetime
    message: dict[str, Any]


def actions(alarm: Any, after: State) -> list[str]:
    lists = {
        State.ALARM: alarm.alarm_actions,
        State.OK: alarm.ok_actions,
        State.INSUFFICIENT_DATA: alarm.insufficient_data_actions,
    }
    return list(lists[after] or ())


def act(account: str, region: str, arn: str, transition: Transition) -> None:
    """An SNS topic of the alarm's own region is told; a failure is logged, as AWS writes it to history."""
    bodies = {"default": json.dumps(transition.message), "email": _mail(transition)}
    try:
        sns_backends[account][region].publish(
            json.dumps(bodies),
            arn=arn,
            subject=f'{transition.after}: "{transition.name}" in {region}'[:99],
            message_structure="json",
        )
    except Exception:  # noqa: BLE001 - whatever a subscriber does must not end the alarms
        _log.exception("alarm %s: action %s failed", transition.name, arn)


def _mail(transition: Transition) -> str:
    """Mail is for people; every other subscriber gets the document."""
    return (
        f'You are receiving this email because your Amazon CloudWatch Alarm "{transition.name}" in the '
        f"{transition.region} region has entered the {transition.after} state, because "
        f'"{transition.reason}" at "{transition.at:%A %d %B, %Y %H:%M:%S} UTC".\n\n'
        f"- Description: {transition.message['AlarmDescription'] or '(none)'}\n"
        f"- State change: {transition.before} -> {transition.after}\n"
        f"- Alarm ARN: {transition.message['AlarmArn']}\n"
    )


def message(account: str, region: str, alarm: Any, before: State, at: datetime) -> dict[str, Any]:
    """The document AWS publishes, less the fields that only its console uses."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": alarm.configuration_updated_timestamp.isoformat(),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
        "Region": region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before.value,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "StatisticType": "Statistic",
            "Statistic": (alarm.statistic or alarm.extended_statistic).upper(),
            "Unit": alarm.unit,
            "Dimensions": [{"name": d.name, "value": d.value} for d in alarm.dimensions],
            "Period": int(alarm.period),
            "EvaluationPeriods": int(alarm.evaluation_periods),
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": float(alarm.threshold),
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }
