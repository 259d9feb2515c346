"""What a region has of its own before any cluster is in it: network, endpoints, keys, alert topic."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from farshore.infra.alerts import Alerts, AlertsArgs
from farshore.infra.endpoints import Endpoints, EndpointsArgs
from farshore.infra.flowlogs import FlowLogs, FlowLogsArgs
from farshore.infra.keys import Keys, KeysArgs
from farshore.infra.network import Network, NetworkArgs
from farshore.infra.site import Site


@dataclass(frozen=True, slots=True)
class RegionArgs:
    """`peers`: the CIDRs of both VPCs, this one first."""

    site: Site
    peers: tuple[str, str]
    subnets: Sequence[str]
    zones: Sequence[str]
    port: int
    production: bool
    log_retention_days: int
    emails: Sequence[str] = ()
    flow_logs: bool = False


class Region(pulumi.ComponentResource):
    def __init__(self, name: str, args: RegionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Region", name, None, opts)
        self.site = args.site
        inside = pulumi.ResourceOptions(parent=self)
        self.keys = Keys(f"{name}-keys", KeysArgs(args.site, protect=args.production), inside)
        self.network = Network(
            f"{name}-network",
            NetworkArgs(args.site, args.peers, args.zones, args.port, args.subnets),
            inside,
        )
        self.endpoints = Endpoints(f"{name}-endpoints", EndpointsArgs(args.site, self.network), inside)
        self.alerts = Alerts(f"{name}-alerts", AlertsArgs(args.site, self.keys, args.emails), inside)
        if args.flow_logs:
            logged = FlowLogsArgs(args.site, self.network, self.keys, args.log_retention_days)
            FlowLogs(f"{name}-flow", logged, inside)
        self.register_outputs({"vpcId": self.network.vpc.id, "topicArn": self.alerts.topic.arn})
