"""The sum of an outage, stage by stage, by hand beside the arithmetic."""

from dataclasses import replace

import pytest

from farshore.core.budget import Lab, Settings, Source, budget
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
    assert rto.remedy.startswith("mode auto")


def claims(settings):
    return [(claim.holds, claim.remedy) for claim in budget(settings).claims]


def test_the_original_claims_do_not_hold_as_deployed():
    dns, rto, rpo = claims(PLAIN)
    assert [dns[0], rto[0], rpo[0]] == [False] * 3
    assert "recordTtlS of 9 or less" in dns[1]
    assert "AWS's promotion alone" in rto[1]
    assert rpo[1].startswith("lease_ttl_ms below 2999 (it is 20000)")


def test_the_remedies_remedy():
    """What is said to make a claim hold does so, and one more does not."""
    near = replace(QUICK, ttl_s=60)
    dns = budget(near).claims[0]
    assert (dns.holds, dns.remedy) == (False, "farshore:recordTtlS = 29 or less")
    assert budget(replace(near, ttl_s=29)).claims[0].holds
    assert not budget(replace(near, ttl_s=30)).claims[0].holds
    rpo = budget(replace(PLAIN, profile=FAST)).claims[2]
    assert rpo.remedy.startswith("FARSHORE_LAG_ALERT_MS = 3150 or less")
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


def test_every_figure_of_aws_names_its_page():
    for path in (budget(PLAIN).aware, budget(PLAIN).dns_only):
        for stage in path.stages:
            assert (stage.page is not None) == (stage.source in (Source.AWS, Source.ASSUMED)), stage
            assert (stage.page or "https://docs.aws.amazon.com/").startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    ("name", "option"), [("ttl_s", "--ttl"), ("alarm_periods", "--alarm-periods"), ("lag_ms", "--lag-ms")]
)
def test_nonsense_is_refused_by_its_option(name, option):
    with pytest.raises(UsageError, match=f"{option} 0"):
        replace(PLAIN, **{name: 0})
