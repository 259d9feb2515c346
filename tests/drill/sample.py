"""A region loss that never happened: histories, ledgers, journal and lag as a sane drill would leave them.

A small simulation, not a recording: home (us-east-1) is lost at `fault_s`, the survivor takes over
`outage_s` later, and what home had acknowledged within one link delay before the fault is lost.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from farshore.drill.checker import Evidence, judge
from farshore.drill.events import Clock, Event, History, Invoke, Meta, Return, dump_line, parse_history
from farshore.drill.ledger import LEDGER, Entry, Ledger, Orphan, OrphanList, Survivor, Transfer
from farshore.drill.measures import measure, unix_offset_ns
from farshore.drill.moves import moves
from farshore.drill.reportdata import Environment, ReportData
from farshore.drill.requests import Request
from farshore.drill.stages import parse_journal
from farshore.drill.terms import Fault, Terms

HOME, WEST, OUTSIDE = "us-east-1", "us-west-2", "outside"
MS = 1_000_000
SECOND = 1000 * MS
BOOT_NS = 5_000 * SECOND
UNIX_NS = 1_763_800_000 * SECOND
ACCOUNTS = range(1, 41)
OPENING_CENTS = 1_000_000
TERMS = Terms(clients=8, acks_before_min=20, acks_after_min=20, kind_acks_after_min=3)


@dataclass
class Sample:
    """Everything a drill leaves behind, open to being broken by a test."""

    events: dict[str, list[Event]]
    committed_home: dict[str, Transfer]
    committed_west: dict[str, Transfer]
    fault: Fault
    terms: Terms
    journal: list[dict[str, object]] = field(default_factory=list)
    lag: list[tuple[int, float | None]] = field(default_factory=list)
    survivor: Survivor | None = None
    old_volume: Ledger | None = None
    orphans: OrphanList | None = None
    texts: dict[str, str] = field(default_factory=dict)
    more: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    workload: str = LEDGER

    def text(self, client: str) -> str:
        return self.texts.get(client) or "".join(dump_line(event) + "\n" for event in self.events[client])

    def histories(self) -> list[History]:
        return [parse_history(f"{client}.jsonl", self.text(client)) for client in self.events]

    def faults(self) -> list[Fault]:
        return [self.fault, *self.more] if self.fault else []

    def evidence(self) -> Evidence:
        return Evidence(
            histories=self.histories(),
            survivor=self.survivor,
            faults=self.faults(),
            orphans=self.orphans,
            requests=self.requests,
            old_volume=self.old_volume,
            terms=self.terms,
            workload=self.workload,
        )


@dataclass(frozen=True)
class Plan:
    """The sizes of a sample drill; seconds are counted from its start."""

    seed: int = 7
    fault_s: float = 2.0
    outage_s: float = 1.2
    end_s: float = 6.0
    dns_late_s: float = 0.6
    think_ms: float = 20.0
    link_ms: float = 30.0

    def ns(self, seconds: float) -> int:
        return BOOT_NS + round(seconds * SECOND)


CLIENTS = (
    ("w1", "plain", HOME),
    ("w2", "aware", HOME),
    ("w3", "plain", WEST),
    ("w4", "aware", WEST),
    ("w5", "plain", OUTSIDE),
    ("w6", "aware", OUTSIDE),
    ("w7", "plain", WEST),
    ("w8", "aware", WEST),
)


class _Simulation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.fault = plan.ns(plan.fault_s)
        self.granted = plan.ns(plan.fault_s + plan.outage_s)
        self.end = plan.ns(plan.end_s)
        self.home: dict[str, Transfer] = {}
        self.west: dict[str, Transfer] = {}

    def key(self) -> str:
        return f"{self.chance.getrandbits(128):032x}"

    def spread(self, ms: float) -> int:
        return max(MS, round(ms * MS * self.chance.lognormvariate(0, 0.25)))

    def transfer(self) -> Transfer:
        source, target = self.chance.sample(ACCOUNTS, 2)
        return Transfer(self.key(), source, target, self.chance.randint(1, 50_000))

    def client(self, name: str, kind: str, view: str) -> list[Event]:
        events: list[Event] = [
            Meta(name, kind, view, 4000 + int(name[1:]), self.plan.seed),
            Clock(UNIX_NS, BOOT_NS),
        ]
        now = BOOT_NS + self.spread(40)
        while now < self.end:
            transfer, attempt, outcome = self.transfer(), 1, "unknown"
            while outcome != "ok" and attempt <= 40 and now < self.end:
                events.append(Invoke(transfer.key, now, transfer.amount, transfer.source, transfer.target))
                now, outcome, event = self.attempt(transfer, now, kind, view, attempt)
                if view == HOME and now > self.fault:
                    return events
                if event is not None:
                    events.append(event)
                attempt += 1
            now += self.spread(self.plan.think_ms)
        return events

    def attempt(self, transfer, now, kind, view, attempt):
        tag = "confirmed" if kind == "aware" else "bare"
        ready = self.granted + (
            self.spread(self.plan.dns_late_s * 1000) if kind == "plain" else self.spread(25)
        )
        if now < self.fault:
            return self.at_home(transfer, now, view, tag, attempt)
        if now < ready:
            gave_up = min(now + self.spread(300), ready + self.spread(20))
            error, outcome = ("timeout", "unknown") if kind == "plain" else ("25006", "failed")
            return gave_up, outcome, Return(transfer.key, gave_up, outcome, tag, None, None, error, attempt)
        done = now + self.spread(9 if view == WEST else 14)
        self.west[transfer.key] = transfer
        epoch = 2 if tag == "confirmed" else None
        return done, "ok", Return(transfer.key, done, "ok", tag, WEST, epoch, None, attempt)

    def at_home(self, transfer, now, view, tag, attempt):
        far_ms = {HOME: 0.0, OUTSIDE: 2.0, WEST: self.plan.link_ms}[view]
        committed = now + self.spread(5) + round(3 * far_ms * MS)
        done = committed + round(far_ms * MS) + self.spread(1)
        if committed < self.fault:
            self.home[transfer.key] = transfer
            if committed + round(self.plan.link_ms * MS) < self.fault:
                self.west[transfer.key] = transfer
        if done < self.fault:
            epoch = 1 if tag == "confirmed" else None
            return done, "ok", Return(transfer.key, done, "ok", tag, HOME, epoch, None, attempt)
        gave_up = now + self.spread(400)
        return (
            gave_up,
            "unknown",
            Return(transfer.key, gave_up, "unknown", tag, None, None, "timeout", attempt),
        )


def drill(plan: Plan | None = None) -> Sample:
    """A sane drill: valid under TERMS, with orphans whenever home acknowledged just before the fault."""
    plan = plan or Plan()
    world = _Simulation(plan)
    events = {name: world.client(name, kind, view) for name, kind, view in CLIENTS}
    fault = Fault(
        "region-loss",
        HOME,
        at=world.fault,
        healed_at=world.end + SECOND,
        bit={"servers": 2, "lambdas": 2, "residents": 2, "connections": 9},
    )
    sample = Sample(events, world.home, world.west, fault, TERMS)
    sample.survivor = ledger(WEST, world.west.values())
    sample.old_volume = ledger(HOME, world.home.values())
    sample.orphans = OrphanList(
        orphans=tuple(
            Orphan(
                key, "present" if key in world.west else "missing", 700 + number, iso(world.fault - 20 * MS)
            )
            for number, key in enumerate(world.home)
            if key not in world.west or number > len(world.home) - 9
        ),
        complete=True,
        lost_region=HOME,
        epoch=2,
        source="rds:unplanned-global-failover-primary-aurora-cluster-lab-2026-11-22-17-05-09",
    )
    sample.journal = journal(plan)
    sample.lag = lag(plan, world.chance)
    return sample


def ledger(region: str, transfers: Iterable[Transfer]) -> Ledger:
    """A balanced ledger of these transfers."""
    rows = tuple(transfers)
    entries = [
        entry
        for row in rows
        for entry in (Entry(row.key, row.source, -row.amount), Entry(row.key, row.target, row.amount))
    ]
    balances = dict.fromkeys(ACCOUNTS, OPENING_CENTS)
    for entry in entries:
        balances[entry.account] += entry.amount
    return Ledger(region, rows, tuple(entries), dict.fromkeys(ACCOUNTS, OPENING_CENTS), balances)


def iso(t: int) -> str:
    milliseconds = (t - BOOT_NS) // MS
    return f"2026-11-22T17:05:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}+00:00"


def journal(plan: Plan) -> list[dict[str, object]]:
    """What `farshore history --json` would say of the failover, and of the region's return."""
    start = UNIX_NS // MS

    def at(share: float) -> int:
        return start + round(1000 * (plan.fault_s + share * plan.outage_s))

    claim = event(
        2, at(0.57), 2, "CLAIMED", None, "claim-lost-holder",
        f"{HOME} is lost: no renewal for 1304 ms, its observations are stale and both of its endpoints are "
        f"unreachable from {WEST}; epoch 2 is claimed",
    ) | {"detected_at_unix_ms": at(0.52)}  # fmt: skip
    return [
        event(1, start - 4000, 1, "HELD", HOME, "first-boot", f"no authority yet: {HOME} is the writer"),
        claim,
        event(
            3, at(0.79), 2, "PROMOTING", None, "promote",
            f"the lease of {HOME} has certainly ended (1866 ms without a renewal, 1852 needed): {WEST} is promoted",
        ),
        event(
            4, at(0.93), 2, "HELD", WEST, "promoted", f"{WEST} is promoted: it holds epoch 2 and may write",
        ),
        event(
            5, start + round(1000 * (plan.end_s + 4)), 2, "HELD", WEST, "rejoined",
            "every member of the global cluster is connected again",
        ),
    ]  # fmt: skip


