"""One region's Aurora cluster in the global database: its parameters, its log group, its instances.

Role-neutral: a cluster is created as writer or as secondary, and afterwards either may be the other. What AWS then
reports differently is ignored; otherwise the next `up` would promote, detach or replace a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from farshore.infra.engine import ENGINE
from farshore.infra.keys import Keys
from farshore.infra.network import Network
from farshore.infra.site import Site, tagged

NO_EXTENDED_SUPPORT = "open-source-rds-extended-support-disabled"
"""The default is paid. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/extended-support.html"""
BACKUP_DAYS = 7
BACKUP_WINDOW = "03:00-04:00"
MAINTENANCE_WINDOW = "sun:05:00-sun:06:00"
CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
CREATE_TIMEOUT = "90m"
IDLE_IN_TRANSACTION_MS = "5000"
MOVES_WITH_THE_ROLE = [
    "replicationSourceIdentifier",
    "globalClusterIdentifier",
    "engineVersion",
    "masterUsername",
    "masterPassword",
    "masterPasswordWo",
    "databaseName",
]
"""Changed by a role swap, an upgrade or a rotation; the names are create-only and a reader may report none."""


@dataclass(frozen=True, slots=True)
class FirstWriter:
    """Only the cluster that is created first has these; a secondary gets them by replication."""

    user: str
    password: pulumi.Output[str] = field(repr=False)
    database: str


@dataclass(frozen=True, slots=True)
class ClusterArgs:
    """`after`: what must exist before this cluster. `log_retention_days`: of the exported PostgreSQL log."""

    site: Site
    network: Network
    keys: Keys
    global_cluster: aws.rds.GlobalCluster
    engine_version: pulumi.Output[str]
    engine_major: int
    instance_class: str
    instances: int
    port: int
    production: bool
    log_retention_days: int
    first_writer: FirstWriter | None = None
    global_rpo_seconds: int | None = None
    after: Sequence[pulumi.Resource] = ()


class Cluster(pulumi.ComponentResource):
    """https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-getting-started.html"""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Cluster", name, None, opts)
        self._name, self._args = name, args
        site, names, region = args.site, args.site.names, args.site.region
        logs = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=names.database_log_group(region),
            retention_in_days=args.log_retention_days,
            kms_key_id=args.keys.data.arn,
            tags=tagged(names.database_log_group(region)),
            opts=site.options(self),
        )
        parameters = self._parameters()
        writer = args.first_writer
        self.cluster = aws.rds.Cluster(
            f"{name}-cluster",
            cluster_identifier=names.cluster(region),
            global_cluster_identifier=args.global_cluster.id,
            engine=ENGINE,
            engine_version=args.engine_version,
            engine_lifecycle_support=NO_EXTENDED_SUPPORT,
            db_subnet_group_name=args.network.subnet_group.name,
            vpc_security_group_ids=[args.network.database_group.id],
            db_cluster_parameter_group_name=parameters.name,
            port=args.port,
            kms_key_id=args.keys.data.arn,
            storage_encrypted=True,
            backup_retention_period=BACKUP_DAYS,
            preferred_backup_window=BACKUP_WINDOW,
            preferred_maintenance_window=MAINTENANCE_WINDOW,
            enabled_cloudwatch_logs_exports=["postgresql"],
            copy_tags_to_snapshot=True,
            deletion_protection=args.production,
            skip_final_snapshot=not args.production,
            final_snapshot_identifier=names.final_snapshot(region) if args.production else None,
            master_username=writer.user if writer else None,
            master_password_wo=writer.password if writer else None,
            master_password_wo_version=1 if writer else None,
            database_name=writer.database if writer else None,
            tags=tagged(names.cluster(region)),
            opts=site.options(
                self,
                depends_on=[logs, *args.network.rules, *args.after],
                ignore_changes=MOVES_WITH_THE_ROLE,
                protect=args.production,
                custom_timeouts=pulumi.CustomTimeouts(create=CREATE_TIMEOUT),
            ),
        )
        self.instances = [self._instance(number) for number in range(1, args.instances + 1)]
        self.register_outputs(
            {"endpoint": self.cluster.endpoint, "readerEndpoint": self.cluster.reader_endpoint}
        )

    def _parameters(self) -> aws.rds.ClusterParameterGroup:
        """TLS for all; commit times for naming orphans; no prepared transactions, which outlive a fence.

        Clients that a cut link has silenced within a transaction keep their row locks until the server gives them up:
        others would wait for these rows for a day (Aurora's default).

        https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Reference.ParameterGroups.html
        """
        args = self._args
        chosen = [
            ("rds.force_ssl", "1", "immediate"),
            ("track_commit_timestamp", "1", "pending-reboot"),
            ("max_prepared_transactions", "0", "pending-reboot"),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS, "immediate"),
        ]
        if args.global_rpo_seconds is not None:
            chosen.append(("rds.global_db_rpo", str(args.global_rpo_seconds), "immediate"))
        group_name = args.site.names.parameter_group(args.site.region)
        return aws.rds.ClusterParameterGroup(
            f"{self._name}-parameters",
            name=group_name,
            family=f"{ENGINE}{args.engine_major}",
            description="farshore: TLS only, commit times kept",
            parameters=[
                {"name": parameter, "value": value, "apply_method": method}
                for parameter, value, method in chosen
            ],
            tags=tagged(group_name),
            opts=args.site.options(self),
        )

    def _instance(self, number: int) -> aws.rds.ClusterInstance:
        """Minor versions are not upgraded by themselves: both sides must run the same one to switch over."""
        args, names = self._args, self._args.site.names
        identifier = names.instance(args.site.region, number)
        return aws.rds.ClusterInstance(
            f"{self._name}-instance-{number}",
            identifier=identifier,
            cluster_identifier=self.cluster.id,
            engine=aws.rds.EngineType.AURORA_POSTGRESQL,
            instance_class=args.instance_class,
            publicly_accessible=False,
            auto_minor_version_upgrade=False,
            ca_cert_identifier=CERTIFICATE_AUTHORITY,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.keys.data.arn,
            performance_insights_retention_period=BACKUP_DAYS,
            tags=tagged(identifier),
            opts=args.site.options(self, ignore_changes=["engineVersion"], protect=args.production),
        )
