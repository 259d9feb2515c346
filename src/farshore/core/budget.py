"""From a region's failure to the first acknowledged write: each stage's bound, where it comes from, and what holds.

Pure arithmetic on a configuration. Bounds are worst cases: each stage waits for its whole period or deadline. What
farshore configures, what AWS documents, and what is assumed because nobody documents it are kept apart; figures
measured in the lab stand beside the bounds and are never part of a sum.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, get_args

from farshore.core.errors import UsageError
from farshore.core.profile import Mode, Profile

AURORA_RTO = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html"
ALARMS = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"
CHECKS = "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html"
HEALTHY = "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html"
HTTPS_FAILURES = 3
HTTPS_INTERVAL_S = 10
HTTPS_CONNECT_S, HTTPS_ANSWER_S = 4, 2
STANDARD_INTERVAL_S = 30
RTO_MS = 60_000
RPO_MS = 5000

DnsTrigger = Literal["metric", "https"]
Key = int | str


class Source(StrEnum):
    CONFIGURATION = "configuration"
    AWS = "AWS page"
    ASSUMED = "assumed"
    NOBODY = "no bound"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a budget is made of; times in ms unless the name says otherwise.

    `promotion_s`: what AWS is given to make the other region the writer; it documents minutes and promises none.
    `dns_trigger`: what moves DNS. `alarm_period_s`, `alarm_periods`: of the alarm on authority, `check_interval_s`: how
    often Route 53 looks at it; all three with the trigger `metric` only.
    `attempt_ms`, `connect_ms`, `search_ms`: farshore.client's deadlines and its longest pause while it searches.
    `lag_ms`: the replication lag up to which nobody is told.
    """

    profile: Profile
    mode: Mode = "auto"
    dns_trigger: DnsTrigger = "metric"
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
        if self.dns_trigger not in get_args(DnsTrigger):
            raise UsageError(
                f"--dns-trigger {self.dns_trigger!r}: use one of {', '.join(get_args(DnsTrigger))}."
            )
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
    """What the original estimate said, what the configuration gives, and what would make the claim hold.

    `keys`: those of the stack that make it hold, with their values; none where the remedy is not a setting.
    """

    words: str
    claimed_ms: int
    bound_ms: int | None
    remedy: str
    keys: Mapping[str, Key] = field(default_factory=dict)

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
    aware, dns_only = _aware(settings, lab), _dns_only(settings, lab)
    loss_ms = settings.profile.loss_bound_ms(settings.lag_ms)
    claims = (_dns_claim(settings), _rto_claim(settings), _rpo_claim(settings))
    return Budget(settings, aware, dns_only, loss_ms, claims)


def _aware(given: Settings, lab: Lab = NO_LAB) -> Path:
    return Path("region-aware clients", (*_moving(given, lab), _searching(given, lab)), lab.outage_ms)


def _dns_only(given: Settings, lab: Lab = NO_LAB) -> Path:
    """Drills are run with the trigger `metric`: what one measured is no figure of another path."""
    stages = (*_moving(given, lab), *_naming(given), _connecting(given))
    lab_ms = lab.outage_dns_only_ms if given.dns_trigger == "metric" else None
    return Path("DNS-only clients", stages, lab_ms)


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
    if given.dns_trigger == "https":
        yield _https_check()
    else:
        yield from _by_metric(given)
    yield Stage(
        "TTL", given.ttl_s * 1000, Source.CONFIGURATION, "recordTtlS: resolvers keep the old answer that long"
    )


def _https_check() -> Stage:
    """The endpoint reads the table at each question, so nothing is waited for but the checkers.

    A checker rests its interval after each answer (HealthCheckConfig, RequestInterval); an answer under way when
    authority moves may still be the old one.
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
    """
    round_s = HTTPS_INTERVAL_S + HTTPS_CONNECT_S + HTTPS_ANSWER_S
    return Stage(
        "HTTPS check",
        (HTTPS_FAILURES * round_s + HTTPS_ANSWER_S) * 1000,
        Source.AWS,
        f"{HTTPS_FAILURES} answers in a row, each {HTTPS_INTERVAL_S} s after the one before and at most "
        f"{HTTPS_CONNECT_S} + {HTTPS_ANSWER_S} s under way, + {HTTPS_ANSWER_S} s for an old one under way; "
        f"{HTTPS_FAILURES * HTTPS_INTERVAL_S} s when all are answered at once",
        page=HEALTHY,
    )


