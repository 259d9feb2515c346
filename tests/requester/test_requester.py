"""A person's request and the journal: who wins, what a lost reply means, and what is told while it is followed."""

from dataclasses import replace

import pytest

from farshore.core import requests
from farshore.core.authority import Phase
from farshore.core.errors import RefusedError, UnknownOutcomeError
from farshore.core.facts import Now
from farshore.core.profile import FAST
from farshore.operate import moves as operate
from farshore.ports import Page, Presence
from farshore.requester import HEARD_WITHIN_MS, READ_TRIES, TRIES, Person, Requester, controllers, planned
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.processes import Actor, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld


class Pacer:
    """The simulated clock, whose sleep lets the world go on."""

    def __init__(self, world, actors):
        self.world, self.actors = world, actors

    def now(self):
        return self.world.clock.now()

    def sleep(self, milliseconds):
        run(self.world, self.actors, self.world.clock.mono_ms + milliseconds)


class Desk:
    """A person at a terminal that reaches one region."""

    def __init__(self, region=STANDBY, *, boot=True):
        self.world = SimWorld()
        self.actors = {r: Actor(self.world.controller(r, f"{r}/1")) for r in (HOME, STANDBY)}
        self.clock = Pacer(self.world, self.actors)
        if boot:
            self.clock.sleep(2000)
        self.journal = SimJournal(self.world, region, "alice")
        self.requester = Requester(
            self.journal, self.clock, FAST, Person("arn:alice", "monthly drill", "T-7")
        )

    def switchover(self, target=STANDBY):
        cluster = SimCloud(self.world, STANDBY).describe()
        return lambda record, asked: requests.switchover(record, cluster, (HOME, STANDBY), target, asked)

    def before_write(self, act):
        """Do something once, between the person's read and write."""
        write, acts = self.journal.compare_and_set, [act]

        def raced(before, after):
            if acts:
                acts.pop()()
            return write(before, after)

        self.journal.compare_and_set = raced


def test_a_request_is_in_the_journal_with_who_why_and_ticket():
    desk = Desk()
    written = desk.requester.submit(desk.switchover())
    assert desk.world.record == written
    assert (written.phase, written.plan.requested_by, written.plan.ticket) == (
        Phase.DRAINING,
        "arn:alice",
        "T-7",
    )
    assert "monthly drill" in written.last_event.reason
    assert desk.world.events[-1] == written.last_event


def test_a_rehearsal_writes_nothing():
    desk = Desk()
    before = desk.world.record
    assert desk.requester.rehearse(desk.switchover()).phase is Phase.DRAINING
    assert desk.world.record == before


def test_a_renewal_in_between_is_no_answer():
    desk = Desk()
    desk.before_write(lambda: desk.clock.sleep(400))
    written = desk.requester.submit(desk.switchover())
    assert written.phase is Phase.DRAINING


def test_a_move_of_somebody_elses_in_between_is_one_and_names_who():
    desk = Desk()

    def colleague():
        record = desk.world.record
        asked = requests.Asked("arn:bob", desk.clock.now(), FAST)
        SimJournal(desk.world, HOME, "bob").compare_and_set(record, desk.switchover()(record, asked))

    desk.before_write(colleague)
    with pytest.raises(RefusedError, match="asked for by arn:bob"):
        desk.requester.submit(desk.switchover())


def test_the_automation_that_was_first_wins_too():
    """The region is lost while the person types: the claim stands, and the person reads who made it."""
    desk = Desk()

    def lost():
        desk.world.lost.add(HOME)
        desk.clock.sleep(1700)

    desk.before_write(lost)
    with pytest.raises(RefusedError, match="failover to us-west-2 is under way"):
        desk.requester.submit(desk.switchover())


def _unheard(desk, *, written: bool):
    """The first write's reply never comes."""
    write, tries = desk.journal.compare_and_set, []

    def unheard(before, after):
        tries.append(after)
        if len(tries) > 1:
            return write(before, after)
        if written:
            write(before, after)
        raise UnknownOutcomeError("no reply")

    desk.journal.compare_and_set = unheard
    return tries


def test_a_lost_reply_is_resolved_by_reading_not_by_writing_again():
    desk = Desk()
    tries = _unheard(desk, written=True)
    written = desk.requester.submit(desk.switchover())
    assert len(tries) == 1
    assert desk.world.record == written
    assert desk.world.events[-1] == written.last_event


def test_a_write_that_never_arrived_is_unknown_while_nothing_else_has_changed():
    """It may arrive yet; sending it again could ask twice."""
    desk = Desk()
    _unheard(desk, written=False)
    with pytest.raises(UnknownOutcomeError, match="no reply"):
        desk.requester.submit(desk.switchover())


def test_a_record_that_never_rests_is_given_up_and_says_so():
    desk = Desk()
    tries = []
    desk.journal.compare_and_set = lambda _before, after: bool(tries.append(after))
    with pytest.raises(UnknownOutcomeError, match="nothing was asked for"):
        desk.requester.submit(desk.switchover())
    assert len(tries) == TRIES


def _failing(read, failure, times):
    """`read`, after its first `times` answers came to nothing."""
    left = [failure] * times
    return lambda: left.pop()() if left else read()


def _unanswered():
    raise UnknownOutcomeError("throttled")


def test_a_read_that_was_throttled_is_repeated_a_few_times():
    desk = Desk()
    read = desk.journal.read
    desk.journal.read = _failing(read, _unanswered, READ_TRIES - 1)
    assert desk.requester.record().holder == HOME
    desk.journal.read = _failing(read, _unanswered, READ_TRIES)
    with pytest.raises(UnknownOutcomeError, match="throttled"):
        desk.requester.record()


