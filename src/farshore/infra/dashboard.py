"""One region's dashboard: its alarms, where authority is, how late replication is, how database and functions do.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from farshore.aws.metrics import AUTHORITY_HOME, LAG_UNKNOWN, REPLICATION_LAG
from farshore.infra.site import Site

WIDTH, HEIGHT, COLUMNS = 12, 6, 2
PERIOD_S = 60


@dataclass(frozen=True, slots=True)
class DashboardArgs:
    site: Site
    alarm_arns: Sequence[pulumi.Input[str]]


class Dashboard(pulumi.ComponentResource):
    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Dashboard", name, None, opts)
        site = args.site
        placed = [
            {
                "type": kind,
                "x": number % COLUMNS * WIDTH,
                "y": number // COLUMNS * HEIGHT,
                "width": WIDTH,
                "height": HEIGHT,
                "properties": properties,
            }
            for number, (kind, properties) in enumerate(_widgets(args))
        ]
        self.dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=site.names.dashboard(site.region),
            dashboard_body=pulumi.Output.json_dumps({"widgets": placed}),
            opts=site.options(self),
        )
        self.register_outputs({"dashboardName": self.dashboard.dashboard_name})


def _widgets(args: DashboardArgs) -> list[tuple[str, dict[str, Any]]]:
    site, names = args.site, args.site.names
    cluster, other = names.cluster(site.region), names.other(site.region)
    here = ["Region", site.region]
    return [
        ("alarm", {"title": f"Alarms in {site.region}", "alarms": list(args.alarm_arns)}),
        _graph(
            site, "Authority is at home (1) or not (0)", [[names.metric_namespace, AUTHORITY_HOME, *here]]
        ),
        _graph(
            site,
            "Replication lag (ms)",
            [
                ["AWS/RDS", "AuroraGlobalDBRPOLag", "DBClusterIdentifier", cluster, "SourceRegion", other],
                [names.metric_namespace, REPLICATION_LAG, *here],
            ],
            "Maximum",
        ),
        _graph(
            site,
            "Readings of the lag that are unknown",
            [[names.metric_namespace, LAG_UNKNOWN, *here]],
            "Maximum",
        ),
        _graph(site, "CPU (%)", [["AWS/RDS", "CPUUtilization", "DBClusterIdentifier", cluster]]),
        _graph(
            site,
            "Storage (bytes)",
            [
                ["AWS/RDS", metric, "DBClusterIdentifier", cluster]
                for metric in ("VolumeBytesUsed", "FreeLocalStorage")
            ],
        ),
        _graph(
            site,
            "Functions",
            [
                ["AWS/Lambda", metric, "FunctionName", function]
                for function in (names.monitor_function(site.region), names.controller_function(site.region))
                for metric in ("Invocations", "Errors", "Throttles")
            ],
            "Sum",
        ),
    ]


def _graph(
    site: Site, title: str, metrics: list[list[str]], statistic: str = "Average"
) -> tuple[str, dict[str, Any]]:
    return "metric", {
        "title": title,
        "region": site.region,
        "view": "timeSeries",
        "stat": statistic,
        "period": PERIOD_S,
        "metrics": metrics,
    }
