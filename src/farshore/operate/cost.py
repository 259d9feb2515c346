"""What a deployment costs in a month, line by line. Pure: assumptions in, lines out; list prices, no free tier.

Free tiers belong to an account, not to a deployment, and discounts to a contract: neither is taken off here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from farshore.aws import lag_metric
from farshore.core.errors import UsageError
from farshore.core.profile import PROFILES, Profile
from farshore.lambdas.loop import BEAT_MS
from farshore.operate import rates
from farshore.operate.rates import Rate

HOURS = 730.0
SECONDS = HOURS * 3600
REGIONS = 2
SEED_TOTAL = "$1,400-1,600"
ASKING_CHECKS, CHECKERS, HTTPS_INTERVAL_S = 4, 16, 10
ANSWER_S, ENDPOINT_MB = 0.03, 128
READ_UNITS_PER_LOOK = 1
"""One look at authority, observations and presences stays below 4 KB."""
COPIES = 3
"""Two replicas and the witness, which is taken to cost as much as a replica: AWS's page names no lower price."""
PAGE_BYTES = 4096
"""Writes are counted in units of 4 KB: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.StorageReliability.html"""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the program deploys, where a count is paid for.

    `functions`: loops that never stop. `errands`: functions that run when asked, and cost nothing that shows. Rules on
    AWS's own events are free: https://aws.amazon.com/eventbridge/pricing/
    """

    instances_home: int = 2
    instances_standby: int = 2
    functions: int = 4
    errands: int = 2
    memory_mb: int = 256
    schedules: int = 4
    interface_endpoints: int = 10
    zones_per_endpoint: int = 3
    keys: int = 4
    secrets: int = 2
    health_checks: int = 8
    alarms: int = 24
    dashboards: int = 2
    hosted_zones: int = 1
    topics: int = 2


@dataclass(frozen=True, slots=True)
class Assumptions:
    """`write_iops`, `read_iops`: storage I/Os a second. `transfer_gb`: None takes it from the writes."""

    profile: str = "aws"
    storage_gb: float = 100.0
    write_iops: float = 100.0
    read_iops: float = 50.0
    transfer_gb: float | None = None
    retention_days: int = 7
    changed_per_day: float = 0.05
    log_gb: float = 5.0
    alerts: int = 100
    serverless_acu: float | None = None
    https_trigger: bool = False

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(f"--profile {self.profile!r}: use one of {', '.join(PROFILES)}.")
        for option, value in (
            ("--storage-gb", self.storage_gb),
            ("--write-iops", self.write_iops),
            ("--read-iops", self.read_iops),
            ("--transfer-gb", self.transfer_gb or 0.0),
            ("--log-gb", self.log_gb),
        ):
            if value < 0:
                raise UsageError(f"{option} {value:g}: use 0 or more.")
        if self.retention_days < 1:
            raise UsageError(
                f"--retention-days {self.retention_days}: Aurora keeps backups for 1 to 35 days."
            )


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` in the rate's unit; `seed` is what the original estimate claimed, None where it had no line."""

    what: str
    quantity: float
    rate: Rate
    note: str = ""
    seed: str | None = None

    @property
    def usd(self) -> float:
        return self.quantity * self.rate.usd


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Another choice, as the change of the month's total in dollars, and what it costs in safety."""

    what: str
    change_usd: float
    price: str


