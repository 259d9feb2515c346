"""Stories behind single holes of the design (docs/holes.md) that no other test tells as plainly."""

import dataclasses

import pytest
from interrupted import Play

from farshore.core import requests
from farshore.core.authority import Aftermath, Basis, Evidence, Phase, PlanKind, Quiet
from farshore.core.decide import decide
from farshore.core.errors import RefusedError
from farshore.core.facts import Facts, Now, Reply
from farshore.core.profile import FAST
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.servers import HOME, STANDBY


def asked(play: Play) -> requests.Asked:
    return requests.Asked("alice", play.world.clock.now(), play.world.profile)


def write(play: Play, request, *arguments, **more) -> None:
    """A person's request, by the journal of whichever region is there."""
    record = play.world.record
    after = request(record, *arguments, asked(play), **more)
    journal = SimJournal(play.world, STANDBY if HOME in play.world.lost else HOME, "alice")
    assert journal.compare_and_set(record, after)


def failed_over(answer: str) -> Play:
    """Home was lost and is back as a reader; its account is closed."""
    play = Play()
    answers = iter([answer])
    play.world.aws = lambda: next(answers, "ok")
    play.world.lost.add(HOME)
    assert play.run_until(play.settled, 20_000)
    play.world.lost.clear()
    assert play.run_until(play.world.cluster.connected, 10_000)
    play.run(2000)
    play.ask(HOME)
    play.run(2000)
    return play


# --- H6 -------------------------------------------------------------------------------------------------------------


def test_while_a_request_may_still_arrive_nobody_moves_the_role_elsewhere():
    """The reply was lost: a person is refused, and the loss of the new writer's region is not answered with a move."""
    play = failed_over("reply lost")
    assert play.world.record.quiet.target == STANDBY
    record, cluster = play.world.record, SimCloud(play.world, HOME).describe()
    with pytest.raises(RefusedError, match="may still arrive"):
        requests.switchover(record, cluster, (HOME, STANDBY), HOME, asked(play))
    play.world.lost = {STANDBY}
    play.run(10_000)
    assert play.world.record.phase is Phase.HELD
    assert play.world.record.holder == STANDBY


def test_one_lost_reply_does_not_end_automatic_failover():
    """When the request can no longer arrive, the way is free again, for people and for the automation."""
    play = failed_over("reply lost")
    play.run(FAST.request_life_ms + FAST.intent_not_after_ms)
    play.world.lost = {STANDBY}
    assert play.run_until(lambda: play.world.record.holder == HOME, 10_000)
    assert not play.world.stale_failovers


def test_planned_moves_follow_each_other_while_every_reply_is_known():
    play = failed_over("ok")
    for target in (HOME, STANDBY, HOME):
        assert play.run_until(lambda to=target: play.ask(to), 5000)
        assert play.run_until(lambda to=target: play.settled() and play.world.record.holder == to, 5000)
    assert not any(play.world.cluster.lost_by_moves)


def test_the_reply_to_one_attempt_tells_nothing_of_the_attempt_before():
    """Attempt 1 got no reply and may arrive yet; that attempt 2 was answered does not make it safe."""
    play = failed_over("ok")
    now = play.world.clock.now()
    quiet = Quiet(2, 2, STANDBY, now.wall_ms + 9000, earlier_ms=now.wall_ms + 5000)
    record = dataclasses.replace(play.world.record, quiet=quiet)
    facts = Facts(STANDBY, "p", 0, reply=Reply(2, 2, accepted=True, ago_ms=100))
    left = decide(record, facts, now, FAST).record.quiet
    assert left.until_ms == now.wall_ms + 5000
    after, cluster = dataclasses.replace(record, quiet=left), SimCloud(play.world, HOME).describe()
    with pytest.raises(RefusedError, match="may still arrive"):
        requests.switchover(after, cluster, (HOME, STANDBY), HOME, asked(play))


