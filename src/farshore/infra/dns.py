"""The name that clients use, and the health checks that make it follow authority (docs/dns.md has the truth table).

Six CLOUDWATCH_METRIC children, three per region, that differ in what they make of missing data; PRIMARY is healthy
with four of them or more, SECONDARY is its inverse, so exactly one is healthy. Nothing here is called during a
failover: checks and answers are data plane. With the https trigger four of the six ask the regions' public endpoints
instead: a silent endpoint fails the one and passes the other, as missing data do.
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from farshore.aws.metrics import AUTHORITY_HOME
from farshore.infra.cluster import Cluster
from farshore.infra.network import Network
from farshore.infra.site import Site, tagged

PERIOD_S = 60
HOME_THRESHOLD = 4
INSUFFICIENT = ("Healthy", "Unhealthy", "LastKnownStatus")
HTTPS_INTERVAL_S, HTTPS_FAILURES = 10, 3


@dataclass(frozen=True, slots=True)
class DnsSide:
    site: Site
    network: Network
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class WriterNameArgs:
    """`beacons`: by region the host of its public endpoint; none without the https trigger."""

    home: DnsSide
    standby: DnsSide
    ttl_s: int
    beacons: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class WriterName(pulumi.ComponentResource):
    def __init__(self, name: str, args: WriterNameArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:WriterName", name, None, opts)
        self._name, self._args = name, args
        self.alarms = {side.site.region: self._alarm(side.site) for side in (args.home, args.standby)}
        self.children = [
            self._child(side.site, insufficient, args.beacons.get(side.site.region))
            for side in (args.home, args.standby)
            for insufficient in INSUFFICIENT
        ]
        self.home_check = self._parent(args.home.site, inverted=False)
        self.standby_check = self._parent(args.standby.site, inverted=True)
        self.zone = self._zone()
        self._record(args.home, "PRIMARY", self.home_check)
        self._record(args.standby, "SECONDARY", self.standby_check)
        self.register_outputs({"zoneId": self.zone.zone_id})

    def _alarm(self, site: Site) -> aws.cloudwatch.MetricAlarm:
        """Of standard resolution and one metric, as a health check demands. Its state is no alert: it says where
        authority is."""
        names = site.names
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{site.side}-authority",
            name=names.authority_alarm(site.region),
            alarm_description="Not in alarm while authority is at home, by this region's controller",
            namespace=names.metric_namespace,
            metric_name=AUTHORITY_HOME,
            dimensions={"Region": site.region},
            statistic="Minimum",
            period=PERIOD_S,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="LessThanThreshold",
            treat_missing_data="missing",
            tags=tagged(names.authority_alarm(site.region)),
            opts=site.options(self),
        )

    def _child(
        self, site: Site, insufficient: str, beacon: pulumi.Input[str] | None
    ) -> aws.route53.HealthCheck:
        if beacon is not None and insufficient != "LastKnownStatus":
            return self._asking(site, beacon, is_away=insufficient == "Healthy")
        return self._watching(site, insufficient)

    def _asking(self, site: Site, beacon: pulumi.Input[str], *, is_away: bool) -> aws.route53.HealthCheck:
        """Healthy while the endpoint says home; or, inverted, unless it says away.

        https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
        """
        path = "away" if is_away else "home"
        return aws.route53.HealthCheck(
            f"{self._name}-{site.side}-{path}",
            type="HTTPS",
            fqdn=beacon,
            port=443,
            resource_path=f"/{path}",
            enable_sni=True,
            request_interval=HTTPS_INTERVAL_S,
            failure_threshold=HTTPS_FAILURES,
            invert_healthcheck=is_away,
            tags=tagged(site.names.health_check(site.region, f"authority-{path}")),
            opts=site.options(self),
        )

    def _watching(self, site: Site, insufficient: str) -> aws.route53.HealthCheck:
        """A check copies its alarm's settings when it is made; `triggers` has it read them again after a change."""
        check_name = site.names.health_check(site.region, f"authority-{insufficient.lower()}")
        return aws.route53.HealthCheck(
            f"{self._name}-{site.side}-{insufficient.lower()}",
            type="CLOUDWATCH_METRIC",
            cloudwatch_alarm_name=self.alarms[site.region].name,
            cloudwatch_alarm_region=site.region,
            insufficient_data_health_status=insufficient,
            triggers={"period": str(PERIOD_S)},
            tags=tagged(check_name),
            opts=site.options(self),
        )

    def _parent(self, site: Site, *, inverted: bool) -> aws.route53.HealthCheck:
        return aws.route53.HealthCheck(
            f"{self._name}-{site.side}-check",
            type="CALCULATED",
            child_healthchecks=[child.id for child in self.children],
            child_health_threshold=HOME_THRESHOLD,
            invert_healthcheck=inverted,
            tags=tagged(site.names.health_check(site.region, "health-check")),
            opts=site.options(self),
        )

    def _zone(self) -> aws.route53.Zone:
        """Private: answered in the two VPCs only. The second association is a resource of its own, hence ignored."""
        home, standby = self._args.home, self._args.standby
        zone = aws.route53.Zone(
            f"{self._name}-zone",
            name=home.site.names.zone,
            comment="farshore: where the writer is",
            vpcs=[{"vpc_id": home.network.vpc.id, "vpc_region": home.site.region}],
            tags=tagged(home.site.names.zone),
            opts=home.site.options(self, ignore_changes=["vpcs"]),
        )
        aws.route53.ZoneAssociation(
            f"{self._name}-zone-standby",
            zone_id=zone.zone_id,
            vpc_id=standby.network.vpc.id,
            vpc_region=standby.site.region,
            opts=standby.site.options(self),
        )
        return zone

    def _record(self, side: DnsSide, failover: str, check: aws.route53.HealthCheck) -> None:
        aws.route53.Record(
            f"{self._name}-{side.site.side}-record",
            zone_id=self.zone.zone_id,
            name=side.site.names.writer_name,
            type="CNAME",
            ttl=self._args.ttl_s,
            records=[side.cluster.cluster.endpoint],
            set_identifier=failover.lower(),
            failover_routing_policies=[{"type": failover}],
            health_check_id=check.id,
            opts=side.site.options(self),
        )
