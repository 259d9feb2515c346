"""Whole drills in the real lab, as a person runs them: each scenario is valid, and says what it saw."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from farshore.drill import scenarios

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(900)]

EXAMPLES = Path(__file__).parents[2] / "examples"
OFTEN = ("region-loss", "switchover", "failback")
RUNS = [(name, seed) for name in scenarios.SCENARIOS for seed in ((1, 2, 3) if name in OFTEN else (1,))]


@pytest.mark.parametrize(("scenario", "seed"), RUNS)
def test_a_scenario_in_the_lab_is_valid(scenario, seed, tmp_path):
    short = scenarios.find(scenario).seconds_of_all
    _drill(tmp_path, scenario, "--seed", str(seed), *([] if short is None else ["--seconds", str(short)]))


@pytest.mark.parametrize("workload", ["tpcb", "order_desk.py", "order_desk.sql"])
def test_a_region_is_lost_under_a_workload_of_ones_own(workload, tmp_path):
    given = workload if workload == "tpcb" else str(EXAMPLES / workload)
    _drill(tmp_path, "region-loss", "--workload", given)


def test_ten_minutes_of_nothing(tmp_path):
    _drill(tmp_path, "nothing-happens")


def _drill(report_dir, scenario, *options):
    command = [sys.executable, "-m", "farshore", "drill", scenario, "--json", *options]
    done = subprocess.run(
        [*command, "--report", str(report_dir)], capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    told = [
        (move["kind"], move["outage_seconds"], move["outage_seconds_dns_only"]) for move in report["moves"]
    ]
    print(scenario, *options, report["verdict"], told, "lost", report["lost_acked"], "of", report["acked"])
    assert len(report["moves"]) == scenarios.find(scenario).terms.faults_due
    for move in report["moves"]:
        assert move["outage_recovered"]
        assert move["outage_recovered_dns_only"]
