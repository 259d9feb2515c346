"""Whether a drill saw enough to say anything at all."""

from collections.abc import Sequence
from itertools import pairwise

from farshore.drill.events import Kind
from farshore.drill.findings import Doubt, Finding
from farshore.drill.ledger import Survivor
from farshore.drill.operations import Ack, Operations
from farshore.drill.terms import Fault, Terms, with_ends

GUARD_REFUSED = "25006 at commit"
"""What a plain client writes down when its commit is refused; a standby refuses before that."""


def doubts_of(
    operations: Operations, survivor: Survivor | None, faults: Sequence[Fault], terms: Terms
) -> list[Finding]:
    """Every reason to call the drill unknown, apart from damaged histories and missing orphan lists."""
    doubts = []
    clients = len({meta.client for meta in operations.metas})
    if clients < max(terms.clients, 1):
        detail = f"histories of {clients} clients, wanted {max(terms.clients, 1)}"
        doubts.append(Finding(Doubt.HISTORY_MISSING, detail))
    if survivor is None:
        doubts.append(Finding(Doubt.DATABASE_MISSING, "the final writer's database was not read"))
    acks = operations.acks()
    if not any(ack.confirmed for ack in acks):
        detail = "no acknowledgement was confirmed, so that nothing shows who was the writer"
        doubts.append(Finding(Doubt.NOTHING_CONFIRMED, detail))
    if len(faults) < terms.faults_due:
        detail = f"{len(faults)} of {terms.faults_due} faults were done"
        doubts.append(Finding(Doubt.FAULT_MISSING, detail))
    if not faults:
        return doubts + _few(Doubt.FEW_ACKS_BEFORE, "in the whole drill", len(acks), terms.acks_before_min)
    first = min(faults, key=lambda fault: fault.at)
    before = [ack for ack in acks if ack.returned < first.at and ack.region == first.region]
    where = f"by {first.region} before the fault"
    doubts += _few(Doubt.FEW_ACKS_BEFORE, where, len(before), terms.acks_before_min)
    doubts += _unheard_before(operations, acks, first)
    for fault, until in with_ends(faults):
        seen = [ack for ack in acks if until is None or ack.returned < until]
        doubts += _bite(operations, seen, fault, terms)
        doubts += _enough(operations, seen, fault, terms)
        doubts += _too_long(operations, seen, fault, terms)
    return doubts + _nothing_open(operations, first, terms) + _zombie_not_met(operations, first, terms)


def _unheard_before(operations: Operations, acks: Sequence[Ack], first: Fault) -> list[Finding]:
    """Whoever was never served before the fault cannot say how long it was not served for it."""
    heard = {ack.client for ack in acks if ack.returned < first.at}
    doubts = []
    for kind in _kinds(operations):
        clients = operations.usual(kind, first.away)
        if clients and not heard.intersection(clients):
            where = (
                f"of {kind} clients outside it before the fault"
                if first.away
                else f"of {kind} clients before"
            )
            doubts += _few(Doubt.FEW_ACKS_BEFORE, where, 0, 1)
    return doubts


def _few(kind: Doubt, where: str, seen: int, wanted: int) -> list[Finding]:
    if seen >= max(wanted, 1):
        return []
    return [Finding(kind, f"{seen} acknowledgements {where}, wanted {max(wanted, 1)}")]


