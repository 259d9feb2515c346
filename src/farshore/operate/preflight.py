"""Before and after a deployment: configuration, versions, parity of the sides, the guard and what could pass it by."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import farshore
from farshore.aws.clients import client
from farshore.core.errors import RefusedError
from farshore.operate import guard
from farshore.operate.checks import Look, Report, pages, run
from farshore.workshop import Workshop

CALL_MS = 10_000
ENGINE_MINIMUM = (15, 4)
"""The first 15.x of Aurora PostgreSQL that this stack supports."""
EQUAL = (
    "EngineVersion",
    "StorageEncrypted",
    "BackupRetentionPeriod",
    "DeletionProtection",
    "EnabledCloudwatchLogsExports",
    "Port",
    "IAMDatabaseAuthenticationEnabled",
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html: what is
not carried over at a failover must have been made equal before."""
_UNGUARDED = """
    select format('%s.%s', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence = 'p'
      and n.nspname not in ('pg_catalog', 'information_schema', 'farshore') and n.nspname not like 'pg\\_%'
      and not exists (select from farshore.guarded g where g.guarded = c.oid::regclass)
    order by 1
"""


def preflight(workshop: Workshop) -> Report:
    """Everything that can be looked at from here; what needs a writer is unknown while nobody holds authority."""
    return run(_looks(workshop))


def _looks(workshop: Workshop) -> Iterator[tuple[str, Look]]:
    yield "configuration", partial(_configuration, workshop)
    yield "account", partial(_account, workshop)
    yield "versions", partial(_versions, workshop)
    yield "both sides are alike", partial(_parity, workshop)
    yield "guard", partial(_guard, workshop)
    yield "tables without a guard", partial(_unguarded, workshop)
    yield "logical subscriptions", partial(_subscriptions, workshop)
    yield "max_prepared_transactions", partial(_prepared, workshop)
    for region in workshop.settings.names.regions:
        yield f"{region}: database quotas", partial(_quotas, region)
        yield f"{region}: Lambda concurrency", partial(_concurrency, workshop, region)


def _configuration(workshop: Workshop) -> tuple[bool, str]:
    settings = workshop.settings
    profile, names = settings.profile, settings.names
    return True, (
        f"farshore {farshore.__version__}, suffix {names.suffix}, {names.home_region} and {names.standby_region}, "
        f"witness {names.witness_region}, profile {profile.name} (lease {profile.lease_ttl_ms} ms), "
        f"mode {settings.mode}"
    )


def _account(workshop: Workshop) -> tuple[bool, str]:
    who = client("sts", workshop.settings.region, timeout_ms=CALL_MS).get_caller_identity()
    return True, f"{who['Account']} as {who['Arn']}"


def _clusters(workshop: Workshop) -> dict[str, dict[str, Any]]:
    names = workshop.settings.names
    return {
        region: client("rds", region, timeout_ms=CALL_MS).describe_db_clusters(
            DBClusterIdentifier=names.cluster(region)
        )["DBClusters"][0]
        for region in names.regions
    }


def _versions(workshop: Workshop) -> tuple[bool, str]:
    """Same major and minor on both sides, or a switchover is refused.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-upgrade.html
    """
    found = {region: str(cluster["EngineVersion"]) for region, cluster in _clusters(workshop).items()}
    numbers = [tuple(int(part) for part in version.split(".")[:2]) for version in found.values()]
    well = len(set(numbers)) == 1 and min(numbers) >= ENGINE_MINIMUM
    return well, ", ".join(f"{region} {version}" for region, version in found.items())


def _parity(workshop: Workshop) -> tuple[bool, str]:
    clusters = _clusters(workshop)
    (home, one), (standby, other) = clusters.items()
    differences = [
        f"{what}: {one.get(what)} in {home}, {other.get(what)} in {standby}"
        for what in EQUAL
        if one.get(what) != other.get(what)
    ]
    classes = {region: _classes(region, cluster) for region, cluster in clusters.items()}
    if classes[home] != classes[standby]:
        differences.append(f"instances: {classes[home]} in {home}, {classes[standby]} in {standby}")
    alike = f"{len(EQUAL)} settings and instances {', '.join(classes[home])} are equal"
    return not differences, "; ".join(differences) or alike