def test_a_twin_does_not_send_what_another_process_has_recorded():
    """It could not know what becomes of the first one's request; two requests have one reply."""
    play = Play()
    play.world.lost.add(HOME)
    twins = []

    def twin(point: str, process: str) -> None:
        if point == "before promotion arrives" and not twins:
            twins.append(play.start(STANDBY))
            for _ in range(3):
                twins[0].act(play.world.clock.mono_ms)

    play.begun, play.breaking = True, twin
    assert play.run_until(play.settled, 20_000)
    assert twins
    assert play.world.promotions_sent == 1
    assert play.world.record.quiet is None


# --- H10 ------------------------------------------------------------------------------------------------------------


def unhealed() -> Play:
    """The writer is away, its region's monitor lives, and Aurora does not replace it."""
    play = Play()
    play.run(1000)
    play.world.servers[HOME].away = True
    return play


def test_a_writer_that_aurora_does_not_replace_is_put_before_a_person():
    play = unhealed()
    play.run(FAST.in_region_budget_ms - 1000)
    assert play.world.record.proposal is None
    play.run(3000)
    proposal = play.world.record.proposal
    assert (proposal.basis, proposal.target) == (Basis.UNHEALED, STANDBY)
    play.run(60_000)
    assert play.world.record.epoch == 1, "in mode auto too: a living monitor is an opinion against"
    write(play, requests.approve, None, second_person=True)
    assert play.run_until(lambda: play.world.record.holder == STANDBY, 10_000)


def test_it_is_put_before_a_person_though_no_process_lives_as_long_as_aurora_may_take():
    """Each function is relieved by a newer one every minute, whose own clock begins anew."""
    play = unhealed()
    for _ in range(4):
        play.run(FAST.in_region_budget_ms // 4)
        relieved = list(play.actors)
        for region in (HOME, STANDBY):
            play.start(region)
        for name in relieved:
            play.actors.pop(name)
    play.run(FAST.in_region_budget_ms // 4)
    assert play.world.record.proposal.basis is Basis.UNHEALED


def test_an_approval_of_what_has_healed_moves_nothing():
    play = unhealed()
    assert play.run_until(lambda: play.world.record.proposal is not None, 60_000)
    play.world.servers[HOME].away = False
    write(play, requests.approve, None, second_person=True)
    play.run(5000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 1)
    assert play.world.record.proposal is None


# --- H13 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "has not been looked at"),
        ({"evidence": Evidence.SAVED, "orphans_open": 3}, "3 orphans"),
        ({"evidence": Evidence.SAVED, "orphans_open": 0}, None),
        ({"evidence": Evidence.WAIVED, "orphans_open": 0}, None),
    ],
)
def test_a_lost_region_is_gone_back_to_only_when_it_is_accounted_for(state, words):
    play = failed_over("ok")
    account = Aftermath(1, HOME, **state)
    record = dataclasses.replace(play.world.record, aftermaths=(account,))
    cluster = SimCloud(play.world, HOME).describe()
    if words is None:
        after = requests.switchover(record, cluster, (HOME, STANDBY), HOME, asked(play))
        assert (after.plan.kind, after.phase) == (PlanKind.FAILBACK, Phase.DRAINING)
        return
    with pytest.raises(RefusedError, match=words):
        requests.switchover(record, cluster, (HOME, STANDBY), HOME, asked(play))


def test_every_failover_opens_an_account_and_its_failback_closes_it():
    play = Play()
    play.world.lost.add(HOME)
    assert play.run_until(play.settled, 20_000)
    assert play.world.record.aftermaths == (Aftermath(1, HOME),)
    play.world.lost.clear()
    assert play.run_until(lambda: play.ask(HOME), 20_000)
    assert play.run_until(lambda: play.settled() and play.world.record.holder == HOME, 5000)
    assert play.world.record.aftermaths == ()


# --- H14, H15 -------------------------------------------------------------------------------------------------------


