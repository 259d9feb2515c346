"""The stack's one configuration model: the `farshore:` keys of `Pulumi.<stack>.yaml`.

`load.from_pulumi()` reads it and refuses, before anything is created, what AWS would refuse later or accept and
regret (`checks.py`).
"""

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from farshore.core.profile import PROFILES, Mode, Profile
from farshore.names import Names

NAMESPACE = "farshore"
PRODUCTION_ROTATION_DAYS = 30
TIMINGS = (
    "lease_ttl_ms",
    "renew_ms",
    "stall_margin_ms",
    "probe_ms",
    "unreachable_after_ms",
    "stale_after_ms",
    "loss_budget_ms",
)


class StackConfig(BaseModel):
    """All keys, in camelCase in YAML. Descriptions say what a right value looks like; refusals quote them."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    suffix: str = Field(description="lower case letters, digits and single hyphens between them")
    environment: Literal["test", "production"] = Field("test", description="test or production")
    account_id: str | None = Field(
        None, pattern=r"^\d{12}$", description="the 12 digits of the only account to deploy to"
    )

    home_region: str = Field("us-east-1", description="the region whose cluster writes first")
    standby_region: str = Field("us-west-2", description="the region that takes over")
    witness_region: str = Field("us-east-2", description="a third region for the authority table's witness")
    home_cidr: str = Field("10.0.0.0/16", description="a private IPv4 network, /16 to /24")
    standby_cidr: str = Field("10.1.0.0/16", description="a private IPv4 network, /16 to /24")
    home_subnet_cidrs: list[str] = Field([], description="three networks inside homeCidr, or none")
    standby_subnet_cidrs: list[str] = Field([], description="three networks inside standbyCidr, or none")
    home_zones: list[str] = Field([], description="three availability zones of homeRegion, or none")
    standby_zones: list[str] = Field([], description="three availability zones of standbyRegion, or none")
    flow_logs: bool = Field(False, description="true or false")

    instance_class: str = Field("db.r5.large", description="a memory-optimized class, db.r5 or larger")
    instances_per_region: int = Field(
        2, ge=2, le=15, description="2 to 15: a writer and its standby at least"
    )
    engine_version: str | None = Field(None, description="an exact version such as 15.10, or nothing")
    database_name: str = Field(
        "ledger", pattern=r"^[a-z][a-z0-9_]{0,62}$", description="a letter, then letters, digits, underscores"
    )
    port: int = Field(5432, ge=1150, le=65535, description="1150 to 65535, as Aurora allows")
    global_rpo_seconds: int | None = Field(
        None, ge=20, le=2147483647, description="20 or more; commits block when every secondary lags more"
    )
    rotation_days: int | None = Field(None, ge=0, le=1000, description="days, or 0 for never; production: 30")
    rds_ca_file: str | None = Field(None, description="a file with Amazon's RDS certificates in PEM form")

    profile: Literal["aws", "fast"] = Field("aws", description="aws or fast")
    mode: Mode | None = Field(None, description="auto, approve or manual; by default production asks")
    two_person: bool = Field(
        False, description="true or false: a failover that a person wants needs a second one"
    )
    lease_ttl_ms: int | None = Field(
        None, gt=0, description="milliseconds, from three renewals to about 44000"
    )
    renew_ms: int | None = Field(None, gt=0, description="milliseconds, a third of the lease or less")
    stall_margin_ms: int | None = Field(None, gt=0, description="milliseconds")
    probe_ms: int | None = Field(None, gt=0, description="milliseconds")
    unreachable_after_ms: int | None = Field(
        None, gt=0, description="milliseconds, from three probes to 45000"
    )
    stale_after_ms: int | None = Field(None, gt=0, description="milliseconds, from three probes to 45000")
    loss_budget_ms: int | None = Field(None, gt=0, description="milliseconds")

    record_ttl_s: int = Field(60, ge=1, le=300, description="seconds, 1 to 300")
    dns_trigger: Literal["metric", "https"] = Field(
        "metric", description="metric, or https: a public endpoint in each region says where authority is"
    )

    cpu_percent: int = Field(80, ge=1, le=100, description="percent of CPU at which to alarm")
    storage_budget_gib: int = Field(80, ge=1, le=131072, description="GiB of volume that are paid for")
    storage_percent: int = Field(85, ge=1, le=100, description="percent of the budget at which to alarm")
    free_local_storage_gib: int = Field(5, ge=1, description="GiB below which to alarm")
    lag_alarm_ms: int = Field(5000, ge=1, description="milliseconds of replication lag at which to alarm")
    alert_emails: list[str] = Field([], description="addresses that the alert topics write to")

    trusted_accounts: list[str] = Field([], description="accounts of 12 digits that may assume the DR role")
    log_retention_days: int = Field(30, description="a retention that CloudWatch Logs offers")

    repository: str = Field("unknown", description="a tag value")
    author: str = Field("unknown", description="a tag value")
    pr_number: str = Field("unknown", description="a tag value")
    team: str = Field("unknown", description="a tag value")
    created_at: str = Field(description="the time of the first deployment, such as 2026-11-22T17:00:00Z")

    @property
    def names(self) -> Names:
        return Names(self.suffix, self.home_region, self.standby_region, self.witness_region)

    @property
    def is_production(self) -> bool:
        """The one switch: deletion protection, final snapshots, protected resources, approvals, rotation."""
        return self.environment == "production"

    @property
    def mode_in_force(self) -> Mode:
        return self.mode or ("approve" if self.is_production else "auto")

    @property
    def rotation_days_in_force(self) -> int:
        """Days between two rotations of the database's logins; 0: never."""
        default = PRODUCTION_ROTATION_DAYS if self.is_production else 0
        return default if self.rotation_days is None else self.rotation_days

    @property
    def timings(self) -> dict[str, Any]:
        """The profile's numbers that this stack replaces."""
        return {key: value for key in TIMINGS if (value := getattr(self, key)) is not None}

    @property
    def profile_in_force(self) -> Profile:
        """Raises UsageError in the profile's words when the timings contradict each other."""
        return replace(PROFILES[self.profile], **self.timings)

    def cidr(self, region: str) -> str:
        return self.home_cidr if region == self.home_region else self.standby_cidr

    def given_subnets(self, region: str) -> list[str]:
        return self.home_subnet_cidrs if region == self.home_region else self.standby_subnet_cidrs

    def zones(self, region: str) -> list[str]:
        given = self.home_zones if region == self.home_region else self.standby_zones
        return given or [f"{region}{letter}" for letter in "abc"]


def key_of(field: str) -> str:
    """The key in YAML of a field."""
    return to_camel(field)
