"""report.html: one page that opens offline, without scripts and without a single request."""

from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template

from farshore.drill import figures, spans, tables
from farshore.drill.charts import Marker
from farshore.drill.checker import Judgement
from farshore.drill.figures import Timeline
from farshore.drill.markup import section
from farshore.drill.measures import Outage
from farshore.drill.moves import Move
from farshore.drill.promises import checks
from farshore.drill.reportdata import ReportData
from farshore.drill.rows import OrphanRow
from farshore.drill.series import bins, latencies, throughput
from farshore.drill.stages import Stage
from farshore.drill.words import headline, milliseconds, name_of, origin, seconds, sentence


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
    groups = (move.aware.group for move in data.moves)
    return Timeline(
        zero=data.zero,
        start=measured.start,
        end=max(measured.end, measured.start + 1),
        outages=tuple((outage.start, outage.end) for outage in groups if outage is not None),
        markers=tuple(marker for move in data.moves for marker in _markers(move, data)),
        regions=(data.environment.home_region, data.environment.standby_region),
        origin=origin(data),
    )


_MARKED = {
    "decide": "claim",
    "fence": "promote",
    "promote": "grant",
    "move": "grant",
    "reconnect": "first ack",
}


def _markers(move: Move, data: ReportData) -> list[Marker]:
    fault, since = move.fault, origin(data)

    def mark(t: int, name: str) -> Marker:
        at = (t - data.zero) / 1e9
        return Marker(at, name, f"{name}, {at:.2f} s after {since}")

    markers = [mark(fault.at, "fault")] if not fault.planned else []
    if not fault.planned and fault.healed_at is not None and fault.healed_at <= data.measures.end:
        markers.append(mark(fault.healed_at, "region back" if fault.dead_region else "healed"))
    for stage in move.stages:
        if stage.name == "drain" and stage.start is not None:
            markers.append(mark(stage.start, fault.kind))
        if stage.name in _MARKED and stage.end is not None:
            markers.append(mark(stage.end, _MARKED[stage.name]))
    return markers


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
    rate = (
        ""
        if measured.acks_per_second is None
        else f"{measured.acks_per_second:.0f} / s before {origin(data)}"
    )
    acked = _figure(f"Acknowledged {judged.noun}s", f"{judged.acked:,}", "", rate)
    if len(data.moves) > 1:
        cards = [*(card for move in data.moves for card in _move_figures(move)), acked, *_few_figures(data)]
    else:
        aware, plain = measured.aware, measured.dns_only
        cards = [
            _outage_figure("Outage, region-aware clients", aware.group, aware.worst_client),
            _outage_figure("Outage, DNS-only clients", plain.group, plain.worst_client),
            acked,
            *_ledger_figures(data),
        ]
    label = '<p class="stamp"><span class="label">Lab figures, not AWS figures</span></p>'
    return f'<dl class="figures">{"".join(cards)}</dl>{label}'


def _move_figures(move: Move) -> list[str]:
    name = name_of(move).capitalize()
    return [
        _outage_figure(f"{name}: outage, region-aware", move.aware.group, move.aware.worst_client),
        _outage_figure(f"{name}: outage, DNS-only", move.dns_only.group, move.dns_only.worst_client),
    ]


def _few_figures(data: ReportData) -> list[str]:
    """As `_ledger_figures`, in three cards beside those of several moves."""
    judged = data.judgement
    second = _second_writer(data)
    if judged.ledger_balanced is None:
        lost, ledger = (
            _figure(name, "\N{EN DASH}", "", "the database was not read") for name in ("Lost", "Ledger")
        )
        return [lost, second, ledger]
    count = len(judged.losses.lost)
    reach = f"reaching back {milliseconds(data.measures.rpo_seconds)} ms" if count else ""
    reach = "; ".join(part for part in (reach, _expected(data) if count else "") if part)
    name, state, about = _books(judged)
    twice = f"{judged.duplicate} duplicates; {about}"
    return [_figure("Lost", f"{count:,}", "", reach), second, _figure(name, state, "", twice)]