def _by_metric(given: Settings) -> Iterator[Stage]:
    yield Stage(
        "metric",
        given.profile.tick_ms + given.profile.metric_ms,
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

HOLDS = "it holds as configured"


def _dns_claim(given: Settings) -> Claim:
    bound_ms = _sum_ms(_naming(given))
    keys = _quick_dns(given, RTO_MS) if bound_ms > RTO_MS else {}
    return Claim(
        "DNS fails over in under 60 s (health check and TTL), once authority has moved",
        RTO_MS,
        bound_ms,
        _told(keys or {}) if bound_ms > RTO_MS else HOLDS,
        keys or {},
    )


def _quick_dns(given: Settings, within_ms: int) -> dict[str, Key] | None:
    """The keys with which DNS follows authority in time; None: no trigger and no TTL is quick enough."""
    triggers: tuple[DnsTrigger, ...] = get_args(DnsTrigger)
    for trigger in sorted(triggers, key=lambda one: one != given.dns_trigger):
        rest_ms = _sum_ms(_naming(replace(given, dns_trigger=trigger))) - given.ttl_s * 1000
        ttl_s = (within_ms - rest_ms) // 1000
        if ttl_s >= 1:
            keys: dict[str, Key] = {} if trigger == given.dns_trigger else {"dnsTrigger": trigger}
            return keys if ttl_s >= given.ttl_s else {**keys, "recordTtlS": ttl_s}
    return None


def _rto_claim(given: Settings) -> Claim:
    bound_ms = _dns_only(given).bound_ms
    words = "RTO under 60 s with DNS failover, from the failure to a write"
    if bound_ms is not None and bound_ms <= RTO_MS:
        return Claim(words, RTO_MS, bound_ms, HOLDS)
    auto = replace(given, mode="auto")
    keys: dict[str, Key] = {} if given.mode == "auto" else {"mode": "auto"}
    before_ms = _sum_ms(_moving(auto, NO_LAB))
    quick = _quick_dns(auto, RTO_MS - before_ms - (_connecting(auto).bound_ms or 0))
    if quick is not None:
        return Claim(words, RTO_MS, bound_ms, _told({**keys, **quick}), {**keys, **quick})
    if given.promotion_s * 1000 >= RTO_MS:
        why = "no setting of ours: AWS's promotion alone may take as long"
    elif _sum_ms(_aware(auto).stages) <= RTO_MS:
        why = "no setting of DNS; clients that know both endpoints (farshore.client) do not wait for it"
    else:
        why = f"no setting of DNS: until the grant alone {before_ms / 1000:.1f} s may pass"
    return Claim(
        words, RTO_MS, bound_ms, why + (f"; and farshore:mode = auto (it is {given.mode})" if keys else "")
    )


def _rpo_claim(given: Settings) -> Claim:
    bound_ms = given.profile.loss_bound_ms(given.lag_ms)
    words = f"RPO of 5 s by an alert at {given.lag_ms} ms of lag"
    if bound_ms <= RPO_MS:
        return Claim(words, RPO_MS, bound_ms, HOLDS)
    keys, profile = _small_loss(given), given.profile
    if keys:
        told = f"{_told(keys)}, and a person who acts on the alert"
        return Claim(words, RPO_MS, bound_ms, told, keys)
    return Claim(
        words,
        RPO_MS,
        bound_ms,
        f"no lease is short enough: profile {profile.name} allows {_least_lease_ms(profile)} ms or more, and "
        f"farshore:stallMarginMs = {profile.stall_margin_ms} comes on top; a shorter margin must be measured first",
    )


def _small_loss(given: Settings) -> dict[str, Key]:
    """An earlier alert; if that is not enough, a shorter lease too: a cut-off writer acknowledges until it ends."""
    profile = given.profile
    own_ms = profile.lease_ttl_ms + profile.stall_margin_ms
    if own_ms < RPO_MS:
        return {"lagAlarmMs": RPO_MS - own_ms}
    lease_ms = max(_least_lease_ms(profile), (RPO_MS - profile.stall_margin_ms) // 2)
    lag_ms = min(given.lag_ms, RPO_MS - profile.stall_margin_ms - lease_ms)
    if lag_ms < 1:
        return {}
    renew_ms = min(profile.renew_ms, lease_ms // 3)
    return {"leaseTtlMs": lease_ms, "renewMs": renew_ms, "lagAlarmMs": lag_ms}


def _least_lease_ms(profile: Profile) -> int:
    """Three renewals of a tick each, and an answer of the table (Profile checks it)."""
    return max(3 * profile.tick_ms, profile.table_timeout_ms)


def _told(keys: Mapping[str, Key]) -> str:
    least = ("recordTtlS", "lagAlarmMs")
    return " and ".join(
        f"farshore:{key} = {value}{' or less' if key in least else ''}" for key, value in keys.items()
    )


def _sum_ms(stages: Iterable[Stage]) -> int:
    return sum(stage.bound_ms or 0 for stage in stages)
