"""The WAN links between places: what passes, how long it takes, and the faults on them.

A place is a region or `outside`. `LinkState` is one frozen picture that the lab process and the relay share;
`LinkTable` holds the present one in the lab process, draws jitter from a seed, and hands each change to the
relay before the call that made it returns, so that a fault's time is exact.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from farshore.lab.ports import OUTSIDE

Way = tuple[str, str]
"""From a place, to a place."""

WAN_ONE_WAY_MS = 30.0
WAN_JITTER_MS = 3.0
OUTSIDE_ONE_WAY_MS = 2.0


@dataclass(frozen=True, slots=True)
class Delay:
    """One way, in seconds: uniformly `base_s` +- `jitter_s`, never below zero; `bytes_per_s` None = unlimited."""

    base_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None

    def draw(self, dice: random.Random) -> float:
        if not self.jitter_s:
            return self.base_s
        return max(0.0, self.base_s + dice.uniform(-self.jitter_s, self.jitter_s))


_NO_DELAY = Delay()


@dataclass(frozen=True, slots=True)
class LinkState:
    """All links at one instant. `stalled_until` is CLOCK_MONOTONIC seconds, comparable across processes."""

    delays: Mapping[Way, Delay] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    cut: frozenset[Way] = frozenset()
    stalled_until: Mapping[Way, float] = field(default_factory=dict)

    def dark(self, a: str, b: str) -> bool:
        """Whether either end is a lost region: packets on the way die, nothing is ever delivered late."""
        return a in self.lost or b in self.lost

    def passes(self, source: str, target: str) -> bool:
        """Whether a packet sent now gets there, in this one direction."""
        return not self.dark(source, target) and (source, target) not in self.cut

    def connected(self, a: str, b: str) -> bool:
        return self.passes(a, b) and self.passes(b, a)

    def delay(self, source: str, target: str) -> Delay:
        return self.delays.get((source, target), _NO_DELAY)

    def opens_at(self, source: str, target: str) -> float:
        """When this direction delivers again: 0 = now, infinity = not until somebody joins or heals it."""
        if not self.passes(source, target):
            return math.inf
        return self.stalled_until.get((source, target), 0.0)

    def as_json(self) -> dict[str, Any]:
        return {
            "delays": [[*way, d.base_s, d.jitter_s, d.bytes_per_s] for way, d in self.delays.items()],
            "lost": sorted(self.lost),
            "cut": sorted(self.cut),
            "stalled": [[*way, until] for way, until in self.stalled_until.items()],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        return cls(
            delays={(a, b): Delay(*rest) for a, b, *rest in document["delays"]},
            lost=frozenset(document["lost"]),
            cut=frozenset((a, b) for a, b in document["cut"]),
            stalled_until={(a, b): until for a, b, until in document["stalled"]},
        )


Push = Callable[[LinkState], int]
"""Bring a state into force in the relay; returns how many connections fell silent by it."""


class LinkTable:
    """The links of one lab; implements `farshore.lab.ports.Links`. Every method may be called from any thread."""

    def __init__(
        self,
        regions: Iterable[str] = ("us-east-1", "us-west-2", "us-east-2"),
        *,
        seed: int = 0,
        one_way_ms: float = WAN_ONE_WAY_MS,
        jitter_ms: float = WAN_JITTER_MS,
    ) -> None:
        self._regions = tuple(regions)
        self._dice = random.Random(f"links {seed}")
        self._dice_lock = threading.Lock()
        self._changing = threading.Lock()
        self._changed = threading.Condition()
        self._push: Push = lambda _state: 0
        wan = Delay(one_way_ms / 1000, jitter_ms / 1000)
        near = Delay(OUTSIDE_ONE_WAY_MS / 1000)
        delays = {(a, b): wan for a in self._regions for b in self._regions if a != b}
        for region in self._regions:
            delays[OUTSIDE, region] = delays[region, OUTSIDE] = near
        self._state = LinkState(delays=delays)

    @property
    def state(self) -> LinkState:
        return self._state

    def lost(self, region: str) -> bool:
        return region in self._state.lost

    def connected(self, a: str, b: str) -> bool:
        """Whether packets pass both ways now; `passes` asks for one direction."""
        return self._state.connected(a, b)

    def passes(self, source: str, target: str) -> bool:
        return self._state.passes(source, target)

    def one_way_s(self, a: str, b: str) -> float:
        """Seconds from a to b for a packet sent now, jitter and the rest of a stall included; not for a cut."""
        state = self._state
        with self._dice_lock:
            drawn = state.delay(a, b).draw(self._dice)
        return drawn + max(0.0, state.stalled_until.get((a, b), 0.0) - time.monotonic())

    def lose(self, region: str) -> int:
        """Make a region a black hole; returns how many connections across the relay fell silent."""
        self._know(region)
        return self._change(lambda s: replace(s, lost=s.lost | {region}))

    def heal(self, region: str) -> None:
        """End a region loss. Connections that were open when it was lost are reset, new ones work."""
        self._know(region)
        self._change(lambda s: replace(s, lost=s.lost - {region}))

    def cut(self, a: str, b: str, *, one_way: bool = False) -> None:
        """Hold all bytes from a to b (and back, unless `one_way`) until `join`."""
        ways = self._ways(a, b, one_way=one_way)
        self._change(lambda s: replace(s, cut=s.cut | ways))

    def join(self, a: str, b: str) -> None:
        """End a cut in both directions."""
        ways = self._ways(a, b)
        self._change(lambda s: replace(s, cut=s.cut - ways))

    def stall(self, a: str, b: str, seconds: float) -> None:
        """Deliver nothing between a and b for a while; what is sent meanwhile arrives when it ends."""
        until = time.monotonic() + seconds
        ways = self._ways(a, b)
        self._change(lambda s: replace(s, stalled_until={**s.stalled_until, **dict.fromkeys(ways, until)}))

    def set_delay(
        self, a: str, b: str, one_way_ms: float, jitter_ms: float = 0.0, bytes_per_s: float | None = None
    ) -> None:
        """Change both directions of a link; bytes already on their way keep their delay."""
        delay = Delay(one_way_ms / 1000, jitter_ms / 1000, bytes_per_s)
        ways = self._ways(a, b)
        self._change(lambda s: replace(s, delays={**s.delays, **dict.fromkeys(ways, delay)}))

    def wait_until(self, holds: Callable[[LinkState], bool], timeout_s: float | None = None) -> bool:
        """Block until the links satisfy a condition (as for a call that hangs); False on timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self._state), timeout_s)

    def attach(self, push: Push) -> None:
        """Keep a relay in step from now on; it gets the present state at once."""
        with self._changing:
            push(self._state)
            self._push = push

    def detach(self) -> None:
        with self._changing:
            self._push = lambda _state: 0

    def _change(self, change: Callable[[LinkState], LinkState]) -> int:
        with self._changing:
            self._state = change(self._state)
            silenced = self._push(self._state)
        with self._changed:
            self._changed.notify_all()
        return silenced

    def _ways(self, a: str, b: str, *, one_way: bool = False) -> frozenset[Way]:
        self._know(a)
        self._know(b)
        if a == b:
            raise ValueError(f"{a} has no link to itself")
        return frozenset([(a, b)] if one_way else [(a, b), (b, a)])

    def _know(self, place: str) -> None:
        if place not in self._regions and place != OUTSIDE:
            raise ValueError(f"unknown place {place}; known: {', '.join(self._regions)}, {OUTSIDE}")