def _classes(region: str, cluster: dict[str, Any]) -> list[str]:
    rds = client("rds", region, timeout_ms=CALL_MS)
    return sorted(
        rds.describe_db_instances(DBInstanceIdentifier=member["DBInstanceIdentifier"])["DBInstances"][0][
            "DBInstanceClass"
        ]
        for member in cluster["DBClusterMembers"]
    )


def _writer(workshop: Workshop) -> str:
    record = workshop.journal.read().record
    if record is None or record.holder is None:
        raise RefusedError("no region holds authority now.", "see `farshore status`.")
    return record.holder


def _guard(workshop: Workshop) -> tuple[bool, str]:
    """Automatic failover needs a guard that enforces (H17)."""
    found = guard.status(workshop, _writer(workshop))
    how = "enforces" if found.enforcing else "only warns"
    lease = "a valid lease" if found.in_lease else "no valid lease"
    well = found.in_lease and (found.enforcing or workshop.settings.mode != "auto")
    return well, f"{how}, epoch {found.epoch} of {found.region}, {lease}, {len(found.tables)} tables guarded"


def _rows(workshop: Workshop, query: str) -> list[dict[str, Any]]:
    host = workshop.settings.endpoints[_writer(workshop)].writer
    with workshop.admin(host) as connection:
        return connection.execute(query.encode()).fetchall()


def _unguarded(workshop: Workshop) -> tuple[bool, str]:
    names = [row["name"] for row in _rows(workshop, _UNGUARDED)]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")  # noqa: PLR2004
    return not names, f"{shown}: `farshore guard install --table`" if names else "none"


def _subscriptions(workshop: Workshop) -> tuple[bool, str]:
    """A subscription's worker writes on its own, and its source would write on while the guard refuses."""
    count = _rows(workshop, "select count(*) as n from pg_stat_subscription")[0]["n"]
    return count == 0, f"{count}"


def _prepared(workshop: Workshop) -> tuple[bool, str]:
    """A prepared transaction outlives a lease: its second half is committed without the guard's check."""
    setting = _rows(workshop, "select current_setting('max_prepared_transactions') as n")[0]["n"]
    return setting == "0", setting if setting == "0" else f"{setting}: set it to 0 in the parameter group"


def _quotas(region: str) -> tuple[bool, str]:
    """Two more of each fit: a restored snapshot and its instance."""
    quotas = {
        quota["AccountQuotaName"]: (quota["Used"], quota["Max"])
        for quota in client("rds", region, timeout_ms=CALL_MS).describe_account_attributes()["AccountQuotas"]
        if quota["AccountQuotaName"] in ("DBClusters", "DBInstances", "ManualClusterSnapshots")
    }
    room = all(most - used >= 2 for used, most in quotas.values())  # noqa: PLR2004 - see above
    return room, ", ".join(f"{name} {used} of {most}" for name, (used, most) in quotas.items())


def _concurrency(workshop: Workshop, region: str) -> tuple[bool, str]:
    """Reserved for the loops, so that nobody else's load can stop them."""
    functions, names = client("lambda", region, timeout_ms=CALL_MS), workshop.settings.names
    wanted = (names.monitor_function(region), names.controller_function(region))
    known = {one["FunctionName"] for one in pages(functions, "list_functions", "Functions")}
    reserved = {
        name: functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0)
        for name in wanted
        if name in known
    }
    well = len(reserved) == len(wanted) and all(count >= 2 for count in reserved.values())  # noqa: PLR2004 - overlap
    return well, ", ".join(f"{name} {reserved.get(name, 'is not there')}" for name in wanted)
