"""report.html: one page that opens offline, without scripts and without a single request."""

from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template

from farshore.drill import figures, spans, tables
from farshore.drill.charts import Marker
from farshore.drill.figures import Timeline
from farshore.drill.markup import section
from farshore.drill.measures import Outage
from farshore.drill.promises import checks
from farshore.drill.reportdata import ReportData
from farshore.drill.rows import OrphanRow
from farshore.drill.series import bins, latencies, throughput
from farshore.drill.stages import Stage
from farshore.drill.words import headline, milliseconds, seconds, sentence


def render(data: ReportData, orphans: Sequence[OrphanRow]) -> str:
    """The whole page."""
    template = Template(resources.files("farshore.drill").joinpath("report_template.html").read_text("utf-8"))
    timeline = timeline_of(data)
    parts = [
        _top(data),
        _verdict(data),
        _figures(data),
        _over_time(data, timeline),
        _stages(data),
        tables.orphan_table(data.judgement, orphans),
        tables.check_list(checks(data.judgement)),
        tables.journal(data, timeline),
        tables.environment(data),
    ]
    title = f"farshore drill {data.scenario}: {data.judgement.verdict}"
    return template.substitute(title=escape(title), body="\n".join(parts))


def timeline_of(data: ReportData) -> Timeline:
    """Times around the fault, with the instants worth a line."""
    measured = data.measures
    zero = data.fault.at if data.fault else measured.start
    outage = measured.aware.group
    markers: list[Marker] = []
    if data.fault is not None:
        markers.append(Marker(0.0, "fault", f"{data.fault.region} is lost"))
        healed = data.fault.healed_at
        if healed is not None and healed <= measured.end:
            markers.append(Marker((healed - zero) / 1e9, "region back", f"{data.fault.region} returns"))
    names = {"decide": "claim", "fence": "promote", "promote": "grant", "reconnect": "first ack"}
    for stage in data.stages:
        if stage.name in names and stage.end is not None:
            at = (stage.end - zero) / 1e9
            markers.append(Marker(at, names[stage.name], f"{names[stage.name]}, {at:.2f} s after the fault"))
    shaded = (outage.start, outage.end) if outage is not None and data.fault is not None else None
    regions = (data.environment.home_region, data.environment.standby_region)
    return Timeline(
        zero, measured.start, max(measured.end, measured.start + 1), shaded, tuple(markers), regions
    )


def _top(data: ReportData) -> str:
    env = data.environment
    about = f"{escape(env.started_at)} \N{MIDDLE DOT} profile {escape(env.profile)} \N{MIDDLE DOT} seed {env.seed}"
    return (
        f'<header class="top"><h1>farshore drill: {escape(data.scenario)}</h1><span>{about}</span></header>'
    )


def _verdict(data: ReportData) -> str:
    verdict = data.judgement.verdict
    return (
        f'<div class="verdict {verdict}"><strong>{escape(headline(verdict))}</strong>'
        f"<p>{escape(sentence(data))}</p></div>"
    )


def _figure(name: str, value: str, unit: str, note: str) -> str:
    small = f"<small>{escape(unit)}</small>" if unit else ""
    return (
        f'<div><dt>{escape(name)}</dt><dd class="value">{escape(value)}{small}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
    )


def _outage_figure(name: str, group: Outage | None, worst: Outage | None) -> str:
    if group is None:
        return _figure(name, "\N{EN DASH}", "", "no client of this kind was acknowledged")
    note = "" if worst is None else f"worst client {worst.who}: {seconds(worst.seconds)}\N{NO-BREAK SPACE}s"
    if not group.recovered:
        note = f"not over when the drill ended; {note}"
    return _figure(name, seconds(group.seconds), "s", note)


def _figures(data: ReportData) -> str:
    judged, measured = data.judgement, data.measures
    rate = "" if measured.acks_per_second is None else f"{measured.acks_per_second:.0f} / s before the fault"
    cards = [
        _outage_figure("Outage, region-aware clients", measured.aware.group, measured.aware.worst_client),
        _outage_figure("Outage, DNS-only clients", measured.dns_only.group, measured.dns_only.worst_client),
        _figure("Acknowledged transfers", f"{judged.acked:,}", "", rate),
        *_ledger_figures(data),
    ]
    label = '<p class="stamp"><span class="label">Lab figures, not AWS figures</span></p>'
    return f'<dl class="figures">{"".join(cards)}</dl>{label}'


