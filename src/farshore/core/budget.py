"""From a region's failure to the first acknowledged write: each stage's bound, where it comes from, and what holds.

Pure arithmetic on a configuration. Bounds are worst cases: each stage waits for its whole period or deadline. What
farshore configures, what AWS documents, and what is assumed because nobody documents it are kept apart; figures
measured in the lab stand beside the bounds and are never part of a sum.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from farshore.core.errors import UsageError
from farshore.core.profile import Mode, Profile

AURORA_RTO = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html"
ALARMS = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"
CHECKS = "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html"
HTTPS_FAILURES = 3
HTTPS_INTERVAL_S = 10
STANDARD_INTERVAL_S = 30


class Source(StrEnum):
    CONFIGURATION = "configuration"
    AWS = "AWS page"
    ASSUMED = "assumed"
    NOBODY = "no bound"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a budget is made of; times in ms unless the name says otherwise.

    `promotion_s`: what AWS is given to make the other region the writer; it documents minutes and promises none.
    `alarm_period_s`, `alarm_periods`: of the alarm on authority. `check_interval_s`: how often Route 53 looks at it.
    `attempt_ms`, `connect_ms`, `search_ms`: farshore.client's deadlines and its longest pause while it searches.
    `lag_ms`: the replication lag up to which nobody is told.
    """

    profile: Profile
    mode: Mode = "auto"
    ttl_s: int = 60
    alarm_period_s: int = 60
    alarm_periods: int = 1
    check_interval_s: int = STANDARD_INTERVAL_S
    promotion_s: int = 180
    lag_ms: int = 5000
    attempt_ms: int = 1000
    connect_ms: int = 1000
    search_ms: int = 1000

    def __post_init__(self) -> None:
        for name, option in (
            ("ttl_s", "--ttl"),
            ("alarm_period_s", "--alarm-period"),
            ("alarm_periods", "--alarm-periods"),
            ("check_interval_s", "--check-interval"),
            ("promotion_s", "--promotion"),
            ("lag_ms", "--lag-ms"),
        ):
            if getattr(self, name) < 1:
                raise UsageError(f"{option} {getattr(self, name)}: use 1 or more.")