def test_a_claimant_that_dies_gives_way_to_the_region_that_still_writes():
    """Epoch 2 was claimed and nothing was sent: the source takes epoch 3, and the claimant waking up does nothing."""
    play = Play()
    write(play, requests.failover, STANDBY, requests.loss_statement(play.world.record, FAST))
    play.world.lost = {STANDBY}
    play.run(FAST.claim_ttl_ms - 1000)
    assert play.world.record.phase is Phase.CLAIMED
    play.run(3000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 3)
    play.world.lost.clear()
    play.run(5000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 3)
    assert play.world.promotions_sent == 0


@pytest.mark.parametrize("answer", ["cancelled", "refused", "throttled", "request lost"])
def test_a_switchover_that_comes_to_nothing_gives_the_source_a_new_epoch(answer):
    """Its own epoch is fenced for good; without a new one it could never write again."""
    play = Play()
    play.world.aws = lambda: answer
    assert play.ask(STANDBY)
    play.run(500)
    assert not play.settled()
    assert play.run_until(play.settled, FAST.intent_not_after_ms + 3 * FAST.describe_ms)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 3)
    assert not play.world.servers[HOME].fenced


# --- roles that move while nobody looks, and aborts -------------------------------------------------------------------


def test_a_role_moved_between_the_record_and_the_grant_is_adopted():
    """The epoch in the record was never granted, so no volume knows it; the writer is known by who follows it."""
    play = Play()
    play.world.aws = lambda: "cancelled"
    assert play.ask(STANDBY)

    def gone(point: str, process: str) -> None:
        if point == "before renew" and play.world.record.epoch == 3 and play.world.writer == HOME:
            play.world.cluster.move_by_hand(STANDBY)

    play.begun, play.breaking = True, gone
    assert play.run_until(lambda: play.world.writer == STANDBY, 10_000)
    assert play.world.servers[STANDBY].epoch == 1
    assert play.run_until(play.settled, 10_000)
    assert (play.world.record.holder, play.world.record.epoch) == (STANDBY, 4)


def test_a_role_moved_in_the_console_while_it_is_drained_is_adopted():
    play = Play()
    for name in [name for name, actor in play.actors.items() if actor.region == HOME]:
        del play.actors[name]
    assert play.ask(STANDBY)
    play.world.cluster.move_by_hand(STANDBY)
    assert play.run_until(play.settled, 10_000)
    assert (play.world.record.holder, play.world.record.epoch) == (STANDBY, 2)


def test_an_abort_wins_over_a_drain_that_has_just_ended():
    play = Play()
    assert play.ask(STANDBY)

    def abort(point: str, process: str) -> None:
        if point == "after drain" and not play.world.record.plan.aborted:
            write(play, requests.abort)

    play.begun, play.breaking = True, abort
    assert play.run_until(play.settled, 10_000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 2)
    assert play.world.switchovers_sent == 0


def test_who_aborts_a_failover_may_want_it_after_all():
    """Aborted, and the region is lost for good: without a second claim nobody could ever write again."""
    play = Play()
    play.world.lost = {HOME}
    assert play.run_until(lambda: play.world.record.phase is Phase.CLAIMED, 10_000)
    write(play, requests.abort)
    play.run(5000)
    assert play.world.record.phase is Phase.CLAIMED
    write(play, requests.failover, STANDBY, requests.loss_statement(play.world.record, FAST))
    assert play.run_until(play.settled, 10_000)
    assert (play.world.record.holder, play.world.record.epoch) == (STANDBY, 3)


# --- clocks of those who ask ------------------------------------------------------------------------------------------

HOUR_MS = 3_600_000


def asked_by_clock(play: Play, off_ms: int) -> requests.Asked:
    now = play.world.clock.now()
    return requests.Asked("alice", Now(now.wall_ms + off_ms, 0), play.world.profile)


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
def test_an_abort_stops_a_move_whatever_the_clock_of_who_asks_says(off_ms):
    play = Play()
    play.world.lost = {STANDBY}
    write(play, requests.failover, STANDBY, requests.loss_statement(play.world.record, FAST))
    after = requests.abort(play.world.record, asked_by_clock(play, off_ms))
    assert SimJournal(play.world, HOME, "alice").compare_and_set(play.world.record, after)
    play.run(1000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 3)


