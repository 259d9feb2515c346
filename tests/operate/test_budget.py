"""Where a budget's numbers come from: a stack's file, a drill's report."""

import json
import re
from dataclasses import astuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.core.budget import HTTPS_FAILURES, HTTPS_INTERVAL_S, Settings
from farshore.core.errors import UsageError
from farshore.core.profile import AWS
from farshore.infra import dns
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
    assert found["lab"]["drill"] == {key: REPORT[key] for key in operate.DRILL}
    assert found["lab"]["lab_figures"] is True


def test_the_report_that_is_kept_is_a_drills_and_says_which():
    kept = operate.measured()
    assert kept.drill["command"].startswith("farshore drill region-loss")
    assert kept.lab.outage_ms
    assert kept.words in run()[1]


def one_line_of_refusal(*arguments):
    code, output = run(*arguments)
    assert code == 2, output
    line, end = output[:-1], output[-1]
    assert end == "\n"
    assert "\n" not in line
    assert line.startswith("farshore: ")
    return line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "Expecting value"),
        (b"[]", 'the report = "[]" is no object'),
        (b"{}", "stages = null is no object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "invalid start byte"),
        (json.dumps({**REPORT, "stages": None}).encode(), "stages = null is no object"),
        (json.dumps({**REPORT, "stages": {"detect": "x"}}).encode(), 'stages.detect = "x" is not a number'),
        (json.dumps({**REPORT, "stages": {"detect": float("nan")}}).encode(), "stages.detect = NaN is not"),
        (json.dumps({**REPORT, "outage_seconds": "2"}).encode(), 'outage_seconds = "2" is not a number'),
        (json.dumps({**REPORT, "outage_seconds": -1}).encode(), "outage_seconds = -1 is not a number"),
        (json.dumps({**REPORT, "outage_seconds": True}).encode(), "outage_seconds = true is not a number"),
        (json.dumps({**REPORT, "outage_seconds_dns_only": [1]}).encode(), "outage_seconds_dns_only ="),
        (json.dumps({**REPORT, "outage_seconds": float("inf")}).encode(), "outage_seconds = Infinity is not"),
        (json.dumps({**REPORT, "platform": "a\nb"}).encode(), "platform ="),
        (json.dumps({**REPORT, "platform": "\ud800"}).encode(), "platform ="),
        (json.dumps({**REPORT, "cadence": None}).encode(), "cadence = null is not"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, told):
    path = tmp_path / "r.json"
    path.write_bytes(text)
    with pytest.raises(UsageError, match="no drill's report"):
        operate.measured(path)
    line = one_line_of_refusal("--report", path)
    assert line.startswith(f"farshore: --report {path}: ")
    assert told in line
    assert "Fix: " in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "the file = null is no object"),
        (b"config:\n", "config = null is no object"),
        (b"config: \xff\n", "invalid start byte"),
        (b"config:\n  farshore:createdAt: 2026-13-41\n", "month must be in 1..12"),
        (b"config: [\n", "expected the node content"),
        (b"config: " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_stack_is_refused(tmp_path, text, told):
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_bytes(text)
    line = one_line_of_refusal("--stack", path)
    assert line.startswith(f"farshore: --stack {path}: ")
    assert told in line
    assert "Fix: " in line


@pytest.mark.parametrize(
    "value", ["'" + "[" * 100_000 + "'", "&a [*a]", "[{2026-01-01: 1}]"], ids=["deep", "itself", "date"]
)
def test_a_lists_value_that_is_none_is_refused_by_its_key(tmp_path, value):
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_text(f"{STACK}  farshore:alertEmails: {value}\n")
    code, output = run("--stack", path)
    assert code == 2, output[:500]
    assert output.startswith("farshore: farshore:alertEmails = ")


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


def test_a_stack_with_the_https_trigger_waits_for_no_metric(tmp_path):
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_text(STACK + "  farshore:dnsTrigger: https\n  farshore:lagAlarmMs: 700\n")
    found = document("--stack", path)
    names = {stage["name"] for stage in found["paths"][1]["stages"]}
    assert "HTTPS check" in names
    assert not names & {"metric", "alarm", "health check"}
    assert found["loss_bound_ms"] == 700 + 16_000 + 2000
    by_metric = document("--stack", path, "--dns-trigger", "metric")
    assert "alarm" in {stage["name"] for stage in by_metric["paths"][1]["stages"]}


def test_keys_that_are_named_make_the_claim_hold_in_the_stack(tmp_path):
    """Read by the stack's own loader, so each is a key of it with a value that it takes."""
    path = tmp_path / "Pulumi.demo.yaml"
    plain = STACK.replace("farshore:leaseTtlMs: 16000", "farshore:stallMarginMs: 1000").replace(
        "production", "test"
    )
    path.write_text(plain)
    claims = document("--stack", path, "--promotion", 1)["claims"]
    assert [set(claim["keys"]) for claim in claims] == [
        {"dnsTrigger", "recordTtlS"},
        set(),
        {"leaseTtlMs", "renewMs", "lagAlarmMs"},
    ]
    for number in (0, 2):
        keys = "".join(f"  farshore:{key}: {value}\n" for key, value in claims[number]["keys"].items())
        path.write_text(plain.replace("  farshore:recordTtlS: 20\n", "") + keys)
        assert document("--stack", path)["claims"][number]["holds"]


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


def test_the_alarm_and_the_checks_are_the_stacks():
    assert Settings(AWS).alarm_period_s == dns.PERIOD_S
    assert (HTTPS_INTERVAL_S, HTTPS_FAILURES) == (dns.HTTPS_INTERVAL_S, dns.HTTPS_FAILURES)


def test_what_dns_took_in_the_lab_is_what_its_document_says():
    text = (Path(__file__).parents[2] / "docs" / "dns.md").read_text()
    shown = set()
    for trigger, pace, ttl_s, resolvers_s, clients_s in re.findall(
        r"^\| (metric|https) \| ([^|]*)TTL (\d+) s\)? \| [^|]* \| ([\d.]+) s \| ([\d.]+) s \|$",
        text,
        re.MULTILINE,
    ):
        cadence = int(re.search(r"cadence (\d+)", pace)[1]) if "cadence" in pace else 1
        shown.add((trigger, cadence, int(ttl_s), float(resolvers_s), float(clients_s)))
    kept = [astuple(one) for trigger in ("metric", "https") for one in operate.dns_measured(trigger)]
    assert len(kept) == 4
    assert shown == set(kept)


@pytest.mark.parametrize("trigger", ["metric", "https"])
def test_the_output_says_what_was_measured_of_dns_and_that_no_stage_was(trigger):
    code, output = run("--dns-trigger", trigger)
    assert code == 0
    assert "no stage of which was measured by itself" in output
    for one in operate.dns_measured(trigger):
        assert one.words in output
    followed = document("--dns-trigger", trigger)["lab"]["dns_followed"]
    assert [one["trigger"] for one in followed] == [trigger] * 2


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
