"""The judge on sane histories, on empty ones, and on broken ones, each of which it must catch by name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample import ACCOUNTS, HOME, MS, SECOND, WEST, Plan, Sample, drill, ledger

from farshore.drill.checker import Evidence, Judgement, judge
from farshore.drill.events import Invoke, Return
from farshore.drill.findings import Doubt, Violation
from farshore.drill.ledger import Entry, Ledger, Orphan, OrphanList, Transfer
from farshore.drill.terms import Terms

SMALL = Plan(fault_s=1.0, outage_s=0.6, end_s=3.0)


def kinds(judgement: Judgement) -> set[str]:
    return {finding.kind.value for finding in judgement.findings}


def acks(sample: Sample, client: str, *, before: bool) -> list[Return]:
    """The client's acknowledgements before the fault, or after it."""
    return [
        event
        for event in sample.events[client]
        if isinstance(event, Return) and event.outcome == "ok" and (event.t < sample.fault.at) is before
    ]


def swap(sample: Sample, client: str, old: object, new: object) -> None:
    sample.events[client] = [new if event is old else event for event in sample.events[client]]


def invoke_of(sample: Sample, client: str, returned: Return) -> Invoke:
    return [
        event
        for event in sample.events[client]
        if isinstance(event, Invoke) and event.op == returned.op and event.t < returned.t
    ][-1]


def lost_key(sample: Sample) -> str:
    """A transfer acknowledged by home that the survivor lacks."""
    acked = {event.op for client in sample.events for event in acks(sample, client, before=True)}
    return next(key for key in sample.committed_home if key in acked and key not in sample.committed_west)


def survivor(sample: Sample, **changes: object) -> None:
    sample.survivor = replace(sample.survivor, **changes)


def without(rows: Ledger, key: str) -> Ledger:
    return ledger(rows.region, [row for row in rows.transfers if row.key != key])


def list_orphans(sample: Sample, *extra: Orphan, drop: str | None = None, complete: bool = True) -> None:
    kept = tuple(orphan for orphan in sample.orphans.orphans if orphan.key != drop)
    sample.orphans = replace(sample.orphans, orphans=kept + extra, complete=complete)


def append_write(sample: Sample, client: str, at: int, *, region: str, epoch: int | None) -> str:
    """One more acknowledged transfer at the end of a client's history; returns its key."""
    key = f"late-{client}-{at}"
    tag = "bare" if epoch is None else "confirmed"
    sample.events[client] += [
        Invoke(key, at, 100, 1, 2),
        Return(key, at + 5 * MS, "ok", tag, region, epoch, None, 1),
    ]
    return key


# ---- broken on purpose: each function breaks one thing, and names what must be found


def key_twice(sample: Sample) -> None:
    rows = sample.survivor.transfers
    survivor(sample, transfers=(*rows, rows[3]))


def applied_twice(sample: Sample) -> None:
    row = sample.survivor.transfers[5]
    again = [entry for entry in sample.survivor.entries if entry.transfer == row.key]
    balances = dict(sample.survivor.balances)
    balances[row.source] -= row.amount
    balances[row.target] += row.amount
    survivor(sample, entries=(*sample.survivor.entries, *again), balances=balances)


def one_entry_missing(sample: Sample) -> None:
    survivor(sample, entries=sample.survivor.entries[1:])


def three_entries(sample: Sample) -> None:
    first = sample.survivor.entries[0]
    survivor(sample, entries=(*sample.survivor.entries, replace(first, account=39, amount=0)))


def entry_off_by_a_cent(sample: Sample) -> None:
    first, *rest = sample.survivor.entries
    survivor(sample, entries=(replace(first, amount=first.amount + 1), *rest))


def entry_on_wrong_account(sample: Sample) -> None:
    first, *rest = sample.survivor.entries
    survivor(sample, entries=(replace(first, account=first.account % 40 + 1), *rest))


def entry_without_transfer(sample: Sample) -> None:
    stray = (Entry("stray", 1, -5), Entry("stray", 2, 5))
    survivor(sample, entries=(*sample.survivor.entries, *stray))


def balance_off_by_a_cent(sample: Sample) -> None:
    survivor(sample, balances={**sample.survivor.balances, 7: sample.survivor.balances[7] + 1})


def money_from_nowhere(sample: Sample) -> None:
    survivor(sample, balances={**sample.survivor.balances, 99: 500})


