"""The global database: a global cluster, the cluster that writes first, and the one that can take over.

To destroy it after the roles were swapped, detach the reader first (`aws rds remove-from-global-cluster
--db-cluster-identifier <its ARN>`): AWS refuses to remove a writer that still has a secondary, and the secondary of
this program goes first. Without a swap, `pulumi destroy` needs no help.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-deleting.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.cluster import NO_EXTENDED_SUPPORT, Cluster, ClusterArgs, FirstWriter
from farshore.infra.credentials import MASTER_USER, Credentials
from farshore.infra.engine import ENGINE
from farshore.infra.keys import Keys
from farshore.infra.network import Network
from farshore.infra.site import Site, tagged


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    site: Site
    network: Network
    keys: Keys


@dataclass(frozen=True, slots=True)
class DatabaseArgs:
    """`engine_pinned`: an exact version was asked for, so that a change of it is an upgrade of the global cluster."""

    home: DatabaseSide
    standby: DatabaseSide
    credentials: Credentials
    engine_version: pulumi.Output[str]
    engine_major: int
    engine_pinned: bool
    instance_class: str
    instances: int
    database_name: str
    port: int
    production: bool
    log_retention_days: int
    global_rpo_seconds: int | None = None


class GlobalDatabase(pulumi.ComponentResource):
    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:GlobalDatabase", name, None, opts)
        self._name, self._args = name, args
        identifier = args.home.site.names.global_cluster
        self.global_cluster = aws.rds.GlobalCluster(
            f"{name}-global",
            global_cluster_identifier=identifier,
            engine=ENGINE,
            engine_version=args.engine_version,
            engine_lifecycle_support=NO_EXTENDED_SUPPORT,
            storage_encrypted=True,
            deletion_protection=args.production,
            tags=tagged(identifier),
            opts=args.home.site.options(
                self,
                ignore_changes=[] if args.engine_pinned else ["engineVersion"],
                protect=args.production,
            ),
        )
        password = args.credentials.master_password
        first = FirstWriter(user=MASTER_USER, password=password, database=args.database_name)
        self.home = self._cluster("home", args.home, first_writer=first)
        self.standby = self._cluster("standby", args.standby, after=self.home)
        self.register_outputs({"globalClusterId": self.global_cluster.id})

    def of(self, region: str) -> Cluster:
        return self.home if region == self._args.home.site.region else self.standby

    def _cluster(
        self,
        label: str,
        side: DatabaseSide,
        *,
        first_writer: FirstWriter | None = None,
        after: Cluster | None = None,
    ) -> Cluster:
        """A secondary waits for the first writer's instances, not only for its cluster."""
        args = self._args
        return Cluster(
            f"{self._name}-{label}",
            ClusterArgs(
                site=side.site,
                network=side.network,
                keys=side.keys,
                global_cluster=self.global_cluster,
                engine_version=args.engine_version,
                engine_major=args.engine_major,
                instance_class=args.instance_class,
                instances=args.instances,
                port=args.port,
                production=args.production,
                log_retention_days=args.log_retention_days,
                first_writer=first_writer,
                global_rpo_seconds=args.global_rpo_seconds,
                after=after.instances if after else (),
            ),
            pulumi.ResourceOptions(parent=self),
        )
