"""Where a budget's numbers come from: a stack's file, a drill's report."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.core.budget import Settings
from farshore.core.errors import UsageError
from farshore.core.profile import AWS
from farshore.infra.dns import PERIOD_S
from farshore.operate import budget as operate

REPORT = {
    "scenario": "region-loss",
    "command": "farshore drill",
    "started_at": "then",
    "profile": "fast",
    "cadence": 60,
    "ttl_s": 1,
    "platform": "here",
    "postgres_version": "17.10",
    "stages": {"detect": None, "decide": 1.5, "fence": 0.2, "promote": 0.1, "route": 0.0, "reconnect": 0.1},
    "outage_seconds": 2.0,
    "outage_seconds_dns_only": None,
    "orphans": [{"much": "more"}],
}
STACK = """
config:
  farshore:suffix: demo
  farshore:createdAt: "2026-11-22T17:00:00Z"
  farshore:environment: production
  farshore:recordTtlS: 20
  farshore:leaseTtlMs: 16000
  aws:region: us-east-1
"""


def run(*arguments):
    done = CliRunner().invoke(app, ["budget", *map(str, arguments)])
    return done.exit_code, done.output


def document(*arguments):
    code, output = run(*arguments, "--json")
    assert code == 0, output
    return json.loads(output)


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))
    return path


def test_a_drills_report_is_shown_as_the_labs(report):
    found = document("--report", report)
    aware, dns_only = found["paths"]
    assert (aware["lab_outage_ms"], dns_only["lab_outage_ms"]) == (2000, None)
    assert {s["name"]: s["lab_ms"] for s in aware["stages"]} == {
        "probe": None, "verdict": 1500, "lease": 200, "promotion": 100, "grant": 0, "reconnect": 100,
    }  # fmt: skip
    assert found["lab"] == {
        "drill": {key: REPORT[key] for key in operate.DRILL},
        "lab_figures": True,
    }


def test_the_report_that_is_kept_is_a_drills_and_says_which():
    kept = operate.measured()
    assert kept.drill["command"].startswith("farshore drill region-loss")
    assert kept.lab.outage_ms
    assert kept.words in run()[1]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({**REPORT, "stages": None})])
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="no drill's report"):
        operate.measured(path)
    code, output = run("--report", path)
    assert code == 2
    assert str(path) in output.replace("\n", "")


def test_a_stacks_configuration_is_taken_and_options_win(tmp_path):
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_text(STACK)
    settings = document("--stack", path)["settings"]
    assert (settings["ttl_s"], settings["mode"], settings["profile"]["lease_ttl_ms"]) == (
        20,
        "approve",
        16_000,
    )
    assert document("--stack", path, "--ttl", 5, "--mode", "auto")["settings"]["ttl_s"] == 5


def test_a_stack_that_would_be_refused_is_refused_here(tmp_path):
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_text(STACK.replace("16000", "1000"))
    code, output = run("--stack", path)
    assert code == 2
    assert "leaseTtlMs" in output
    assert run("--stack", tmp_path / "none.yaml")[0] == 2


def test_options_change_what_they_name():
    options = {
        "--profile": "fast",
        "--ttl": 1,
        "--alarm-period": 10,
        "--alarm-periods": 3,
        "--check-interval": 10,
        "--promotion": 5,
        "--lag-ms": 100,
    }
    found = document(*(word for option in options.items() for word in option))
    stages = {s["name"]: s["bound_ms"] for s in found["paths"][1]["stages"]}
    assert (stages["TTL"], stages["alarm"], stages["health check"], stages["promotion"]) == (
        1000,
        40_000,
        10_000,
        5000,
    )
    assert found["loss_bound_ms"] == 100 + 1600 + 250
    assert run("--profile", "slow")[0] == 2


def test_the_alarm_is_the_stacks():
    assert Settings(AWS).alarm_period_s == PERIOD_S


def test_words_say_what_holds_and_where_figures_come_from():
    code, output = run()
    assert code == 0
    for words in ("does not hold", "AWS's pages", "assumed", "AWS page", "configuration", "lab, fast"):
        assert words in output


def test_the_module_writes_the_kept_file_from_a_report(tmp_path, report, monkeypatch):
    """As `python -m farshore.operate.budget report.json` does."""
    source = Path(operate.__file__).read_text()
    copy = tmp_path / "budget.py"
    copy.write_text(source)
    monkeypatch.setattr("sys.argv", ["budget", str(report)])
    exec(compile(source, str(copy), "exec"), {"__name__": "__main__", "__file__": str(copy)})
    written = json.loads((tmp_path / operate.MEASURED).read_text())
    assert written == operate.distilled(REPORT)
