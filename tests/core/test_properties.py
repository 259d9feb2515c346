"""What holds for all values: clocks and leases, the stamp, lag verdicts, what people ask for, the profile's bounds."""

from dataclasses import fields, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from farshore.aws.documents import decode, encode
from farshore.core import requests
from farshore.core.authority import (
    PLANNED,
    Aftermath,
    Authority,
    Event,
    Evidence,
    Phase,
    Plan,
    PlanKind,
    Quiet,
)
from farshore.core.errors import InvariantError, RefusedError, UsageError
from farshore.core.facts import GlobalCluster, Now
from farshore.core.invariants import check
from farshore.core.lag import around, noted
from farshore.core.lease import watch
from farshore.core.profile import AWS, FAST, Profile
from farshore.core.requests import Asked
from farshore.core.stamp import stamped

EAST, WEST = "us-east-1", "us-west-2"
few = settings(max_examples=100, derandomize=True, deadline=None)
regions = st.sampled_from((EAST, WEST))
times = st.integers(0, 2**41)
words = st.text(max_size=12)
ms = st.integers(0, 10**7)
aftermaths = st.builds(
    Aftermath,
    epoch=st.integers(1, 99),
    region=regions,
    evidence=st.sampled_from(Evidence),
    orphans_open=st.none() | st.integers(0, 9),
)
quiets = st.builds(
    Quiet,
    epoch=st.integers(1, 99),
    attempt=st.integers(0, 9),
    target=regions,
    until_ms=times,
    earlier_ms=times,
)
events = st.builds(
    Event,
    version=st.integers(1, 999),
    at_ms=times,
    epoch=st.integers(1, 99),
    phase=st.sampled_from(Phase),
    holder=st.none() | regions,
    action=words,
    reason=words,
    by=words,
    detected_at_ms=st.none() | times,
    ticket=st.none() | words,
)


@st.composite
def records(draw, phases=(Phase.HELD, Phase.DRAINING, Phase.CLAIMED)):
    """Authorities that keep the invariants."""
    phase, holder, epoch = draw(st.sampled_from(phases)), draw(regions), draw(st.integers(1, 99))
    other = WEST if holder == EAST else EAST
    plan = None
    if phase is not Phase.HELD:
        kind = draw(st.sampled_from(PlanKind if phase is Phase.CLAIMED else PLANNED))
        plan = Plan(
            "p",
            kind,
            holder,
            other,
            "alice",
            draw(words),
            draw(times),
            draw(st.none() | ms),
            from_epoch=epoch,
        )
    return Authority(
        version=draw(st.integers(1, 999)),
        epoch=epoch,
        phase=phase,
        holder=None if phase is Phase.CLAIMED else holder,
        renewal_seq=draw(st.integers(1, 999)),
        renewed_at_ms=draw(times),
        lag_ms=draw(st.none() | st.integers(0, 2000)),
        mode=draw(st.sampled_from(("auto", "approve", "manual"))),
        paused=draw(st.booleans()),
        degraded=draw(st.booleans()),
        plan=plan,
        last_event=draw(events),
        quiet=draw(st.none() | quiets),
        aftermaths=tuple(draw(st.lists(aftermaths, max_size=2))),
    )


@few
@given(records())
def test_a_record_comes_back_from_the_table_as_it_went(record):
    assert decode(Authority, encode(record)) == record


@few
@given(records((Phase.HELD,)), st.integers(0, 2**41), words)
def test_a_stamp_counts_on_and_tells_only_of_what_people_want_to_read(record, at_ms, why):
    now = Now(at_ms, 0)
    renewed = replace(record, renewal_seq=record.renewal_seq + 1, renewed_at_ms=at_ms, lag_ms=7)
    quiet = stamped(record, renewed, now, action="renew", reason=why, by="p")
    assert (quiet.version, quiet.last_event) == (record.version + 1, record.last_event)
    told = stamped(record, replace(record, paused=not record.paused), now, action="pause", reason=why, by="p")
    assert (told.version, told.last_event.version) == (record.version + 1, record.version + 1)
    assert (told.last_event.reason, told.last_event.at_ms) == (why, at_ms)


@few
@given(records(), st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))
def test_no_write_takes_back_a_version_an_epoch_or_a_renewal(record, version, epoch, seq):
    after = replace(
        record,
        version=record.version + version,
        epoch=record.epoch + epoch,
        renewal_seq=record.renewal_seq + seq,
    )
    try:
        check(record, after)
    except InvariantError:
        return
    assert version == 1
    assert epoch in (0, 1)
    assert seq in (0, 1)