def test_a_description_that_was_throttled_is_asked_for_again():
    desk = Desk()
    for times, refusal in ((READ_TRIES - 1, "no controller was heard"), (READ_TRIES, "cannot be described")):
        cloud = SimCloud(desk.world, STANDBY)
        cloud.describe = _failing(cloud.describe, lambda: None, times)
        with pytest.raises(RefusedError, match=refusal):
            desk.requester.rehearse(planned(desk.requester, cloud, desk.world.names, "switchover", STANDBY))


def test_before_the_first_boot_there_is_nobody_to_ask():
    desk = Desk(boot=False)
    with pytest.raises(RefusedError, match="guard install"):
        desk.requester.record()


def test_a_move_is_followed_to_its_rest():
    desk = Desk()
    written = desk.requester.submit(desk.switchover())
    told = [record.last_event.action for record in desk.requester.follow(written, 20_000)]
    assert told[0] == "drained"
    assert "promoted" in told
    assert desk.world.record.holder == STANDBY
    assert desk.world.record.quiet is None


def test_following_outlives_a_table_that_does_not_answer():
    desk = Desk()
    written = desk.requester.submit(desk.switchover())
    silences = iter([False] * 3)
    desk.world.answers = lambda what: next(silences, True)
    assert [r.last_event.action for r in desk.requester.follow(written, 20_000)][-1] in {
        "promoted",
        "reply-known",
    }


def test_who_dies_while_asking_leaves_the_move_to_the_controllers():
    """The verb is gone after its one write, or before it: then nothing was asked for."""
    desk = Desk()
    desk.requester.submit(desk.switchover())
    desk.clock.sleep(5000)
    assert (desk.world.record.holder, desk.world.record.phase) == (STANDBY, Phase.HELD)


def test_any_surviving_region_will_do():
    """The person reaches one region only, and the other one is gone."""
    desk = Desk(STANDBY)
    desk.world.record = requests.set_mode(desk.world.record, "manual", desk.requester.asked())
    desk.world.lost.add(HOME)
    desk.clock.sleep(5000)
    statement = requests.loss_statement(desk.world.record, FAST)
    desk.requester.submit(lambda record, asked: requests.failover(record, STANDBY, statement, asked))
    desk.clock.sleep(5000)
    assert desk.world.record.holder == STANDBY


class Told:
    """A journal that says at each time (simulated ms) which loops have put which beat."""

    def __init__(self, desk, beats):
        self.desk, self.beats, self.began = desk, beats, desk.clock.now().mono_ms

    def read(self):
        at_ms = self.desk.clock.now().mono_ms - self.began
        return Page(None, {}, [Presence(*key, 0, beat) for key, beat in self.beats(at_ms).items()])


@pytest.mark.parametrize(
    ("beats", "running"),
    [
        (lambda ms: {("controller", HOME, "a"): ms // 2000, ("controller", STANDBY, "b"): ms // 2000}, {HOME, STANDBY}),
        (lambda ms: {("controller", HOME, "a"): ms // 2000, ("controller", STANDBY, "b"): 7}, {HOME}),
        (lambda ms: {("controller", HOME, "a"): ms // 2000, ("monitor", STANDBY, "b"): ms // 2000}, {HOME}),
        (lambda ms: {("controller", HOME, "a" if ms < 900 else "c"): 1}, {HOME}),
        (lambda ms: {("controller", HOME, "a"): 1} if ms > 2000 else {}, {HOME}),
        (lambda ms: {("controller", HOME, "a"): ms // 5900}, {HOME}),
        (lambda ms: {("controller", HOME, "a"): ms // 6300}, set()),
        (lambda _: {}, set()),
    ],
    ids=["both", "one is dead", "a monitor is none", "restarted", "just started", "slow", "too slow", "nobody"],
)  # fmt: skip
def test_a_controller_runs_when_it_goes_on_beating(beats, running):
    desk = Desk()
    began = desk.clock.now().mono_ms
    assert controllers(Told(desk, beats), desk.clock, (HOME, STANDBY)) == running
    took_ms = desk.clock.now().mono_ms - began
    assert (
        took_ms < 2500 if running == {HOME, STANDBY} else HEARD_WITHIN_MS <= took_ms < HEARD_WITHIN_MS + 1000
    )


def test_a_region_that_has_just_renewed_is_not_left_as_lost_and_when_it_may_be_is_said():
    desk = Desk()
    lost = operate.failover(
        STANDBY, requests.Statement(60_000, None), second_person=False, although_healthy=False
    )
    with pytest.raises(RefusedError, match=r"alive for all that is known .* repeat in \d s"):
        desk.requester.submit(lost)
    record = desk.world.record
    asked = replace(
        desk.requester.asked(), now=Now(record.renewed_at_ms + requests.refused_until_ms(FAST), 0)
    )
    requests.refuse_if_healthy(record, asked)


def test_a_dry_run_states_what_has_to_be_accepted():
    desk = Desk()
    before = desk.world.record
    stated = requests.loss_statement(before, FAST)
    build = operate.failover(STANDBY, stated, second_person=False, although_healthy=True)
    outline = operate.outline(before, build(before, desk.requester.asked()), FAST)
    assert outline.accept == f"--accept-loss-ms {stated.loss_bound_ms}"
    enough = operate.failover(
        STANDBY,
        requests.Statement(stated.loss_bound_ms - 1, None),
        second_person=False,
        although_healthy=True,
    )
    with pytest.raises(RefusedError, match=f"{outline.accept}` accepts that"):
        enough(before, desk.requester.asked())
    planned = operate.outline(before, desk.switchover()(before, desk.requester.asked()), FAST)
    assert (planned.loss, planned.accept) == ("nothing", None)