def event(version, at_unix_ms, epoch, phase, holder, action, reason) -> dict[str, object]:
    return {
        "version": version,
        "at_unix_ms": at_unix_ms,
        "epoch": epoch,
        "phase": phase,
        "holder": holder,
        "action": action,
        "reason": reason,
        "by": "secondary-controller-function-lab",
    }


def lag(plan: Plan, chance: random.Random) -> list[tuple[int, float | None]]:
    """Replication lag in milliseconds by monotonic time; unknown from the fault on."""
    samples: list[tuple[int, float | None]] = []
    for tick in range(round(plan.end_s * 2)):
        t = plan.ns(tick / 2)
        known = t < plan.ns(plan.fault_s)
        samples.append((t, round(plan.link_ms * chance.lognormvariate(0.1, 0.2), 1) if known else None))
    return samples


SMALL_REPORT = Plan(fault_s=1.0, outage_s=0.6, end_s=3.0)
LARGE = Plan(seed=11, fault_s=14.0, outage_s=2.4, end_s=40.0, dns_late_s=1.6, think_ms=14.0)


def report_data(plan: Plan = LARGE, sample: Sample | None = None) -> ReportData:
    """The sample drill judged and measured, ready to be written as a report."""
    sample = sample or drill(plan)
    evidence = sample.evidence()
    judgement = judge(evidence)
    events = parse_journal(sample.journal)
    measured = measure(judgement.operations, judgement.losses, sample.fault, link_one_way_ms=plan.link_ms)
    return ReportData(
        scenario="region-loss",
        judgement=judgement,
        measures=measured,
        moves=moves(
            judgement.operations, sample.faults(), events, unix_offset_ns=UNIX_NS - BOOT_NS, end=measured.end
        ),
        journal=events,
        unix_offset_ns=unix_offset_ns(evidence.histories),
        environment=Environment(
            started_at="2026-11-22 17:05:00 UTC",
            command=f"farshore drill region-loss --profile fast --cadence 60 --seed {plan.seed}",
            farshore_version="0.1.0",
            python_version="3.11.2",
            postgres_version="17.10",
            platform="Linux 6.1 x86_64, 2 cores",
            profile="fast",
            cadence=60,
            seed=plan.seed,
            ttl_s=1,
            home_region=HOME,
            standby_region=WEST,
            link_one_way_ms={"home-standby": 30.0, "home-witness": 30.0, "standby-witness": 30.0},
            versions={"moto": "5.2.5", "psycopg": "3.3.0"},
        ),
        lag=sample.lag,
    )
