"""What wakes a person in one region. The same alarms stand in both, because roles move and alarms do not.

Aurora's lag metrics exist only where the cluster is a secondary, so their absence is no news to the alarm on them;
farshore's monitors publish in both regions how many readings of the lag are missing, stale, moved or contradicted, and
there absence is news as well: an unknown lag is never a small one.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from farshore.aws.metrics import AUTHORITY_HOME, LAG_UNKNOWN
from farshore.infra.permissions import LOOPS
from farshore.infra.site import Site, tagged

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Thresholds:
    cpu_percent: int
    storage_budget_gib: int
    storage_percent: int
    free_local_storage_gib: int
    lag_ms: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """`minutes`: how many minutes out of the last `of` must breach; `period_s` as the metric is published."""

    what: str
    why: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: Literal["Average", "Maximum", "Minimum", "Sum", "SampleCount"]
    above: float | None = None
    below: float | None = None
    missing: Literal["missing", "notBreaching", "breaching"] = "missing"
    breaching: int = 3
    of: int = 5
    period_s: int = 60

    @property
    def comparison(self) -> str:
        return "LessThanThreshold" if self.above is None else "GreaterThanThreshold"

    @property
    def threshold(self) -> float:
        return float(self.above if self.above is not None else self.below or 0)


def alarms(site: Site, thresholds: Thresholds) -> Iterator[Alarm]:
    yield from _database(site, thresholds)
    yield from _lag(site, thresholds)
    yield from _functions(site)


def _database(site: Site, thresholds: Thresholds) -> Iterator[Alarm]:
    """Aurora's volume grows by itself, so the storage alarm is about a budget and local storage about an end.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
    """
    cluster = {"DBClusterIdentifier": site.names.cluster(site.region)}
    yield Alarm(
        "cpu",
        "The cluster is busy",
        "AWS/RDS",
        "CPUUtilization",
        cluster,
        "Average",
        above=thresholds.cpu_percent,
    )
    yield Alarm(
        "storage",
        "The volume uses up its budget",
        "AWS/RDS",
        "VolumeBytesUsed",
        cluster,
        "Average",
        above=thresholds.storage_budget_gib * GIB * thresholds.storage_percent / 100,
        breaching=1,
        of=1,
        period_s=300,
    )
    yield Alarm(
        "local-storage",
        "An instance runs out of room for sorting and temporary tables",
        "AWS/RDS",
        "FreeLocalStorage",
        cluster,
        "Minimum",
        below=thresholds.free_local_storage_gib * GIB,
    )


def _lag(site: Site, thresholds: Thresholds) -> Iterator[Alarm]:
    """RPO lag: durability lag rises in long transactions while nothing could be lost."""
    names = site.names
    received = {
        "DBClusterIdentifier": names.cluster(site.region),
        "SourceRegion": names.other(site.region),
    }
    yield Alarm(
        "lag",
        "Replication into this region is late",
        "AWS/RDS",
        "AuroraGlobalDBRPOLag",
        received,
        "Maximum",
        above=thresholds.lag_ms,
        missing="notBreaching",
        breaching=2,
        of=3,
    )
    yield Alarm(
        "lag-unknown",
        "A reading of the replication lag is missing, stale, moved or contradicted, or nobody reads it",
        names.metric_namespace,
        LAG_UNKNOWN,
        {"Region": site.region},
        "Minimum",
        above=0,
        missing="breaching",
    )


def _functions(site: Site) -> Iterator[Alarm]:
    names = site.names
    yield Alarm(
        "controller-deadlock",
        "This region's controller says nothing about authority: it hangs, or cannot read the table",
        names.metric_namespace,
        AUTHORITY_HOME,
        {"Region": site.region},
        "SampleCount",
        below=1,
        missing="breaching",
        of=3,
    )
    functions = {"monitor": names.monitor_function, "controller": names.controller_function}
    for kind in LOOPS:
        function = {"FunctionName": functions[kind](site.region)}
        yield Alarm(
            f"{kind}-stopped",
            f"The {kind} is not started any more",
            "AWS/Lambda",
            "Invocations",
            function,
            "Sum",
            below=1,
            missing="breaching",
        )
        yield Alarm(
            f"{kind}-failing",
            f"The {kind} ends in errors",
            "AWS/Lambda",
            "Errors",
            function,
            "Sum",
            above=0,
            missing="notBreaching",
        )
    yield Alarm(
        "dead-letters",
        "A function could not take an event in time",
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        {"QueueName": names.dead_letters(site.region)},
        "Maximum",
        above=0,
        missing="notBreaching",
        breaching=1,
        of=1,
    )


@dataclass(frozen=True, slots=True)
class AlarmsArgs:
    """`topic`: told when an alarm starts and when it ends."""

    site: Site
    topic: aws.sns.Topic
    thresholds: Thresholds


class Alarms(pulumi.ComponentResource):
    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Alarms", name, None, opts)
        self._name, self._args = name, args
        self.made = [self._alarm(alarm) for alarm in alarms(args.site, args.thresholds)]
        self.register_outputs({"alarms": [alarm.name for alarm in self.made]})

    def _alarm(self, alarm: Alarm) -> aws.cloudwatch.MetricAlarm:
        site, topic = self._args.site, self._args.topic
        alarm_name = site.names.alarm(site.region, alarm.what)
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.what}",
            name=alarm_name,
            alarm_description=alarm.why,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=dict(alarm.dimensions),
            statistic=alarm.statistic,
            period=alarm.period_s,
            evaluation_periods=alarm.of,
            datapoints_to_alarm=alarm.breaching,
            threshold=alarm.threshold,
            comparison_operator=alarm.comparison,
            treat_missing_data=alarm.missing,
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            tags=tagged(alarm_name),
            opts=site.options(self),
        )
