"""availability.html: one page that opens offline, without scripts and without a single request."""

from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template

from farshore.drill.charts import Axis, Chart, number
from farshore.drill.figures import WIDE, both
from farshore.drill.markup import Link, section, table
from farshore.operate.budget import Measured
from farshore.simulate.availability import ASSUMPTIONS, CAUSES, YEAR_S, Answer, Events, quantile

_BAR_PX = 30
_STEPS = 120


def render(found: Answer, measured: Measured) -> str:
    """The whole page."""
    template = Template(resources.files("farshore.drill").joinpath("report_template.html").read_text("utf-8"))
    parts = [
        _top(found),
        _verdict(found),
        _figures(found),
        _pictures(found),
        _what_if(found),
        _assumptions(found),
    ]
    parts.append(_stages(found, measured))
    title = f"farshore availability: {percent(found.target)} in {_share(found.share)} of years"
    return template.substitute(title=escape(title), body="\n".join(parts))


def percent(availability: float) -> str:
    return f"{availability * 100:.5f}".rstrip("0").rstrip(".") + " %"


def _share(share: float) -> str:
    return f"{share * 100:.1f} %"


def allowed_min(target: float) -> float:
    """Minutes a year that the target leaves."""
    return YEAR_S * (1 - target) / 60


def sentence(found: Answer) -> str:
    by_cause = sorted(CAUSES, key=found.events.minutes_a_year, reverse=True)
    words = {
        "valid": f"{percent(found.target)} is credible",
        "unknown": f"{percent(found.target)} is likely, not certain",
        "invalid": f"{percent(found.target)} is not credible",
    }[found.verdict]
    return (
        f"{words}: {_share(found.share)} of years stay within {allowed_min(found.target):.0f} minutes without "
        f"writing. Most of what is lost is {by_cause[0]} ({found.events.minutes_a_year(by_cause[0]):.1f} minutes a "
        f"year), then {by_cause[1]} ({found.events.minutes_a_year(by_cause[1]):.1f})."
    )


def _top(found: Answer) -> str:
    model = found.model
    about = (
        f"{found.events.years:,} diced years \N{MIDDLE DOT} mode {model.mode} \N{MIDDLE DOT} "
        f"clients that know {'both endpoints' if model.clients == 'aware' else 'only the DNS name'}"
    )
    return f'<header class="top"><h1>farshore availability</h1><span>{about}</span></header>'


def _verdict(found: Answer) -> str:
    words = {"valid": "Credible", "unknown": "Likely, not certain", "invalid": "Not credible"}[found.verdict]
    return (
        f'<div class="verdict {found.verdict}"><strong>{words}: {escape(percent(found.target))}</strong>'
        f"<p>{escape(sentence(found))}</p></div>"
    )


def _figure(name: str, value: str, unit: str, note: str) -> str:
    small = f"<small>{escape(unit)}</small>" if unit else ""
    return (
        f'<div><dt>{escape(name)}</dt><dd class="value">{escape(value)}{small}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
    )


def _figures(found: Answer) -> str:
    events, lost = found.events, found.events.outages_s["region loss"]
    losses = events.losses_s
    cards = [
        _figure("Years within the target", f"{found.share * 100:.1f}", "%", f"{percent(found.target)} or better"),
        _figure("Availability, all years", percent(events.availability), "", "mean of every diced year"),
        _figure(
            "Outage of a region loss", f"{quantile(lost, 0.5):.0f}", "s",
            f"half are shorter; one in twenty longer than {quantile(lost, 0.95):,.0f} s",
        ),
        _figure(
            "Transactions lost with a region", f"{quantile(losses, 0.5) * found.model.writes_per_s:,.0f}", "",
            f"median at {found.model.writes_per_s:g} / s ({quantile(losses, 0.5):.1f} s); one in twenty more than "
            f"{quantile(losses, 0.95) * found.model.writes_per_s:,.0f}",
        ),
    ]  # fmt: skip
    label = '<p class="stamp"><span class="label">A model on stated assumptions, not a measurement</span></p>'
    return f'<dl class="figures">{"".join(cards)}</dl>{label}'


def _drawing(name: str, about: str, svg: str) -> str:
    return f"<figure><figcaption><b>{escape(name)}</b> {escape(about)}</figcaption>{svg}</figure>"


