"""Whole drills in the real lab, as a person runs them: each scenario is valid, and says what it saw."""

import json
import subprocess
import sys

import pytest

from farshore.drill import scenarios

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(900)]


OFTEN = ("region-loss", "switchover", "failback")
RUNS = [(name, seed) for name in scenarios.SCENARIOS for seed in ((1, 2, 3) if name in OFTEN else (1,))]


@pytest.mark.parametrize(("scenario", "seed"), RUNS)
def test_a_scenario_in_the_lab_is_valid(scenario, seed, tmp_path):
    command = [sys.executable, "-m", "farshore", "drill", scenario, "--seed", str(seed), "--json"]
    short = scenarios.find(scenario).seconds_of_all
    command += [] if short is None else ["--seconds", str(short)]
    done = subprocess.run(
        [*command, "--report", str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    told = [
        (move["kind"], move["outage_seconds"], move["outage_seconds_dns_only"]) for move in report["moves"]
    ]
    print(scenario, seed, report["verdict"], told, "lost", report["lost_acked"], "of", report["acked"])
    assert len(report["moves"]) == scenarios.find(scenario).terms.faults_due
    for move in report["moves"]:
        assert move["outage_recovered"]
        assert move["outage_recovered_dns_only"]