def _enough(operations: Operations, acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    moves = fault.effect == "moves"
    since = fault.at if moves or not fault.silent else fault.healed_at or fault.at
    after = [ack for ack in acks if ack.invoked > since and (ack.region != fault.region) is moves]
    what = f"after the {fault.kind} of {fault.hit or fault.region}"
    where = f"by {'another region' if moves else fault.region} {what}"
    doubts = _few(Doubt.FEW_ACKS_AFTER, where, len(after), terms.acks_after_min)
    doubts += _of_each_kind(operations, after, fault, terms, what)
    if fault.cut_off and fault.healed_at is not None:
        back = [ack for ack in after if ack.invoked > (fault.healed_at or 0)]
        doubts += _of_those_cut_off(operations, back, fault, terms)
    return doubts


def _of_each_kind(
    operations: Operations, after: Sequence[Ack], fault: Fault, terms: Terms, what: str
) -> list[Finding]:
    doubts = []
    for kind in _kinds(operations):
        clients = set(operations.usual(kind, fault.away))
        if clients:
            seen = sum(1 for ack in after if ack.client in clients)
            whose = f"of {kind} clients" + (" outside it" if fault.away else "")
            doubts += _few(Doubt.FEW_ACKS_AFTER, f"{whose} {what}", seen, terms.kind_acks_after_min)
    return doubts


def _of_those_cut_off(
    operations: Operations, back: Sequence[Ack], fault: Fault, terms: Terms
) -> list[Finding]:
    doubts = []
    for kind in _kinds(operations):
        clients = set(operations.usual(kind)) - set(operations.usual(kind, fault.cut_off))
        if clients:
            seen = sum(1 for ack in back if ack.client in clients)
            where = f"of {kind} clients in {', '.join(fault.cut_off)} after the {fault.kind} was over"
            doubts += _few(Doubt.FEW_ACKS_AFTER, where, seen, terms.kind_acks_after_min)
    return doubts


def _kinds(operations: Operations) -> list[Kind]:
    return sorted({meta.kind for meta in operations.metas})


def _bite(operations: Operations, acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    doubts = _hit_nothing(fault) + _after_the_failover(acks, fault)
    if fault.planned and not any(_confirmed_elsewhere(ack, fault) for ack in acks):
        detail = f"after the {fault.kind} no other region than {fault.region} confirmed anything"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail))
    undead = [
        ack
        for ack in acks
        if ack.region == fault.region and fault.silences(ack.invoked, ack.returned, terms.settle_ns)
    ]
    if undead:
        was = "was lost" if fault.dead_region else "had to be silent"
        detail = f"{fault.region} acknowledged {len(undead)} transfers while it {was}"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail, undead[0].op))
    residents = {
        attempt.client
        for attempt in operations.attempts()
        if attempt.view == fault.dead_region and fault.lasts(attempt.invoke.t, terms.settle_ns)
    }
    if residents:
        detail = f"clients in {fault.dead_region} went on while it was lost: {', '.join(sorted(residents))}"
        doubts.append(Finding(Doubt.FAULT_DID_NOT_BITE, detail))
    return doubts + _crossed(acks, fault, terms) + _paused(acks, fault, terms)


def _hit_nothing(fault: Fault) -> list[Finding]:
    """Each count of each harm must show something: what one of them hit says nothing of the others."""
    counted = [(fault.kind, fault.hit or fault.region, fault.bit)]
    counted += [(harm.kind, harm.region, harm.bit) for harm in fault.further]
    return [
        Finding(Doubt.FAULT_DID_NOT_BITE, f"{kind} of {region} hit 0 {what}")
        for kind, region, bit in counted
        for what, count in (bit or {}).items()
        if not count
    ]


def _after_the_failover(acks: Sequence[Ack], fault: Fault) -> list[Finding]:
    """A further harm that another region's first write preceded did not fall within the failover."""
    served = [ack.returned for ack in acks if ack.region != fault.region and ack.invoked > fault.at]
    first = min(served, default=None)
    return [
        Finding(
            Doubt.FAULT_DID_NOT_BITE,
            f"{harm.kind} of {harm.region} came {(harm.at - first) / 1e6:.0f} ms after another region's first write: "
            "the failover was over",
        )
        for harm in fault.further
        if first is not None and first <= harm.at
    ]