def test_a_drain_that_does_not_end_is_called_off_in_its_time_by_whatever_clock_it_was_asked():
    """Nothing of the source's controllers is left; its neighbour counts on its own clock what it has itself seen."""
    play = Play()
    for name in [name for name, actor in play.actors.items() if actor.region == HOME]:
        del play.actors[name]
    record, cluster = play.world.record, SimCloud(play.world, HOME).describe()
    after = requests.switchover(record, cluster, (HOME, STANDBY), STANDBY, asked_by_clock(play, -HOUR_MS))
    assert SimJournal(play.world, HOME, "alice").compare_and_set(record, after)
    play.run(FAST.drain_ms - 2 * FAST.renew_ms)
    assert play.world.record.phase is Phase.DRAINING
    assert play.run_until(play.settled, 2000)
    assert (play.world.record.holder, play.world.record.epoch) == (HOME, 2)


def test_who_starts_late_goes_on_with_a_drain_instead_of_calling_it_off():
    play = Play()
    for name in list(play.actors):
        del play.actors[name]
    assert play.ask(STANDBY)
    play.run(2 * FAST.drain_ms)
    play.start(HOME)
    play.start(STANDBY)
    assert play.run_until(play.settled, 5000)
    assert (play.world.record.holder, play.world.record.epoch) == (STANDBY, 2)


def test_two_persons_word_ends_with_the_regions_next_renewal():
    """By whichever controller: a neighbour's renewal speaks for the region as its own keeper's does."""
    play = Play()
    write(play, requests.propose, STANDBY)
    record = play.world.record
    play.world.record = dataclasses.replace(record, renewal_seq=record.renewal_seq + 1)
    with pytest.raises(RefusedError, match="has renewed its lease since"):
        requests.approve(play.world.record, None, asked(play), second_person=False)
    play.world.record = record
    assert requests.approve(record, None, asked(play), second_person=False).phase is Phase.CLAIMED


def test_a_planned_move_begins_only_to_where_a_controller_runs():
    """A failback waited 34 s for the schedule to start one, with nobody writing."""
    play = Play()
    cluster = SimCloud(play.world, STANDBY).describe()
    for running in ((), (HOME,)):
        with pytest.raises(RefusedError, match=f"no controller was heard in {STANDBY}"):
            requests.switchover(play.world.record, cluster, running, STANDBY, asked(play))
    after = requests.switchover(play.world.record, cluster, (STANDBY,), STANDBY, asked(play))
    assert after.phase is Phase.DRAINING


# --- a failover that AWS refuses for good ----------------------------------------------------------------------------


def refused_again_and_again() -> Play:
    """Home is lost, and AWS refuses its failover, attempt after attempt."""
    play = Play()
    play.run(1000)
    play.world.aws = lambda: "refused"
    play.world.lost.add(HOME)
    assert play.run_until(lambda: play.world.promotions_sent > 1, 30_000)
    return play


def test_a_failover_that_aws_keeps_refusing_ends_by_a_persons_word():
    """It is tried anew while the source lives again; told to stop, the source goes on in its time."""
    play = refused_again_and_again()
    play.world.lost.clear()
    play.run(2 * FAST.claim_ttl_ms)
    assert play.world.record.phase is Phase.PROMOTING
    write(play, requests.abort)
    play.run(2000)
    sent = play.world.promotions_sent
    with pytest.raises(RefusedError, match="aborted already"):
        requests.abort(play.world.record, asked(play))
    assert play.run_until(play.settled, FAST.request_life_ms + FAST.intent_not_after_ms + 5000)
    assert (play.world.record.holder, play.world.promotions_sent) == (HOME, sent)


def test_an_aborted_failover_may_be_wanted_after_all():
    play = refused_again_and_again()
    write(play, requests.abort)
    play.world.aws = lambda: "ok"
    play.run(20_000)
    assert play.world.record.phase is Phase.PROMOTING, "nothing more is sent"
    write(play, requests.failover, STANDBY, requests.Statement(None, None))
    assert play.run_until(lambda: play.world.record.holder == STANDBY, 20_000)