def _pictures(found: Answer) -> str:
    events = found.events
    rows = [(cause, events.minutes_a_year(cause)) for cause in CAUSES]
    drawn = [
        _drawing(
            "A year without writing",
            "the share of years with at least so many minutes; the line is what the target leaves",
            both(lambda width: _exceedance(found, width)),
        ),
        _drawing(
            "One event", "how long it stops writing: from the median to one in twenty (named), thin to one in 100",
            both(lambda width: _lengths(events, width)),
        ),
        _drawing(
            "Where the minutes go", "mean minutes a year without writing, by cause",
            both(lambda width: _bars(rows, width, "minutes a year", "r0", "{:.1f}")),
        ),
        _drawing(
            "What a region loss loses", "the share of region losses that lose at least so many seconds of writes",
            both(lambda width: _losses(events, width)),
        ),
    ]  # fmt: skip
    return section("What a year may bring", "".join(drawn))


def _chart(width: int, height: int, x: tuple[float, float], label: str, *, log: bool) -> Chart:
    left = 46 if width == WIDE else 40
    return Chart(
        width, height, Axis(x[0], x[1], left, width - 10, log=log), Axis(0, 100, height - 46, 28), label
    )


def _exceedance(found: Answer, width: int) -> Chart:
    yearly = [max(outage_s / 60, 0.01) for outage_s in found.events.yearly_s]
    chart = _chart(
        width, 280, (1, max(1000.0, quantile(yearly, 0.999))), "Years by minutes without writing", log=True
    )
    chart.y_axis("% of years")
    chart.x_axis("minutes without writing, logarithmic")
    chart.path(_tail(yearly, chart.x), "line r0")
    at = chart.x.at(allowed_min(found.target))
    chart.line(at, chart.y.start, at, chart.y.end, "mark", "what the target leaves")
    words = f"{percent(found.target)}: {allowed_min(found.target):.0f} min"
    chart.text(at + 6, chart.y.end + 12, words, kind="flag")
    return chart


def _tail(values: Sequence[float], x: Axis) -> list[tuple[float, float | None]]:
    """The percentage of sorted values that are as large or larger, along the axis."""
    points: list[tuple[float, float | None]] = []
    index = 0
    for step in range(_STEPS + 1):
        share = step / _STEPS
        at = x.low * (x.high / x.low) ** share if x.log else x.low + share * (x.high - x.low)
        while index < len(values) and values[index] < at:
            index += 1
        points.append((at, 100 * (len(values) - index) / max(1, len(values))))
    return points


def _losses(events: Events, width: int) -> Chart:
    values = events.losses_s
    chart = _chart(
        width, 240, (0, max(25.0, quantile(values, 0.999))), "Region losses by seconds lost", log=False
    )
    chart.y_axis("% of region losses")
    chart.x_axis("seconds of acknowledged writes")
    chart.path(_tail(values, chart.x), "line r1")
    return chart


def _rows_chart(count: int, width: int, high: float, label: str, *, log: bool) -> Chart:
    left = 150 if width == WIDE else 112
    height = 40 + count * _BAR_PX + 20
    x = Axis(1 if log else 0, high, left, width - (70 if width == WIDE else 52), log=log)
    return Chart(width, height, x, Axis(0, 1, 16 + count * _BAR_PX, 10), label)


def _lengths(events: Events, width: int) -> Chart:
    rows = [(cause, events.outages_s[cause]) for cause in CAUSES if events.outages_s[cause]]
    high = max(10.0, *(quantile(values, 0.99) for _, values in rows)) if rows else 10.0
    chart = _rows_chart(len(rows), width, high, "Length of an event by cause", log=True)
    for place, (cause, values) in enumerate(rows):
        top = 14 + place * _BAR_PX
        half, seldom, rare = (max(1.0, quantile(values, share)) for share in (0.5, 0.95, 0.99))
        chart.text(chart.x.start - 10, top + 13, cause, kind="name", anchor="end")
        tip = f"{cause}: half below {half:,.0f} s, 95 % below {seldom:,.0f} s, 99 % below {rare:,.0f} s"
        chart.box(chart.x.at(half), top + 6, chart.x.at(rare), top + 12, "bar nobody", tip=tip)
        chart.box(chart.x.at(half), top + 3, chart.x.at(seldom), top + 15, "bar r0", tip=tip)
        chart.text(chart.x.at(rare) + 6, top + 13, _time(seldom), kind="value")
    chart.x_axis("seconds, logarithmic")
    return chart


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - reads well


