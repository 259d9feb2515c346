"""The report's pictures of who held authority when, and of where the outage's time went."""

from collections.abc import Sequence
from dataclasses import dataclass

from farshore.drill.charts import Axis, Chart
from farshore.drill.figures import WIDE, Timeline, both, frame, marks
from farshore.drill.stages import JournalEvent, Stage
from farshore.drill.writers import EpochSpan


@dataclass(frozen=True, slots=True)
class Held:
    """A stretch of the authority's timeline on the monotonic clock."""

    start: int
    end: int
    phase: str
    epoch: int
    holder: str | None
    reason: str


def held(journal: Sequence[JournalEvent], timeline: Timeline, unix_offset_ns: int) -> list[Held]:
    """Each journal event lasts until the next one."""
    stretches: list[Held] = []
    for index, event in enumerate(journal):
        start = event.at_unix_ms * 1_000_000 - unix_offset_ns
        last = index + 1 == len(journal)
        end = timeline.end if last else journal[index + 1].at_unix_ms * 1_000_000 - unix_offset_ns
        start, end = max(start, timeline.start), min(end, timeline.end)
        if start < end:
            stretches.append(Held(start, end, event.phase, event.epoch, event.holder, event.reason))
    return stretches


def authority(timeline: Timeline, stretches: Sequence[Held], epochs: Sequence[EpochSpan]) -> str:
    """Who might write, by the journal; and below, in which epoch the clients' commits were confirmed."""

    def draw(width: int) -> Chart:
        y = Axis(0, 1, 124, 22)
        label = "Authority by the journal and epochs confirmed to clients: " + "; ".join(
            f"epoch {span.epoch} {span.region}" for span in epochs
        )
        chart = frame(timeline, width, 164, y, label)
        _row(chart, timeline, 24, "journal", [_of_journal(timeline, one) for one in stretches])
        _row(chart, timeline, 80, "confirmed to clients", [_of_clients(timeline, span) for span in epochs])
        marks(chart, timeline.markers, top=y.end)
        chart.x_axis(timeline.axis)
        return chart

    return both(draw)


Bar = tuple[int, int, str, str, str]


def _of_journal(timeline: Timeline, one: Held) -> Bar:
    kind = timeline.colour(one.holder) if one.holder else "nobody"
    words = f"epoch {one.epoch} \N{MIDDLE DOT} {one.holder or one.phase.lower()}"
    return one.start, one.end, kind, words, f"{one.phase}, {words}: {one.reason}"


def _of_clients(timeline: Timeline, span: EpochSpan) -> Bar:
    words = f"epoch {span.epoch} \N{MIDDLE DOT} {span.region}"
    tip = f"{words}: {span.acks:,} confirmed acknowledgements"
    return span.first_returned, span.last_returned, timeline.colour(span.region), words, tip


def _row(chart: Chart, timeline: Timeline, top: int, name: str, bars: Sequence[Bar]) -> None:
    chart.text(0, top - 4, name, kind="unit")
    for start, end, kind, words, tip in bars:
        left, right = chart.x.at(timeline.seconds(start)), chart.x.at(timeline.seconds(end))
        chart.box(left, top + 4, max(right, left + 1.5), top + 26, f"bar {kind}", tip=tip, round_px=2)
        if right - left > len(words) * 6.8 + 12:
            chart.text(left + 7, top + 19, words, kind="inbar")


MEANING = {
    "detect": "until the loss was certain",
    "decide": "until the next epoch was claimed",
    "fence": "until the old lease had certainly ended",
    "promote": "until the survivor was the writer",
    "route": "until a write was sent there",
    "reconnect": "until one was acknowledged",
    "drain": "until the old writer was fenced and empty",
    "move": "until the new writer held the epoch",
}


def waterfall(stages: Sequence[Stage], zero: int, axis: str) -> str:
    """The outage's stages one below the other, each beginning where the one before ended."""
    whole = max(((stage.end or zero) - zero for stage in stages), default=0) / 1e9

    def draw(width: int) -> Chart:
        wide = width == WIDE
        left, step = (300, 40) if wide else (2, 58)
        height = 10 + step * len(stages)
        x = Axis(0, max(whole, 1e-3), left, width - 66)
        label = "Stages of the outage: " + ", ".join(f"{stage.name} {spoken(stage)}" for stage in stages)
        chart = Chart(width, height + 42, x, Axis(0, 1, height, 8), label)
        for tick in x.ticks(5 if wide else 3):
            chart.line(x.at(tick), 4, x.at(tick), height, "grid")
        for index, stage in enumerate(stages):
            top = 10 + step * index
            _name(chart, stage, top, wide=wide)
            _bar(chart, stage, zero, top + (6 if wide else 24))
        chart.x_axis(axis)
        return chart

    return both(draw)


def _name(chart: Chart, stage: Stage, top: float, *, wide: bool) -> None:
    name = _covered(stage)
    chart.text(0, top + 14, name, kind="name")
    meaning_at = (0.0, top + 30) if wide else (len(name) * 8.0 + 14, top + 14)
    chart.text(*meaning_at, MEANING.get(stage.name, ""), kind="about")


def _bar(chart: Chart, stage: Stage, zero: int, top: float) -> None:
    if stage.seconds is None or stage.start is None or stage.end is None:
        chart.text(chart.x.start + 4, top + 15, "not in the journal, counted below")
        return
    start, end = chart.x.at((stage.start - zero) / 1e9), chart.x.at((stage.end - zero) / 1e9)
    end = max(end, start + 2)
    tip = f"{_covered(stage)}: {stage.seconds:.3f} s"
    chart.box(start, top, end, top + 20, f"stage {stage.name}", tip=tip, round_px=2)
    chart.text(end + 7, top + 15, f"{stage.seconds:.2f} s", kind="value")


def _covered(stage: Stage) -> str:
    return stage.name if len(stage.covers) < 2 else f"{stage.covers[0]} to {stage.name}"  # noqa: PLR2004


def spoken(stage: Stage) -> str:
    """A stage's length in words."""
    return "unknown" if stage.seconds is None else f"{stage.seconds:.2f} seconds"
