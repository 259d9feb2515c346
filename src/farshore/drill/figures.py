"""The report's pictures, each drawn wide for a desk and narrow for a phone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from farshore.drill.charts import Axis, Chart, Marker, label_rows
from farshore.drill.series import Bins, LatencyBand, Throughput

WIDE, NARROW = 1000, 358


@dataclass(frozen=True, slots=True)
class Timeline:
    """What all pictures share: monotonic time as seconds from `zero`, the span shown, outages and markers.

    `origin` says in words what happened at `zero`.
    """

    zero: int
    start: int
    end: int
    outages: tuple[tuple[int, int], ...]
    markers: tuple[Marker, ...]
    regions: tuple[str, ...]
    origin: str = "the fault"

    @property
    def axis(self) -> str:
        return f"seconds from {self.origin}"

    def seconds(self, t: int) -> float:
        return (t - self.zero) / 1e9

    def colour(self, region: str) -> str:
        """The class of a region: the first one is home, whoever writes now."""
        return f"r{self.regions.index(region) % 4}" if region in self.regions else "r9"


def both(draw: Callable[[int], Chart]) -> str:
    """The same picture in its two widths."""
    return draw(WIDE).svg("wide") + draw(NARROW).svg("narrow")


def frame(timeline: Timeline, width: int, height: int, y: Axis, label: str) -> Chart:
    x = Axis(
        timeline.seconds(timeline.start),
        timeline.seconds(timeline.end),
        46 if width == WIDE else 38,
        width - 8,
    )
    chart = Chart(width, height, x, y, label)
    for start, end in ((timeline.seconds(a), timeline.seconds(b)) for a, b in timeline.outages):
        tip = f"outage: {end - start:.2f} s without any acknowledgement to a region-aware client"
        chart.box(x.at(start), y.end, x.at(end), y.start, "outage", tip=tip)
    return chart


def marks(chart: Chart, markers: Sequence[Marker], *, top: float) -> None:
    for marker in markers:
        at = chart.x.at(marker.at)
        chart.line(at, top, at, chart.y.start, "mark", marker.tip)


def _hover(chart: Chart, timeline: Timeline, grid: Bins, tips: Sequence[str]) -> None:
    """Invisible columns over the plot: a browser shows the column's values as a tooltip."""
    for index, tip in enumerate(tips):
        left = timeline.seconds(grid.start + index * grid.width)
        right = timeline.seconds(grid.start + (index + 1) * grid.width)
        chart.box(chart.x.at(left), chart.y.start, chart.x.at(right), chart.y.end, "hover", tip=tip)


def throughput(timeline: Timeline, grid: Bins, series: Sequence[Throughput]) -> str:
    """Acknowledgements per second, stacked by region and kind of client, with the markers named above."""
    totals = [sum(one.per_second[index] for one in series) for index in range(grid.count)]
    edges = [timeline.seconds(grid.start + index * grid.width) for index in range(grid.count + 1)]
    ordered = sorted(series, key=lambda one: (timeline.colour(one.region), one.kind))

    def draw(width: int) -> Chart:
        x_probe = Axis(timeline.seconds(timeline.start), timeline.seconds(timeline.end), 46, width - 8)
        rows = label_rows(timeline.markers, x_probe)
        head = 28 + 15 * (max((row for _, row, _ in rows), default=0) + 1)
        y = Axis(0, max([*totals, 1.0]) * 1.08, head + 190, head)
        chart = frame(timeline, width, head + 230, y, _spoken(timeline, totals))
        chart.y_axis("acknowledgements / s")
        low = [0.0] * grid.count
        for one in ordered:
            high = [base + value for base, value in zip(low, one.per_second, strict=True)]
            chart.steps(edges, low, high, f"area {timeline.colour(one.region)} {one.kind}")
            low = high
        for marker, row, _ in rows:
            at = chart.x.at(marker.at)
            chart.line(at, 3 + 15 * row, at, y.start, "mark", marker.tip)
        for marker, row, left in rows:
            at = chart.x.at(marker.at) + (-4 if left else 4)
            chart.text(at, 11 + 15 * row, marker.name, kind="flag", anchor="end" if left else "start")
        chart.x_axis(timeline.axis)
        _hover(chart, timeline, grid, [_acks_tip(index, edges, ordered) for index in range(grid.count)])
        return chart

    return both(draw)


