"""One region's watch over the database: monitor and controller, what they are told, and what wakes a person."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.alarms import Alarms, AlarmsArgs, Thresholds
from farshore.infra.artifact import CA_IN_FUNCTION, archive
from farshore.infra.authority import AuthorityTable
from farshore.infra.config import StackConfig
from farshore.infra.credentials import Credentials
from farshore.infra.dashboard import Dashboard, DashboardArgs
from farshore.infra.database import GlobalDatabase
from farshore.infra.functions import FunctionArgs, LoopFunction, dead_letters
from farshore.infra.opinion import Opinion, OpinionArgs
from farshore.infra.permissions import LOOPS, Kind
from farshore.infra.region import Region
from farshore.infra.rotation import Rotation, RotationArgs


@dataclass(frozen=True, slots=True)
class WatchArgs:
    """`after`: the routes to the other region's database."""

    config: StackConfig
    region: Region
    database: GlobalDatabase
    authority: AuthorityTable
    credentials: Credentials
    authority_alarm: aws.cloudwatch.MetricAlarm
    after: Sequence[pulumi.Resource] = ()


class Watch(pulumi.ComponentResource):
    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Watch", name, None, opts)
        self._name, self._args = name, args
        site = args.region.site
        self.dead_letters = dead_letters(name, site, self)
        self.functions = {kind: self._loop(kind) for kind in LOOPS}
        self.opinion = Opinion(
            f"{name}-failover",
            OpinionArgs(
                self._function("failover"),
                self.functions["controller"].function,
                args.config.instances_per_region,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self._rotation()
        self.alarms = Alarms(
            f"{name}-alarms",
            AlarmsArgs(site, args.region.alerts.topic, thresholds(args.config)),
            pulumi.ResourceOptions(parent=self),
        )
        shown = [args.authority_alarm.arn, *(alarm.arn for alarm in self.alarms.made)]
        dashboard = Dashboard(
            f"{name}-board", DashboardArgs(site, shown), pulumi.ResourceOptions(parent=self)
        )
        self.outputs: dict[str, pulumi.Input[str]] = {
            f"{site.side}VpcId": args.region.network.vpc.id,
            f"{site.side}TopicArn": args.region.alerts.topic.arn,
            f"{site.side}MonitorFunction": self.functions["monitor"].function.name,
            f"{site.side}ControllerFunction": self.functions["controller"].function.name,
            f"{site.side}FailoverFunction": self.opinion.function.name,
            f"{site.side}Dashboard": dashboard.dashboard.dashboard_name,
        }
        self.register_outputs(self.outputs)

    def _loop(self, kind: Kind) -> LoopFunction:
        return LoopFunction(f"{self._name}-{kind}", self._function(kind), pulumi.ResourceOptions(parent=self))

    def _rotation(self) -> None:
        """Of the primary secrets, which are the home region's."""
        args = self._args
        every_days = args.config.rotation_days_in_force
        if every_days and args.region.site.region == args.config.home_region:
            Rotation(
                f"{self._name}-rotation",
                RotationArgs(self._function("rotation"), args.credentials, every_days),
                pulumi.ResourceOptions(parent=self),
            )

    def _function(self, kind: Kind) -> FunctionArgs:
        args, region = self._args, self._args.region.site.region
        return FunctionArgs(
            site=args.region.site,
            kind=kind,
            network=args.region.network,
            keys=args.region.keys,
            code=archive(args.config.rds_ca_file),
            environment=variables(args.config, args.database),
            dead_letters=self.dead_letters,
            table_arn=args.authority.arn(region),
            global_cluster_arn=args.database.global_cluster.arn,
            cluster_arn=args.database.of(region).cluster.arn,
            other_cluster_arn=args.database.of(args.config.names.other(region)).cluster.arn,
            secret_arns=[args.credentials.controller_arn(region)],
            topic_arn=args.region.alerts.topic.arn,
            log_retention_days=args.config.log_retention_days,
            after=[*args.region.endpoints.all, *args.after],
        )


def thresholds(config: StackConfig) -> Thresholds:
    return Thresholds(
        cpu_percent=config.cpu_percent,
        storage_budget_gib=config.storage_budget_gib,
        storage_percent=config.storage_percent,
        free_local_storage_gib=config.free_local_storage_gib,
        lag_ms=config.lag_alarm_ms,
    )


def variables(config: StackConfig, database: GlobalDatabase) -> dict[str, pulumi.Input[str]]:
    """What `farshore.settings` reads. No secret is among them: functions ask Secrets Manager."""
    endpoints = {
        region: {
            "writer": database.of(region).cluster.endpoint,
            "reader": database.of(region).cluster.reader_endpoint,
        }
        for region in config.names.regions
    }
    told: dict[str, pulumi.Input[str]] = {
        "FARSHORE_SUFFIX": config.suffix,
        "FARSHORE_HOME_REGION": config.home_region,
        "FARSHORE_STANDBY_REGION": config.standby_region,
        "FARSHORE_WITNESS_REGION": config.witness_region,
        "FARSHORE_PROFILE": config.profile,
        "FARSHORE_MODE": config.mode_in_force,
        "FARSHORE_TWO_PERSON": "yes" if config.two_person else "no",
        "FARSHORE_ENDPOINTS": pulumi.Output.json_dumps(endpoints),
        "FARSHORE_PORT": str(config.port),
        "FARSHORE_DBNAME": config.database_name,
        "FARSHORE_SSLROOTCERT": CA_IN_FUNCTION,
        "FARSHORE_LAG_ALERT_MS": str(config.lag_alarm_ms),
    }
    if config.timings:
        told["FARSHORE_TIMINGS"] = pulumi.Output.json_dumps(config.timings)
    return told
