"""Acknowledgements over time, in bins: how many by whom, and how long they took."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from farshore.drill.events import Kind
from farshore.drill.measures import SECOND_NS, percentile
from farshore.drill.operations import Ack


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins of `width` ns from `start` on."""

    start: int
    width: int
    count: int

    def index(self, t: int) -> int:
        return min(max((t - self.start) // self.width, 0), self.count - 1)

    def middle(self, index: int) -> int:
        return self.start + index * self.width + self.width // 2


@dataclass(frozen=True, slots=True)
class Throughput:
    """Acknowledgements per second in each bin, by one region to one kind of client."""

    region: str
    kind: Kind
    per_second: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LatencyBand:
    """Median and 99th percentile in milliseconds for each bin; None where nothing was acknowledged."""

    region: str
    p50_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]


def bins(start: int, end: int, *, wanted: int = 160) -> Bins:
    """About `wanted` bins of a width that reads well (1, 2, 2.5 or 5 times a power of ten)."""
    span = max(end - start, 1)
    step = 1_000_000
    while True:
        for factor in (1, 2, 2.5, 5):
            width = round(step * factor)
            if span <= width * wanted:
                return Bins(start, width, -(-span // width))
        step *= 10


def throughput(acks: Sequence[Ack], grid: Bins) -> list[Throughput]:
    """One series for each region and kind that acknowledged anything, in a stable order."""
    counts: defaultdict[tuple[str, Kind], list[int]] = defaultdict(lambda: [0] * grid.count)
    for ack in acks:
        counts[ack.region, ack.kind][grid.index(ack.returned)] += 1
    seconds = grid.width / SECOND_NS
    return [
        Throughput(region, kind, tuple(count / seconds for count in counted))
        for (region, kind), counted in sorted(counts.items())
    ]


def latencies(acks: Sequence[Ack], grid: Bins) -> list[LatencyBand]:
    """One band for each acknowledging region; a bin is the one the reply came in."""
    times: defaultdict[str, dict[int, list[float]]] = defaultdict(dict)
    for ack in acks:
        binned = times[ack.region].setdefault(grid.index(ack.returned), [])
        binned.append((ack.returned - ack.invoked) / 1e6)
    return [
        LatencyBand(region, _each(binned, grid, 0.5), _each(binned, grid, 0.99))
        for region, binned in sorted(times.items())
    ]


def _each(binned: dict[int, list[float]], grid: Bins, share: float) -> tuple[float | None, ...]:
    return tuple(
        percentile(sorted(binned[index]), share) if index in binned else None for index in range(grid.count)
    )