def _spoken(timeline: Timeline, totals: Sequence[float]) -> str:
    ends = (timeline.seconds(timeline.start), timeline.seconds(timeline.end))
    return (
        f"Acknowledgements per second from {ends[0]:.0f} s to {ends[1]:.0f} s around {timeline.origin}, "
        f"by region and kind of client; at most {max([*totals, 0.0]):.0f} per second."
    )


def _acks_tip(index: int, edges: Sequence[float], series: Sequence[Throughput]) -> str:
    lines = [f"{edges[index]:+.2f} s"]
    lines += [f"{one.region}, {one.kind}: {one.per_second[index]:.0f} / s" for one in series]
    return "\n".join(lines)


def latency(timeline: Timeline, grid: Bins, bands: Sequence[LatencyBand]) -> str:
    """Median (thick) and 99th percentile (thin) of the acknowledged, on a logarithmic scale."""
    values = [value for band in bands for value in (*band.p50_ms, *band.p99_ms) if value is not None]
    low = 10 ** _decade_below(min(values, default=1.0))
    high = 10 ** (_decade_below(max(values, default=10.0)) + 1)
    at = [timeline.seconds(grid.middle(index)) for index in range(grid.count)]

    def tip(index: int) -> str:
        lines = [f"{at[index]:+.2f} s"]
        for band in bands:
            p50, p99 = band.p50_ms[index], band.p99_ms[index]
            if p50 is not None and p99 is not None:
                lines.append(f"{band.region}: median {p50:.1f} ms, 99th percentile {p99:.1f} ms")
        return "\n".join(lines if len(lines) > 1 else [*lines, "nothing acknowledged"])

    def draw(width: int) -> Chart:
        y = Axis(low, high, 200, 40, log=True)
        label = "Time to acknowledgement in milliseconds, logarithmic: median and 99th percentile by region."
        chart = frame(timeline, width, 240, y, label)
        chart.y_axis("latency, ms (log)")
        marks(chart, timeline.markers, top=y.end)
        for band in bands:
            colour = timeline.colour(band.region)
            chart.path(list(zip(at, band.p99_ms, strict=True)), f"line thin {colour}")
            chart.path(list(zip(at, band.p50_ms, strict=True)), f"line {colour}")
        chart.x_axis(timeline.axis)
        _hover(chart, timeline, grid, [tip(index) for index in range(grid.count)])
        return chart

    return both(draw)


def _decade_below(value: float) -> int:
    power = 0
    while 10.0**power > value:
        power -= 1
    while 10.0 ** (power + 1) <= value:
        power += 1
    return power


def lag(timeline: Timeline, samples: Sequence[tuple[int, float | None]]) -> str:
    """Replication lag as the survivor's region saw it; a gap is an unknown lag, never zero."""
    known = [value for _, value in samples if value is not None]

    def draw(width: int) -> Chart:
        y = Axis(0, max([*known, 1.0]) * 1.15, 120, 30)
        label = f"Replication lag in milliseconds, at most {max([*known, 0.0]):.0f}; unknown while nothing is reported."
        chart = frame(timeline, width, 160, y, label)
        chart.y_axis("replication lag, ms", ticks=3)
        marks(chart, timeline.markers, top=y.end)
        chart.path([(timeline.seconds(t), value) for t, value in samples], "line lag")
        for first, last in _unknown(timeline, samples):
            left, right = chart.x.at(first), chart.x.at(last)
            chart.line(left, 112, right, 112, "unknown", f"unknown from {first:+.1f} s to {last:+.1f} s")
            if right - left > 80:  # noqa: PLR2004 - the word's width
                chart.text((left + right) / 2, 104, "unknown", anchor="middle")
        chart.x_axis(timeline.axis)
        return chart

    return both(draw)


def _unknown(timeline: Timeline, samples: Sequence[tuple[int, float | None]]) -> list[tuple[float, float]]:
    """Stretches without a value, each from its first sample to the next known one."""
    stretches: list[tuple[float, float]] = []
    began: int | None = None
    for t, value in samples:
        if value is None:
            began = t if began is None else began
        elif began is not None:
            stretches.append((timeline.seconds(began), timeline.seconds(t)))
            began = None
    if began is not None:
        stretches.append((timeline.seconds(began), timeline.seconds(timeline.end)))
    return stretches


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """(class, words) pairs as a list of swatches."""
    items = "".join(f'<li><i class="swatch {kind}"></i>{escape(words)}</li>' for kind, words in entries)
    return f'<ul class="legend">{items}</ul>'
