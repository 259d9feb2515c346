"""What a stack configuration may not say, beyond the type of each value. Pure: a configuration in, refusals out."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from farshore.core.errors import UsageError
from farshore.infra.config import NAMESPACE, TIMINGS, StackConfig, key_of
from farshore.infra.subnets import SUBNETS, subnet_networks

STRONG_REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html"""
ENGINE_MINIMUM = (15, 4)
ENGINE_MAJORS = (15, 16, 17)
RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
_SUFFIX = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_CLASS = re.compile(r"db\.([a-z]+)(\d+)[a-z]*\.(\d*x?large)")
_TAG_VALUE = re.compile(r"[\w .:/=+\-@]{1,256}")
_PROFILE_WORDS = re.compile(r"(\w+) = (\d+) (.*?)[;.] ?(.*?)\.?")
_SMALLEST_GENERATION = {"r": 5, "x": 2}


@dataclass(frozen=True, slots=True)
class Refusal:
    key: str
    value: Any
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{NAMESPACE}:{self.key} = {self.value!r}: {self.problem}. Fix: {self.fix}."


def refusals(config: StackConfig) -> Iterator[Refusal]:
    """Every reason not to deploy this, in the order of the keys."""
    yield from _suffix(config)
    regions = list(_regions(config))
    yield from regions
    if not regions:
        yield from _networks(config)
        yield from _zones(config)
    yield from _database(config)
    yield from _timings(config)
    yield from _accounts(config)
    yield from _tags(config)


def _suffix(config: StackConfig) -> Iterator[Refusal]:
    if not _SUFFIX.fullmatch(config.suffix):
        problem = "RDS allows only lower case letters, digits and single hyphens between them"
        yield Refusal("suffix", config.suffix, problem, "a suffix such as demo or team-a1")
        return
    names = config.names
    region = config.standby_region
    limited = (
        ("RDS", 63, names.cluster(region)),
        ("RDS", 63, names.instance(region, config.instances_per_region)),
        ("Lambda", 64, names.controller_function(region)),
        ("IAM", 64, names.function_role(region, "controller")),
        ("EventBridge", 64, names.schedule_rule(region, "controller")),
        ("DNS", 63, names.zone.split(".", maxsplit=1)[0]),
    )
    service, limit, longest = max(limited, key=lambda entry: len(entry[2]) - entry[1])
    excess = len(longest) - limit
    if excess > 0:
        problem = f"{longest} would be {len(longest)} characters long and {service} allows {limit}"
        yield Refusal("suffix", config.suffix, problem, f"a suffix {excess} characters shorter")


def _regions(config: StackConfig) -> Iterator[Refusal]:
    chosen = {
        "homeRegion": config.home_region,
        "standbyRegion": config.standby_region,
        "witnessRegion": config.witness_region,
    }
    seen: dict[str, str] = {}
    for key, region in chosen.items():
        if region in seen:
            problem = f"{seen[region]} is the same region, and its loss would be the loss of both"
            yield Refusal(key, region, problem, "three different regions")
            return
        seen[region] = key
    if not any(set(seen) <= regions for regions in STRONG_REGION_SETS):
        problem = "the authority table needs three regions of one set for strong consistency"
        sets = "; or ".join(", ".join(sorted(regions)) for regions in STRONG_REGION_SETS)
        yield Refusal(
            "homeRegion, standbyRegion, witnessRegion", tuple(seen), problem, f"regions among {sets}"
        )


def _networks(config: StackConfig) -> Iterator[Refusal]:
    sides: dict[str, IPv4Network] = {}
    for side, region in (("home", config.home_region), ("standby", config.standby_region)):
        key, text = f"{side}Cidr", config.cidr(region)
        try:
            network = IPv4Network(text)
        except ValueError as error:
            yield Refusal(key, text, f"not an IPv4 network ({error})", "a network such as 10.0.0.0/16")
            continue
        if not network.is_private or not 16 <= network.prefixlen <= 24:  # noqa: PLR2004 - AWS's and ours
            problem = "not a private network of /16 to /24"
            yield Refusal(
                key, text, problem, "a network such as 10.0.0.0/16, inside 10/8, 172.16/12 or 192.168/16"
            )
            continue
        sides[side] = network
        yield from _subnets(f"{side}SubnetCidrs", network, config.given_subnets(region))
    if len(sides) == 2 and sides["home"].overlaps(sides["standby"]):  # noqa: PLR2004 - both sides
        problem = (
            f"overlaps homeCidr = {config.home_cidr}, and peering cannot route between overlapping networks"
        )
        yield Refusal(
            "standbyCidr", config.standby_cidr, problem, "networks apart, such as 10.0.0.0/16 and 10.1.0.0/16"
        )