@few
@given(
    st.sampled_from((FAST, AWS)),
    st.integers(-1000, 1000).filter(lambda ppm: abs(ppm) <= 1000),
    st.integers(0, 10**6),
    st.integers(0, 20_000),
)
def test_a_lease_has_ended_when_a_watcher_says_so_however_the_clocks_drift(profile, ppm, began_ms, late_ms):
    """The holder's lease counts from before its write; the watcher's wait from after it, on a clock of its own."""
    fast_by = 1 + ppm / 1_000_000

    def watcher_ms(true_ms):
        return int(true_ms * fast_by)

    record = Authority(
        1, 1, Phase.HELD, EAST, 5, 0, 0, "auto", False, False, None,
        Event(1, 0, 1, Phase.HELD, EAST, "a", "r", "p"),
    )  # fmt: skip
    seen = watch(None, record, Now(0, watcher_ms(began_ms + late_ms)))
    lease_end_ms = began_ms + profile.lease_ttl_ms
    true_ms = began_ms + late_ms
    while seen.unchanged_ms(Now(0, watcher_ms(true_ms))) < profile.lease_wait_ms:
        true_ms += 1 + (profile.lease_wait_ms - seen.unchanged_ms(Now(0, watcher_ms(true_ms)))) // 2
    assert true_ms + 1 >= lease_end_ms + profile.stall_margin_ms


@few
@given(st.lists(st.tuples(st.integers(0, 12), ms), min_size=1, max_size=30))
def test_the_least_and_the_most_of_a_minute_hold_all_that_was_said_in_it(said):
    kept = ()
    for minute, lag_ms in said:
        kept = noted(kept, minute, lag_ms)
    assert len(kept) <= 5
    assert [minute for minute, _, _ in kept] == sorted({minute for minute, _, _ in kept})
    newest = said[-1]
    assume(any(minute == newest[0] for minute, _, _ in kept))
    least, most = around(kept, newest[0])
    assert least <= newest[1] <= most


NUMBERS = [field.name for field in fields(Profile) if field.name != "name"]


@few
@given(st.sampled_from((FAST, AWS)), st.sampled_from(NUMBERS), st.integers(-10, 10**6))
def test_a_profile_that_is_taken_keeps_its_inequalities(profile, name, value):
    try:
        changed = replace(profile, **{name: value})
    except UsageError:
        return
    assert min(getattr(changed, number) for number in NUMBERS) > 0
    assert changed.lease_ttl_ms >= 3 * changed.renew_ms
    assert changed.claim_ttl_ms >= changed.lease_wait_ms > changed.lease_ttl_ms
    assert changed.loss_bound_ms(0) == changed.lease_ttl_ms + changed.stall_margin_ms


@few
@given(
    records((Phase.HELD,)),
    st.sampled_from(("", "", "", "paused", "apart", "to itself", "nobody there")),
    st.integers(0, 4000),
    st.booleans(),
)
def test_a_planned_move_is_granted_exactly_when_nothing_stands_against_it(record, flaw, age_ms, is_quiet):
    record = replace(record, paused=flaw == "paused", quiet=None if is_quiet else record.quiet)
    now = Now(record.renewed_at_ms + age_ms, 0)
    target = record.holder if flaw == "to itself" else WEST if record.holder == EAST else EAST
    cluster = GlobalCluster(record.holder, None, synchronized=flaw != "apart")
    running = {EAST, WEST} - {target if flaw == "nobody there" else ""}
    owed = next((a for a in record.aftermaths if a.region == target and not a.settled), None)
    quiet = record.quiet
    may = (
        not flaw
        and record.lag_ms is not None
        and record.lag_ms <= FAST.switchover_lag_ms
        and age_ms <= 2 * FAST.lease_ttl_ms
        and (owed is None or (owed.evidence is not Evidence.AWAITED and not owed.orphans_open))
        and (quiet is None or quiet.target == target or quiet.until_ms <= now.wall_ms)
    )
    try:
        after = requests.switchover(record, cluster, running, target, Asked("alice", now, FAST))
    except RefusedError:
        assert not may
        return
    assert may
    assert (after.phase, after.epoch, after.holder) == (Phase.DRAINING, record.epoch, record.holder)
    assert (after.renewal_seq, after.aftermaths) == (record.renewal_seq, record.aftermaths)


@few
@given(records(), regions, times)
def test_a_failover_that_is_granted_takes_exactly_one_epoch_and_no_holder(record, target, at_ms):
    asked = Asked("alice", Now(at_ms, 0), FAST)
    accepted = requests.loss_statement(record, FAST)
    try:
        after = requests.failover(record, target, accepted, asked)
    except RefusedError:
        return
    assert (after.phase, after.holder, after.epoch) == (Phase.CLAIMED, None, record.epoch + 1)
    assert after.renewal_seq == record.renewal_seq  # the wait for the old lease goes on
    assert after.plan.target == target != after.plan.source


@few
@given(records(), times)
def test_pause_and_resume_undo_each_other_and_repeat_with_a_refusal(record, at_ms):
    asked = Asked("alice", Now(at_ms, 0), FAST)
    do, undo = (requests.resume, requests.pause) if record.paused else (requests.pause, requests.resume)
    once = do(record, asked)
    with pytest.raises(RefusedError):
        do(once, asked)
    back = undo(once, asked)
    assert replace(back, version=0, last_event=record.last_event) == replace(record, version=0)
