"""The matrix as a page that links each drill's own, and as a table for the terminal."""

from html import escape
from importlib import resources
from string import Template

from rich.markup import escape as literally
from rich.table import Table

from farshore.drill.markup import Link, section, table
from farshore.drill.matrix import CODES, Matrix, MatrixRow
from farshore.drill.words import headline, seconds

_DASH = "\N{EN DASH}"
_MARK = {"held": "held", "broken": "broken", "open": "open", "none": _DASH}
_STYLE = {"held": "green", "broken": "bold red", "open": "yellow", "none": "dim"}
_VERDICT_STYLE = {"valid": "green", "invalid": "bold red", "unknown": "yellow"}


def render(matrix: Matrix) -> str:
    """The whole page."""
    template = Template(resources.files("farshore.drill").joinpath("report_template.html").read_text("utf-8"))
    parts = [_top(matrix), _verdict(matrix), _figures(matrix), _table(matrix), _told(matrix), _again(matrix)]
    title = f"farshore drill all: {matrix['verdict']}"
    return template.substitute(title=escape(title), body="\n".join(parts))


def terminal(matrix: Matrix) -> Table:
    """Scenario by promise, with verdict, outage and loss."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "verdict", *CODES, "writer", "outage", "DNS only", "lost", "of"):
        drawn.add_column(name, justify="right" if name in {"outage", "DNS only", "lost", "of"} else "left")
    for row in matrix["rows"]:
        style = _VERDICT_STYLE[row["verdict"]]
        states = [f"[{_STYLE[state]}]{_MARK[state]}[/]" for state in row["promises"].values()]
        drawn.add_row(
            row["scenario"], f"[{style}]{row['verdict']}[/]", *states, *map(literally, _measured(row))
        )
    for name in matrix["not_run"]:
        drawn.add_row(name, "[dim]not run[/]")
    return drawn


def _measured(row: MatrixRow) -> list[str]:
    return [
        row["writer"] or _DASH,
        _seconds(row["outage_seconds"]),
        _seconds(row["outage_seconds_dns_only"]),
        _count(row["lost_acked"]),
        _count(row["acked"]),
    ]


def _seconds(value: float | None) -> str:
    return _DASH if value is None else f"{seconds(value)} s"


def _count(value: int | None) -> str:
    return _DASH if value is None else f"{value:,}"


def _top(matrix: Matrix) -> str:
    dot = "\N{MIDDLE DOT}"
    about = f"{matrix['started_at']} {dot} profile {matrix['profile']} {dot} seed {matrix['seed']}"
    return f'<header class="top"><h1>farshore drill all</h1><span>{escape(about)}</span></header>'


def _verdict(matrix: Matrix) -> str:
    rows, verdict = matrix["rows"], matrix["verdict"]
    valid = sum(row["verdict"] == "valid" for row in rows)
    words = f"{valid} of {len(rows)} drills are valid."
    broken = [row["scenario"] for row in rows if row["verdict"] == "invalid"]
    unsure = [row["scenario"] for row in rows if row["verdict"] == "unknown"]
    words += f" A promise was broken in {', '.join(broken)}." if broken else " No promise was broken."
    words += f" Nothing is proven by {', '.join(unsure)}." if unsure else ""
    words += f" Not run: {', '.join(matrix['not_run'])}." if matrix["not_run"] else ""
    return f'<div class="verdict {verdict}"><strong>{escape(headline(verdict))}</strong><p>{escape(words)}</p></div>'


def _figures(matrix: Matrix) -> str:
    moved = [
        row["outage_seconds"]
        for row in matrix["rows"]
        if row["must_move"] and row["outage_seconds"] is not None
    ]
    longest = f"{seconds(max(moved))} s" if moved else _DASH
    cards = [
        ("Drills", f"{len(matrix['rows'])}", f"in {matrix['took_seconds'] / 60:.1f} minutes"),
        ("Acknowledged transfers", f"{matrix['acked']:,}", "each looked for in the final ledger"),
        ("Lost, and named", f"{matrix['lost_acked']:,}", "with regions that were lost or cut off"),
        ("Longest outage of a move", longest, "region-aware clients; a lab figure"),
    ]
    drawn = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for name, value, note in cards
    )
    return f'<dl class="figures">{drawn}</dl>'


def _table(matrix: Matrix) -> str:
    head = [("Scenario", ""), ("Verdict", ""), *((code.capitalize(), "") for code in CODES)]
    head += [("Writer", ""), ("Outage", "number"), ("DNS only", "number"), ("Lost", "number")]
    rows = [_cells(row) for row in matrix["rows"]]
    legend = "".join(f"<dt>{code.capitalize()}</dt><dd>{escape(words)}</dd>" for code, words in CODES.items())
    lead = (
        "A dash: nothing in the drill is about that promise. Writer: who writes at the end. Outages: the longest of a "
        "drill, of region-aware and of DNS-only clients that were not lost or cut off themselves."
    )
    drawn = table("Scenario by promise", head, rows)
    listed = f'<dl class="facts">{legend}</dl>'
    told = f'<p class="lead">{escape(lead)}</p>{listed}<div class="matrix">{drawn}</div>'
    return section("Scenario by promise", told)


def _cells(row: MatrixRow) -> list[tuple[str | Link, str]]:
    name: str | Link = row["scenario"]
    if row["report"]:
        name = Link(row["scenario"], row["report"])
    states: list[tuple[str | Link, str]] = [
        (_MARK[state], f"is-{state}") for state in row["promises"].values()
    ]
    writer, outage, dns_only, lost, _ = _measured(row)
    return [
        (name, "plain"),
        (row["verdict"], f"is-{row['verdict']}"),
        *states,
        (writer, "plain"),
        (outage, "number"),
        (dns_only, "number"),
        (lost, "number"),
    ]


def _told(matrix: Matrix) -> str:
    items = "".join(
        f'<li><span class="state {_CLASS[row["verdict"]]}">{escape(row["verdict"])}</span>'
        f"<div><p>{escape(row['scenario'])}: {escape(row['summary'])}. "
        f"At the end {escape(row['expected_writer'])} must write.</p>"
        f"<p>{escape(row['sentence'])}</p></div></li>"
        for row in matrix["rows"]
    )
    lead = "What was done, what had to come of it, and what was seen."
    return section("Each drill", f'<p class="lead">{lead}</p><ul class="checks">{items}</ul>')


_CLASS = {"valid": "held", "invalid": "broken", "unknown": "open"}


def _again(matrix: Matrix) -> str:
    rerun = f"<pre>{escape(matrix['command'])}</pre>"
    lead = f"Figures of a lab on one computer ({escape(matrix['platform'])}), not of AWS."
    foot = "<footer>Written by farshore drill. This page makes no request and runs no script.</footer>"
    return section("Run it again", f'<p class="lead">{lead}</p>{rerun}') + foot
