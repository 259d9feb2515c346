"""How fast farshore watches and decides. Both profiles are safe; each number has a bound, checked here."""

from dataclasses import dataclass
from typing import Literal

from farshore.core.errors import UsageError
from farshore.core.units import drifted_up

Mode = Literal["auto", "approve", "manual"]


@dataclass(frozen=True, slots=True)
class Profile:
    """All numbers are milliseconds unless the name says otherwise.

    lease_ttl_ms        how long the writer may write after a renewal (guard, CORRECTNESS.md section 2)
    renew_ms            pause between renewals; at least three must fit into one lease
    stall_margin_ms     longest stall between commit check and disk that cannot produce an orphan (H2)
    drift_ppm           how much faster one clock may run than another
    probe_ms            pause between two probes of one endpoint, and between observations
    unreachable_after_ms  silence after which an endpoint counts as unreachable
    stale_after_ms      age at which another region's observation counts as stale
    request_life_ms     how long after its time a sent promotion may still arrive: a function's longest life (170 s)
                        and that of a request's signature (5 minutes)
    loss_budget_ms      loss bound above which a failover needs a person
    """

    name: str
    lease_ttl_ms: int
    renew_ms: int
    stall_margin_ms: int
    probe_ms: int
    unreachable_after_ms: int
    stale_after_ms: int
    tick_ms: int
    describe_ms: int
    promotion_poll_ms: int
    table_timeout_ms: int
    metric_ms: int
    loss_budget_ms: int
    drift_ppm: int = 1000
    claim_ttl_ms: int = 60_000
    intent_not_after_ms: int = 10_000
    request_life_ms: int = 480_000

    def __post_init__(self) -> None:
        if self.renew_ms * 3 > self.lease_ttl_ms:
            raise UsageError(
                f"lease_ttl_ms = {self.lease_ttl_ms} is shorter than three renewals of {self.renew_ms} ms; "
                f"set lease_ttl_ms to {self.renew_ms * 3} or more, or renew_ms to {self.lease_ttl_ms // 3} or less."
            )
        for setting in ("unreachable_after_ms", "stale_after_ms"):
            if getattr(self, setting) < 3 * self.probe_ms:
                raise UsageError(
                    f"{setting} = {getattr(self, setting)} leaves fewer than three probes of {self.probe_ms} ms; "
                    f"set it to {3 * self.probe_ms} or more."
                )
        if self.stall_margin_ms <= 0:
            raise UsageError(f"stall_margin_ms = {self.stall_margin_ms} must be positive.")

    @property
    def lease_wait_ms(self) -> int:
        """How long an unchanged renewal must be watched before the old lease has certainly ended (H8)."""
        return drifted_up(self.lease_ttl_ms, self.drift_ppm) + self.stall_margin_ms

    def loss_bound_ms(self, lag_ms: int) -> int:
        """The most that can be lost: what had not left, what a cut-off writer still took, and a stall (H11)."""
        return lag_ms + self.lease_ttl_ms + self.stall_margin_ms


FAST = Profile(
    name="fast",
    lease_ttl_ms=1600,
    renew_ms=300,
    stall_margin_ms=250,
    probe_ms=300,
    unreachable_after_ms=1300,
    stale_after_ms=1300,
    tick_ms=120,
    describe_ms=1000,
    promotion_poll_ms=20,
    table_timeout_ms=1500,
    metric_ms=400,
    loss_budget_ms=5000,
    intent_not_after_ms=5000,
)

AWS = Profile(
    name="aws",
    lease_ttl_ms=20_000,
    renew_ms=5000,
    stall_margin_ms=2000,
    probe_ms=5000,
    unreachable_after_ms=15_000,
    stale_after_ms=15_000,
    tick_ms=1000,
    describe_ms=5000,
    promotion_poll_ms=500,
    table_timeout_ms=3000,
    metric_ms=20_000,
    loss_budget_ms=30_000,
)

PROFILES = {profile.name: profile for profile in (FAST, AWS)}
