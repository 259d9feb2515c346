import dataclasses

import pytest

from farshore.core.errors import UsageError
from farshore.core.profile import AWS, FAST


@pytest.mark.parametrize("profile", [FAST, AWS], ids=lambda p: p.name)
def test_the_wait_outlasts_the_lease_on_a_slower_clock(profile):
    slow_clock_ms = profile.lease_ttl_ms * (1 + profile.drift_ppm / 1_000_000)
    assert profile.lease_wait_ms >= slow_clock_ms + profile.stall_margin_ms


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lease_ttl_ms": 500}, "lease_ttl_ms = 500"),
        ({"unreachable_after_ms": 200}, "unreachable_after_ms = 200"),
        ({"stale_after_ms": 899}, "stale_after_ms = 899"),
        ({"stall_margin_ms": 0}, "stall_margin_ms = 0"),
        ({"unreachable_after_ms": 45_001}, "unreachable_after_ms = 45001"),
        ({"stale_after_ms": 45_001}, "stale_after_ms = 45001"),
        ({"lease_ttl_ms": 44_706, "in_region_budget_ms": 60_000}, "lease_ttl_ms = 44706 .* takes 45001 ms"),
    ],
)
def test_unsafe_numbers_are_refused_by_name(changes, named):
    with pytest.raises(UsageError, match=named):
        dataclasses.replace(FAST, **changes)


def test_the_seeds_five_seconds_cannot_hold_with_a_twenty_second_lease():
    assert AWS.loss_bound_ms(0) > 5000


@pytest.mark.parametrize("profile", [FAST, AWS], ids=lambda p: p.name)
def test_automatic_failover_with_a_budget_that_it_can_never_keep_is_refused(profile):
    """H11: it would never act, and nobody would know before the day."""
    least_ms = profile.loss_bound_ms(0)
    dataclasses.replace(profile, loss_budget_ms=least_ms).check_mode("auto")
    too_small = dataclasses.replace(profile, loss_budget_ms=least_ms - 1)
    too_small.check_mode("approve")
    with pytest.raises(UsageError, match="would never fail over"):
        too_small.check_mode("auto")
