"""Faults that must not move the writer, and those that must: what the checker makes of each."""

from dataclasses import replace

import pytest
from sample import HOME, MS, OUTSIDE, SECOND, WEST, Sample, drill, ledger
from test_checker import SMALL, acks, append_write, kinds

from farshore.drill.checker import judge
from farshore.drill.events import Invoke, Meta, Return, dump_line, parse_line
from farshore.drill.measures import outages
from farshore.drill.operations import fold
from farshore.drill.promises import checks, held, judged
from farshore.drill.terms import Fault, Further


def quiet(**fault: object) -> Sample:
    """A drill in which nothing moved: everything was acknowledged by home, after a pause at the fault."""
    sample = drill(SMALL)
    for name, events in sample.events.items():
        sample.events[name] = [_at_home(event) for event in events]
    landed = {**sample.committed_home, **sample.committed_west}
    stated = {"effect": "stays", "outage": "short", "bit": {"servers": 1}, **fault}
    sample.fault = Fault("crashed-writer", HOME, at=sample.fault.at, **stated)
    sample.orphans, sample.old_volume = None, None
    sample.survivor = ledger(HOME, landed.values())
    sample.terms = replace(sample.terms, orphans_due=False, loss_allowed=False)
    return sample


def _at_home(event):
    if isinstance(event, Return) and event.outcome == "ok":
        return replace(event, region=HOME, epoch=event.epoch and 1)
    return event


def judged_kinds(sample: Sample) -> set[str]:
    return kinds(judge(sample.evidence()))


def silence(sample: Sample, view: str, since: int, until: int) -> None:
    """The clients of a view neither ask nor hear anything for a while."""
    for name, events in sample.events.items():
        if any(isinstance(event, Meta) and event.view == view for event in events):
            gone = {e.op for e in events if isinstance(e, Invoke | Return) and since <= e.t < until}
            sample.events[name] = [e for e in events if getattr(e, "op", None) not in gone]
            kept = [t for t in sample.survivor.transfers if t.key not in gone]
            sample.survivor = ledger(HOME, kept)


def test_a_writer_that_stays_and_loses_nothing_is_valid():
    found = judge(quiet().evidence())
    assert (found.verdict, found.findings) == ("valid", ())
    made = checks(found)
    assert {code: held(made, code) for code in ("P1", "P3", "P4", "books")} == dict.fromkeys(
        ("P1", "P3", "P4", "books"), True
    )
    assert not judged(made, "P2")


def test_a_writer_that_moves_without_cause_breaks_the_promise():
    sample = quiet()
    append_write(sample, "w3", sample.fault.at + 3 * SECOND, region=WEST, epoch=2)
    found = judge(sample.evidence())
    assert found.verdict == "invalid"
    assert "moved" in kinds(found)
    assert held(checks(found), "P4") is False


@pytest.mark.parametrize(
    ("outage", "took_s", "wanted"),
    [("none", 1.5, "strained"), ("none", 0.5, "moved"), ("short", 1.5, "moved")],
)
def test_on_a_computer_too_slow_to_be_judged_a_move_proves_nothing(outage, took_s, wanted):
    sample = quiet(outage=outage)
    sample.terms = replace(sample.terms, strained_ns=SECOND)
    at = sample.fault.at + SECOND // 4
    slow = Return("slow", at + round(took_s * SECOND), "failed", "bare", HOME, None, "25006 at commit", 1)
    sample.events["w9"] = [Meta("w9", "plain", WEST, 1, 1), Invoke("slow", at, 5, 1, 2), slow]
    append_write(sample, "w4", sample.fault.at + 3 * SECOND, region=WEST, epoch=2)
    assert {"strained", "moved"} & judged_kinds(sample) == {wanted}


def test_an_unconfirmed_word_of_another_region_proves_no_move():
    sample = quiet()
    append_write(sample, "w3", sample.fault.at + 3 * SECOND, region=WEST, epoch=None)
    assert "moved" not in judged_kinds(sample)


def test_what_is_lost_though_nothing_moved_is_lost_without_excuse():
    sample = quiet()
    gone = acks(sample, "w4", before=True)[-1].op
    sample.survivor = ledger(HOME, [row for row in sample.survivor.transfers if row.key != gone])
    found = judge(sample.evidence())
    assert found.verdict == "invalid"
    assert "acked_missing" in kinds(found)
    assert held(checks(found), "P3") is False


def test_a_loss_where_nothing_moved_has_no_excuse_in_a_drill_that_allows_others():
    sample = quiet()
    sample.terms = replace(sample.terms, loss_allowed=True)
    gone = acks(sample, "w4", before=True)[-1].op
    sample.survivor = ledger(HOME, [row for row in sample.survivor.transfers if row.key != gone])
    assert "acked_missing" in judged_kinds(sample)


def test_a_harm_that_counted_nothing_did_not_bite():
    assert judged_kinds(quiet(bit={"calls": 0})) == {"fault_did_not_bite"}


def test_a_harm_that_hit_nothing_did_not_bite_whatever_the_others_hit():
    """Frozen servers, and no function: the controller was never frozen."""
    assert judged_kinds(quiet(bit={"servers": 2, "functions": 0})) == {"fault_did_not_bite"}