@dataclass(frozen=True, slots=True)
class Stage:
    """`bound_ms` None: it has none, for the reason in `basis`. `lab_ms`: measured in the lab, where it was.

    `page`: where AWS says it, or might.
    """

    name: str
    bound_ms: int | None
    source: Source
    basis: str
    lab_ms: int | None = None
    page: str | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """The stages that one kind of client waits for."""

    clients: str
    stages: tuple[Stage, ...]
    lab_ms: int | None = None

    @property
    def bound_ms(self) -> int | None:
        bounds = [stage.bound_ms for stage in self.stages]
        return None if None in bounds else sum(bound for bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the original estimate said, what the configuration gives, and what would make the claim hold."""

    words: str
    claimed_ms: int
    bound_ms: int | None
    remedy: str

    @property
    def holds(self) -> bool:
        return self.bound_ms is not None and self.bound_ms <= self.claimed_ms


@dataclass(frozen=True, slots=True)
class Budget:
    settings: Settings
    aware: Path
    dns_only: Path
    loss_bound_ms: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Lab:
    """Measured by one drill, in ms, by its stage's name; `outage`: seen by clients of either kind."""

    stages: Mapping[str, int] = field(default_factory=dict)
    outage_ms: int | None = None
    outage_dns_only_ms: int | None = None


NO_LAB = Lab()


def budget(settings: Settings, lab: Lab = NO_LAB) -> Budget:
    moving = tuple(_moving(settings, lab))
    aware = Path("region-aware clients", (*moving, _searching(settings, lab)), lab.outage_ms)
    naming = tuple(_naming(settings))
    dns_only = Path("DNS-only clients", (*moving, *naming, _connecting(settings)), lab.outage_dns_only_ms)
    loss_ms = settings.profile.loss_bound_ms(settings.lag_ms)
    claims = tuple(_claims(settings, naming, dns_only, loss_ms))
    return Budget(settings, aware, dns_only, loss_ms, claims)


def _moving(given: Settings, lab: Lab) -> Iterator[Stage]:
    """All that is waited for counts from the last sign of life, so each stage adds only what it takes longer."""
    profile = given.profile
    probed_ms = profile.unreachable_after_ms + profile.probe_ms + profile.tick_ms
    judged_ms = max(probed_ms, max(profile.lease_ttl_ms, profile.stale_after_ms) + profile.tick_ms)
    claimed_ms = judged_ms + profile.table_timeout_ms
    ended_ms = max(claimed_ms, profile.lease_wait_ms + profile.tick_ms)
    yield Stage(
        "probe",
        probed_ms,
        Source.CONFIGURATION,
        "unreachable_after_ms + probe_ms + tick_ms",
        lab.stages.get("detect"),
    )
    yield Stage(
        "verdict",
        claimed_ms - probed_ms,
        Source.CONFIGURATION,
        "until lease_ttl_ms and stale_after_ms have passed too, + table_timeout_ms to claim the epoch",
        lab.stages.get("decide"),
    )
    if given.mode != "auto":
        yield Stage(
            "approval", None, Source.NOBODY, f"mode {given.mode}: a person must say so (`farshore approve`)"
        )
    yield Stage(
        "lease",
        ended_ms - claimed_ms + profile.table_timeout_ms,
        Source.CONFIGURATION,
        "until lease_ttl_ms x (1 + drift) + stall_margin_ms have passed, + table_timeout_ms to record the intent",
        lab.stages.get("fence"),
    )
    yield Stage(
        "promotion",
        given.promotion_s * 1000,
        Source.ASSUMED,
        "AWS documents an RTO in the order of minutes, and no bound",
        lab.stages.get("promote"),
        AURORA_RTO,
    )
    yield Stage(
        "grant",
        profile.promotion_poll_ms + profile.table_timeout_ms + profile.lease_ttl_ms // 2,
        Source.CONFIGURATION,
        "promotion_poll_ms + table_timeout_ms + half a lease for the first renewal",
        lab.stages.get("route"),
    )


def _naming(given: Settings) -> Iterator[Stage]:
    yield Stage(
        "metric",
        (given.profile.tick_ms + given.profile.metric_ms),
        Source.CONFIGURATION,
        "tick_ms + metric_ms: the changed authority is published at once, within the call's deadline",
    )
    yield Stage(
        "alarm",
        (given.alarm_periods + 1) * given.alarm_period_s * 1000,
        Source.AWS,
        f"{given.alarm_periods} period(s) of {given.alarm_period_s} s, and one until the next evaluation",
        page=ALARMS,
    )
    yield Stage(
        "health check",
        given.check_interval_s * 1000,
        Source.ASSUMED,
        "how often Route 53 reads an alarm's data is not documented; taken as a check's interval",
        page=CHECKS,
    )
    yield Stage(
        "TTL", given.ttl_s * 1000, Source.CONFIGURATION, "recordTtlS: resolvers keep the old answer that long"
    )


def _searching(given: Settings, lab: Lab) -> Stage:
    return Stage(
        "reconnect",
        given.search_ms + given.connect_ms + given.attempt_ms,
        Source.CONFIGURATION,
        "farshore.client: its longest pause between two looks, a connection, an attempt",
        lab.stages.get("reconnect"),
    )


def _connecting(given: Settings) -> Stage:
    return Stage(
        "reconnect",
        given.connect_ms + given.attempt_ms,
        Source.CONFIGURATION,
        "a connection and an attempt with deadlines like farshore.client's; without deadlines a dead socket holds on",
    )


# --- the original estimate's claims -------------------------------------------------------------------------------


def _claims(given: Settings, naming: tuple[Stage, ...], dns_only: Path, loss_ms: int) -> Iterator[Claim]:
    dns_ms = sum(stage.bound_ms or 0 for stage in naming)
    yield Claim(
        "DNS fails over in under 60 s (health check and TTL), once authority has moved",
        60_000,
        dns_ms,
        _dns_remedy(given, dns_ms, 60_000),
    )
    yield Claim(
        "RTO under 60 s with DNS failover, from the failure to a write",
        60_000,
        dns_only.bound_ms,
        _rto_remedy(given, dns_only),
    )
    yield Claim(
        f"RPO of 5 s by an alert at {given.lag_ms} ms of lag",
        5000,
        loss_ms,
        _loss_remedy(given, loss_ms, 5000),
    )


def _dns_remedy(given: Settings, dns_ms: int, claimed_ms: int) -> str:
    if dns_ms <= claimed_ms:
        return "it holds as configured"
    rest_ms = dns_ms - given.ttl_s * 1000
    if rest_ms + 1000 <= claimed_ms:
        return f"farshore:recordTtlS = {(claimed_ms - rest_ms) // 1000} or less"
    fast_ms = HTTPS_INTERVAL_S * HTTPS_FAILURES * 1000 + given.profile.tick_ms + given.profile.metric_ms
    left_s = (claimed_ms - fast_ms) // 1000
    if left_s < 1:
        return "no TTL is short enough; clients that know both endpoints do not wait for DNS"
    return (
        f"no TTL is short enough behind a metric; an HTTPS check every {HTTPS_INTERVAL_S} s with "
        f"{HTTPS_FAILURES} failures and recordTtlS of {left_s} or less would do"
    )


def _rto_remedy(given: Settings, path: Path) -> str:
    if path.bound_ms is None:
        return "mode auto, for a start: a person's time has no bound"
    if path.bound_ms <= 60_000:  # noqa: PLR2004 - the claim
        return "it holds as configured"
    if given.promotion_s >= 60:  # noqa: PLR2004 - the claim
        return "no setting of ours: AWS's promotion alone may take as long"
    return "clients that know both endpoints (farshore.client): they wait for neither metric nor TTL"


def _loss_remedy(given: Settings, loss_ms: int, claimed_ms: int) -> str:
    if loss_ms <= claimed_ms:
        return "it holds as configured"
    profile = given.profile
    own_ms = profile.lease_ttl_ms + profile.stall_margin_ms
    if own_ms < claimed_ms:
        return f"FARSHORE_LAG_ALERT_MS = {claimed_ms - own_ms} or less, and a person who acts on the alert"
    shorter_ms = claimed_ms - profile.stall_margin_ms - 1
    if shorter_ms <= 0:
        return f"stall_margin_ms = {profile.stall_margin_ms} alone is as much"
    return (
        f"lease_ttl_ms below {shorter_ms} (it is {profile.lease_ttl_ms}): a cut-off writer acknowledges until its "
        "lease ends, whatever the lag is"
    )
