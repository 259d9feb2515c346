"""Charts as inline SVG: a frame with axes, and the few marks the report needs. No colours here, only classes.

All charts of a page share one horizontal axis in seconds, so that what stands above one another happened at
the same time. A chart is drawn once for a wide page and once for a phone; CSS shows the one that fits.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` onto pixels from `start` to `end`; `log` for decades (low above 0)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, wanted: int) -> list[float]:
        """Round values within the axis, about `wanted` of them; every decade when logarithmic."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = nice_step(self.high - self.low, wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(span: float, wanted: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that gives at most about `wanted` ticks."""
    rough = span / max(wanted, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)


def number(value: float) -> str:
    """A tick's label: no needless zeros, thousands grouped, a real minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"  # noqa: PLR2004
    return text.replace("-", "\N{MINUS SIGN}")


@dataclass(slots=True)
class Chart:
    """One SVG being drawn; sizes in its own pixels, which are CSS pixels when it fits its page."""

    width: int
    height: int
    x: Axis
    y: Axis
    label: str
    parts: list[str] = field(default_factory=list)

    def add(self, part: str) -> None:
        self.parts.append(part)

    def text(self, x: float, y: float, words: str, *, kind: str = "tick", anchor: str = "start") -> None:
        self.add(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, tip: str = "") -> None:
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self.add(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}">{title}</line>'
        )

    def box(
        self, x1: float, y1: float, x2: float, y2: float, kind: str, *, tip: str = "", round_px: int = 0
    ) -> None:
        title = f"<title>{escape(tip)}</title>" if tip else ""
        corners = f' rx="{round_px}"' if round_px else ""
        left, top, wide, high = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
        self.add(
            f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}"{corners}>'
            f"{title}</rect>"
        )

    def x_axis(self, unit: str, *, labelled: bool = True) -> None:
        """Ticks every round number of seconds along the bottom; the unit at its right end."""
        bottom = self.y.start
        self.line(self.x.start, bottom, self.x.end, bottom, "axis")
        if not labelled:
            return
        for tick in self.x.ticks(max(3, round((self.x.end - self.x.start) / 72))):
            self.line(self.x.at(tick), bottom, self.x.at(tick), bottom + 4, "axis")
            self.text(self.x.at(tick), bottom + 17, number(tick), anchor="middle")
        self.text(self.x.end, bottom + 33, unit, kind="unit", anchor="end")

    def y_axis(self, title: str, *, ticks: int = 4) -> None:
        """Grid lines with their values on the left, the title with its unit above."""
        for tick in self.y.ticks(ticks):
            self.line(self.x.start, self.y.at(tick), self.x.end, self.y.at(tick), "grid")
            self.text(self.x.start - 7, self.y.at(tick) + 4, number(tick), anchor="end")
        self.text(0, self.y.end - 14, title, kind="unit")

    def path(self, points: Sequence[tuple[float, float | None]], kind: str) -> None:
        """A line through the points, broken where a value is None; a lone point becomes a dot."""
        commands: list[str] = []
        for run in _runs(points):
            pixels = [f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in run]
            if len(pixels) == 1:
                pixels.append(pixels[0])
            commands.append("M" + "L".join(pixels))
        if commands:
            self.add(f'<path class="{kind}" d="{"".join(commands)}"/>')

    def steps(self, edges: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> None:
        """An area between two stepped outlines; `edges` has one value more than the outlines."""
        top = [(edge, high[index]) for index in range(len(high)) for edge in edges[index : index + 2]]
        base = [(edge, low[index]) for index in range(len(low)) for edge in edges[index : index + 2]]
        pixels = [f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in top + base[::-1]]
        self.add(f'<path class="{kind}" d="M{"L".join(pixels)}Z"/>')

    def svg(self, kind: str) -> str:
        """The finished element."""
        return (
            f'<svg class="{kind}" role="img" aria-label="{escape(self.label)}" '
            f'viewBox="0 0 {self.width} {self.height}">{"".join(self.parts)}</svg>'
        )


def _runs(points: Iterable[tuple[float, float | None]]) -> Iterable[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in points:
        if y is None:
            if run:
                yield run
            run = []
        else:
            run.append((x, y))
    if run:
        yield run


@dataclass(frozen=True, slots=True)
class Marker:
    """An instant worth a line through the charts; `at` in seconds of the shared axis."""

    at: float
    name: str
    tip: str


def label_rows(markers: Sequence[Marker], x: Axis, *, char_px: float = 6.6) -> list[tuple[Marker, int, bool]]:
    """Each marker with a row of its label, so that none overlaps another, and whether it stands to the left.

    Labels stand to the right of their line, unless they would leave the chart.
    """
    ends: list[list[tuple[float, float]]] = []
    placed: list[tuple[Marker, int, bool]] = []
    for marker in sorted(markers, key=lambda marker: marker.at):
        wide = len(marker.name) * char_px + 10
        left = x.at(marker.at) + wide > x.end
        start = x.at(marker.at) - (wide if left else 0)
        row = next((row for row, taken in enumerate(ends) if _free(taken, start, start + wide)), len(ends))
        if row == len(ends):
            ends.append([])
        ends[row].append((start, start + wide))
        placed.append((marker, row, left))
    return placed


def _free(taken: Sequence[tuple[float, float]], start: float, end: float) -> bool:
    return all(end <= other_start or start >= other_end for other_start, other_end in taken)
