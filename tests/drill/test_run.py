"""A whole drill against a stand-in product with real servers: its verdicts, exit codes, and what it leaves."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from farshore.drill import product, scenarios
from farshore.drill.errors import DrillUsageError
from farshore.drill.options import DrillOptions
from farshore.drill.run import run_drill
from farshore.drill.workdir import workdir

EXAMPLES = Path(__file__).parents[2] / "examples"
STANDIN = Path(__file__).with_name("standin.py")
QUICK = replace(scenarios.PACES["fast"], steady_s=1.0, after_s=0.5, warm_up_s=20, recover_s=5, orphans_s=1)
FEW = {"acks_before_min": 30, "acks_after_min": 20, "kind_acks_after_min": 3}


@pytest.fixture
def scratch(tmp_path):
    """Where temporary directories are made; servers that run as another user must be able to enter."""
    with tempfile.TemporaryDirectory(prefix="scratch-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def standin(monkeypatch, scratch):
    """The drill talks to the stand-in; returns how to make the stand-in misbehave."""
    state = scratch / "state"
    state.mkdir()
    monkeypatch.setenv("STANDIN_DIR", str(state))
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(product, "COMMAND", (sys.executable, str(STANDIN)))
    monkeypatch.setattr("farshore.drill.crewing.COMMAND", (sys.executable, str(STANDIN)))
    monkeypatch.setitem(scenarios.PACES, "fast", QUICK)
    for name, scenario in list(scenarios.SCENARIOS.items()):
        few = replace(scenario.terms, **FEW)
        monkeypatch.setitem(scenarios.SCENARIOS, name, replace(scenario, terms=few))

    def misbehave(faults: str, **pace: float) -> None:
        monkeypatch.setenv("STANDIN_FAULTS", faults)
        monkeypatch.setitem(scenarios.PACES, "fast", replace(QUICK, **pace))

    return misbehave


BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def _others_processes():
    """Servers that other tests of this session keep running are not the drill's."""
    BEFORE.clear()
    BEFORE.update(child.pid for child in psutil.Process().children())


def children() -> list[str]:
    return [" ".join(child.cmdline()) for child in psutil.Process().children() if child.pid not in BEFORE]


def drill(tmp_path, scenario="region-loss", **options) -> tuple[int, dict]:
    report = tmp_path / "report"
    exit_code = run_drill(DrillOptions(scenario, report=report, seed=3, **options))
    assert children() == [], "nothing is left behind"
    return exit_code, json.loads((report / "report.json").read_text())


def kinds(report: dict) -> set[str]:
    return set(report["finding_counts"])


def test_a_good_failover_is_valid_and_reported(standin, scratch, tmp_path, capsys):
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"], report["findings"]) == (0, "valid", [])
    assert report["seed"] == 3
    assert report["acked"] >= 50
    assert 0.5 < report["outage_seconds"] < 5
    assert report["outage_seconds"] < report["outage_seconds_dns_only"] + 0.1, "both end at one moment here"
    assert [(epoch["epoch"], epoch["region"]) for epoch in report["epochs"]] == [
        (1, "us-east-1"),
        (2, "us-west-2"),
    ]
    assert len(report["orphans"]) >= report["lost_acked"]
    assert report["command"] == "farshore drill region-loss --profile fast --cadence 60 --seed 3"
    said = capsys.readouterr().out
    assert "the home region is silent" in said, "the transition's reason is shown"
    assert "VALID" in said
    evidence = tmp_path / "report" / "evidence"
    assert len(list(evidence.glob("*.history.jsonl"))) == 8
    assert "password" not in "".join(path.read_text() for path in evidence.iterdir())
    assert [path.name for path in scratch.iterdir()] == ["state"]


