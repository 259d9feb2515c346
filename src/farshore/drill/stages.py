"""Where the outage went: the product's public journal laid between the fault and the first acknowledgement.

This explains; it never judges, and the checker does not read it. The boundaries, each an instant:

    fault      the drill's own clock
    detected   `detected_at_unix_ms` of the claiming event, if the journal gives it
    claimed    first event after the fault in phase CLAIMED
    promoting  first event of the claimed epoch in phase PROMOTING: the old lease had certainly ended
    promoted   first event of that epoch in phase PROMOTED, or that the action `promoted` brought to HELD
    routed     first event of that epoch in HELD that is not `promoted`, if it came before `acked`; else
               the moment the first acknowledged attempt was sent to the new region
    acked      first acknowledgement by another region to a region-aware client outside the lost one

A stage ends at its boundary and begins at the last boundary known before it. A boundary nobody wrote makes
its stage None, and the next stage takes over its time, so that the stages always add up to the whole. The
journal has its own clock reading, so a boundary earlier than the one before it is moved up to that.

A planned move has three stages, from the journal's line that begins it, in phase DRAINING:

    drain      first event after it in phase PROMOTING: the old writer was fenced and had nothing left
    move       first event after that in HELD
    reconnect  first acknowledgement by another region to a region-aware client
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farshore.drill.operations import Ack
from farshore.drill.terms import Fault

STAGES = ("detect", "decide", "fence", "promote", "route", "reconnect")
PLANNED = ("drain", "move", "reconnect")


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """A line of `farshore history --json`; times in milliseconds of the wall clock."""

    version: int
    at_unix_ms: int
    epoch: int
    phase: str
    holder: str | None
    action: str
    reason: str
    by: str
    detected_at_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """`seconds` is None when its end is not known; `covers` names the stages whose time it includes."""

    name: str
    seconds: float | None
    start: int | None
    end: int | None
    covers: tuple[str, ...]


def parse_journal(documents: Sequence[Mapping[str, Any]]) -> list[JournalEvent]:
    """The events in the order of their versions; lines without version, time or phase are left out."""
    events = [
        JournalEvent(
            version=document["version"],
            at_unix_ms=document["at_unix_ms"],
            epoch=document.get("epoch") or 0,
            phase=str(document["phase"]),
            holder=document.get("holder"),
            action=str(document.get("action") or ""),
            reason=str(document.get("reason") or ""),
            by=str(document.get("by") or ""),
            detected_at_unix_ms=document.get("detected_at_unix_ms"),
        )
        for document in documents
        if {"version", "at_unix_ms", "phase"} <= document.keys()
    ]
    return sorted(events, key=lambda event: event.version)


def boundaries(
    journal: Sequence[JournalEvent], acks: Sequence[Ack], fault: Fault, *, unix_offset_ns: int
) -> dict[str, int | None]:
    """Each stage's end on the monotonic clock (ns), None where nobody wrote it down."""

    def instant(at_unix_ms: int | None) -> int | None:
        return None if at_unix_ms is None else at_unix_ms * 1_000_000 - unix_offset_ns

    def first(events: Sequence[JournalEvent]) -> JournalEvent | None:
        return events[0] if events else None

    # The journal has whole milliseconds; an event of the fault's own millisecond still counts as after it.
    after = [event for event in journal if (instant(event.at_unix_ms) or 0) >= fault.at - 1_000_000]
    claim = first([event for event in after if event.phase == "CLAIMED"])
    plan = [event for event in after if claim is not None and event.epoch == claim.epoch]
    promoting = first([event for event in plan if event.phase == "PROMOTING"])
    promoted = first([event for event in plan if event.phase == "PROMOTED" or event.action == "promoted"])
    ack = _first_ack(acks, fault)
    held = first([event for event in plan if event.phase == "HELD" and event is not promoted])
    granted = instant(held.at_unix_ms) if held else None
    if granted is None or (ack is not None and granted > ack.returned):
        granted = ack.invoked if ack and claim else None
    return {
        "detect": instant(claim.detected_at_unix_ms) if claim else None,
        "decide": instant(claim.at_unix_ms) if claim else None,
        "fence": instant(promoting.at_unix_ms) if promoting else None,
        "promote": instant(promoted.at_unix_ms) if promoted else None,
        "route": granted,
        "reconnect": ack.returned if ack else None,
    }


def _first_ack(acks: Sequence[Ack], fault: Fault) -> Ack | None:
    outside = (
        ack
        for ack in acks
        if ack.kind == "aware"
        and ack.region != fault.region
        and ack.view != fault.dead_region
        and ack.returned > fault.at
    )
    return min(outside, key=lambda ack: ack.returned, default=None)


def planned_boundaries(
    journal: Sequence[JournalEvent], acks: Sequence[Ack], fault: Fault, *, unix_offset_ns: int
) -> dict[str, int | None]:
    """As `boundaries`, for a planned move; `ask` is where its first stage begins."""
    instants = [(event, event.at_unix_ms * 1_000_000 - unix_offset_ns) for event in journal]
    ends: dict[str, int | None] = {}
    since = fault.at - 1_000_000
    for name, phase in (("ask", "DRAINING"), ("drain", "PROMOTING"), ("move", "HELD")):
        ends[name] = next((at for event, at in instants if event.phase == phase and at >= since), None)
        since = ends[name] or since
        if ends[name] is None:
            break
    ack = _first_ack(acks, fault)
    return {**ends, "reconnect": ack.returned if ack else None}


def planned_stages(ends: Mapping[str, int | None], fault: Fault) -> list[Stage]:
    """The three stages in order, from the line that begins the move."""
    return _split(PLANNED, ends, ends.get("ask") or fault.at)


def stages(ends: Mapping[str, int | None], fault: Fault) -> list[Stage]:
    """The six stages in order; see the module's rule for unknown boundaries."""
    return _split(STAGES, ends, fault.at)


def _split(names: Sequence[str], ends: Mapping[str, int | None], start: int) -> list[Stage]:
    last_known = start
    latest = ends.get("reconnect")
    result: list[Stage] = []
    folded: tuple[str, ...] = ()
    for name in names:
        end = ends.get(name)
        folded += (name,)
        if end is None:
            result.append(Stage(name, None, None, None, ()))
            continue
        end = max(end, last_known)
        if latest is not None:
            end = min(end, max(latest, last_known))
        result.append(Stage(name, (end - last_known) / 1e9, last_known, end, folded))
        last_known, folded = end, ()
    return result