def _ledger_figures(data: ReportData) -> list[str]:
    judged, measured = data.judgement, data.measures
    second = _figure(
        "Second-writer acks", str(len(judged.writers.dual)), "", "confirmed, in an outlived epoch"
    )
    names = ("Lost with the region", "Loss reaches back (RPO)", "Duplicates", "Ledger")
    if judged.ledger_balanced is None:
        lost, reach, twice, ledger = (
            _figure(name, "\N{EN DASH}", "", "the ledger was not read") for name in names
        )
        return [lost, reach, second, twice, ledger]
    balanced = "balanced" if judged.ledger_balanced else "unbalanced"
    rpo = milliseconds(measured.rpo_seconds)
    return [
        _figure(names[0], f"{len(judged.losses.lost):,}", "", _expected(data)),
        _figure(names[1], rpo, "ms", "first lost acknowledgement to fault"),
        second,
        _figure(names[2], str(judged.duplicate), "", "keys or transfers standing twice"),
        _figure(names[3], balanced, "", "every transfer, balance and the total"),
    ]


def _expected(data: ReportData) -> str:
    measured, late = data.measures, len(data.judgement.losses.late_bare_lost)
    notes = [f"{late} more, bare and late"] if late else []
    if measured.lost_expected is not None and measured.home_acks_per_second is not None:
        rate = f"{measured.home_acks_per_second:.0f} / s and link delay"
        notes.append(f"{measured.lost_expected:.1f} expected from {rate}")
    return "; ".join(notes)


def _over_time(data: ReportData, timeline: Timeline) -> str:
    acks = data.judgement.operations.acks()
    if not acks:
        return section("Over time", "<p>No transfer was acknowledged, so there is nothing to draw.</p>")
    grid = bins(timeline.start, timeline.end)
    series = throughput(acks, grid)
    entries = [
        (
            f"{timeline.colour(one.region)} {one.kind}",
            f"{one.region}, {'region-aware' if one.kind == 'aware' else 'DNS only'}",
        )
        for one in sorted(series, key=lambda one: (timeline.colour(one.region), one.kind))
    ]
    if timeline.outage is not None:
        entries.append(("outage", "no acknowledgement to region-aware clients"))
    regions = [(f"{timeline.colour(band.region)} aware", band.region) for band in latencies(acks, grid)]
    drawn = [
        _drawing("Throughput", "stacked by acknowledging region and kind of client", figures.legend(entries),
                 figures.throughput(timeline, grid, series)),
        _drawing("Latency", "median, and the 99th percentile as a thin line", figures.legend(regions),
                 figures.latency(timeline, grid, latencies(acks, grid))),
    ]  # fmt: skip
    if data.lag:
        drawn.append(
            _drawing(
                "Replication lag",
                "as reported; silence is unknown, never zero",
                "",
                figures.lag(timeline, data.lag),
            )
        )
    if data.unix_offset_ns is not None:
        stretches = spans.held(data.journal, timeline, data.unix_offset_ns)
        picture = spans.authority(timeline, stretches, data.judgement.writers.epochs)
        nobody = figures.legend([("nobody", "nobody may write")])
        drawn.append(_drawing("Authority", "the product's journal, and what clients saw", nobody, picture))
    lead = "All share one time axis, in seconds from the fault. Hover over a chart for its values."
    return section("Over time", f'<p class="lead">{lead}</p>{"".join(drawn)}')


def _drawing(name: str, about: str, legend: str, svg: str) -> str:
    return f"<figure><figcaption><b>{escape(name)}</b> {escape(about)}</figcaption>{legend}{svg}</figure>"


def _stages(data: ReportData) -> str:
    known = [stage for stage in data.stages if stage.seconds is not None]
    if data.fault is None or not known:
        return ""
    if len(known) == 1:
        passed = f"The survivor first acknowledged {seconds(known[0].seconds or 0.0)} s after the fault"
        return section("Where the outage went", f"<p>{passed}. The journal does not say more.</p>")
    whole = sum(stage.seconds or 0.0 for stage in data.stages)
    lead = (
        f"From the fault to the first acknowledgement by the survivor: {seconds(whole)} s, split by the product's "
        "own journal. It explains the outage; the verdict does not rest on it."
    )
    picture = spans.waterfall(data.stages, data.fault.at)
    return section(
        "Where the outage went",
        f'<p class="lead">{escape(lead)}</p><figure>{picture}</figure>{_folded(data.stages)}',
    )


def _folded(stages: Sequence[Stage]) -> str:
    if all(len(stage.covers) == 1 for stage in stages):
        return ""
    return '<p class="lead">Stages whose end the journal does not give are counted in the next one.</p>'
