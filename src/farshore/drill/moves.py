"""Each move of the writer as the clients saw it: where it went, how long nobody was served, and why so long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farshore.drill.events import Kind
from farshore.drill.measures import Outage, Outages, longer, longest
from farshore.drill.operations import Ack, Operations
from farshore.drill.stages import (
    JournalEvent,
    Stage,
    boundaries,
    planned_boundaries,
    planned_stages,
    stages,
)
from farshore.drill.terms import Fault, with_ends


@dataclass(frozen=True, slots=True)
class Move:
    """What a fault did: `target` is the first other region to confirm anything after it, None if none did.

    Outages are the longest stretches without an acknowledgement that ended after the fault and began before the
    next one, or before the lost region came back, to the clients that were there when it happened and did not
    die of it.
    """

    fault: Fault
    target: str | None
    aware: Outages
    dns_only: Outages
    stages: Sequence[Stage]


def moves(
    operations: Operations,
    faults: Sequence[Fault],
    journal: Sequence[JournalEvent],
    *,
    unix_offset_ns: int | None,
    end: int,
) -> list[Move]:
    """One for each fault; without the journal's clock (`unix_offset_ns` None) their stages are empty."""
    acks = operations.acks()
    made = []
    for fault, after in with_ends(faults):
        until = fault.healed_at if after and fault.dead_region and fault.healed_at else after
        seen = [ack for ack in acks if until is None or ack.returned < until]
        told = [event for event in journal if until is None or _before(event, until, unix_offset_ns)]
        clients = _witnesses(operations, faults, fault)
        staged: Sequence[Stage] = ()
        if unix_offset_ns is not None:
            staged = _staged(told, seen, fault, unix_offset_ns=unix_offset_ns)
        made.append(
            Move(
                fault=fault,
                target=_target(seen, fault),
                aware=_outages(clients["aware"], "aware", seen, fault, until or end),
                dns_only=_outages(clients["plain"], "plain", seen, fault, until or end),
                stages=staged,
            )
        )
    return made


def _before(event: JournalEvent, until: int, unix_offset_ns: int | None) -> bool:
    return unix_offset_ns is None or event.at_unix_ms * 1_000_000 - unix_offset_ns < until


def _staged(
    journal: Sequence[JournalEvent], acks: Sequence[Ack], fault: Fault, *, unix_offset_ns: int
) -> list[Stage]:
    if fault.planned:
        return planned_stages(planned_boundaries(journal, acks, fault, unix_offset_ns=unix_offset_ns), fault)
    return stages(boundaries(journal, acks, fault, unix_offset_ns=unix_offset_ns), fault)


def _target(acks: Sequence[Ack], fault: Fault) -> str | None:
    elsewhere = (
        ack for ack in acks if ack.confirmed and ack.region != fault.region and ack.invoked > fault.at
    )
    first = min(elsewhere, key=lambda ack: ack.returned, default=None)
    return first.region if first else None


def _witnesses(operations: Operations, faults: Sequence[Fault], fault: Fault) -> Mapping[Kind, list[str]]:
    """The clients by kind that had begun before the fault, and had not died with their region by then or by it."""
    began: dict[str, int] = {}
    for attempt in operations.attempts():
        began[attempt.client] = min(began.get(attempt.client, attempt.invoke.t), attempt.invoke.t)
    found: dict[Kind, list[str]] = {"aware": [], "plain": []}
    for meta in operations.metas:
        if meta.part != "usual" or meta.view in fault.cut_off:
            continue
        deaths = [other.at for other in faults if other.dead_region == meta.view and other.at <= fault.at]
        first = began.get(meta.client)
        if first is not None and first < fault.at and not any(first < at for at in deaths):
            found[meta.kind].append(meta.client)
    return found


def _outages(clients: Sequence[str], kind: Kind, acks: Sequence[Ack], fault: Fault, until: int) -> Outages:
    returns: dict[str, list[int]] = {client: [] for client in clients}
    for ack in acks:
        if ack.client in returns:
            returns[ack.client].append(ack.returned)
    every = sorted(t for times in returns.values() for t in times)
    singles = [_around(client, times, fault, until) for client, times in returns.items()]
    return Outages(
        group=_around(f"all {kind} clients", every, fault, until),
        worst_client=longer(singles),
    )


def _around(who: str, returns: Sequence[int], fault: Fault, until: int) -> Outage | None:
    """From the last acknowledgement before the fault on."""
    first = max((t for t in returns if t <= fault.at), default=fault.at)
    return longest(who, [first, *(t for t in returns if t > first)] if returns else [], until)
