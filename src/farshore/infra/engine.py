"""Which Aurora PostgreSQL to create: an exact pin, or the newest 15.x that both regions offer for global databases.

The offer is asked for with the instance class that will be used, because support belongs to the combination
(`SupportsGlobalDatabases` of
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_OrderableDBInstanceOption.html), and by an ordered list
of versions, because the provider's own "latest" is a best effort by its documentation. The answer matters at creation
only: clusters ignore later ones, so a release by AWS changes no existing stack.
"""

import pulumi
import pulumi_aws as aws

from farshore.infra.config import StackConfig
from farshore.infra.site import Site

ENGINE = "aurora-postgresql"
DEFAULT_MAJOR = 15
OLDEST_MINOR = 4
NEWEST_MINOR_THOUGHT_OF = 40


def major(config: StackConfig) -> int:
    return DEFAULT_MAJOR if config.engine_version is None else int(config.engine_version.split(".")[0])


def candidates() -> list[str]:
    """Newest first; the first that AWS offers is taken."""
    minors = range(NEWEST_MINOR_THOUGHT_OF, OLDEST_MINOR - 1, -1)
    return [f"{DEFAULT_MAJOR}.{minor}" for minor in minors]


def resolve(config: StackConfig, sites: tuple[Site, Site]) -> pulumi.Output[str]:
    """One version for both sides, as a switchover demands; the lookup fails in words when nothing is offered."""
    if config.engine_version is not None:
        return pulumi.Output.from_input(config.engine_version)
    offers = [
        aws.rds.get_orderable_db_instance_output(
            engine=ENGINE,
            preferred_engine_versions=candidates(),
            preferred_instance_classes=[config.instance_class],
            supports_global_databases=True,
            opts=pulumi.InvokeOutputOptions(provider=site.provider),
        ).engine_version
        for site in sites
    ]
    return pulumi.Output.all(*offers).apply(older)


def older(versions: list[str]) -> str:
    return min(versions, key=lambda version: [int(part) for part in version.split(".")])
