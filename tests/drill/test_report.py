"""The report as a file: what programs read, what a browser opens, and what it must never do."""

import json
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample import HOME, LARGE, WEST, Plan, Sample, drill, report_data

from farshore.drill import promises
from farshore.drill.charts import Axis, Marker, label_rows, number
from farshore.drill.checker import Evidence, judge
from farshore.drill.errors import DrillUsageError
from farshore.drill.findings import Violation
from farshore.drill.ledger import Orphan
from farshore.drill.measures import measure
from farshore.drill.report import document, prepare, write
from farshore.drill.reportdata import ReportData

SMALL = Plan(fault_s=1.0, outage_s=0.6, end_s=3.0)
CONTRACT = {
    "scenario", "verdict", "seed", "cadence", "profile", "outage_seconds", "outage_seconds_dns_only",
    "worst_client", "worst_client_dns_only", "stages", "acked", "lost_acked", "orphans", "duplicate",
    "dual_writer_acks", "ledger_balanced", "rpo_seconds", "epochs", "postgres_version", "platform",
}  # fmt: skip
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The page's tags, checked to be closed in order, with the attributes that could fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.fetches: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "svg":
            self.images.append(dict(attrs))
        fetching = {"src", "srcset", "poster", "data", "xlink:href"} | ({"href"} if tag != "a" else set())
        self.fetches += [str(value) for name, value in attrs if name in fetching]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def written(tmp_path: Path, data: ReportData) -> tuple[dict[str, object], str]:
    json_path, html_path = write(tmp_path / "report", data)
    return json.loads(json_path.read_text("utf-8")), html_path.read_text("utf-8")


def test_the_json_holds_the_contract_and_the_judges_own_figures(tmp_path: Path) -> None:
    data = report_data()
    made, _ = written(tmp_path, data)
    assert made.keys() >= CONTRACT
    assert (made["verdict"], made["seed"], made["cadence"], made["profile"]) == ("valid", 11, 60, "fast")
    assert made["outage_seconds"] == pytest.approx(LARGE.outage_s, abs=0.3)
    assert made["outage_seconds_dns_only"] > made["outage_seconds"]
    assert set(made["stages"]) == {"detect", "decide", "fence", "promote", "route", "reconnect"}
    assert sum(made["stages"].values()) == pytest.approx(made["outage_seconds"], abs=0.1)
    assert made["acked"] == data.judgement.acked > 7000
    missing = [orphan for orphan in made["orphans"] if orphan["state"] == "missing"]
    assert made["lost_acked"] == len(data.judgement.losses.lost) > 0
    assert {ack.op for ack in data.judgement.losses.lost} <= {orphan["key"] for orphan in missing}
    assert [(epoch["epoch"], epoch["region"]) for epoch in made["epochs"]] == [(1, HOME), (2, WEST)]
    assert made["command"].endswith("--seed 11")


def test_the_page_is_whole_and_asks_nothing_of_anyone(tmp_path: Path) -> None:
    _, text = written(tmp_path, report_data(SMALL))
    page = Page(text)
    assert page.open == []
    assert page.fetches == []
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert "url(" not in text
    assert "@import" not in text


def test_every_picture_has_a_name_and_two_widths(tmp_path: Path) -> None:
    _, text = written(tmp_path, report_data(SMALL))
    images = Page(text).images
    assert (
        [image["class"] for image in images].count("wide")
        == [i["class"] for i in images].count("narrow")
        == 5
    )
    for image in images:
        assert image["role"] == "img"
        assert len(image["aria-label"] or "") > 20
    assert not re.search(r"\b(nan|inf)\b", text)


def test_the_page_says_what_was_measured_and_what_it_is_not(tmp_path: Path) -> None:
    made, text = written(tmp_path, report_data())
    assert "Lab figures, not AWS figures" in text
    assert f"{made['outage_seconds']:.2f}" in text
    assert f"{made['acked']:,}" in text
    assert "farshore drill region-loss --profile fast --cadence 60 --seed 11" in text
    assert "standing for Aurora PostgreSQL 15" in text
    assert "RTO can be in the order of minutes" in text
    for orphan in made["orphans"]:
        assert orphan["key"] in text


def test_words_from_outside_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    data = report_data(SMALL)
    evil = "<script>alert(1)</script>"
    data = replace(data, scenario=evil, environment=replace(data.environment, command=evil, platform=evil))
    data = replace(data, journal=[replace(event, reason=evil, action=evil) for event in data.journal])
    _, text = written(tmp_path, data)
    assert "script" not in Page(text).tags
    assert "&lt;script&gt;" in text


def lost_key(sample: Sample) -> str:
    return next(orphan.key for orphan in sample.orphans.orphans if orphan.state == "missing")


def test_an_invalid_drill_says_which_promise_broke(tmp_path: Path) -> None:
    sample = drill(SMALL)
    kept = tuple(orphan for orphan in sample.orphans.orphans if orphan.key != lost_key(sample))
    sample.orphans = replace(sample.orphans, orphans=kept)
    made, text = written(tmp_path, report_data(SMALL, sample))
    assert made["verdict"] == "invalid"
    assert made["finding_counts"]["orphan_not_listed"] >= 1
    broken = [check for check in made["checks"] if check["held"] is False]
    assert [check["promise"] for check in broken] == [
        "Every lost transfer is named by the product, and nothing else is"
    ]
    assert "A promise was broken" in text
    assert "not named" in text


