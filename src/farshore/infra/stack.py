"""All of it: two regions with network, keys, clusters, functions and alerts, and what spans them."""

import shlex
from pathlib import Path

import pulumi
import pulumi_aws as aws

from farshore.infra import engine
from farshore.infra.artifact import archive, warn_if_foreign
from farshore.infra.authority import AuthorityArgs, AuthorityTable
from farshore.infra.beacon import Beacon, BeaconArgs
from farshore.infra.config import StackConfig
from farshore.infra.credentials import Credentials, CredentialsArgs
from farshore.infra.database import DatabaseArgs, DatabaseSide, GlobalDatabase
from farshore.infra.dns import DnsSide, WriterName, WriterNameArgs
from farshore.infra.operations import OperationsArgs, OperationsRole
from farshore.infra.peering import Peering, PeeringArgs, PeerSide
from farshore.infra.region import Region, RegionArgs
from farshore.infra.runbooks import Runbooks, RunbooksArgs
from farshore.infra.site import Site
from farshore.infra.tags import tags
from farshore.infra.watch import Watch, WatchArgs, variables


class Farshore(pulumi.ComponentResource):
    """`outputs` are for operators: names, endpoints and ids, and no secret."""

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Farshore", name, None, opts)
        self._name, self._config = name, config
        self._inside = pulumi.ResourceOptions(parent=self)
        warn_if_foreign()
        self._sites = self._both_sites()
        self._home, self._standby = (self._region(site) for site in self._sites)
        self._peering = self._peer()
        self._authority = AuthorityTable(
            f"{name}-authority",
            AuthorityArgs(*self._sites, production=config.is_production),
            self._inside,
        )
        keys = (self._home.keys, self._standby.keys)
        self._credentials = Credentials(
            f"{name}-credentials",
            CredentialsArgs(*self._sites, *keys, config.is_production),
            self._inside,
        )
        self._database = self._global_database()
        self._writer_name = self._name_of_the_writer()
        self._watches = [self._watch(region) for region in (self._home, self._standby)]
        self._runbooks = [
            self._books(site, watch) for site, watch in zip(self._sites, self._watches, strict=True)
        ]
        self._operations = self._operations_role()
        self.outputs = self._told()
        self.register_outputs(self.outputs)

    def _peer(self) -> Peering:
        home, standby, config = self._home, self._standby, self._config
        return Peering(
            f"{self._name}-peering",
            PeeringArgs(
                PeerSide(home.site, home.network, config.home_cidr),
                PeerSide(standby.site, standby.network, config.standby_cidr),
            ),
            self._inside,
        )

    def _name_of_the_writer(self) -> WriterName:
        home, standby = self._home, self._standby
        return WriterName(
            f"{self._name}-dns",
            WriterNameArgs(
                home=DnsSide(home.site, home.network, self._database.home),
                standby=DnsSide(standby.site, standby.network, self._database.standby),
                ttl_s=self._config.record_ttl_s,
                beacons=self._beacons(),
            ),
            self._inside,
        )

    def _watch(self, region: Region) -> Watch:
        return Watch(
            f"{self._name}-{region.site.side}-watch",
            WatchArgs(
                config=self._config,
                region=region,
                database=self._database,
                authority=self._authority,
                credentials=self._credentials,
                authority_alarm=self._writer_name.alarms[region.site.region],
                after=self._peering.routes,
            ),
            self._inside,
        )

    def _books(self, site: Site, watch: Watch) -> Runbooks:
        return Runbooks(
            f"{self._name}-{site.side}-runbooks",
            RunbooksArgs(
                site=site,
                function=watch.opinion.function,
                table_arn=self._authority.arn(site.region),
                global_cluster_arn=self._database.global_cluster.arn,
            ),
            self._inside,
        )

    def _told(self) -> dict[str, pulumi.Input[str]]:
        """What the stack hands to operators."""
        names, database = self._config.names, self._database
        told: dict[str, pulumi.Input[str]] = {
            "globalClusterId": database.global_cluster.id,
            "engineVersion": database.global_cluster.engine_version,
            "writerName": names.writer_name,
            "zoneId": self._writer_name.zone.zone_id,
            "primaryHealthCheckId": self._writer_name.home_check.id,
            "secondaryHealthCheckId": self._writer_name.standby_check.id,
            "vpcPeeringConnectionId": self._peering.connection.id,
            "authorityTable": self._authority.table.name,
            "masterSecretArn": self._credentials.master.arn,
            "controllerSecretArn": self._credentials.controller.arn,
            "operationsRoleArn": self._operations.role.arn,
            "externalId": names.external_id,
        }
        for region, watch in zip(names.regions, self._watches, strict=True):
            side, cluster = names.side(region), database.of(region).cluster
            told[f"{side}ClusterArn"] = cluster.arn
            told[f"{side}Endpoint"] = cluster.endpoint
            told[f"{side}ReaderEndpoint"] = cluster.reader_endpoint
            told |= watch.outputs
        told["operatorEnvironment"] = self._environment_of_operators()
        return told

    def _environment_of_operators(self) -> pulumi.Output[str]:
        """Lines for a shell: what the verbs read, as the functions do, but for the region to stand in."""
        told = variables(self._config, self._database)
        told["FARSHORE_SSLROOTCERT"] = str(Path(self._config.rds_ca_file or "global-bundle.pem").absolute())
        told["FARSHORE_ZONE_ID"] = self._writer_name.zone.zone_id
        return pulumi.Output.all(**told).apply(
            lambda known: "\n".join(f"export {name}={shlex.quote(value)}" for name, value in known.items())
        )

    def _both_sites(self) -> tuple[Site, Site]:
        config = self._config
        providers = {
            region: aws.Provider(
                f"{self._name}-{config.names.side(region)}",
                region=region,
                default_tags={"tags": tags(config, region)},
                allowed_account_ids=[config.account_id] if config.account_id else None,
                opts=self._inside,
            )
            for region in config.names.regions
        }
        asked = pulumi.InvokeOutputOptions(provider=providers[config.home_region])
        account = aws.get_caller_identity_output(opts=asked).account_id
        home, standby = (
            Site(config.names, region, provider, account) for region, provider in providers.items()
        )
        return home, standby

    def _beacons(self) -> dict[str, pulumi.Output[str]]:
        """By region the host that says in public where authority is; nothing unless it is asked for."""
        if self._config.dns_trigger != "https":
            return {}
        return {
            region.site.region: Beacon(
                f"{self._name}-{region.site.side}-beacon",
                BeaconArgs(
                    site=region.site,
                    keys=region.keys,
                    code=archive(self._config.rds_ca_file),
                    table_arn=self._authority.arn(region.site.region),
                    log_retention_days=self._config.log_retention_days,
                ),
                self._inside,
            ).host
            for region in (self._home, self._standby)
        }

    def _region(self, site: Site) -> Region:
        config = self._config
        own, peer = site.region, config.names.other(site.region)
        return Region(
            f"{self._name}-{site.side}",
            RegionArgs(
                site=site,
                peers=(config.cidr(own), config.cidr(peer)),
                subnets=config.given_subnets(own),
                zones=config.zones(own),
                port=config.port,
                production=config.is_production,
                emails=config.alert_emails,
                flow_logs=config.flow_logs,
                log_retention_days=config.log_retention_days,
            ),
            self._inside,
        )

    def _global_database(self) -> GlobalDatabase:
        home, standby, config = self._home, self._standby, self._config
        return GlobalDatabase(
            f"{self._name}-database",
            DatabaseArgs(
                home=DatabaseSide(home.site, home.network, home.keys),
                standby=DatabaseSide(standby.site, standby.network, standby.keys),
                credentials=self._credentials,
                engine_version=engine.resolve(config, (home.site, standby.site)),
                engine_major=engine.major(config),
                engine_pinned=config.engine_version is not None,
                instance_class=config.instance_class,
                instances=config.instances_per_region,
                database_name=config.database_name,
                port=config.port,
                production=config.is_production,
                log_retention_days=config.log_retention_days,
                global_rpo_seconds=config.global_rpo_seconds,
            ),
            self._inside,
        )

    def _operations_role(self) -> OperationsRole:
        home, standby = self._sites
        return OperationsRole(
            f"{self._name}-operations",
            OperationsArgs(
                home=home,
                standby=standby,
                trusted_accounts=self._config.trusted_accounts,
                global_cluster=self._database.global_cluster.arn,
                clusters=[self._database.of(site.region).cluster.arn for site in self._sites],
                tables=[self._authority.arn(site.region) for site in self._sites],
                functions=[watch.functions["monitor"].function.arn for watch in self._watches],
                zone_id=self._writer_name.zone.zone_id,
                checks=[self._writer_name.home_check.id, self._writer_name.standby_check.id],
                children=[child.id for child in self._writer_name.children],
                runbook_roles=[made.role.arn for made in self._runbooks],
            ),
            self._inside,
        )