@dataclass(frozen=True, slots=True)
class Estimate:
    assumptions: Assumptions
    lines: tuple[Line, ...]
    what_ifs: tuple[WhatIf, ...]

    @property
    def total_usd(self) -> float:
        return sum(line.usd for line in self.lines)


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls a second of one deployment at rest: writes and looks at the authority table, metric requests."""

    writes: float
    looks: float
    metrics: float


def pace(profile: Profile) -> Pace:
    """One loop per function: the holder renews, the other controller looks at each tick, monitors write what they see.

    Each loop also says every two seconds that it runs, and looks whether a newer one does.
    """
    beats = 4 * 1000 / BEAT_MS
    writes = 1000 / profile.renew_ms + REGIONS * 1000 / profile.probe_ms + beats
    looks = 1000 / profile.tick_ms + beats
    return Pace(writes, looks, REGIONS * 1000 / profile.metric_ms)


def loops_at_once(beat_ms: int = BEAT_MS, start_ms: int = 1000, schedule_ms: int = 60_000) -> float:
    """Loops per function on average: the older one stays until it has heard the newer one twice."""
    return 1 + (start_ms + 2 * beat_ms) / schedule_ms


def estimate(assumptions: Assumptions, inventory: Inventory = Inventory()) -> Estimate:
    lines = tuple(_lines(assumptions, inventory))
    return Estimate(assumptions, lines, tuple(_what_ifs(assumptions, inventory)))


def _lines(given: Assumptions, has: Inventory) -> Iterator[Line]:
    yield from _database(given, has)
    yield from _controllers(given, has)
    yield from _network(given, has)
    yield from _watching(given, has)


def _database(given: Assumptions, has: Inventory) -> Iterator[Line]:
    count = has.instances_home + has.instances_standby
    if given.serverless_acu is None:
        yield Line(
            "Aurora db.r5.large instances", count * HOURS, rates.R5_LARGE, f"{count} instances", "~$1,200"
        )
    else:
        acus = count * given.serverless_acu
        note = f"{count} instances at {given.serverless_acu:g} ACU on average"
        yield Line("Aurora Serverless v2 instances", acus * HOURS, rates.SERVERLESS_V2, note, "~$1,200")
    copies = f"{given.storage_gb:g} GB in each region"
    yield Line(
        "Aurora storage", REGIONS * given.storage_gb, rates.STORAGE, copies, "$0 (first 100 GB free: no)"
    )
    writes, reads = (io * SECONDS / 1e6 for io in (given.write_iops, given.read_iops))
    yield Line(
        "Aurora storage I/O of the writer's region", writes + reads, rates.IO, "writes and uncached reads"
    )
    yield Line("Replicated write I/O", writes, rates.REPLICATED_WRITE, "one secondary region")
    yield Line(
        "Cross-region transfer of replication", _transfer(given), rates.INTER_REGION, _why(given), "$100-300"
    )
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-storage-backup.html: as much as the volume is
    # free; each day beyond the first keeps what changed that day.
    kept = given.storage_gb * (1 + given.changed_per_day * (given.retention_days - 1))
    note = f"{given.retention_days} days, {given.changed_per_day:.0%} changed a day, one volume free"
    yield Line("Backups beyond the free volume", REGIONS * (kept - given.storage_gb), rates.BACKUP, note)


def _transfer(given: Assumptions) -> float:
    if given.transfer_gb is not None:
        return given.transfer_gb
    return given.write_iops * SECONDS * PAGE_BYTES / 1e9


def _why(given: Assumptions) -> str:
    return "as given" if given.transfer_gb is not None else "4 KB for each write I/O at most"


def _controllers(given: Assumptions, has: Inventory) -> Iterator[Line]:
    at_once = loops_at_once()
    gb_seconds = has.functions * at_once * SECONDS * has.memory_mb / 1024
    note = f"{has.functions} loops of {has.memory_mb} MB that never stop, {at_once:.2f} at once each"
    yield Line("Lambda compute", gb_seconds, rates.LAMBDA_SECONDS, note, "< $1 (86,400 short invocations)")
    calls = has.schedules * 60 * HOURS / 1e6
    yield Line("Lambda requests", calls, rates.LAMBDA_REQUESTS, "one a minute and function")
    yield Line("EventBridge schedules", has.schedules, rates.SCHEDULE, "", "$0")
    at = pace(PROFILES[given.profile])
    note = f"{at.writes:.1f} writes a second in profile {given.profile}, {COPIES} copies of each"
    yield Line("Authority table writes", at.writes * COPIES * SECONDS / 1e6, rates.DYNAMODB_WRITE, note)
    note = f"{at.looks:.1f} consistent looks a second"
    yield Line(
        "Authority table reads", at.looks * READ_UNITS_PER_LOOK * SECONDS / 1e6, rates.DYNAMODB_READ, note
    )


def _network(given: Assumptions, has: Inventory) -> Iterator[Line]:
    hours = has.interface_endpoints * has.zones_per_endpoint * HOURS
    note = f"{has.interface_endpoints} endpoints in {has.zones_per_endpoint} zones: functions in a VPC without NAT"
    yield Line("VPC interface endpoints", hours, rates.INTERFACE_ENDPOINT, note)
    yield Line("VPC peering", 1, rates.PEERING, "its traffic is transfer", "$0")
    yield Line("Route 53 hosted zone", has.hosted_zones, rates.HOSTED_ZONE, "", "$0.50")
    yield Line(
        "Route 53 health checks", has.health_checks, rates.HEALTH_CHECK, "parents and children", "$1.00"
    )
    if given.https_trigger:
        yield from _public_endpoints()
    yield Line("KMS keys", has.keys, rates.KEY, "data and alerts in each region", "$2.00")
    yield Line("Secrets", has.secrets * REGIONS, rates.SECRET, "with a replica of each")


def _public_endpoints() -> Iterator[Line]:
    """Each checker asks at its own pace: with an interval of 10 s more than one question a second and check.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
    """
    note = "home and away, in each region"
    yield Line("Route 53 HTTPS option", ASKING_CHECKS, rates.HTTPS_CHECK_OPTION, note)
    yield Line("Route 53 fast interval", ASKING_CHECKS, rates.FAST_CHECK_OPTION, "10 s")
    asked = ASKING_CHECKS * CHECKERS / HTTPS_INTERVAL_S * SECONDS
    note = f"{CHECKERS} checkers and {ASKING_CHECKS} checks, every {HTTPS_INTERVAL_S} s"
    yield Line("Public endpoints: requests", asked / 1e6, rates.LAMBDA_REQUESTS, note)
    note = f"{ANSWER_S * 1000:.0f} ms of {ENDPOINT_MB} MB each"
    yield Line("Public endpoints: compute", asked * ANSWER_S * ENDPOINT_MB / 1024, rates.LAMBDA_SECONDS, note)
    note = "one consistent read each"
    yield Line("Public endpoints: authority reads", asked / 1e6, rates.DYNAMODB_READ, note)


def _watching(given: Assumptions, has: Inventory) -> Iterator[Line]:
    yield Line("CloudWatch alarms", has.alarms, rates.ALARM, "", "$0.40")
    note = "in each region where authority is, the lag, and how much of it is unknown"
    yield Line("CloudWatch custom metrics", 3 * REGIONS, rates.METRIC, note)
    profile = PROFILES[given.profile]
    calls = 2 * pace(profile).metrics * SECONDS / 1e3
    note = f"controllers and monitors, profile {given.profile}"
    yield Line("CloudWatch PutMetricData", calls, rates.METRIC_CALLS, note)
    asked = (REGIONS - 1 + lag_metric.EAGER) * len(lag_metric.NAMES) * SECONDS / lag_metric.every_ms(profile)
    note = (
        f"Aurora's two metrics of the lag; {lag_metric.EAGER} times as often beside the writer, where none is"
    )
    yield Line("CloudWatch GetMetricData", asked, rates.METRICS_READ, note)
    yield Line("CloudWatch dashboards", has.dashboards, rates.DASHBOARD)
    yield Line("CloudWatch Logs", given.log_gb, rates.LOGS_IN, "database and function logs")
    yield Line("SNS mails", given.alerts / 1e5, rates.MAIL, f"{given.alerts} alerts", "< $1")


def _what_ifs(given: Assumptions, has: Inventory) -> Iterator[WhatIf]:
    base = sum(line.usd for line in _lines(given, has))

    def change(assumptions: Assumptions = given, inventory: Inventory = has) -> float:
        return sum(line.usd for line in _lines(assumptions, inventory)) - base

    if given.serverless_acu is None:
        yield WhatIf(
            "Aurora Serverless v2 at 2 ACU on average",
            change(replace(given, serverless_acu=2.0)),
            "saves only below 2.4 ACU, where it costs what db.r5.large does; a region must scale up just when it "
            "takes over",
        )
    if has.instances_standby > 1:
        yield WhatIf(
            "one instance in the standby region",
            change(inventory=replace(has, instances_standby=1)),
            "after a failover the new writer has no in-region standby until one is added",
        )
        yield WhatIf(
            "no instance in the standby region (headless)",
            change(inventory=replace(has, instances_standby=0)),
            "nothing can be promoted before an instance exists: minutes more, and AWS must have one to give",
        )
    for days in (1, 35):
        if days != given.retention_days:
            yield WhatIf(
                f"backups kept for {days} days",
                change(replace(given, retention_days=days)),
                "how far back a mistake can be undone; the saved volume of a lost region ends with it",
            )
    if not given.https_trigger:
        yield WhatIf(
            "DNS moved by a public HTTPS endpoint in each region (dnsTrigger: https)",
            change(replace(given, https_trigger=True)),
            "two public endpoints that say where authority is; DNS follows in half a minute and the TTL",
        )
    other = "fast" if given.profile == "aws" else "aws"
    yield WhatIf(
        f"profile {other}",
        change(replace(given, profile=other)),
        "how soon a loss is certain, against calls to DynamoDB and CloudWatch",
    )
