"""How fast farshore watches and decides. Both profiles are safe; each number has a bound, checked here."""

from dataclasses import dataclass
from typing import Literal

from farshore.core.errors import UsageError
from farshore.core.units import drifted_up

Mode = Literal["auto", "approve", "manual"]

FUNCTION_LIFE_MS = 170_000
"""Longest life of a function, which may sleep over its own request."""
SIGNATURE_LIFE_MS = 300_000
"""How long AWS accepts a signed request: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"""


LONGEST_MS = 1_000_000_000
"""Eleven days; servers take no timeout of any length."""

WATCHED_MS = 45_000
"""Longest silence that decides. A loop lives a minute and the next one watches anew: what takes longer to see than
three quarters of that might never be seen."""


@dataclass(frozen=True, slots=True)
class Profile:
    """All numbers are milliseconds unless the name says otherwise.

    lease_ttl_ms        how long the writer may write after a renewal (docs/decisions/0002)
    renew_ms            pause between renewals; at least three must fit into one lease
    stall_margin_ms     longest stall between commit check and disk that cannot produce an orphan (H2)
    drift_ppm           how much faster one clock may run than another
    probe_ms            pause between two probes of one endpoint, and between observations
    unreachable_after_ms  silence after which an endpoint counts as unreachable
    stale_after_ms      age at which another region's observation counts as stale
    request_life_ms     how long after its time a sent promotion may still arrive: a function's longest life (170 s)
                        and that of a request's signature (5 minutes)
    loss_budget_ms      loss bound above which a failover needs a person
    switchover_lag_ms   lag above which a planned move does not begin: its outage would be that long
    drain_ms            how long fencing and draining the old writer may take before a planned move is called off
    barrier_ms          how long transactions past their commit check are waited for before their sessions are ended
    in_region_budget_ms how long Aurora may take to replace a dead writer within its region (H10)
    proposal_ttl_ms     how long a proposed failover waits for a person
    approval_ttl_ms     how long a person's approval holds
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
    switchover_lag_ms: int = 1000
    drain_ms: int = 3000
    barrier_ms: int = 200
    in_region_budget_ms: int = 180_000
    proposal_ttl_ms: int = 900_000
    approval_ttl_ms: int = 600_000

    def __post_init__(self) -> None:
        """Raise UsageError with the first inequality that the numbers break."""
        for name in self.__slots__:
            value = getattr(self, name)
            if name != "name" and (type(value) is not int or not 0 < value <= LONGEST_MS):
                raise UsageError(
                    f"{name} = {value!r} must be a number of milliseconds from 1 to {LONGEST_MS}."
                )
        for name, least_ms, why in self._least():
            if getattr(self, name) < least_ms:
                raise UsageError(
                    f"{name} = {getattr(self, name)} is unsafe: {name} >= {why} = {least_ms} must hold; "
                    f"set {name} to {least_ms} or more."
                )

        for name, most_ms in self._watched():
            if most_ms > WATCHED_MS:
                raise UsageError(
                    f"{name} = {getattr(self, name)} would keep a loss from ever being known: it takes {most_ms} ms to "
                    f"see, and the functions watch anew each minute; {WATCHED_MS} or less must hold."
                )

    def _watched(self) -> tuple[tuple[str, int], ...]:
        """Each setting that a loop must watch the end of, with how long that takes."""
        return (
            ("unreachable_after_ms", self.unreachable_after_ms),
            ("stale_after_ms", self.stale_after_ms),
            ("lease_ttl_ms", self.lease_wait_ms),
        )

    def _least(self) -> tuple[tuple[str, int, str], ...]:
        """Each safe combination as (setting, its least value, that value's formula)."""
        return (
            ("lease_ttl_ms", 3 * self.renew_ms, "3 x renew_ms"),
            ("lease_ttl_ms", self.table_timeout_ms, "table_timeout_ms"),
            ("unreachable_after_ms", 3 * self.probe_ms, "3 x probe_ms"),
            ("stale_after_ms", 3 * self.probe_ms, "3 x probe_ms"),
            ("renew_ms", self.tick_ms, "tick_ms"),
            ("claim_ttl_ms", self.lease_wait_ms, "lease_ttl_ms x (1 + drift) + stall_margin_ms"),
            ("intent_not_after_ms", 2 * self.table_timeout_ms, "2 x table_timeout_ms"),
            (
                "request_life_ms",
                FUNCTION_LIFE_MS + SIGNATURE_LIFE_MS,
                "a function's life + a signature's life",
            ),
            ("drain_ms", self.renew_ms + 2 * self.barrier_ms, "renew_ms + 2 x barrier_ms"),
            ("in_region_budget_ms", self.lease_wait_ms, "lease_ttl_ms x (1 + drift) + stall_margin_ms"),
            ("proposal_ttl_ms", self.lease_wait_ms, "lease_ttl_ms x (1 + drift) + stall_margin_ms"),
        )

    def check_mode(self, mode: Mode) -> None:
        """Mode `auto` with a budget below what any failover may lose would never act, so it is refused (H11)."""
        least_ms = self.loss_bound_ms(0)
        if mode == "auto" and self.loss_budget_ms < least_ms:
            raise UsageError(
                f"mode = auto with loss_budget_ms = {self.loss_budget_ms} would never fail over: an unplanned "
                f"failover may lose lag + lease_ttl_ms + stall_margin_ms, {least_ms} or more with profile "
                f"{self.name}; set loss_budget_ms to {least_ms} or more, or mode to approve."
            )

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
    in_region_budget_ms=20_000,
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
    switchover_lag_ms=2000,
    drain_ms=20_000,
    barrier_ms=1000,
)

PROFILES = {profile.name: profile for profile in (FAST, AWS)}