def survivor_lost_its_own(sample: Sample) -> None:
    sample.survivor = without(sample.survivor, acks(sample, "w4", before=False)[2].op)


def lost_long_before_the_fault(sample: Sample) -> None:
    key = acks(sample, "w2", before=True)[0].op
    sample.survivor = without(sample.survivor, key)
    list_orphans(sample, Orphan(key, "missing"), drop=key)


def amount_changed(sample: Sample) -> None:
    first, *rest = sample.survivor.transfers
    sample.survivor = ledger(WEST, [replace(first, amount=first.amount + 100), *rest])


def accounts_swapped(sample: Sample) -> None:
    first, *rest = sample.survivor.transfers
    sample.survivor = ledger(WEST, [replace(first, source=first.target, target=first.source), *rest])


def failed_yet_there(sample: Sample) -> None:
    returned = acks(sample, "w3", before=False)[-1]
    swap(sample, "w3", returned, replace(returned, outcome="failed", region=None, error="25006"))


def nobody_asked_for_it(sample: Sample) -> None:
    sample.survivor = ledger(WEST, [*sample.survivor.transfers, Transfer("phantom", 1, 2, 300)])


def second_writer_after_heal(sample: Sample) -> None:
    append_write(sample, "w8", sample.fault.healed_at + SECOND, region=HOME, epoch=1)


def old_epoch_confirmed_by_survivor(sample: Sample) -> None:
    returned = acks(sample, "w4", before=False)[-1]
    swap(sample, "w4", returned, replace(returned, epoch=1))


def one_epoch_two_holders(sample: Sample) -> None:
    returned = acks(sample, "w4", before=False)[-1]
    swap(sample, "w4", returned, replace(returned, region=HOME))


def epoch_runs_backwards(sample: Sample) -> None:
    first = acks(sample, "w8", before=False)[0]
    swap(sample, "w8", first, replace(first, epoch=3))


def orphan_not_listed(sample: Sample) -> None:
    list_orphans(sample, drop=lost_key(sample))


def orphan_never_attempted(sample: Sample) -> None:
    list_orphans(sample, Orphan("made-up", "missing"))


def orphan_that_survived(sample: Sample) -> None:
    key = acks(sample, "w1", before=True)[1].op
    list_orphans(sample, Orphan(key, "missing"), drop=key)


def orphan_called_present(sample: Sample) -> None:
    key = lost_key(sample)
    list_orphans(sample, Orphan(key, "replayed"), drop=key)


def orphan_listed_twice(sample: Sample) -> None:
    list_orphans(sample, Orphan(lost_key(sample), "missing"))


def orphan_the_volume_never_held(sample: Sample) -> None:
    key = lost_key(sample)
    sample.old_volume = without(sample.old_volume, key)


def zombie_commits_unnamed(sample: Sample) -> None:
    key = append_write(sample, "w7", sample.fault.healed_at + SECOND, region=HOME, epoch=None)
    assert key not in {orphan.key for orphan in sample.orphans.orphans}


def unacknowledged_commit_unnamed(sample: Sample) -> None:
    open_key = next(
        event.op
        for client in sample.events
        for event in sample.events[client]
        if isinstance(event, Return) and event.outcome == "failed" and event.t > sample.fault.at
    )
    row = next(row for row in sample.survivor.transfers if row.key == open_key)
    sample.survivor = without(sample.survivor, open_key)
    sample.old_volume = ledger(HOME, [*sample.old_volume.transfers, row])


def old_volume_says_otherwise(sample: Sample) -> None:
    key = lost_key(sample)
    rows = [
        replace(row, amount=row.amount + 1) if row.key == key else row for row in sample.old_volume.transfers
    ]
    sample.old_volume = ledger(HOME, rows)


def loss_in_a_planned_drill(sample: Sample) -> None:
    sample.terms = replace(sample.terms, loss_allowed=False)


