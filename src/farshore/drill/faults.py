"""Faults, each with its heal: done by the lab, whose own clock reading and count of what it hit they keep."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from farshore.drill.product import LabInfo
from farshore.drill.terms import Effect, Fault, OutageClass

_HEAL_S = 120.0


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to the lab by `farshore lab fault`, and what must come of it.

    `order` does it, `mending` (None: it ends by itself) undoes it. `writer` is the region that writes then, `region`
    where it is done. For the rest see Fault.
    """

    kind: str
    words: str
    region: str
    writer: str
    order: tuple[str, ...]
    mending: tuple[str, ...] | None
    effect: Effect
    outage: OutageClass
    cut_off: tuple[str, ...] = ()
    felt_in: tuple[str, ...] = ()
    silent: bool = False

    def do(self, lab: LabInfo) -> Fault:
        """CommandError when the lab refuses."""
        done = ordered(lab, self.order)
        return Fault(
            self.kind,
            self.writer,
            at=done["at_monotonic_ns"],
            bit=done.get("bit") or None,
            effect=self.effect,
            hit=self.region if self.region != self.writer else None,
            cut_off=self.cut_off,
            felt_in=self.felt_in,
            silent=self.silent,
            outage=self.outage,
        )

    def heal(self, lab: LabInfo, fault: Fault) -> Fault:
        """The fault with the time of its heal, and with what the lab counted while it lasted."""
        if self.mending is None:
            return fault
        done = ordered(lab, self.mending)
        over = done["at_monotonic_ns"]
        return replace(
            fault,
            healing_at=done.get("begun_monotonic_ns", over),
            healed_at=over,
            bit=together(fault.bit, done.get("bit")),
        )


def region_loss(region: str, *, writer: str, outage: OutageClass = "move") -> Deed:
    """The whole region goes dark at once: servers, functions and clients die, links become a black hole."""
    return Deed(
        "region-loss",
        f"losing {region}",
        region,
        writer,
        ("region-loss", region),
        ("heal", region),
        effect="moves" if region == writer else "stays",
        outage=outage,
    )


def harm(
    kinds: str,
    region: str,
    *,
    writer: str,
    effect: Effect,
    outage: OutageClass,
    called: str | None = None,
    cut_off: tuple[str, ...] = (),
    felt_in: tuple[str, ...] = (),
    silent: bool = False,
    mends: bool = True,
) -> Deed:
    """One of `farshore lab fault harm`, or several at one instant."""
    kind = called or kinds.replace("-", " ")
    return Deed(
        kind,
        f"{kind} in {region}",
        region,
        writer,
        ("harm", kinds, region),
        ("mend", kinds, region) if mends else None,
        effect=effect,
        outage=outage,
        cut_off=cut_off,
        felt_in=felt_in,
        silent=silent,
    )


def ordered(lab: LabInfo, order: tuple[str, ...]) -> Mapping[str, Any]:
    """`farshore lab fault` and its answer; CommandError when the lab refuses."""
    answer: Mapping[str, Any] = lab.run(
        "lab", "fault", *order, "--lab", lab.name, "--json", timeout_s=_HEAL_S
    )
    return answer


def together(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> Mapping[str, int] | None:
    if not before and not after:
        return None
    counted: Counter[str] = Counter()
    for counts in (before, after):
        counted.update(counts or {})
    return dict(counted)
