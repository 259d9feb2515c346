"""peers.html: the tables and one chart for each scenario, in the style of the drill's report; opens offline."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from benchmarks.peers import table as t
from benchmarks.peers.table import Row, Spread

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
The plain client commits bare. farshore's promise of one writer holds for confirmed commits, which are those of the row \
with farshore.client.
"""


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    template = Template(resources.files("farshore.drill").joinpath("report_template.html").read_text("utf-8"))
    names = t.scenarios(report)
    body = [
        _top(report),
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
    figure = (
        f"<figure><figcaption><b>Longest time without an acknowledgement</b> median, and each run as a tick"
        f"</figcaption>{_bars(report, rows, scenario)}</figure>"
    )
    lead = f'<p class="lead">{escape(about[0].upper() + about[1:])}.</p>'
    return section(name, lead + figure + table(name, head, body))


def _bars(report: Mapping[str, Any], rows: Sequence[Row], scenario: str) -> str:
    most = max((row.outage.most for row in rows if row.outage), default=1.0)

    def draw(width: int) -> Chart:
        wide = width == WIDE
        left, step = (230, 36) if wide else (2, 54)
        height = 8 + step * len(rows)
        x = Axis(0, max(most, 1e-3), left, width - (190 if wide else 120))
        chart = Chart(width, height + 42, x, Axis(0, 1, height, 8), _spoken(rows, scenario))
        for tick in x.ticks(6 if wide else 3):
            chart.line(x.at(tick), 4, x.at(tick), height, "grid")
        for index, row in enumerate(rows):
            top = 8 + step * index
            chart.text(0, top + 15, row.label, kind="name")
            _bar(chart, row, _outages(report, row.system, scenario), top + (2 if wide else 24))
        chart.x_axis("seconds")
        return chart

    return both(draw)


def _bar(chart: Chart, row: Row, outages: Sequence[float], top: float) -> None:
    if row.outage is None:
        chart.text(chart.x.start + 4, top + 15, "no run ended well", kind="about")
        return
    end = max(chart.x.at(row.outage.median), chart.x.start + 2)
    tip = f"{row.label}: {t.seconds(row.outage)} s"
    chart.box(chart.x.start, top, end, top + 20, f"bar {COLOURS[row.group]}", tip=tip, round_px=2)
    for outage in outages:
        chart.line(chart.x.at(outage), top - 2, chart.x.at(outage), top + 22, "axis")
    words_at = max(end, chart.x.at(row.outage.most)) + 8
    chart.text(words_at, top + 15, _at_the_bar(row), kind="value")


def _at_the_bar(row: Row) -> str:
    outage = row.outage.median if row.outage else 0.0
    lost = row.lost.median if row.lost else 0.0
    return f"{outage:.2f} s" + (f", {lost:,.0f} lost" if lost else "")


def _outages(report: Mapping[str, Any], system: str, scenario: str) -> list[float]:
    return [
        run["outage_s"]
        for run in report["runs"]
        if (run["system"], run["scenario"], run["error"]) == (system, scenario, None)
    ]


def _spoken(rows: Sequence[Row], scenario: str) -> str:
    told = [f"{row.label} {_spoken_time(row.outage)}" for row in rows]
    return f"{t.WORDS[scenario][0]}, longest time without an acknowledgement: {'; '.join(told)}"


def _spoken_time(outage: Spread | None) -> str:
    return "unknown" if outage is None else f"{outage.median:.2f} seconds"


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