def _subnets(key: str, network: IPv4Network, given: list[str]) -> Iterator[Refusal]:
    if not given:
        return
    if len(given) != SUBNETS:
        yield Refusal(key, given, f"{len(given)} subnets", "three, one per availability zone")
        return
    try:
        subnets = subnet_networks(network, given)
    except ValueError as error:
        yield Refusal(key, given, f"not IPv4 networks ({error})", "networks such as 10.0.1.0/24")
        return
    for number, subnet in enumerate(subnets):
        if not subnet.subnet_of(network):
            yield Refusal(key, str(subnet), f"not inside {network}", f"subnets of {network}")
        if any(subnet.overlaps(other) for other in subnets[:number]):
            yield Refusal(key, str(subnet), "overlaps another subnet", "subnets that are apart")


def _zones(config: StackConfig) -> Iterator[Refusal]:
    for key, region in (("homeZones", config.home_region), ("standbyZones", config.standby_region)):
        zones = config.zones(region)
        if len(set(zones)) != SUBNETS or any(not zone.startswith(region) for zone in zones):
            fix = f"three different zones of {region}, such as {region}a, {region}b, {region}c"
            yield Refusal(key, zones, f"not three availability zones of {region}", fix)


def _database(config: StackConfig) -> Iterator[Refusal]:
    yield from _instance_class(config.instance_class)
    if config.engine_version is not None:
        yield from _engine_version(config.engine_version)
    path = config.rds_ca_file
    if path is not None and not (Path(path).is_file() and "BEGIN CERTIFICATE" in Path(path).read_text()):
        problem = "no file with PEM certificates is there"
        yield Refusal("rdsCaFile", path, problem, "the path of Amazon's global-bundle.pem")


def _instance_class(given: str) -> Iterator[Refusal]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database.configuration.requirements.html"""
    shape = _CLASS.fullmatch(given)
    smallest = _SMALLEST_GENERATION.get(shape[1]) if shape else None
    if shape is None or smallest is None or int(shape[2]) < smallest:
        problem = "a global database needs a memory-optimized class, db.r5 or larger"
        yield Refusal("instanceClass", given, problem, "db.r5.large or larger")


def _engine_version(given: str) -> Iterator[Refusal]:
    shape = re.fullmatch(r"(\d+)\.(\d+)", given)
    fix = "an exact version from 15.4 on, such as 15.10, or no key at all for the newest 15.x"
    if shape is None:
        yield Refusal("engineVersion", given, "not an exact version", fix)
        return
    version = (int(shape[1]), int(shape[2]))
    if version < ENGINE_MINIMUM:
        yield Refusal("engineVersion", given, "older than 15.4, the oldest that farshore supports", fix)
    elif version[0] not in ENGINE_MAJORS:
        yield Refusal("engineVersion", given, "a major version that farshore was not tested with", fix)


def _timings(config: StackConfig) -> Iterator[Refusal]:
    try:
        profile = config.profile_in_force
    except UsageError as error:
        yield _in_our_words(str(error))
        return
    least_loss_ms = profile.loss_bound_ms(lag_ms=0)
    if config.mode_in_force == "auto" and profile.loss_budget_ms < least_loss_ms:
        problem = (
            f"mode auto would never fail over: a lost writer may have acknowledged for its lease and a stall, "
            f"{least_loss_ms} ms, without replicating"
        )
        fix = f"a budget of {least_loss_ms} or more, a shorter lease, or mode approve"
        yield Refusal("lossBudgetMs", profile.loss_budget_ms, problem, fix)


def _in_our_words(words: str) -> Refusal:
    """The profile's own refusal, which names its setting first, in the words of this configuration."""
    for name in TIMINGS:
        words = words.replace(name, key_of(name))
    shape = _PROFILE_WORDS.fullmatch(words)
    if shape is None:
        return Refusal("profile", "the timings", words.rstrip("."), "other timings")
    return Refusal(shape[1], int(shape[2]), shape[3], shape[4])


def _accounts(config: StackConfig) -> Iterator[Refusal]:
    for account in config.trusted_accounts:
        if not re.fullmatch(r"\d{12}", account):
            yield Refusal("trustedAccounts", account, "not an AWS account", "account numbers of 12 digits")
    for address in config.alert_emails:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            yield Refusal(
                "alertEmails", address, "not an e-mail address", "addresses such as ops@example.com"
            )
    if config.log_retention_days not in RETENTION_DAYS:
        offered = ", ".join(map(str, RETENTION_DAYS))
        problem = "CloudWatch Logs does not offer it"
        yield Refusal("logRetentionDays", config.log_retention_days, problem, f"one of {offered}")


def _tags(config: StackConfig) -> Iterator[Refusal]:
    for name in ("repository", "author", "pr_number", "team"):
        value = getattr(config, name)
        if not _TAG_VALUE.fullmatch(value):
            problem = "AWS refuses it as a tag's value"
            yield Refusal(key_of(name), value, problem, "letters, digits, spaces and . : / = + - @ _")
    try:
        dt.datetime.strptime(config.created_at, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - the Z is the zone
    except ValueError:
        problem = "not a time in UTC"
        yield Refusal("createdAt", config.created_at, problem, "a time such as 2026-11-22T17:00:00Z")
