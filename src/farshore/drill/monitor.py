"""What the clients are doing right now, from their histories while they write them: for progress and for waits."""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from farshore.drill.events import Invoke, Kind, Part
from farshore.drill.history import SUFFIX, HistoryTail
from farshore.drill.scenario import KINDS, Crew

_WINDOW_NS = 1_000_000_000


@dataclass(slots=True)
class Seen:
    """One client: acknowledgements so far, and when the attempt behind the latest one was invoked, by region."""

    crew: Crew
    tail: HistoryTail
    acks: int = 0
    acked_by: dict[str, int] = field(default_factory=dict)
    invoked: dict[str, int] = field(default_factory=dict)


class Monitor:
    """Follows every client's history; call `poll` often."""

    def __init__(self, directory: Path, crews: Iterable[Crew]) -> None:
        self._directory = directory
        self.clients: dict[str, Seen] = {}
        self._recent: deque[tuple[int, str, Kind]] = deque()
        self.follow(crews)

    def follow(self, crews: Iterable[Crew]) -> None:
        """These as well from now on."""
        for crew in crews:
            for name in crew.names:
                self.clients[name] = Seen(crew, HistoryTail(self._directory / f"{name}{SUFFIX}"))

    def bury(self, region: str) -> None:
        """Whoever lives in a region that is gone is waited for no more."""
        self.clients = {name: seen for name, seen in self.clients.items() if seen.crew.region != region}

    def waited_for(self) -> dict[str, Seen]:
        """Those that any writer can serve: not who knows one region only, or keeps its transactions open."""
        return {name: seen for name, seen in self.clients.items() if seen.crew.part == "usual"}

    def poll(self) -> None:
        for seen in self.clients.values():
            for event in seen.tail.poll():
                if isinstance(event, Invoke):
                    seen.invoked[event.op] = event.t
                    continue
                invoked = seen.invoked.pop(event.op, 0)
                if event.outcome == "ok" and event.region is not None:
                    seen.acks += 1
                    seen.acked_by[event.region] = invoked
                    self._recent.append((event.t, event.region, seen.crew.kind))

    def least_acks(self) -> int:
        return min(seen.acks for seen in self.waited_for().values())

    def is_open(self, part: Part, least_s: float, most_s: float) -> bool:
        """Whether an attempt of such clients has been open for so long, and not for longer than that."""
        self.poll()
        began = [t for seen in self.clients.values() if seen.crew.part == part for t in seen.invoked.values()]
        return any(least_s <= (time.monotonic_ns() - t) / 1e9 <= most_s for t in began)

    def unserved_since(
        self, t: int, left: str | None, away: Collection[str] = (), kinds: Collection[Kind] = KINDS
    ) -> list[str]:
        """Clients without an acknowledgement, invoked after `t`, by another region than the one left (None: by any).

        Those whose regions are `away` are not asked for.
        """
        return [
            name
            for name, seen in self.waited_for().items()
            if seen.crew.region not in away
            and seen.crew.kind in kinds
            and not any(at > t for region, at in seen.acked_by.items() if region != left)
        ]

    def rates(self) -> str:
        """Acknowledgements in the last second, by the region that gave them and the clients' kind."""
        since = time.monotonic_ns() - _WINDOW_NS
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        counts = Counter((region, kind) for _, region, kind in self._recent)
        if not counts:
            return "no acknowledgement in the last second"
        parts = (f"{region} {kind} {count}" for (region, kind), count in sorted(counts.items()))
        return f"{len(self._recent)} acknowledged in the last second: {', '.join(parts)}"