def test_an_unknown_drill_says_why_and_still_draws_what_it_has(tmp_path: Path) -> None:
    sample = drill(SMALL)
    sample.survivor, sample.orphans, sample.old_volume, sample.journal, sample.lag = None, None, None, [], []
    made, text = written(tmp_path, report_data(SMALL, sample))
    assert (made["verdict"], made["ledger_balanced"]) == ("unknown", None)
    assert (made["lost_acked"], made["duplicate"], made["rpo_seconds"]) == (None, None, None)
    assert made["stages"]["decide"] is None
    assert "what was lost is unknown" in text
    assert "proves nothing either way" in text
    assert "Throughput" in text


def test_a_drill_without_a_single_acknowledgement_still_makes_a_report(tmp_path: Path) -> None:
    data = report_data(SMALL)
    judgement = judge(Evidence(histories=[], survivor=None, faults=[]))
    nothing = measure(judgement.operations, judgement.losses, None)
    data = replace(data, judgement=judgement, measures=nothing, moves=[], journal=[], lag=())
    made, text = written(tmp_path, data)
    assert (made["verdict"], made["outage_seconds"], made["acked"]) == ("unknown", None, 0)
    assert "there is nothing to draw" in text


def test_only_the_first_fifty_orphans_are_shown_and_the_total_is_stated(tmp_path: Path) -> None:
    sample = drill(SMALL)
    present = [key for key in sample.committed_home if key in sample.committed_west][:70]
    sample.orphans = replace(sample.orphans, orphans=tuple(Orphan(key, "present") for key in present))
    made, text = written(tmp_path, report_data(SMALL, sample))
    total = len(made["orphans"])
    assert total > 70
    assert f"The first 50 of {total} are shown" in text
    assert sum(1 for orphan in made["orphans"] if f">{orphan['key']}<" in text) == 50


def test_findings_of_one_kind_are_cut_and_counted() -> None:
    sample = drill(Plan(fault_s=2.0))
    sample.orphans = replace(
        sample.orphans, orphans=tuple(Orphan(f"made-up-{n}", "missing") for n in range(80))
    )
    made = document(report_data(SMALL, sample))
    assert made["finding_counts"]["orphan_never_attempted"] == 80
    assert sum(1 for row in made["findings"] if row["kind"] == "orphan_never_attempted") == 50


def test_every_violation_belongs_to_exactly_one_promise() -> None:
    groups = [promises._ONE_WRITER, promises._KEPT, promises._NAMED, promises._ONCE, promises._BALANCED]
    groups += [promises._AS_ASKED, promises._REFUSED, promises._STAYED]
    assert sorted(kind for group in groups for kind in group) == sorted(Violation)


def test_a_valid_drill_held_every_promise() -> None:
    made = promises.checks(judge(drill(SMALL).evidence()))
    assert len(made) == 7
    assert all(check.held for check in made)


# ---- where it may be written


def test_a_report_directory_is_made(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_directory_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(DrillUsageError, match=r"^--report is .*taken: .*; name a directory") as refused:
        prepare(taken)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_an_unwritable_directory_is_refused(tmp_path: Path) -> None:
    shut = Path("/proc/farshore-report") if os.geteuid() == 0 else tmp_path / "shut"
    if os.geteuid() != 0:
        shut.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(DrillUsageError, match="name a directory that can be written"):
        prepare(shut)


# ---- charts


def test_an_axis_maps_its_ends_and_clamps_what_lies_outside() -> None:
    axis = Axis(-10, 30, 40, 440)
    assert [axis.at(value) for value in (-10, 10, 30, 99)] == [40, 240, 440, 440]
    assert axis.ticks(4) == [-10, 0, 10, 20, 30]
    log = Axis(1, 1000, 0, 300, log=True)
    assert [round(log.at(value)) for value in (1, 10, 1000)] == [0, 100, 300]
    assert log.ticks(4) == [1, 10, 100, 1000]


def test_tick_labels_are_short() -> None:
    assert [number(value) for value in (0, 0.5, 1500, -10)] == ["0", "0.5", "1,500", "\N{MINUS SIGN}10"]


def test_marker_labels_never_overlap() -> None:
    axis = Axis(0, 40, 40, 350)
    markers = [
        Marker(at, name, "") for at, name in ((1, "fault"), (1.5, "claim"), (2, "grant"), (39, "region back"))
    ]
    spans: dict[int, list[tuple[float, float]]] = {}
    for marker, row, left in label_rows(markers, axis):
        wide = len(marker.name) * 6.6 + 10
        start = axis.at(marker.at) - (wide if left else 0)
        assert start + wide <= 360
        assert all(end <= start or start + wide <= begin for begin, end in spans.get(row, []))
        spans.setdefault(row, []).append((start, start + wide))