def test_a_teams_own_workload_is_drilled_and_named_in_the_report(standin, tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_KEY", "desk.orders id")
    own = str(EXAMPLES / "order_desk.py")
    exit_code, report = drill(tmp_path, workload=own)
    assert (exit_code, report["verdict"], report["findings"]) == (0, "valid", [])
    assert (report["workload"], report["ledger_balanced"]) == (own, True)
    assert report["acked"] >= 50
    assert f"--workload {own}" in report["command"]
    assert "Invariant" in (tmp_path / "report" / "report.html").read_text()


def test_a_workload_that_breaks_its_own_invariant_is_invalid(standin, tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_KEY", "desk.orders id")
    sold = "UPDATE desk.stock SET pieces = pieces - :pieces"
    text = (EXAMPLES / "order_desk.sql").read_text()
    assert sold in text
    own = tmp_path / "broken.sql"
    own.write_text(text.replace(sold, sold + " - (:item < 10)::int"))
    exit_code, report = drill(tmp_path, workload=str(own))
    assert (exit_code, report["verdict"], report["ledger_balanced"]) == (1, "invalid", False)
    assert kinds(report) == {"invariant_broken"}
    assert "sold" in report["findings"][0]["detail"]


def test_a_workload_that_its_first_write_shows_to_be_wrong_is_wrong_use(standin, tmp_path):
    own = tmp_path / "wrong.sql"
    text = (EXAMPLES / "order_desk.sql").read_text()
    own.write_text(text.replace("UPDATE desk.stock", "UPDATE desk.shelf"))
    with pytest.raises(DrillUsageError, match=r"write: .*shelf"):
        run_drill(DrillOptions(report=tmp_path / "report", workload=str(own)))
    assert children() == []


def test_a_fault_that_does_not_bite_is_unknown(standin, tmp_path):
    standin("toothless", recover_s=1)
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"]) == (3, "unknown")
    assert "fault_did_not_bite" in kinds(report)


def test_a_second_failure_that_hits_nothing_is_unknown(standin, tmp_path):
    standin("toothless second")
    exit_code, report = drill(tmp_path, "second-failure")
    assert (exit_code, report["verdict"], kinds(report)) == (3, "unknown", {"fault_did_not_bite"})
    assert [finding["detail"].rpartition(" hit ")[2] for finding in report["findings"]] == [
        "0 servers",
        "0 functions",
    ]


def test_no_failover_is_unknown(standin, tmp_path):
    standin("no failover", recover_s=1)
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"]) == (3, "unknown")
    assert "few_acks_after" in kinds(report)
    assert report["outage_recovered"] is False


@pytest.mark.soak
def test_no_list_of_orphans_is_unknown(standin, tmp_path):
    standin("no orphan list")
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"]) == (3, "unknown")
    assert kinds(report) == {"orphans_missing"}


@pytest.mark.soak
def test_a_list_that_names_what_is_not_lost_is_invalid(standin, tmp_path):
    standin("invented orphan")
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"]) == (1, "invalid")
    assert "orphan_present" in kinds(report)


def test_what_only_the_old_volume_shows_must_be_named_too(standin, tmp_path):
    standin("leaves out what nobody was told of")
    exit_code, report = drill(tmp_path)
    assert (exit_code, report["verdict"]) == (1, "invalid")
    assert kinds(report) == {"orphan_not_listed", "never_attempted"}


def test_a_switchover_there_and_back_loses_nothing(standin, tmp_path):
    exit_code, report = drill(tmp_path, "switchover")
    assert (exit_code, report["verdict"], report["findings"]) == (0, "valid", [])
    assert [(move["kind"], move["target"]) for move in report["moves"]] == [
        ("switchover", "us-west-2"),
        ("switchover", "us-east-1"),
    ]
    for move in report["moves"]:
        assert 0.1 < move["outage_seconds"] <= move["outage_seconds_dns_only"] < 8
        assert set(move["stages"]) == {"drain", "move", "reconnect"}
        assert all(value is not None for value in move["stages"].values())
    assert report["outage_seconds"] == max(move["outage_seconds"] for move in report["moves"])
    assert [epoch["region"] for epoch in report["epochs"]] == ["us-east-1", "us-west-2", "us-east-1"]
    assert (report["lost_acked"], report["orphans"]) == (0, [])


@pytest.mark.soak
def test_a_switchover_that_leaves_something_behind_is_invalid(standin, tmp_path):
    standin("loses what is on its way", accept_s=1, recover_s=5)
    exit_code, report = drill(tmp_path, "switchover")
    assert (exit_code, report["verdict"]) == (1, "invalid")
    assert "acked_missing" in kinds(report)


def test_the_way_home_is_closed_until_the_lost_are_accounted_for(standin, tmp_path):
    exit_code, report = drill(tmp_path, "failback")
    assert (exit_code, report["verdict"], report["findings"]) == (0, "valid", [])
    assert [move["kind"] for move in report["moves"]] == ["region-loss", "failback"]
    assert [epoch["region"] for epoch in report["epochs"]] == ["us-east-1", "us-west-2", "us-east-1"]
    assert len(report["refusals"]) == (2 if report["orphans"] else 1)
    assert {refusal["exit_code"] for refusal in report["refusals"]} == {1}
    assert "farshore reconcile" in report["refusals"][0]["reason"]


@pytest.mark.soak
def test_a_way_home_that_is_open_too_early_is_invalid(standin, tmp_path):
    standin("forgets the lost")
    exit_code, report = drill(tmp_path, "failback")
    assert (exit_code, report["verdict"]) == (1, "invalid")
    assert "not_refused" in kinds(report)


def test_what_the_lab_refuses_is_wrong_use(standin, tmp_path):
    standin("refusing")
    with pytest.raises(DrillUsageError, match="too old, use 15 or newer"):
        run_drill(DrillOptions(report=tmp_path / "report"))


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"scenario": "meteor"}, "SCENARIO"),
        ({"profile": "slow"}, "--profile"),
        ({"seed": -1}, "--seed"),
        ({"workload": "nowhere.sql"}, "--workload"),
        ({"cadence": 0}, "--cadence"),
        ({"ttl_s": -1}, "--ttl"),
        ({"report": Path("/proc/nowhere")}, "--report"),
    ],
)
def test_wrong_use_is_refused_in_one_line_before_anything_starts(changes, setting):
    with pytest.raises(DrillUsageError) as refused:
        run_drill(DrillOptions(**changes))
    assert refused.value.setting == setting
    assert "\n" not in str(refused.value)
    assert children() == []