def _bars(rows: Sequence[tuple[str, float]], width: int, unit: str, kind: str, shown: str) -> Chart:
    high = max([value for _, value in rows] + [1e-9]) * 1.02
    chart = _rows_chart(len(rows), width, high, unit, log=False)
    for place, (name, value) in enumerate(rows):
        top = 14 + place * _BAR_PX
        chart.text(chart.x.start - 10, top + 13, name, kind="name", anchor="end")
        chart.box(
            chart.x.start,
            top,
            chart.x.at(value),
            top + 18,
            f"bar {kind}",
            tip=f"{name}: {number(value)} {unit}",
        )
        chart.text(chart.x.at(value) + 6, top + 13, shown.format(value), kind="value")
    chart.x_axis(unit)
    return chart


def _what_if(found: Answer) -> str:
    head = [("the same years, but", ""), ("years within the target", "number"), ("minutes a year", "number")]
    rows = [
        [(variant.words, ""), (_share(share), "number"), (f"{minutes:.1f}", "number")]
        for variant, share, minutes in found.others
    ]
    lead = "Each line changes one thing and dices the years again. What helps most is what to spend on."
    return section("What would make it so", f'<p class="lead">{lead}</p>{table("What if", head, rows)}')


def _assumptions(found: Answer) -> str:
    head = [
        ("setting", "key"),
        ("value", "number"),
        ("what it is", "long"),
        ("source", "long"),
        ("page", "plain"),
    ]
    rows: list[list[tuple[str | Link, str]]] = []
    for name, about in ASSUMPTIONS.items():
        value, seldom = getattr(found.model, name), getattr(found.model, f"{name}_95", None)
        shown = f"{value:g} {about.unit}" if seldom is None else f"{value:g} / {seldom:g} {about.unit}"
        page: str | Link = Link("AWS", about.page) if about.page else "\N{EN DASH}"
        rows.append(
            [
                (name, "key"),
                (shown, "number"),
                (about.meaning, "long"),
                (about.source, "long"),
                (page, "plain"),
            ]
        )
    lead = (
        "Every number can be set (--set name=value). Of two numbers the first is exceeded by half of the events, the "
        "second (name_95) by one in twenty. Events are independent of each other and come at random; "
        "a year with more than one outage adds them up."
    )
    return section("Assumptions", f'<p class="lead">{lead}</p>{table("Assumptions", head, rows)}')


def _stages(found: Answer, measured: Measured) -> str:
    path = found.bounds.aware if found.model.clients == "aware" else found.bounds.dns_only
    head = [("stage", ""), ("at most", "number"), ("source", "plain"), ("lab", "number"), ("basis", "long")]
    lab = {
        "probe": "detect",
        "verdict": "decide",
        "lease": "fence",
        "promotion": "promote",
        "reconnect": "reconnect",
    }
    rows = []
    for stage in path.stages:
        bound = "\N{EN DASH}" if stage.bound_ms is None else f"{stage.bound_ms / 1000:.1f} s"
        seen = measured.lab.stages.get(lab.get(stage.name, ""))
        shown = "\N{EN DASH}" if seen is None else f"{seen / 1000:.2f} s"
        cells = [(stage.name, ""), (bound, "number"), (stage.source, "plain"), (shown, "number")]
        rows.append([*cells, (stage.basis, "long")])
    lead = (
        "From the failure of a region to the first acknowledged write, profile aws. A year dices each of our stages "
        "between half its bound and the bound; the promotion as assumed above. The lab's figures are one drill's on "
        f"one computer ({measured.drill['command']}), profile fast: they are part of no sum, and they are a "
        "region-aware client's. What a client knows counts in a region loss alone: a planned move, a writer's crash "
        "and an error are as long for clients that know only the DNS name, although they also wait for DNS after a "
        "planned move (set planned_move_s for them)."
    )
    return section("Stages of a failover", f'<p class="lead">{escape(lead)}</p>{table("Stages", head, rows)}')