def _crossed(acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    """Whoever is cut off hears from no other region than its own."""
    crossed = [
        ack
        for ack in acks
        if ack.view in fault.cut_off
        and ack.region != ack.view
        and fault.lasts(ack.invoked, terms.settle_ns)
        and not (fault.healed_at is not None and ack.returned >= fault.healed_at)
    ]
    if not crossed:
        return []
    where = ", ".join(fault.cut_off)
    detail = f"clients in {where} were served by another region {len(crossed)} times while cut off"
    return [Finding(Doubt.FAULT_DID_NOT_BITE, detail, crossed[0].op)]


def _paused(acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    """A fault that must be felt, by those who must feel it."""
    feel = {*fault.cut_off, *fault.felt_in}
    if fault.outage in {"none", "rows", "short"} and not feel:
        return []
    felt = [ack for ack in acks if (ack.view in feel if feel else ack.view not in fault.away)]
    gap_ns = _longest_gap_ns([ack.returned for ack in felt], fault.at)
    if gap_ns is None or gap_ns >= terms.outage_min_ns:
        return []
    paused = f"acknowledgements never paused for more than {gap_ns / 1e6:.0f} ms"
    return [Finding(Doubt.NO_OUTAGE, f"after the {fault.kind} of {fault.region}, {paused}")]


def _too_long(operations: Operations, acks: Sequence[Ack], fault: Fault, terms: Terms) -> list[Finding]:
    """An outage beyond its class breaks no promise by itself; but the drill did not go as it must."""
    limit_ns = terms.outage_max_ns.get(fault.outage or "")
    if fault.outage == "while":
        lasted_ns = (fault.healed_at or fault.at) - fault.at
        limit_ns = lasted_ns + terms.outage_max_ns["short"] if "short" in terms.outage_max_ns else None
    clients = set(operations.usual("aware", fault.away))
    gap_ns = _longest_gap_ns([ack.returned for ack in acks if ack.client in clients], fault.at)
    if limit_ns is None or gap_ns is None or gap_ns <= limit_ns:
        return []
    detail = (
        f"after the {fault.kind} of {fault.hit or fault.region} region-aware clients waited {gap_ns / 1e9:.2f} s, "
        f"at most {limit_ns / 1e9:.1f} s were expected ({fault.outage})"
    )
    return [Finding(Doubt.OUTAGE_TOO_LONG, detail)]


def _nothing_open(operations: Operations, first: Fault, terms: Terms) -> list[Finding]:
    if not terms.open_at_fault_ns:
        return []
    latest = first.at - terms.open_at_fault_ns
    for attempt in operations.attempts():
        if attempt.invoke.t <= latest and (attempt.returned is None or attempt.returned.t > first.at):
            return []
    detail = f"no transaction was open for {terms.open_at_fault_ns / 1e9:g} s when the fault was done"
    return [Finding(Doubt.NOTHING_OPEN, detail)]


def _zombie_not_met(operations: Operations, first: Fault, terms: Terms) -> list[Finding]:
    pinned = {meta.client for meta in operations.metas if meta.part == "pinned"}
    refused = sum(
        1
        for attempt in operations.attempts()
        if attempt.client in pinned
        and attempt.invoke.t > first.at
        and attempt.returned is not None
        and attempt.returned.error == GUARD_REFUSED
    )
    if refused >= terms.zombie_refusals_min:
        return []
    detail = (
        f"the old writer's guard refused {refused} commits of clients that know only its address, "
        f"wanted {terms.zombie_refusals_min}: it may not have been met"
    )
    return [Finding(Doubt.ZOMBIE_NOT_MET, detail)]


def _confirmed_elsewhere(ack: Ack, fault: Fault) -> bool:
    return ack.confirmed and ack.region != fault.region and ack.invoked > fault.at


def _longest_gap_ns(returns: Sequence[int], at: int) -> int | None:
    """The longest pause between acknowledgements that ends after `at`; None when there is no such pair."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(returns)) if later > at]
    return max(gaps, default=None)
