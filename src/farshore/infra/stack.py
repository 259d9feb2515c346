"""All of it: two regions with network, keys, clusters, functions and alerts, and what spans them."""

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
from farshore.infra.watch import Watch, WatchArgs


class Farshore(pulumi.ComponentResource):
    """`outputs` are for operators: names, endpoints and ids, and no secret."""

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Farshore", name, None, opts)
        self._name, self._config = name, config
        self._inside = pulumi.ResourceOptions(parent=self)
        warn_if_foreign()
        sites = self._sites()
        home, standby = (self._region(site) for site in sites)
        peering = Peering(
            f"{name}-peering",
            PeeringArgs(
                PeerSide(home.site, home.network, config.home_cidr),
                PeerSide(standby.site, standby.network, config.standby_cidr),
            ),
            self._inside,
        )
        authority = AuthorityTable(
            f"{name}-authority",
            AuthorityArgs(home=home.site, standby=standby.site, production=config.is_production),
            self._inside,
        )
        credentials = Credentials(
            f"{name}-credentials",
            CredentialsArgs(home.site, standby.site, home.keys, standby.keys, config.is_production),
            self._inside,
        )
        database = self._database(home, standby, credentials)
        writer_name = WriterName(
            f"{name}-dns",
            WriterNameArgs(
                home=DnsSide(home.site, home.network, database.home),
                standby=DnsSide(standby.site, standby.network, database.standby),
                ttl_s=config.record_ttl_s,
                beacons=self._beacons((home, standby), authority),
            ),
            self._inside,
        )
        watches = [
            Watch(
                f"{name}-{region.site.side}-watch",
                WatchArgs(
                    config=config,
                    region=region,
                    database=database,
                    authority=authority,
                    credentials=credentials,
                    authority_alarm=writer_name.alarms[region.site.region],
                    after=peering.routes,
                ),
                self._inside,
            )
            for region in (home, standby)
        ]
        runbooks = [
            Runbooks(
                f"{name}-{site.side}-runbooks",
                RunbooksArgs(
                    site=site,
                    function=watch.opinion.function,
                    table_arn=authority.arn(site.region),
                    global_cluster_arn=database.global_cluster.arn,
                ),
                self._inside,
            )
            for site, watch in zip(sites, watches, strict=True)
        ]
        operations = self._operations(sites, database, authority, writer_name, watches, runbooks)
        self.outputs = {
            **_database_outputs(config, database),
            "writerName": config.names.writer_name,
            "zoneId": writer_name.zone.zone_id,
            "primaryHealthCheckId": writer_name.home_check.id,
            "secondaryHealthCheckId": writer_name.standby_check.id,
            "vpcPeeringConnectionId": peering.connection.id,
            "authorityTable": authority.table.name,
            "masterSecretArn": credentials.master.arn,
            "controllerSecretArn": credentials.controller.arn,
            "operationsRoleArn": operations.role.arn,
            "externalId": config.names.external_id,
        }
        for watch in watches:
            self.outputs.update(watch.outputs)
        self.register_outputs(self.outputs)

    def _sites(self) -> tuple[Site, Site]:
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

    def _beacons(
        self, regions: tuple[Region, Region], authority: AuthorityTable
    ) -> dict[str, pulumi.Output[str]]:
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
                    table_arn=authority.arn(region.site.region),
                    log_retention_days=self._config.log_retention_days,
                ),
                self._inside,
            ).host
            for region in regions
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

    def _database(self, home: Region, standby: Region, credentials: Credentials) -> GlobalDatabase:
        config = self._config
        return GlobalDatabase(
            f"{self._name}-database",
            DatabaseArgs(
                home=DatabaseSide(home.site, home.network, home.keys),
                standby=DatabaseSide(standby.site, standby.network, standby.keys),
                credentials=credentials,
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

    def _operations(
        self,
        sites: tuple[Site, Site],
        database: GlobalDatabase,
        authority: AuthorityTable,
        writer_name: WriterName,
        watches: list[Watch],
        runbooks: list[Runbooks],
    ) -> OperationsRole:
        home, standby = sites
        return OperationsRole(
            f"{self._name}-operations",
            OperationsArgs(
                home=home,
                standby=standby,
                trusted_accounts=self._config.trusted_accounts,
                global_cluster=database.global_cluster.arn,
                clusters=[database.of(site.region).cluster.arn for site in sites],
                tables=[authority.arn(site.region) for site in sites],
                functions=[watch.functions["monitor"].function.arn for watch in watches],
                zone_id=writer_name.zone.zone_id,
                checks=[writer_name.home_check.id, writer_name.standby_check.id],
                runbook_roles=[made.role.arn for made in runbooks],
            ),
            self._inside,
        )


def _database_outputs(config: StackConfig, database: GlobalDatabase) -> dict[str, pulumi.Output[str]]:
    found = {
        "globalClusterId": database.global_cluster.id,
        "engineVersion": database.global_cluster.engine_version,
    }
    for region in config.names.regions:
        side, cluster = config.names.side(region), database.of(region).cluster
        found[f"{side}ClusterArn"] = cluster.arn
        found[f"{side}Endpoint"] = cluster.endpoint
        found[f"{side}ReaderEndpoint"] = cluster.reader_endpoint
    return found
