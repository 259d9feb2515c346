"""Logs, alarms, dashboards, topics and queues: what watches and who is told."""

import json
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old, capital


def _log_group(call: Call) -> Made:
    logs, name = call.client("logs"), call.inputs.get("name") or call.auto_name()
    wanted = call.given("", kmsKeyId="kmsKeyId", logGroupClass="logGroupClass")
    logs.create_log_group(logGroupName=name, **wanted, **({"tags": dict(call.tags)} if call.tags else {}))
    if call.inputs.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=call.inputs["retentionInDays"])
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    arn = next(group["arn"] for group in found if group["logGroupName"] == name)
    return Made(name, {"name": name, "arn": arn.removesuffix(":*")})


def _delete_log_group(old: Old) -> None:
    old.client("logs").delete_log_group(logGroupName=old.id)


_ALARM = (
    "actionsEnabled alarmActions alarmDescription comparisonOperator datapointsToAlarm evaluationPeriods "
    "extendedStatistic insufficientDataActions metricName namespace period statistic threshold treatMissingData unit"
)


def _alarm(call: Call) -> Made:
    cloudwatch, name = call.client("cloudwatch"), call.inputs.get("name") or call.auto_name()
    wanted = call.given(
        _ALARM,
        okActions="OKActions",
        evaluateLowSampleCountPercentiles="EvaluateLowSampleCountPercentile",
        thresholdMetricId="ThresholdMetricId",
    )
    if "dimensions" in call.inputs:
        wanted["Dimensions"] = _dimensions(call.inputs["dimensions"])
    if "metricQueries" in call.inputs:
        wanted["Metrics"] = [_query(query) for query in call.inputs["metricQueries"]]
    cloudwatch.put_metric_alarm(AlarmName=name, **wanted, Tags=call.tag_list())
    found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return Made(name, {"name": name, "arn": found["AlarmArn"]})


def _dimensions(given: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(given.items())]


def _query(query: dict[str, Any]) -> dict[str, Any]:
    made = {capital(name): value for name, value in query.items() if name != "metric"}
    if metric := query.get("metric"):
        made["MetricStat"] = {
            "Metric": {
                "Namespace": metric.get("namespace", ""),
                "MetricName": metric["metricName"],
                "Dimensions": _dimensions(metric.get("dimensions", {})),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        }
    return made


def _delete_alarm(old: Old) -> None:
    old.client("cloudwatch").delete_alarms(AlarmNames=[old.id])


def _dashboard(call: Call) -> Made:
    cloudwatch = call.client("cloudwatch")
    answer = cloudwatch.put_dashboard(**call.given("dashboardName dashboardBody"))
    if complaints := answer.get("DashboardValidationMessages"):
        raise ValueError(json.dumps(complaints))
    name = call.inputs["dashboardName"]
    return Made(name, {"dashboardArn": cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]})


def _delete_dashboard(old: Old) -> None:
    old.client("cloudwatch").delete_dashboards(DashboardNames=[old.id])


def _topic(call: Call) -> Made:
    name = call.inputs.get("name") or call.auto_name()
    attributes = call.given("kmsMasterKeyId displayName policy deliveryPolicy signatureVersion tracingConfig")
    made = call.client("sns").create_topic(
        Name=name, Attributes={key: str(value) for key, value in attributes.items()}, Tags=call.tag_list()
    )
    return Made(made["TopicArn"], {"name": name, "arn": made["TopicArn"]})


def _delete_topic(old: Old) -> None:
    old.client("sns").delete_topic(TopicArn=old.id)


def _topic_policy(call: Call) -> Made:
    arn = call.inputs["arn"]
    call.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=call.inputs["policy"]
    )
    return Made(arn)


def _subscription(call: Call) -> Made:
    attributes = call.given("filterPolicy filterPolicyScope rawMessageDelivery redrivePolicy")
    made = call.client("sns").subscribe(
        TopicArn=call.inputs["topic"],
        **call.given("protocol endpoint"),
        Attributes={
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in attributes.items()
        },
        ReturnSubscriptionArn=True,
    )
    return Made(made["SubscriptionArn"], {"arn": made["SubscriptionArn"]})


def _delete_subscription(old: Old) -> None:
    old.client("sns").unsubscribe(SubscriptionArn=old.id)


_QUEUE = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "policy": "Policy",
    "redrivePolicy": "RedrivePolicy",
}


def _queue(call: Call) -> Made:
    sqs, name = call.client("sqs"), call.inputs.get("name") or call.auto_name()
    attributes = {key: _text(value) for key, value in call.given("", **_QUEUE).items()}
    url = sqs.create_queue(QueueName=name, Attributes=attributes, tags=dict(call.tags))["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return Made(url, {"name": name, "url": url, "arn": found["QueueArn"]})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _delete_queue(old: Old) -> None:
    old.client("sqs").delete_queue(QueueUrl=old.id)


KINDS = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        "name retentionInDays kmsKeyId logGroupClass", _log_group, _delete_log_group
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(
        f"name okActions dimensions metricQueries thresholdMetricId evaluateLowSampleCountPercentiles {_ALARM}",
        _alarm,
        _delete_alarm,
    ),
    "aws:cloudwatch/dashboard:Dashboard": Kind("dashboardName dashboardBody", _dashboard, _delete_dashboard),
    "aws:sns/topic:Topic": Kind(
        "name kmsMasterKeyId displayName policy deliveryPolicy signatureVersion tracingConfig",
        _topic,
        _delete_topic,
    ),
    "aws:sns/topicPolicy:TopicPolicy": Kind("arn policy", _topic_policy),
    "aws:sns/topicSubscription:TopicSubscription": Kind(
        "topic protocol endpoint filterPolicy filterPolicyScope rawMessageDelivery redrivePolicy",
        _subscription,
        _delete_subscription,
    ),
    "aws:sqs/queue:Queue": Kind(" ".join(("name", *_QUEUE)), _queue, _delete_queue),
}
