"""The sum of an outage, stage by stage, by hand beside the arithmetic."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farshore.core.budget import HOLDS, Lab, Settings, Source, budget
from farshore.core.errors import UsageError
from farshore.core.profile import AWS, FAST

PLAIN = Settings(AWS)
QUICK = Settings(FAST, ttl_s=1, promotion_s=1, alarm_period_s=10, check_interval_s=10)


def bounds(path):
    return {stage.name: stage.bound_ms for stage in path.stages}


def test_profile_aws_by_hand():
    found = budget(PLAIN)
    assert bounds(found.aware) == {
        "probe": 15_000 + 5000 + 1000,
        "verdict": 3000,  # the lease and the stale observation end with the probe, so the claim alone remains
        "lease": 3000,  # 20 s x 1.001 + 2 s + a tick have passed by then: the intent alone remains
        "promotion": 180_000,
        "grant": 500 + 3000 + 10_000,
        "reconnect": 3000,
    }
    assert found.aware.bound_ms == 223_500
    assert bounds(found.dns_only) == {
        **{name: ms for name, ms in bounds(found.aware).items() if name != "reconnect"},
        "metric": 21_000,
        "alarm": 120_000,
        "health check": 30_000,
        "TTL": 60_000,
        "reconnect": 2000,
    }
    assert found.dns_only.bound_ms == 453_500
    assert found.loss_bound_ms == 5000 + 20_000 + 2000


def test_behind_an_https_check_no_metric_is_waited_for():
    """Three rounds of 10 s after an answer and 4 + 2 s for the next one, after an old answer's 2 s."""
    found = budget(replace(PLAIN, dns_trigger="https"))
    assert list(bounds(found.dns_only))[-3:] == ["HTTPS check", "TTL", "reconnect"]
    assert bounds(found.dns_only)["HTTPS check"] == 3 * (10_000 + 6000) + 2000
    assert found.dns_only.bound_ms == 220_500 + 50_000 + 60_000 + 2000
    assert found.aware == budget(PLAIN).aware


def test_profile_fast_by_hand():
    """Probed by 1,720 ms, as the lease ends; claimed by 3,220; the lease's certain end is long past by then."""
    found = budget(replace(PLAIN, profile=FAST))
    assert bounds(found.aware)["probe"] == 1300 + 300 + 120
    assert bounds(found.aware)["verdict"] == 1500
    assert bounds(found.aware)["lease"] == 1500


def test_a_long_lease_is_waited_for_once():
    """40 s: judged when it has lapsed, promoted when it has certainly ended, and never both in full."""
    slow = replace(AWS, lease_ttl_ms=40_000)
    found = bounds(budget(replace(PLAIN, profile=slow)).aware)
    assert found["probe"] + found["verdict"] == 40_000 + 1000 + 3000
    assert found["lease"] == 3000  # the certain end, 43,040 ms, is before the claim is written
    margin = replace(AWS, stall_margin_ms=9000)
    found = bounds(budget(replace(PLAIN, profile=margin)).aware)
    assert found["lease"] == (20_020 + 9000 + 1000) - (21_000 + 3000) + 3000


@pytest.mark.parametrize("mode", ["approve", "manual"])
def test_a_person_has_no_bound(mode):
    found = budget(replace(PLAIN, mode=mode))
    approval = next(stage for stage in found.aware.stages if stage.name == "approval")
    assert (approval.bound_ms, approval.source) == (None, Source.NOBODY)
    assert found.aware.bound_ms is found.dns_only.bound_ms is None
    rto = found.claims[1]
    assert (rto.holds, rto.bound_ms) == (False, None)
    assert rto.remedy.endswith(f"farshore:mode = auto (it is {mode})")
    quick = budget(replace(QUICK, mode=mode, alarm_period_s=1)).claims[1]
    assert quick.keys == {"mode": "auto"}


def claims(settings):
    return [(claim.holds, claim.remedy) for claim in budget(settings).claims]


def test_the_original_claims_do_not_hold_as_deployed():
    dns, rto, rpo = claims(PLAIN)
    assert [dns[0], rto[0], rpo[0]] == [False] * 3
    assert dns[1] == "farshore:dnsTrigger = https and farshore:recordTtlS = 10 or less"
    assert "AWS's promotion alone" in rto[1]
    assert rpo[1].startswith("no lease is short enough: profile aws allows 3000 ms or more")


KEYS = {"recordTtlS": "ttl_s", "lagAlarmMs": "lag_ms", "dnsTrigger": "dns_trigger", "mode": "mode"}
TIMING_KEYS = {"leaseTtlMs": "lease_ttl_ms", "renewMs": "renew_ms"}
PROFILES = st.builds(
    lambda base, renew, leases, stall: replace(
        base, renew_ms=base.tick_ms * renew, lease_ttl_ms=base.tick_ms * renew * leases + 3000, stall_margin_ms=stall
    ),
    st.sampled_from([AWS, FAST]),
    st.integers(1, 5),
    st.integers(3, 5),
    st.sampled_from([100, 250, 900, 2000, 4999, 5000]),
) | st.sampled_from([AWS, FAST])  # fmt: skip
SETTINGS = st.builds(
    Settings,
    PROFILES,
    mode=st.sampled_from(["auto", "approve", "manual"]),
    dns_trigger=st.sampled_from(["metric", "https"]),
    ttl_s=st.integers(1, 300),
    alarm_period_s=st.sampled_from([1, 10, 30, 60]),
    alarm_periods=st.integers(1, 3),
    check_interval_s=st.sampled_from([1, 10, 30]),
    promotion_s=st.sampled_from([1, 5, 20, 59, 60, 180]),
    lag_ms=st.integers(1, 6000),
)