BROKEN: list[tuple[Callable[[Sample], None], Violation]] = [
    (key_twice, Violation.KEY_TWICE),
    (applied_twice, Violation.APPLIED_TWICE),
    (one_entry_missing, Violation.ENTRIES_NOT_TWO),
    (three_entries, Violation.ENTRIES_NOT_TWO),
    (entry_off_by_a_cent, Violation.TRANSFER_UNBALANCED),
    (entry_on_wrong_account, Violation.ENTRIES_DIFFER),
    (entry_without_transfer, Violation.ENTRY_WITHOUT_TRANSFER),
    (balance_off_by_a_cent, Violation.BALANCE_WRONG),
    (money_from_nowhere, Violation.LEDGER_UNBALANCED),
    (survivor_lost_its_own, Violation.ACKED_MISSING),
    (lost_long_before_the_fault, Violation.LOST_OUT_OF_ORDER),
    (amount_changed, Violation.CONTENT_DIFFERS),
    (accounts_swapped, Violation.CONTENT_DIFFERS),
    (failed_yet_there, Violation.FAILED_LANDED),
    (nobody_asked_for_it, Violation.NEVER_ATTEMPTED),
    (second_writer_after_heal, Violation.SECOND_WRITER),
    (old_epoch_confirmed_by_survivor, Violation.EPOCH_TWO_HOLDERS),
    (one_epoch_two_holders, Violation.EPOCH_TWO_HOLDERS),
    (epoch_runs_backwards, Violation.EPOCH_BACKWARDS),
    (orphan_not_listed, Violation.ORPHAN_NOT_LISTED),
    (orphan_never_attempted, Violation.ORPHAN_NEVER_ATTEMPTED),
    (orphan_that_survived, Violation.ORPHAN_PRESENT),
    (orphan_called_present, Violation.ORPHAN_ABSENT),
    (orphan_listed_twice, Violation.ORPHAN_LISTED_TWICE),
    (orphan_the_volume_never_held, Violation.ORPHAN_NOT_ON_OLD_VOLUME),
    (orphan_the_volume_never_held, Violation.ACKED_NOWHERE),
    (zombie_commits_unnamed, Violation.ORPHAN_NOT_LISTED),
    (unacknowledged_commit_unnamed, Violation.ORPHAN_NOT_LISTED),
    (old_volume_says_otherwise, Violation.CONTENT_DIFFERS),
    (loss_in_a_planned_drill, Violation.ACKED_MISSING),
]


