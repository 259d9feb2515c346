"""Planned moves that never happened: histories and the final ledger as a sane switchover or failback leaves them.

The writer goes from home to west and home again, each time after `OUTAGE_S` without a writer. A client that
commits while the old writer is drained hears nothing, and is told by the new one that its transfer has landed.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from sample import BOOT_NS, CLIENTS, HOME, MS, SECOND, TERMS, UNIX_NS, WEST, Sample, drill, event, ledger

from farshore.drill.events import Clock, Event, Invoke, Meta, Return
from farshore.drill.ledger import Transfer
from farshore.drill.requests import Request
from farshore.drill.terms import Fault

FIRST_S, SECOND_S, END_S, OUTAGE_S = 1.0, 2.5, 4.0, 0.5
PLANNED = replace(TERMS, faults_due=2, orphans_due=False, loss_allowed=False)
REFUSED = Request(
    "farshore failback", 0, 1, "what us-east-1 had acknowledged ... `farshore reconcile` reads", "reconcile"
)


def ns(seconds: float) -> int:
    return BOOT_NS + round(seconds * SECOND)


def _writer(t: int, ready_ns: int) -> tuple[str, int] | None:
    """Who writes in which epoch; clients find a new writer `ready_ns` after its outage."""
    for since, until, region, epoch in (
        (BOOT_NS, ns(FIRST_S), HOME, 1),
        (ns(FIRST_S + OUTAGE_S) + ready_ns, ns(SECOND_S), WEST, 2),
        (ns(SECOND_S + OUTAGE_S) + ready_ns, ns(END_S + 1), HOME, 3),
    ):
        if since <= t < until:
            return region, epoch
    return None


def _client(name: str, kind: str, view: str, landed: dict[str, Transfer]) -> Iterator[Event]:
    chance = random.Random(f"planned {name}")
    tag = "confirmed" if kind == "aware" else "bare"
    ready_ns = round(chance.uniform(10, 60) * MS)
    yield Meta(name, kind, view, 4000, 1)
    yield Clock(UNIX_NS, BOOT_NS)
    now = BOOT_NS + chance.randrange(20 * MS)
    while now < ns(END_S):
        source, target = chance.sample(range(1, 41), 2)
        made = Transfer(f"{chance.getrandbits(128):032x}", source, target, chance.randint(1, 50_000))
        for attempt in range(1, 40):
            began, writer = now, _writer(now, ready_ns)
            yield Invoke(made.key, began, made.amount, source, target)
            now += round(chance.uniform(4, 9) * MS)
            after = _writer(now, ready_ns)
            if writer is not None and after != writer:
                landed[made.key] = made
                yield Return(made.key, now, "unknown", tag, None, None, "timeout", attempt)
            elif writer is None:
                yield Return(made.key, now, "failed", tag, None, None, "25006", attempt)
            else:
                landed[made.key] = made
                epoch = writer[1] if kind == "aware" else None
                yield Return(made.key, now, "ok", tag, writer[0], epoch, None, attempt)
                break
            now += round(chance.uniform(10, 30) * MS)
        now += round(chance.uniform(10, 25) * MS)


def switched() -> Sample:
    """There and back, nothing lost."""
    landed: dict[str, Transfer] = {}
    events = {name: list(_client(name, kind, view, landed)) for name, kind, view in CLIENTS}
    there = Fault("switchover", HOME, at=ns(FIRST_S), healed_at=ns(FIRST_S + OUTAGE_S), bit={"writers": 1})
    back = Fault("switchover", WEST, at=ns(SECOND_S), healed_at=ns(SECOND_S + OUTAGE_S), bit={"writers": 1})
    sample = Sample(events, {}, landed, there, PLANNED, more=[back])
    sample.survivor = ledger(HOME, landed.values())
    sample.journal = [
        event(1, _ms(-1), 1, "HELD", HOME, "first-boot", "no authority yet"),
        *_journal(2, FIRST_S, 2, HOME, WEST),
        *_journal(5, SECOND_S, 3, WEST, HOME),
    ]
    return sample


def _ms(seconds: float) -> int:
    return UNIX_NS // MS + round(seconds * 1000)


def _journal(version: int, at_s: float, epoch: int, source: str, target: str) -> list[dict[str, object]]:
    drained = f"{source} is fenced and drained"
    return [
        event(version, _ms(at_s + 0.01), epoch - 1, "DRAINING", source, "switchover", "a person asks"),
        event(version + 1, _ms(at_s + 0.11), epoch, "PROMOTING", None, "drained", drained),
        event(version + 2, _ms(at_s + 0.49), epoch, "HELD", target, "promoted", f"{target} is promoted"),
    ]


def failed_back(plan) -> Sample:
    """A lost region returns, and the writer with it; two clients began anew there, and one request was refused."""
    sample = drill(plan)
    sample.terms = replace(sample.terms, clients=10, faults_due=2, refusals_due=1)
    sample.requests = [REFUSED]
    end = max(getattr(event, "t", 0) for events in sample.events.values() for event in events) + MS
    sample.fault = replace(sample.fault, healed_at=end)
    moved = end + 2 * SECOND
    sample.more = [Fault("failback", WEST, at=moved, healed_at=moved + SECOND, bit={"writers": 1})]
    for name, kind in (("w9", "plain"), ("w10", "aware")):
        sample.events[name] = [Meta(name, kind, HOME, 4000, 1), Clock(UNIX_NS, BOOT_NS)]
    rows = dict(sample.committed_west)
    kinds = {name: kind for name, kind, _ in CLIENTS} | {"w9": "plain", "w10": "aware"}
    for name in list(sample.events)[2:]:
        _acknowledge(sample, name, kinds[name], WEST, 2, end, rows)
        _acknowledge(sample, name, kinds[name], HOME, 3, moved + SECOND, rows)
    sample.committed_west = rows
    sample.survivor = ledger(HOME, rows.values())
    return sample


def _acknowledge(
    sample: Sample, name: str, kind: str, region: str, epoch: int, at: int, rows: dict[str, Transfer]
) -> None:
    """Eight transfers, 50 ms apart."""
    tag = "confirmed" if kind == "aware" else "bare"
    for number in range(8):
        t, key = at + number * 50 * MS, f"{name}-{region}-{number}"
        rows[key] = Transfer(key, 1, 2, 100)
        sample.events[name] += [
            Invoke(key, t, 100, 1, 2),
            Return(key, t + 5 * MS, "ok", tag, region, epoch if kind == "aware" else None, None, 1),
        ]