def with_keys(given, keys):
    timings = {TIMING_KEYS[key]: value for key, value in keys.items() if key in TIMING_KEYS}
    others = {KEYS[key]: value for key, value in keys.items() if key in KEYS}
    assert len(timings) + len(others) == len(keys)
    return replace(given, profile=replace(given.profile, **timings), **others)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(SETTINGS)
def test_what_is_named_makes_the_claim_hold(plain):
    """And one more does not; where nothing is named, the quickest settings do not do either."""
    quickest = replace(plain, dns_trigger="https", ttl_s=1, mode="auto"), replace(plain, ttl_s=1, mode="auto")
    for number, claim in enumerate(budget(plain).claims):
        assert claim.holds == (claim.remedy == HOLDS)
        if claim.keys:
            assert budget(with_keys(plain, claim.keys)).claims[number].holds, claim
            assert all(f"farshore:{key} = {value}" in claim.remedy for key, value in claim.keys.items())
        for key, step in (("recordTtlS", 1), ("lagAlarmMs", 1)):
            if key in claim.keys and "leaseTtlMs" not in claim.keys:
                more = with_keys(plain, {**claim.keys, key: claim.keys[key] + step})
                assert not budget(more).claims[number].holds, claim
        if not claim.holds and not claim.keys:
            assert claim.remedy.startswith("no "), claim
            assert number > 0, "no stack's DNS is beyond help"
            assert not any(budget(one).claims[number].holds for one in quickest if number == 1), claim
            if "farshore.client" in claim.remedy:
                assert budget(quickest[0]).aware.bound_ms <= claim.claimed_ms


@given(PROFILES, st.integers(1, 5000))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_where_no_lease_is_short_enough_none_is(profile, lag_ms):
    claim = budget(Settings(profile, lag_ms=lag_ms)).claims[2]
    if claim.holds or claim.keys:
        return
    least = replace(
        profile, renew_ms=profile.tick_ms, lease_ttl_ms=max(3 * profile.tick_ms, profile.table_timeout_ms)
    )
    assert not budget(Settings(least, lag_ms=1)).claims[2].holds


def test_the_remedies_by_hand():
    """What is said to make a claim hold does so, and one more does not."""
    near = replace(QUICK, ttl_s=60)
    dns = budget(near).claims[0]
    assert (dns.holds, dns.remedy) == (False, "farshore:recordTtlS = 29 or less")
    assert budget(replace(near, ttl_s=29)).claims[0].holds
    assert not budget(replace(near, ttl_s=30)).claims[0].holds
    rpo = budget(replace(PLAIN, profile=FAST)).claims[2]
    assert rpo.remedy.startswith("farshore:lagAlarmMs = 3150 or less")
    assert budget(replace(PLAIN, profile=FAST, lag_ms=3150)).claims[2].holds
    assert not budget(replace(PLAIN, profile=FAST, lag_ms=3151)).claims[2].holds
    quick = budget(replace(QUICK, alarm_period_s=1))
    assert all(claim.holds for claim in (*quick.claims[:2], budget(replace(QUICK, lag_ms=3000)).claims[2]))
    assert {claim.remedy for claim in quick.claims[:2]} == {"it holds as configured"}


def test_clients_that_know_both_endpoints_are_the_remedy_once_aws_is_quick():
    assert "farshore.client" in budget(replace(PLAIN, promotion_s=10)).claims[1].remedy


def test_lab_figures_stand_beside_and_are_in_no_sum():
    lab = Lab({"detect": 1400, "promote": 200, "reconnect": 100}, 2100, 4100)
    with_lab, without = budget(PLAIN, lab), budget(PLAIN)
    assert {s.name: s.lab_ms for s in with_lab.aware.stages if s.lab_ms} == {
        "probe": 1400,
        "promotion": 200,
        "reconnect": 100,
    }
    assert (with_lab.aware.lab_ms, with_lab.dns_only.lab_ms) == (2100, 4100)
    assert with_lab.aware.bound_ms == without.aware.bound_ms
    assert with_lab.claims == without.claims


def test_what_a_drill_measured_with_the_metric_is_no_figure_of_the_https_trigger():
    assert budget(replace(PLAIN, dns_trigger="https"), Lab({}, 2100, 4100)).dns_only.lab_ms is None


def test_every_figure_of_aws_names_its_page():
    https = budget(replace(PLAIN, dns_trigger="https")).dns_only
    for path in (budget(PLAIN).aware, budget(PLAIN).dns_only, https):
        for stage in path.stages:
            assert (stage.page is not None) == (stage.source in (Source.AWS, Source.ASSUMED)), stage
            assert (stage.page or "https://docs.aws.amazon.com/").startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    ("name", "option"), [("ttl_s", "--ttl"), ("alarm_periods", "--alarm-periods"), ("lag_ms", "--lag-ms")]
)
def test_nonsense_is_refused_by_its_option(name, option):
    with pytest.raises(UsageError, match=f"{option} 0"):
        replace(PLAIN, **{name: 0})
    with pytest.raises(UsageError, match="--dns-trigger 'smoke': use one of metric, https"):
        replace(PLAIN, dns_trigger="smoke")
