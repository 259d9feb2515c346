"""Planned moves before the judge: a sane one is valid, a lost or doubled transfer is not, a toothless one unknown."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from planned import END_S, FIRST_S, OUTAGE_S, REFUSED, SECOND_S, failed_back, ns, switched
from sample import BOOT_NS, HOME, MS, SECOND, UNIX_NS, WEST, Plan, Sample, ledger, report_data

from farshore.drill.checker import Judgement, judge
from farshore.drill.events import Invoke, Return
from farshore.drill.findings import Doubt, Violation
from farshore.drill.ledger import Transfer
from farshore.drill.moves import Move, _witnesses, moves
from farshore.drill.page import render
from farshore.drill.promises import checks
from farshore.drill.report import document
from farshore.drill.stages import PLANNED, STAGES, parse_journal

SMALL = Plan(fault_s=1.0, outage_s=0.6, end_s=3.0)


def kinds(judgement: Judgement) -> set[str]:
    return {finding.kind.value for finding in judgement.findings}


def acks(sample: Sample, region: str, tag: str, since_s: float = 0.0, until_s: float = 99.0) -> list[Return]:
    found = [
        event
        for events in sample.events.values()
        for event in events
        if isinstance(event, Return) and (event.outcome, event.region, event.tag) == ("ok", region, tag)
    ]
    found = [event for event in found if ns(since_s) <= event.t < ns(until_s)]
    return sorted(found, key=lambda event: event.t)


def lose(sample: Sample, key: str) -> None:
    rows = [row for row in sample.survivor.transfers if row.key != key]
    sample.survivor = ledger(sample.survivor.region, rows)


def retried(sample: Sample) -> str:
    """A transfer whose commit was under way when the writer was drained, acknowledged by the next one."""
    return next(
        event.op
        for events in sample.events.values()
        for event in events
        if isinstance(event, Return) and event.outcome == "unknown"
    )


def add(sample: Sample, client: str, at: int, region: str, epoch: int | None) -> str:
    tag = "bare" if epoch is None else "confirmed"
    sample.events[client] += [
        Invoke("added", at, 100, 1, 2),
        Return("added", at + MS, "ok", tag, region, epoch, None, 1),
    ]
    sample.events[client].sort(key=lambda event: getattr(event, "t", 0))
    return "added"


# ---- broken on purpose


def last_confirmed_before_the_move_lost(sample: Sample) -> None:
    lose(sample, acks(sample, HOME, "confirmed", until_s=FIRST_S)[-1].op)


def last_bare_before_the_move_lost(sample: Sample) -> None:
    lose(sample, acks(sample, HOME, "bare", until_s=FIRST_S)[-1].op)


def lost_on_the_way_home(sample: Sample) -> None:
    lose(sample, acks(sample, WEST, "bare", until_s=SECOND_S)[-1].op)


def unknown_then_acknowledged_lost(sample: Sample) -> None:
    lose(sample, retried(sample))


def bare_escape_after_the_move_lost(sample: Sample) -> None:
    add(sample, "w3", ns(FIRST_S + OUTAGE_S + 0.5), HOME, None)


def unknown_applied_by_both_writers(sample: Sample) -> None:
    key = retried(sample)
    again = [entry for entry in sample.survivor.entries if entry.transfer == key]
    balances = dict(sample.survivor.balances)
    for entry in again:
        balances[entry.account] += entry.amount
    sample.survivor = replace(sample.survivor, entries=(*sample.survivor.entries, *again), balances=balances)


def key_stands_twice(sample: Sample) -> None:
    row = next(row for row in sample.survivor.transfers if row.key == retried(sample))
    sample.survivor = replace(sample.survivor, transfers=(*sample.survivor.transfers, row))


def old_writer_confirms_after_the_move(sample: Sample) -> None:
    add(sample, "w4", ns(FIRST_S + OUTAGE_S + 0.5), HOME, 1)


def new_writer_confirms_after_the_way_home(sample: Sample) -> None:
    add(sample, "w4", ns(END_S + 0.1), WEST, 2)


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (last_confirmed_before_the_move_lost, Violation.ACKED_MISSING),
        (last_bare_before_the_move_lost, Violation.ACKED_MISSING),
        (lost_on_the_way_home, Violation.ACKED_MISSING),
        (unknown_then_acknowledged_lost, Violation.ACKED_MISSING),
        (bare_escape_after_the_move_lost, Violation.ACKED_MISSING),
        (unknown_applied_by_both_writers, Violation.APPLIED_TWICE),
        (key_stands_twice, Violation.KEY_TWICE),
        (old_writer_confirms_after_the_move, Violation.SECOND_WRITER),
        (new_writer_confirms_after_the_way_home, Violation.SECOND_WRITER),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_switchover_is_invalid_and_named(
    break_it: Callable[[Sample], None], expected: Violation
) -> None:
    sample = switched()
    assert judge(sample.evidence()).findings == ()
    break_it(sample)
    judgement = judge(sample.evidence())
    assert judgement.verdict == "invalid"
    assert expected.value in kinds(judgement)


# ---- what proves nothing


def the_second_move_never_came(sample: Sample) -> None:
    sample.more = []


def the_writer_never_moved(sample: Sample) -> None:
    """The product says that it did; nobody was served by the new region."""
    for client, events in sample.events.items():
        sample.events[client] = [
            replace(event, outcome="failed", region=None)
            if isinstance(event, Return) and event.region == WEST
            else event
            for event in events
        ]
    gone = {row.key for row in sample.survivor.transfers} - {ack.op for ack in acks(sample, HOME, "bare")}
    for key in gone - {ack.op for ack in acks(sample, HOME, "confirmed")}:
        lose(sample, key)


def nobody_waited(sample: Sample) -> None:
    """As many acknowledgements in the outage as before, by writes that nothing forbids."""
    sample.terms = replace(sample.terms, outage_min_ns=2 * SECOND)


def plain_clients_stayed_away(sample: Sample) -> None:
    for client in ("w3", "w5", "w7", "w1"):
        sample.events[client] = [
            replace(event, outcome="unknown", region=None)
            if isinstance(event, Return) and event.t > ns(SECOND_S)
            else event
            for event in sample.events[client]
        ]


def the_product_says_that_nothing_moved(sample: Sample) -> None:
    sample.fault = replace(sample.fault, bit={"writers": 0})


@pytest.mark.parametrize(
    ("spoil_it", "expected"),
    [
        (the_second_move_never_came, Doubt.FAULT_MISSING),
        (the_writer_never_moved, Doubt.FAULT_DID_NOT_BITE),
        (nobody_waited, Doubt.NO_OUTAGE),
        (plain_clients_stayed_away, Doubt.FEW_ACKS_AFTER),
        (the_product_says_that_nothing_moved, Doubt.FAULT_DID_NOT_BITE),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_switchover_that_shows_nothing_is_unknown(
    spoil_it: Callable[[Sample], None], expected: Doubt
) -> None:
    sample = switched()
    spoil_it(sample)
    judgement = judge(sample.evidence())
    assert (judgement.verdict, expected.value in kinds(judgement)) == ("unknown", True)


# ---- failback


def test_a_failback_may_miss_what_the_fault_lost_and_nothing_else() -> None:
    sample = failed_back(SMALL)
    judgement = judge(sample.evidence())
    assert judgement.verdict == "valid"
    assert len(judgement.losses.lost) > 0
    assert [span.region for span in judgement.writers.epochs] == [HOME, WEST, HOME]
    assert all(check.held for check in checks(judgement))


@pytest.mark.parametrize("key", ["w3-us-west-2-7", "w4-us-west-2-7", "w9-us-east-1-0", "w4-us-east-1-7"])
def test_what_is_acknowledged_around_a_failback_may_not_be_missing(key: str) -> None:
    sample = failed_back(SMALL)
    lose(sample, key)
    judgement = judge(sample.evidence())
    assert (Violation.ACKED_MISSING, key) in [(finding.kind, finding.op) for finding in judgement.findings]


def test_a_bare_escape_of_the_writer_left_on_purpose_is_no_excuse() -> None:
    sample = failed_back(SMALL)
    key = add(sample, "w3", sample.more[0].at + 2 * SECOND, WEST, None)
    findings = judge(sample.evidence()).findings
    assert (Violation.ACKED_MISSING, key) in [(finding.kind, finding.op) for finding in findings]


@pytest.mark.parametrize(
    ("request_made", "verdict", "kind"),
    [
        (replace(REFUSED, exit_code=0, reason=""), "invalid", Violation.NOT_REFUSED),
        (replace(REFUSED, reason="us-east-1 is not connected"), "unknown", Doubt.REFUSED_OTHERWISE),
        (replace(REFUSED, exit_code=3), "unknown", Doubt.REFUSED_OTHERWISE),
        (None, "unknown", Doubt.REFUSAL_MISSING),
    ],
)
def test_the_way_home_must_be_closed_for_the_reason_that_counts(request_made, verdict, kind) -> None:
    sample = failed_back(SMALL)
    sample.requests = [request_made] if request_made else []
    judgement = judge(sample.evidence())
    assert (judgement.verdict, kinds(judgement)) == (verdict, {kind.value})
    closed = next(check for check in checks(judgement) if "No way back" in check.promise)
    assert closed.held is (False if kind is Violation.NOT_REFUSED else bool(request_made) or None)


# ---- figures of each move


def measured(sample: Sample) -> list[Move]:
    operations = judge(sample.evidence()).operations
    return moves(
        operations, sample.faults(), parse_journal(sample.journal), unix_offset_ns=UNIX_NS - BOOT_NS,
        end=max(attempt.invoke.t for attempt in operations.attempts()),
    )  # fmt: skip


def test_each_move_has_its_own_outage_and_stages() -> None:
    there, back = measured(switched())
    assert [(move.fault.region, move.target) for move in (there, back)] == [(HOME, WEST), (WEST, HOME)]
    for move in (there, back):
        assert move.aware.group.seconds == pytest.approx(OUTAGE_S, abs=0.1)
        assert move.aware.group.recovered
        assert move.aware.worst_client.seconds >= move.aware.group.seconds
        stages = {stage.name: stage.seconds for stage in move.stages}
        assert stages["drain"] == pytest.approx(0.1)
        assert stages["move"] == pytest.approx(0.38)
        assert 0 < stages["reconnect"] < 0.1


def test_a_client_that_was_not_served_after_the_first_move_has_an_outage_up_to_the_second() -> None:
    sample = switched()
    for client in ("w2", "w4", "w6", "w8"):
        sample.events[client] = [
            event
            for event in sample.events[client]
            if not (isinstance(event, Return) and event.region == WEST)
        ]
    there, back = measured(sample)
    assert not there.aware.group.recovered
    assert there.aware.group.seconds == pytest.approx(SECOND_S - FIRST_S, abs=0.05)
    assert back.aware.group.recovered


def test_clients_that_died_with_their_region_have_no_outage_at_the_failback() -> None:
    loss, back = measured(failed_back(SMALL))
    assert (loss.fault.kind, back.fault.kind) == ("region-loss", "failback")
    assert loss.aware.group.seconds == pytest.approx(SMALL.outage_s, abs=0.1)
    assert back.dns_only.worst_client.seconds < 3, "w1 has been silent since the loss"


def test_a_journal_line_of_the_next_move_explains_nothing_of_this_one() -> None:
    sample = switched()
    sample.journal = [line for line in sample.journal if line["version"] not in {3, 4}]
    there, back = measured(sample)
    assert {stage.name: stage.seconds is None for stage in there.stages} == {
        "drain": True,
        "move": True,
        "reconnect": False,
    }
    assert all(stage.seconds is not None for stage in back.stages)


def test_a_line_between_the_command_and_the_move_is_no_stage() -> None:
    sample = switched()
    early = {**sample.journal[0], "version": 1, "at_unix_ms": UNIX_NS // MS + round(FIRST_S * 1000) + 5}
    sample.journal.insert(1, early)
    stages = {stage.name: stage.seconds for stage in measured(sample)[0].stages}
    assert stages["move"] == pytest.approx(0.38)


def test_a_silence_before_the_move_is_not_its_outage() -> None:
    sample = switched()
    for client, events in sample.events.items():
        sample.events[client] = [
            replace(event, outcome="unknown", region=None)
            if isinstance(event, Return) and ns(0.1) < event.t < ns(0.9)
            else event
            for event in events
        ]
    assert measured(sample)[0].aware.group.seconds == pytest.approx(OUTAGE_S, abs=0.1)
    assert document(report_data(sample=sample))["outage_seconds"] == pytest.approx(OUTAGE_S, abs=0.1)


def test_newcomers_did_not_witness_what_happened_before() -> None:
    sample = failed_back(SMALL)
    loss, back = (
        _witnesses(judge(sample.evidence()).operations, sample.faults(), fault) for fault in sample.faults()
    )
    assert loss == {"plain": ["w3", "w5", "w7"], "aware": ["w4", "w6", "w8"]}
    assert back == {"plain": ["w3", "w5", "w7", "w9"], "aware": ["w4", "w6", "w8", "w10"]}


def test_each_move_needs_an_outage_of_its_own() -> None:
    sample = switched()
    rows = list(sample.survivor.transfers)
    for number in range(30):
        at, key = ns(FIRST_S) + number * 20 * MS, f"meanwhile-{number}"
        rows.append(Transfer(key, 1, 2, 100))
        sample.events["w4"] += [
            Invoke(key, at, 100, 1, 2),
            Return(key, at + MS, "ok", "confirmed", WEST, 2, None, 1),
        ]
    sample.events["w4"].sort(key=lambda event: getattr(event, "t", 0))
    sample.survivor = ledger(HOME, rows)
    judgement = judge(sample.evidence())
    assert kinds(judgement) == {Doubt.NO_OUTAGE.value}
    assert "switchover of us-east-1" in judgement.findings[0].detail


def test_the_report_of_several_moves_tells_each() -> None:
    sample = switched()
    data = report_data(sample=sample)
    made, page = document(data), render(data, [])
    assert [row["outage_seconds"] for row in made["moves"]] == pytest.approx([OUTAGE_S, OUTAGE_S], abs=0.1)
    assert made["outage_seconds"] == max(row["outage_seconds"] for row in made["moves"])
    assert set(made["stages"]) == {*STAGES, *PLANNED}
    assert made["refusals"] == []
    assert "The switchover to us-west-2 cost" in page
    assert "Switchover to us-east-1: outage, DNS-only" in page
    assert page.count('class="outage"') == 2 * 2 * 3, "each move, wide and narrow, in each picture"
    assert "Every lost transfer is named" not in page
    assert "seconds from the first request" in page
