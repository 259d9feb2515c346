"""The matrix: what it makes of the drills' own reports, and what becomes of one that is interrupted."""

import json
import os
import signal
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest
from rich.console import Console
from sample import SMALL_REPORT, report_data
from test_run import STANDIN, scratch, standin  # noqa: F401 - fixtures
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.drill import report, run_all, scenarios
from farshore.drill.errors import DrillUsageError
from farshore.drill.matrix import CODES, Matrix, MatrixRow, row_of, worst
from farshore.drill.matrixpage import render, terminal
from farshore.drill.options import DrillOptions
from farshore.drill.run_all import chosen


def row(directory: Path, name: str = "region-loss") -> MatrixRow:
    return row_of(name, "what it is", "the standby region", directory, 31.24, "it died")


@pytest.fixture
def reported(tmp_path):
    report.write(tmp_path / "region-loss", report_data(SMALL_REPORT))
    return tmp_path


def matrix(*rows: MatrixRow, not_run: tuple[str, ...] = ()) -> Matrix:
    return Matrix(
        verdict=worst(rows, not_run),
        seed=1,
        profile="fast",
        cadence=60,
        started_at="2026-11-22 17:05:00 UTC",
        took_seconds=90.0,
        command="farshore drill all --seed 1",
        rows=list(rows),
        not_run=list(not_run),
        acked=100,
        lost_acked=3,
        platform="Linux x86_64",
        lab_figures=True,
    )


def test_a_row_says_what_the_report_says(reported):
    document = json.loads((reported / "region-loss" / "report.json").read_text())
    made = row(reported)
    assert made["verdict"] == document["verdict"] == "valid"
    assert made["promises"] == {"P1": "held", "P2": "none", "P3": "held", "P4": "none", "books": "held"}
    assert (made["lost_acked"], made["acked"]) == (document["lost_acked"], document["acked"])
    assert made["outage_seconds"] == document["outage_seconds"]
    assert (made["writer"], made["must_move"]) == ("us-west-2", True)
    assert (made["took_seconds"], made["report"]) == (31.2, "region-loss/report.html")


@pytest.mark.parametrize(("states", "wanted"), [([True, False], "broken"), ([True, None], "open")])
def test_a_promise_is_as_good_as_its_worst_check(reported, states, wanted):
    path = reported / "region-loss" / "report.json"
    document = json.loads(path.read_text())
    document["checks"] = [
        {"promise": "p", "held": state, "seen": "", "codes": ["P3", "P4"]} for state in states
    ]
    path.write_text(json.dumps(document))
    assert row(reported)["promises"]["P4"] == wanted


def test_a_drill_without_a_report_proves_nothing(tmp_path):
    made = row(tmp_path)
    assert (made["verdict"], made["sentence"], made["report"]) == ("unknown", "it died", None)
    assert set(made["promises"].values()) == {"open"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "[1] has no verdict"),
        ("3", "3 has no verdict"),
        ('{"verdict": "valid"}', "has no sentence"),
        ('{"checks": [{}]}', "has no verdict"),
        ("{", "cannot be read"),
        ("[" * 100_000, "recursion"),
    ],
    ids=["a list", "a number", "half of it", "a check of nothing", "cut short", "too deep"],
)
def test_a_report_that_cannot_be_read_proves_nothing_and_the_others_are_told(
    monkeypatch, tmp_path, text, reason
):
    def drilled(options):
        if options.scenario == "wan-cut":
            options.report.mkdir(exist_ok=True)
            (options.report / "report.json").write_text(text)
        else:
            report.write(options.report, report_data(SMALL_REPORT))
        return 0

    monkeypatch.setattr(run_all, "run_drill", drilled)
    options = DrillOptions("all", report=tmp_path)
    assert run_all.run_all(options, "wan-cut,switchover") == 3
    unread, read = json.loads((tmp_path / "matrix.json").read_text())["rows"]
    assert (unread["verdict"], unread["report"], read["verdict"]) == ("unknown", None, "valid")
    assert set(unread["promises"].values()) == {"open"}
    assert reason in unread["sentence"]
    assert escape(unread["sentence"]) in (tmp_path / "index.html").read_text()


def test_the_worst_drill_is_the_verdict(reported):
    good = row(reported)
    bad: MatrixRow = {**good, "verdict": "invalid"}
    unsure: MatrixRow = {**good, "verdict": "unknown"}
    assert worst([good, good], ()) == "valid"
    assert worst([good, unsure], ()) == "unknown"
    assert worst([unsure, bad, good], ("switchover",)) == "invalid"
    assert worst([good], ("switchover",)) == "unknown"
    assert worst([], ()) == "unknown"


def test_the_page_and_the_terminal_tell_every_drill(reported):
    made = matrix(
        row(reported), {**row(reported, "gone"), "sentence": "a <b> & c"}, not_run=("ten-switchovers",)
    )
    page = render(made)
    assert "<script" not in page
    assert 'href="region-loss/report.html"' in page
    assert "a &lt;b&gt; &amp; c" in page
    assert "Not run: ten-switchovers" in page
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(terminal(made))
    told = console.export_text()
    assert all(word in told for word in (*CODES, "region-loss", "gone", "ten-switchovers", "not run"))


def test_scenarios_are_chosen_by_name_in_the_order_of_the_list():
    assert [one.name for one in chosen(None)] == list(scenarios.SCENARIOS)
    assert [one.name for one in chosen("switchover, wan-cut")] == ["wan-cut", "switchover"]
    with pytest.raises(DrillUsageError, match="'meteor'"):
        chosen("wan-cut,meteor")
    with pytest.raises(DrillUsageError, match="name scenarios"):
        chosen(" ,")


def test_only_goes_with_all():
    refused = CliRunner().invoke(app, ["drill", "switchover", "--only", "wan-cut"])
    assert refused.exit_code == 2


PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from farshore.drill import crewing, product, scenarios
product.COMMAND = crewing.COMMAND = (sys.executable, sys.argv[1])
scenarios.PACES["fast"] = replace(
    scenarios.PACES["fast"], steady_s=1.0, after_s=0.5, warm_up_s=20, recover_s=20, orphans_s=5
)
few = dict(acks_before_min=30, acks_after_min=20, kind_acks_after_min=3)
for name, scenario in scenarios.SCENARIOS.items():
    scenarios.SCENARIOS[name] = replace(scenario, terms=replace(scenario.terms, **few))
from farshore.drill.options import DrillOptions
from farshore.drill.run_all import run_all
sys.exit(run_all(DrillOptions("all", report=Path(sys.argv[2])), "region-loss,switchover"))
"""


def test_what_ran_before_ctrl_c_is_reported(standin, tmp_path):  # noqa: F811
    command = [sys.executable, "-c", PROGRAM, str(STANDIN), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = []
    for line in child.stdout:
        told.append(line)
        if "acknowledged in the last second" in line and any("2 of 2" in one for one in told):
            break
    child.send_signal(signal.SIGINT)
    told.append(child.stdout.read())
    assert child.wait(30) == 3, "".join(told)
    made = json.loads((tmp_path / "matrix.json").read_text())
    assert [(one["scenario"], one["verdict"]) for one in made["rows"]] == [("region-loss", "valid")]
    assert (made["verdict"], made["not_run"]) == ("unknown", ["switchover"])
    assert (tmp_path / "region-loss" / "report.html").exists()
    assert "not run" in told[-1]
    assert "switchover" in (tmp_path / "index.html").read_text()
