"""peers.html: the tables and one chart for each scenario, in the style of the drill's report; opens offline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from statistics import median
from string import Template
from typing import Any

from benchmarks.peers import table as t
from benchmarks.peers.table import Row

from farshore.drill.charts import Axis, Chart
from farshore.drill.figures import WIDE, both, legend
from farshore.drill.markup import section, table

COLOURS = {"farshore": "r0", "patroni": "r1", "paf": "r2"}
NAMES = {"farshore": "farshore", "patroni": "Patroni", "paf": "pg_auto_failover"}
CAVEATS = """\
Every figure is a lab figure: all of it ran on one computer, on loopback, with one client program. A promotion takes \
0.1 s here and minutes on Aurora; the peers' agents reach their third place without delay.
Node loss is not the same thing for all. The peers must find out by themselves; farshore leaves it to Aurora, whose \
in-region failover the lab imitates in a fraction of AWS's time: that row measures the lab.
Patroni replicates asynchronously, as it is set up by default, and loses what was under way. pg_auto_failover lets \
commits wait for the standby: over 40 ms that costs the rate, and loses nothing. farshore is asynchronous between \
regions, and names each lost row (`farshore orphans`); neither peer does.
The plain client commits bare. farshore's promise of one writer holds for confirmed commits, which are those of \
the row with farshore.client.
"""


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    template = Template(resources.files("farshore.drill").joinpath("report_template.html").read_text("utf-8"))
    names = t.scenarios(report)
    body = [
        _top(report),
        section("At a glance", "".join(_figure(report, name) for name in names)),
        *(_scenario(report, name) for name in names),
        _read_with_care(),
        _environment(report),
    ]
    return template.substitute(title="farshore beside its peers", body="\n".join(body))


def _top(report: Mapping[str, Any]) -> str:
    when, place = escape(report["measured_at"]), escape(report["platform"])
    groups = {system["group"] for system in report["systems"]}
    entries = [(f"{COLOURS[group]} aware", NAMES[group]) for group in NAMES if group in groups]
    return (
        f'<header class="top"><h1>farshore beside its peers</h1><span>{when} \N{MIDDLE DOT} {place}</span></header>'
        "<p>The same four writers, the same PostgreSQL, the same computer, one run: how long nobody was acknowledged, "
        "and which acknowledged rows the survivor does not have. Medians, with the range in brackets.</p>"
        '<p class="stamp"><span class="label">Lab figures</span></p>'
        f'<div style="margin-top:18px">{legend(entries)}</div>'
    )


def _scenario(report: Mapping[str, Any], scenario: str) -> str:
    name, about = t.WORDS[scenario]
    rows = t.rows(report, scenario)
    words = [t.cells(row, scenario) for row in rows]
    shown = [index for index, _ in enumerate(t.HEAD) if any(cells[index] != "\N{EN DASH}" for cells in words)]
    head = [(t.HEAD[index], "" if index == 0 else "number") for index in shown]
    body = [[(cells[index], "" if index == 0 else "number") for index in shown] for cells in words]
    lead = f'<p class="lead">{escape(about[0].upper() + about[1:])}.</p>'
    return section(name, lead + table(name, head, body))


def _figure(report: Mapping[str, Any], scenario: str) -> str:
    rows = t.rows(report, scenario)
    measure = LOST if t.is_zombie(scenario) else OUTAGE
    picture = both(lambda width: _bars(width, report, rows, scenario, measure))
    note = "; farshore's bar is the lab's in-region failover" if scenario == "node" else ""
    about = f"{measure.about}; the bar is the median, each run a tick{note}"
    caption = f"<b>{escape(t.WORDS[scenario][0])}</b> {escape(about)}"
    return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a chart's bars are: a run's `key`, in `unit`."""

    key: str
    about: str
    unit: str


OUTAGE = Measure("outage_s", "longest time without an acknowledgement", "seconds")
LOST = Measure("lost", "acknowledged rows that the survivor does not have", "rows")


def _bars(
    width: int, report: Mapping[str, Any], rows: Sequence[Row], scenario: str, measure: Measure
) -> Chart:
    wide = width == WIDE
    left, step = (230, 36) if wide else (2, 54)
    height = 8 + step * len(rows)
    values = [_values(report, row.system, scenario, measure) for row in rows]
    most = max((value for own in values for value in own), default=0.0) or 1.0
    x = Axis(0, most, left, width - (190 if wide else 130))
    chart = Chart(width, height + 42, x, Axis(0, 1, height, 8), _spoken(rows, values, scenario, measure))
    for tick in x.ticks(6 if wide else 3):
        chart.line(x.at(tick), 4, x.at(tick), height, "grid")
    for index, (row, own) in enumerate(zip(rows, values, strict=True)):
        top = 8 + step * index
        chart.text(0, top + 15, row.label, kind="name")
        _bar(chart, row, own, measure, top + (2 if wide else 24))
    chart.x_axis(measure.unit)
    return chart


def _bar(chart: Chart, row: Row, values: Sequence[float], measure: Measure, top: float) -> None:
    if not values:
        chart.text(chart.x.start + 4, top + 15, "no run ended well", kind="about")
        return
    end = max(chart.x.at(median(values)), chart.x.start + 2)
    words = _at_the_bar(row, values, measure)
    chart.box(
        chart.x.start,
        top,
        end,
        top + 20,
        f"bar {COLOURS[row.group]}",
        tip=f"{row.label}: {words}",
        round_px=2,
    )
    for value in values:
        chart.line(chart.x.at(value), top - 2, chart.x.at(value), top + 22, "axis")
    chart.text(max(end, chart.x.at(max(values))) + 8, top + 15, words, kind="value")


def _at_the_bar(row: Row, values: Sequence[float], measure: Measure) -> str:
    if measure is LOST:
        return f"{median(values):,.0f}" + ("" if row.promoted else ", nobody promoted")
    lost = row.lost.median if row.lost else 0.0
    return f"{median(values):.2f} s" + (f", {lost:,.0f} lost" if lost else "")


def _values(report: Mapping[str, Any], system: str, scenario: str, measure: Measure) -> list[float]:
    return [
        run[measure.key]
        for run in report["runs"]
        if (run["system"], run["scenario"], run["error"]) == (system, scenario, None)
    ]


def _spoken(rows: Sequence[Row], values: Sequence[Sequence[float]], scenario: str, measure: Measure) -> str:
    told = [
        f"{row.label} {f'{median(own):,.2f} {measure.unit}' if own else 'unknown'}"
        for row, own in zip(rows, values, strict=True)
    ]
    return f"{t.WORDS[scenario][0]}, {measure.about}: {'; '.join(told)}"


def _read_with_care() -> str:
    return section("Read with care", "".join(f"<p>{escape(words)}</p>" for words in CAVEATS.splitlines()))


def _environment(report: Mapping[str, Any]) -> str:
    facts = [
        ("PostgreSQL", report["postgres_version"]),
        ("Platform", report["platform"]),
        ("Load average", report["load"]),
        ("Link between the regions", f"{report['one_way_ms']:g} ms one way, no jitter"),
        ("Client", report["client"]),
        *((system["label"], system["about"]) for system in report["systems"]),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts)
    return section("Measured how", f'<dl class="facts">{listed}</dl>')