def test_the_directory_of_a_killed_drill_goes_and_that_of_a_living_one_stays(scratch, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    program = f"""
import os, tempfile
from farshore.drill.workdir import workdir
tempfile.tempdir = {str(scratch)!r}
with workdir() as path:
    print(path, flush=True)
    input()
"""
    killed, living = (
        subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) for _ in range(2)
    )
    killed_path, living_path = (Path(each.stdout.readline().strip()) for each in (killed, living))
    killed.kill()
    killed.wait()
    with workdir() as mine:
        assert not killed_path.exists()
        assert sorted(scratch.iterdir()) == sorted([living_path, mine])
    living.communicate("\n", timeout=10)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_drill_leaves_no_process(standin, scratch, tmp_path, number):
    program = (
        "import sys; from pathlib import Path; from farshore.drill import product, crewing; "
        f"product.COMMAND = crewing.COMMAND = (sys.executable, {str(STANDIN)!r}); "
        "from farshore.drill.run import run_drill; from farshore.drill.options import DrillOptions; "
        f"run_drill(DrillOptions(report=Path({str(tmp_path / 'report')!r})))"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if "acknowledged in the last second" in line:
            break
    family = psutil.Process(child.pid).children(recursive=True)
    assert len(family) > 8, "servers, clients and follower run"
    os.kill(child.pid, number)
    child.stdout.read()
    child.wait(20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process.cmdline() for process in alive] == []
    if number == signal.SIGTERM:
        assert [path.name for path in scratch.iterdir()] == ["state"]