@pytest.mark.parametrize(
    ("hit", "late_s", "wanted"),
    [
        ({"servers": 1, "functions": 2}, 0.5, set()),
        ({"servers": 0, "functions": 0}, 0.5, {"fault_did_not_bite"}),
        ({"servers": 1, "functions": 0}, 0.5, {"fault_did_not_bite"}),
        ({"servers": 1, "functions": 2}, 2.0, {"fault_did_not_bite"}),
    ],
)
def test_a_second_failure_must_hit_what_it_names_before_the_first_is_over(hit, late_s, wanted):
    sample = drill(SMALL)
    second = Further("crashed writer,frozen functions", WEST, sample.fault.at + round(late_s * SECOND), hit)
    sample.fault = replace(sample.fault, further=(second,))
    assert judged_kinds(sample) == wanted


def test_a_writer_that_must_be_silent_and_is_not_did_not_freeze():
    assert "fault_did_not_bite" in judged_kinds(quiet(silent=True))


@pytest.mark.parametrize(("returned_ms", "doubted"), [(1100, True), (1300, False)])
def test_what_was_asked_of_a_frozen_writer_may_be_answered_after_its_thaw(returned_ms, doubted):
    """And between the order to thaw it and the order's end nobody can tell."""
    sample = quiet(silent=True)
    at = sample.fault.at
    sample.fault = replace(sample.fault, healing_at=at + 1200 * MS, healed_at=at + 1400 * MS)
    for view in (HOME, WEST, OUTSIDE):
        silence(sample, view, at, at + 1200 * MS)
    append_write(sample, "w3", at + 900 * MS, region=HOME, epoch=1)
    waited = sample.events["w3"][-1]
    assert isinstance(waited, Return)
    sample.events["w3"][-1] = replace(waited, t=at + returned_ms * MS)
    assert ("fault_did_not_bite" in judged_kinds(sample)) is doubted


def test_whoever_is_cut_off_and_served_by_another_region_was_not():
    sample = quiet(cut_off=(WEST,), outage="rows")
    assert "fault_did_not_bite" in judged_kinds(sample)


def test_those_cut_off_must_wait_and_be_served_again():
    sample = quiet(cut_off=(WEST,), outage="rows")
    at = sample.fault.at
    sample.fault = replace(sample.fault, healed_at=at + SECOND)
    silence(sample, WEST, at - 100 * MS, at + SECOND)
    assert judged_kinds(sample) == set()
    silence(sample, WEST, at, at + 60 * SECOND)
    assert judged_kinds(sample) == {"few_acks_after"}


@pytest.mark.parametrize(("limit_s", "wanted"), [(0.1, {"outage_too_long"}), (2.0, set())])
def test_an_outage_beyond_its_class_leaves_the_question_open(limit_s, wanted):
    sample = quiet()
    sample.terms = replace(sample.terms, outage_max_ns={"short": round(limit_s * SECOND)})
    assert judged_kinds(sample) == wanted


def test_an_outage_may_last_as_long_as_its_fault_and_a_short_one_more():
    sample = quiet(outage="while")
    sample.terms = replace(sample.terms, outage_max_ns={"short": 0})
    assert judged_kinds(sample) == {"outage_too_long"}
    sample.fault = replace(sample.fault, healed_at=sample.fault.at + SECOND)
    assert judged_kinds(sample) == set()


@pytest.mark.parametrize(("approved_s", "wanted"), [(60.0, {"moved"}), (0.0, set()), (None, {"moved"})])
def test_a_move_that_needs_a_person_waits_for_one(approved_s, wanted):
    sample = drill(SMALL)
    approved = None if approved_s is None else sample.fault.at + round(approved_s * SECOND)
    sample.fault = replace(sample.fault, needs_approval=True, approved_at=approved)
    assert judged_kinds(sample) == wanted


def test_a_long_transaction_must_have_been_open():
    sample = drill(SMALL)
    sample.terms = replace(sample.terms, open_at_fault_ns=SECOND)
    assert judged_kinds(sample) == {"nothing_open"}
    open_since = sample.fault.at - 2 * SECOND
    sample.events["w1"].insert(2, Invoke("long", open_since, 5, 1, 2))
    assert judged_kinds(sample) == set()


def test_a_zombie_must_have_been_met_at_a_commit():
    sample = drill(SMALL)
    sample.terms = replace(sample.terms, zombie_refusals_min=1)
    assert judged_kinds(sample) == {"zombie_not_met"}
    late = sample.fault.at + SECOND
    sample.events["w9"] = [Meta("w9", "plain", WEST, 1, 1, "pinned"), Invoke("z", late, 5, 1, 2)]
    for error, wanted in (("25006", {"zombie_not_met"}), ("25006 at commit", set())):
        refused = Return("z", late + MS, "failed", "bare", HOME, None, error, 1)
        sample.events["w9"] = [*sample.events["w9"][:2], refused]
        assert judged_kinds(sample) == wanted


def test_clients_with_manners_of_their_own_do_not_measure_outages():
    sample = drill(SMALL)
    before = outages(fold(sample.histories()), "plain", {HOME}, SMALL.ns(60))
    sample.events["w9"] = [Meta("w9", "plain", WEST, 1, 1, "pinned")]
    append_write(sample, "w9", sample.fault.at - SECOND, region=HOME, epoch=None)
    assert outages(fold(sample.histories()), "plain", {HOME}, SMALL.ns(60)) == before
    assert parse_line(dump_line(sample.events["w9"][0])).part == "pinned"


def test_the_loss_of_the_other_region_leaves_the_writer_where_it_is():
    sample = quiet()
    sample.fault = replace(sample.fault, kind="region-loss", hit=WEST, outage="rows")
    assert "fault_did_not_bite" in judged_kinds(sample), "its clients went on"
    silence(sample, WEST, sample.fault.at, sample.fault.at + 60 * SECOND)
    assert judged_kinds(sample) == set()