def _books(judged: Judgement) -> tuple[str, str, str]:
    """What the figure about the books is called, what it says, and what was looked at."""
    if judged.of_ledger:
        state = "balanced" if judged.ledger_balanced else "unbalanced"
        return "Ledger", state, "every transfer, balance and the total"
    return "Invariant", "holds" if judged.ledger_balanced else "broken", f"of workload {judged.workload}"


def _second_writer(data: ReportData) -> str:
    count = len(data.judgement.writers.dual)
    return _figure("Second-writer acks", str(count), "", "confirmed, in an outlived epoch")


def _ledger_figures(data: ReportData) -> list[str]:
    judged, measured = data.judgement, data.measures
    second = _second_writer(data)
    names = ("Lost with the region", "Loss reaches back (RPO)", "Duplicates", "Ledger")
    if judged.ledger_balanced is None:
        lost, reach, twice, ledger = (
            _figure(name, "\N{EN DASH}", "", "the database was not read") for name in names
        )
        return [lost, reach, second, twice, ledger]
    name, state, about = _books(judged)
    rpo = milliseconds(measured.rpo_seconds)
    return [
        _figure(names[0], f"{len(judged.losses.lost):,}", "", _expected(data)),
        _figure(names[1], rpo, "ms", "first lost acknowledgement to fault"),
        second,
        _figure(names[2], str(judged.duplicate), "", f"keys or {judged.noun}s standing twice"),
        _figure(name, state, "", about),
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
        return section(
            "Over time", f"<p>No {data.judgement.noun} was acknowledged, so there is nothing to draw.</p>"
        )
    grid = bins(timeline.start, timeline.end)
    series = throughput(acks, grid)
    entries = [
        (
            f"{timeline.colour(one.region)} {one.kind}",
            f"{one.region}, {'region-aware' if one.kind == 'aware' else 'DNS only'}",
        )
        for one in sorted(series, key=lambda one: (timeline.colour(one.region), one.kind))
    ]
    if timeline.outages:
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
    lead = f"All share one time axis, in {timeline.axis}. Hover over a chart for its values."
    return section("Over time", f'<p class="lead">{lead}</p>{"".join(drawn)}')


def _drawing(name: str, about: str, legend: str, svg: str) -> str:
    return f"<figure><figcaption><b>{escape(name)}</b> {escape(about)}</figcaption>{legend}{svg}</figure>"


def _stages(data: ReportData) -> str:
    drawn = [_waterfall(move, named=len(data.moves) > 1) for move in data.moves]
    if not any(drawn):
        return ""
    lead = "By the product's own journal. It explains an outage; the verdict does not rest on it."
    folded = "".join(dict.fromkeys(_folded(move.stages) for move in data.moves))
    return section("Where the outage went", f'<p class="lead">{lead}</p>{"".join(drawn)}{folded}')


def _waterfall(move: Move, *, named: bool) -> str:
    known = [stage for stage in move.stages if stage.seconds is not None]
    if not known:
        return ""
    whole = seconds(sum(stage.seconds or 0.0 for stage in known))
    since = "the order to drain" if move.fault.planned else "the fault"
    told = f"{whole} s from {since} to the first acknowledgement by another region"
    if len(known) == 1:
        return f"<p>{escape(name_of(move).capitalize())}: {told}. The journal does not say more.</p>"
    picture = spans.waterfall(move.stages, known[0].start or move.fault.at, f"seconds from {since}")
    name = f"<b>{escape(name_of(move).capitalize())}</b> " if named else ""
    return f"<figure><figcaption>{name}{escape(told)}</figcaption>{picture}</figure>"


def _folded(stages: Sequence[Stage]) -> str:
    if all(len(stage.covers) == 1 for stage in stages):
        return ""
    return '<p class="lead">Stages whose end the journal does not give are counted in the next one.</p>'
