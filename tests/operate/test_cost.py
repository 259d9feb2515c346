import json

import pytest
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.cli.output import out
from farshore.core.errors import UsageError
from farshore.core.profile import AWS, FAST
from farshore.operate import cost, rates
from farshore.operate.cost import Assumptions, Inventory, estimate
from infra.recorder import recorded


def usd(found, what):
    return next(line.usd for line in found.lines if line.what.startswith(what))


def what_if(found, what):
    return next(one.change_usd for one in found.what_ifs if one.what.startswith(what))


def test_the_inventory_is_what_the_program_deploys():
    program, has = recorded(), Inventory()
    counts = {token.rpartition(":")[2]: count for token, count in program.counts().items()}
    assert counts["ClusterInstance"] == has.instances_home + has.instances_standby
    assert counts["Function"] == has.functions + has.errands
    assert {one.inputs["memorySize"] for one in program.of("Function")} == {has.memory_mb}
    rules = program.of("EventRule")
    assert len([one for one in rules if "scheduleExpression" in one.inputs]) == has.schedules
    interfaces = [one for one in program.of("VpcEndpoint") if one.inputs["vpcEndpointType"] == "Interface"]
    assert len(interfaces) == has.interface_endpoints
    assert {len(one.inputs["subnetIds"]) for one in interfaces} == {has.zones_per_endpoint}
    assert counts["Key"] == has.keys
    assert counts["Secret"] == has.secrets
    assert counts["HealthCheck"] == has.health_checks
    assert counts["MetricAlarm"] == has.alarms
    assert counts["Dashboard"] == has.dashboards
    assert counts["Zone"] == has.hosted_zones
    assert counts["Topic"] == has.topics


# A month is 730 hours. Each row by hand from the rate on the page.
@pytest.mark.parametrize(
    ("what", "dollars"),
    [
        ("Aurora db.r5.large", 4 * 730 * 0.29),
        ("Aurora storage", 2 * 100 * 0.10),
        ("Replicated write I/O", 100 * 2.628 * 0.20),
        ("VPC interface endpoints", 10 * 3 * 730 * 0.01),
        ("CloudWatch custom metrics", 2 * 3 * 0.30),
        ("CloudWatch PutMetricData", 4 * 3 * 43.8 * 0.01),
        ("CloudWatch GetMetricData", 2 * (1 + 5) * 43.8 * 0.01),
        ("Lambda compute", 4 * (1 + 5 / 60) * 2_628_000 * 0.25 * 0.0000166667),
        ("Authority table writes", (0.2 + 0.4 + 2.0) * 3 * 2.628 * 0.625),
        ("Authority table reads", (1.0 + 2.0) * 2.628 * 0.125),
        ("Backups", 2 * 30 * 0.021),
        ("Secrets", 4 * 0.40),
    ],
)
def test_each_row_is_rate_times_quantity(what, dollars):
    assert usd(estimate(Assumptions()), what) == pytest.approx(dollars)


def test_the_rows_of_the_seed_are_there_with_what_it_claimed():
    claimed = {line.seed for line in estimate(Assumptions()).lines} - {None}
    assert {"~$1,200", "$100-300", "$0.50", "$1.00", "$0.40", "$2.00", "$0"} <= claimed


def test_every_rate_names_its_page_and_date():
    for line in estimate(Assumptions(https_trigger=True)).lines:
        assert line.rate.source.startswith("https://aws.amazon.com/")
        assert line.rate.read_on in ("2025", "2026-11")


def test_inputs_move_their_rows_only():
    low, high = estimate(Assumptions(write_iops=100)), estimate(Assumptions(write_iops=1000))
    changed = {a.what for a, b in zip(low.lines, high.lines, strict=True) if a.usd != b.usd}
    assert changed == {
        "Aurora storage I/O of the writer's region",
        "Replicated write I/O",
        "Cross-region transfer of replication",
    }
    given = estimate(Assumptions(write_iops=1000, transfer_gb=50))
    assert usd(given, "Cross-region transfer") == pytest.approx(1.0)


def test_a_public_endpoint_is_priced_by_what_the_checkers_ask():
    chosen = estimate(Assumptions(https_trigger=True))
    assert usd(chosen, "Route 53 HTTPS option") == pytest.approx(4.0)
    assert usd(chosen, "Route 53 fast interval") == pytest.approx(4.0)
    assert usd(chosen, "Public endpoints: requests") == pytest.approx(4 * 1.6 * 2.628 * 0.20)
    assert what_if(estimate(Assumptions()), "DNS moved by a public HTTPS") == pytest.approx(14.5, abs=0.2)


def test_a_faster_profile_costs_calls():
    assert cost.pace(AWS).writes == pytest.approx(2.6)
    assert cost.pace(FAST).writes == pytest.approx(12.0)
    slow, fast = estimate(Assumptions()), estimate(Assumptions(profile="fast"))
    assert what_if(slow, "profile fast") == pytest.approx(fast.total_usd - slow.total_usd)
    assert what_if(fast, "profile aws") == pytest.approx(slow.total_usd - fast.total_usd)
    assert usd(fast, "CloudWatch PutMetricData") == pytest.approx(10 * 2_628_000 / 1000 * 0.01)


def test_other_choices_change_the_total_by_what_they_leave_out():
    found = estimate(Assumptions())
    assert what_if(found, "one instance in the standby") == pytest.approx(-730 * 0.29)
    assert what_if(found, "no instance in the standby") == pytest.approx(-2 * 730 * 0.29)
    assert what_if(found, "Aurora Serverless v2") == pytest.approx(4 * 730 * (2 * 0.12 - 0.29))
    assert what_if(found, "backups kept for 1 days") == pytest.approx(-2 * 30 * 0.021)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"profile": "slow"}, "--profile 'slow'"),
        ({"write_iops": -1}, "--write-iops -1"),
        ({"retention_days": 0}, "35 days"),
    ],
)
def test_nonsense_is_refused_by_name(given, named):
    with pytest.raises(UsageError, match=named):
        Assumptions(**given)


def test_the_verb_prints_the_same_figures_both_ways(monkeypatch):
    run = CliRunner().invoke
    document = json.loads(run(app, ["cost", "--json", "--storage-gb", "1000"]).output)
    assert document["total_usd"] == pytest.approx(sum(line["usd"] for line in document["lines"]), abs=0.2)
    storage = next(line for line in document["lines"] if line["what"] == "Aurora storage")
    assert (storage["usd"], storage["rate_usd"], storage["seed"]) == (
        200,
        rates.STORAGE.usd,
        "$0 (first 100 GB free: no)",
    )
    monkeypatch.setattr(out, "_width", 200)  # whatever terminal the tests run in
    words = run(app, ["cost", "--storage-gb", "1000"]).output
    assert "VPC interface endpoints" in words
    assert f"{document['total_usd']:,.2f}" in words
    assert run(app, ["cost", "--profile", "slow"]).exit_code == 2