@pytest.mark.parametrize(
    ("break_it", "expected"), BROKEN, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_broken_history_is_invalid_and_named(
    break_it: Callable[[Sample], None], expected: Violation
) -> None:
    sample = drill(SMALL)
    assert judge(sample.evidence()).findings == ()
    break_it(sample)
    judgement = judge(sample.evidence())
    assert judgement.verdict == "invalid"
    assert expected.value in kinds(judgement)


# ---- drills that prove nothing


def unparsable_line(sample: Sample) -> None:
    text = sample.text("w3").splitlines(keepends=True)
    text[7] = text[7][:20] + "\n"
    sample.texts["w3"] = "".join(text)


def no_meta_line(sample: Sample) -> None:
    sample.texts["w5"] = sample.text("w5").split("\n", 1)[1]


def a_client_without_history(sample: Sample) -> None:
    del sample.events["w6"]


def return_without_invoke(sample: Sample) -> None:
    returned = acks(sample, "w4", before=False)[-1]
    sample.events["w4"].remove(invoke_of(sample, "w4", returned))


def time_runs_backwards(sample: Sample) -> None:
    returned = acks(sample, "w4", before=False)[-1]
    swap(sample, "w4", returned, replace(returned, t=returned.t - 4 * SECOND))


def confirmed_without_epoch(sample: Sample) -> None:
    returned = acks(sample, "w4", before=False)[-1]
    swap(sample, "w4", returned, replace(returned, epoch=None))


def acknowledged_by_nobody(sample: Sample) -> None:
    returned = acks(sample, "w3", before=False)[-1]
    swap(sample, "w3", returned, replace(returned, region=None))


def one_key_two_transfers(sample: Sample) -> None:
    returned = acks(sample, "w6", before=False)[-1]
    again = replace(invoke_of(sample, "w6", returned), t=sample.fault.healed_at, amount=1)
    sample.events["w6"].append(again)


def two_histories_of_one_client(sample: Sample) -> None:
    meta, *rest = sample.events["w5"]
    sample.events["w5"] = [replace(meta, client="w6"), *rest]


def no_database(sample: Sample) -> None:
    sample.survivor = None


def no_fault_and_no_loss(sample: Sample) -> None:
    sample.fault, sample.old_volume, sample.orphans = None, None, OrphanList((), complete=True)
    sample.survivor = ledger(WEST, (sample.committed_home | sample.committed_west).values())


def fault_hit_nothing(sample: Sample) -> None:
    sample.fault = replace(sample.fault, bit={"servers": 0, "residents": 0})


def fault_before_anything_happened(sample: Sample) -> None:
    sample.fault = replace(sample.fault, at=sample.fault.at - 3 * SECOND)


def nobody_came_back(sample: Sample) -> None:
    cut = sample.fault.at + SECOND // 2
    for client, events in sample.events.items():
        sample.events[client] = [event for event in events if getattr(event, "t", 0) < cut]
    sample.survivor = ledger(
        WEST, [row for row in sample.survivor.transfers if row.key in sample.committed_home]
    )


def plain_clients_never_came_back(sample: Sample) -> None:
    for client in ("w3", "w5", "w7"):
        sample.events[client] = [
            replace(event, outcome="unknown", region=None)
            if event in acks(sample, client, before=False)
            else event
            for event in sample.events[client]
        ]


def no_outage_at_all(sample: Sample) -> None:
    sample.terms = replace(sample.terms, outage_min_ns=30 * SECOND)


def nothing_confirmed(sample: Sample) -> None:
    for client, events in sample.events.items():
        sample.events[client] = [
            replace(event, tag="bare", epoch=None) if isinstance(event, Return) else event for event in events
        ]


def no_orphan_list(sample: Sample) -> None:
    sample.orphans = None


def no_old_volume(sample: Sample) -> None:
    sample.old_volume = None


def incomplete_orphan_list(sample: Sample) -> None:
    list_orphans(sample, drop=lost_key(sample), complete=False)


DOUBTFUL: list[tuple[Callable[[Sample], None], Doubt]] = [
    (unparsable_line, Doubt.HISTORY_DAMAGED),
    (no_meta_line, Doubt.HISTORY_DAMAGED),
    (a_client_without_history, Doubt.HISTORY_MISSING),
    (return_without_invoke, Doubt.HISTORY_MALFORMED),
    (time_runs_backwards, Doubt.CLOCK_BACKWARDS),
    (confirmed_without_epoch, Doubt.HISTORY_MALFORMED),
    (acknowledged_by_nobody, Doubt.HISTORY_MALFORMED),
    (one_key_two_transfers, Doubt.HISTORY_MALFORMED),
    (two_histories_of_one_client, Doubt.HISTORY_MALFORMED),
    (no_database, Doubt.DATABASE_MISSING),
    (no_fault_and_no_loss, Doubt.FAULT_MISSING),
    (fault_hit_nothing, Doubt.FAULT_DID_NOT_BITE),
    (fault_before_anything_happened, Doubt.FEW_ACKS_BEFORE),
    (nobody_came_back, Doubt.FEW_ACKS_AFTER),
    (plain_clients_never_came_back, Doubt.FEW_ACKS_AFTER),
    (no_outage_at_all, Doubt.NO_OUTAGE),
    (nothing_confirmed, Doubt.NOTHING_CONFIRMED),
    (no_orphan_list, Doubt.ORPHANS_MISSING),
    (no_old_volume, Doubt.OLD_VOLUME_MISSING),
    (incomplete_orphan_list, Doubt.ORPHANS_INCOMPLETE),
]


@pytest.mark.parametrize(
    ("spoil_it", "expected"), DOUBTFUL, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_drill_that_proves_nothing_is_unknown(spoil_it: Callable[[Sample], None], expected: Doubt) -> None:
    sample = drill(SMALL)
    spoil_it(sample)
    judgement = judge(sample.evidence())
    assert judgement.verdict == "unknown"
    assert expected.value in kinds(judgement)


def test_a_lost_region_that_goes_on_acknowledging_did_not_bite() -> None:
    sample = drill(SMALL)
    returned = next(ack for ack in acks(sample, "w3", before=False) if ack.t > sample.fault.at + SECOND)
    swap(sample, "w3", returned, replace(returned, region=HOME))
    doubts = [finding.detail for finding in judge(sample.evidence()).findings]
    assert doubts == [f"{HOME} acknowledged 1 transfers while it was lost"]


@pytest.mark.parametrize(("answered", "doubted"), [(1, True), (-1, False)], ids=["before", "after"])
def test_who_asked_a_lost_region_may_be_answered_when_it_returns(answered: int, doubted: bool) -> None:
    """A connect that hung in the black hole gets through when the region is healed."""
    sample = drill(SMALL)
    returned = next(ack for ack in acks(sample, "w3", before=False) if ack.t > sample.fault.at + SECOND)
    swap(sample, "w3", returned, replace(returned, region=HOME))
    healing_at = returned.t + answered * MS
    sample.fault = replace(sample.fault, healing_at=healing_at, healed_at=returned.t + SECOND)
    found = [finding.detail for finding in judge(sample.evidence()).findings]
    assert (f"{HOME} acknowledged 1 transfers while it was lost" in found) == doubted


def test_a_client_that_outlives_its_lost_region_did_not_bite() -> None:
    sample = drill(SMALL)
    sample.events["w1"].append(Invoke("undead", sample.fault.at + SECOND, 100, 1, 2))
    doubts = [finding.detail for finding in judge(sample.evidence()).findings]
    assert doubts == [f"clients in {HOME} went on while it was lost: w1"]


def test_a_loss_without_any_declared_fault_is_invalid() -> None:
    sample = drill(SMALL)
    sample.fault = None
    assert {Doubt.FAULT_MISSING.value, Violation.ACKED_MISSING.value} <= kinds(judge(sample.evidence()))


def test_nothing_at_all_is_unknown() -> None:
    judgement = judge(Evidence(histories=[], survivor=None, faults=[]))
    assert judgement.verdict == "unknown"
    assert {Doubt.HISTORY_MISSING.value, Doubt.DATABASE_MISSING.value} <= kinds(judgement)


def test_an_empty_ledger_and_silent_clients_are_unknown() -> None:
    sample = drill(SMALL)
    sample.events = {client: events[:2] for client, events in sample.events.items()}
    sample.survivor, sample.old_volume = ledger(WEST, []), None
    sample.orphans = OrphanList((), complete=True)
    judgement = judge(sample.evidence())
    assert judgement.verdict == "unknown"
    assert {Doubt.FEW_ACKS_BEFORE.value, Doubt.FEW_ACKS_AFTER.value} <= kinds(judgement)


# ---- sane drills


def test_a_sane_drill_is_valid_and_names_what_it_lost() -> None:
    sample = drill()
    judgement = judge(sample.evidence())
    acked = {event.op for client in sample.events for event in acks(sample, client, before=True)}
    lost = acked - sample.committed_west.keys()
    assert judgement.verdict == "valid"
    assert lost
    assert {ack.op for ack in judgement.losses.lost} == lost
    assert [(span.epoch, span.region) for span in judgement.writers.epochs] == [(1, HOME), (2, WEST)]
    assert (judgement.duplicate, judgement.ledger_balanced) == (0, True)


def test_a_torn_last_line_is_what_sigkill_leaves_and_does_no_harm() -> None:
    sample = drill(SMALL)
    sample.texts["w1"] = sample.text("w1") + '{"type":"ret'
    sample.texts["w2"] = sample.text("w2").rstrip("\n")
    assert judge(sample.evidence()).verdict == "valid"


def test_before_the_region_returns_the_missing_list_is_no_doubt() -> None:
    sample = drill(SMALL)
    sample.orphans, sample.old_volume = None, None
    sample.terms = replace(sample.terms, orphans_due=False)
    assert judge(sample.evidence()).verdict == "valid"


def test_a_named_zombie_commit_is_counted_apart_and_breaks_no_promise() -> None:
    sample = drill(SMALL)
    key = append_write(sample, "w7", sample.fault.healed_at + SECOND, region=HOME, epoch=None)
    sample.old_volume = ledger(HOME, [*sample.old_volume.transfers, Transfer(key, 1, 2, 100)])
    list_orphans(sample, Orphan(key, "missing"))
    judgement = judge(sample.evidence())
    assert judgement.verdict == "valid"
    assert [ack.op for ack in judgement.losses.late_bare_lost] == [key]
    assert key not in {ack.op for ack in judgement.losses.lost}
    assert judgement.writers.dual == ()


def test_overlapping_acknowledgements_of_two_epochs_are_innocent() -> None:
    sample = drill(SMALL)
    first = min(acks(sample, "w8", before=False) + acks(sample, "w4", before=False), key=lambda ack: ack.t)
    key = "overlap"
    home = sample.events["w2"]
    home += [
        Invoke(key, first.t - 1, 100, 1, 2),
        Return(key, first.t + 40 * MS, "ok", "confirmed", HOME, 1, None, 1),
    ]
    assert judge(sample.evidence()).writers.dual == ()
    home[-2] = replace(home[-2], t=first.t + 1)
    assert [ack.op for ack in judge(sample.evidence()).writers.dual] == [key]


def failed_back() -> tuple[Sample, list[str]]:
    """Home writes again in epoch 3: one bare acknowledgement before the first confirmed one, one after."""
    sample = drill(SMALL)
    sample.terms = replace(sample.terms, orphans_due=False)
    sample.orphans, sample.old_volume = None, None
    later = sample.fault.healed_at + SECOND
    keys = [
        append_write(sample, client, later + number * SECOND, region=HOME, epoch=epoch)
        for number, (client, epoch) in enumerate((("w3", None), ("w4", 3), ("w3", None)))
    ]
    rows = [*sample.survivor.transfers, *(Transfer(key, 1, 2, 100) for key in keys)]
    sample.survivor = ledger(HOME, rows)
    return sample, keys


def test_after_failback_the_first_home_is_no_second_writer() -> None:
    sample, _ = failed_back()
    judgement = judge(sample.evidence())
    assert judgement.verdict == "valid"
    assert (judgement.writers.dual, judgement.writers.late_bare) == ((), ())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_home_acknowledges_after_failback_may_not_be_missing(which: int) -> None:
    sample, keys = failed_back()
    sample.survivor = without(sample.survivor, keys[which])
    judgement = judge(sample.evidence())
    assert [(finding.kind, finding.op) for finding in judgement.findings] == [
        (Violation.ACKED_MISSING, keys[which])
    ]


def test_a_healthy_drill_without_fault_can_be_valid_when_none_is_due() -> None:
    sample = drill(Plan(fault_s=3.0, end_s=2.9))
    sample.fault = None
    sample.survivor = ledger(HOME, sample.committed_home.values())
    sample.terms = Terms(clients=8, faults_due=0, orphans_due=False, loss_allowed=False)
    sample.orphans = sample.old_volume = None
    assert judge(sample.evidence()).verdict == "valid"


def test_damage_turns_what_needs_a_whole_history_into_doubt_but_hides_no_proof() -> None:
    sample = drill(SMALL)
    nobody_asked_for_it(sample)
    unparsable_line(sample)
    assert judge(sample.evidence()).verdict == "unknown"
    key_twice(sample)
    assert judge(sample.evidence()).verdict == "invalid"


# ---- random drills

MUTATIONS = [function for function, _ in (*BROKEN, *DOUBTFUL)]
RANDOM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    fault_s = draw(st.floats(0.8, 1.4))
    outage_s = draw(st.floats(0.3, 0.9))
    return Plan(
        seed=draw(st.integers(0, 2**32)),
        fault_s=fault_s,
        outage_s=outage_s,
        end_s=fault_s + outage_s + 1.8,
        dns_late_s=draw(st.floats(0.01, 0.6)),
        think_ms=draw(st.floats(8, 20)),
        link_ms=draw(st.floats(20, 60)),
    )


@RANDOM
@given(plans())
def test_random_sane_drills_are_valid(plan: Plan) -> None:
    assert judge(drill(plan).evidence()).findings == ()


@RANDOM
@given(plans(), st.sampled_from(MUTATIONS))
def test_random_broken_drills_are_never_valid(plan: Plan, mutation: Callable[[Sample], None]) -> None:
    sample = drill(plan)
    try:
        mutation(sample)
    except (StopIteration, IndexError):
        return
    assert judge(sample.evidence()).verdict != "valid"


@RANDOM
@given(plans(), st.data())
def test_a_transfer_taken_away_or_changed_anywhere_is_never_valid(plan: Plan, data: st.DataObject) -> None:
    sample = drill(plan)
    acked = {event.op for client in sample.events for event in acks(sample, client, before=False)}
    row = data.draw(
        st.sampled_from(sorted((r for r in sample.survivor.transfers if r.key in acked), key=str))
    )
    changed = data.draw(st.sampled_from(["gone", "amount", "source", "twice"]))
    another = next(account for account in ACCOUNTS if account not in {row.source, row.target})
    others = [other for other in sample.survivor.transfers if other is not row]
    sample.survivor = ledger(
        WEST,
        {
            "gone": others,
            "amount": [*others, replace(row, amount=row.amount + 1)],
            "source": [*others, replace(row, source=another)],
            "twice": [*others, row, row],
        }[changed],
    )
    assert judge(sample.evidence()).verdict == "invalid"
