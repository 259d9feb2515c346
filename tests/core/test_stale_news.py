"""P4 and P5: what is old, or was read before a freeze, moves nothing and vouches for nothing."""

import dataclasses
import itertools

from farshore.core.authority import Phase
from farshore.core.decide import decide
from farshore.core.errors import UnknownOutcomeError
from farshore.core.profile import FAST
from farshore.simulate.processes import Actor, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld


def start(world: SimWorld) -> dict[str, Actor]:
    return {region: Actor(world.controller(region, f"{region}/1")) for region in (HOME, STANDBY)}


def test_a_lag_last_heard_of_long_ago_has_grown_since():
    """The standby stops streaming, the writer reports no lag any more; the last small one must not vouch for ever."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.servers[HOME].lag_ms = None
    run(world, actors, 3000 + FAST.loss_budget_ms)
    assert world.record.lag_ms >= FAST.loss_budget_ms - 2 * FAST.renew_ms
    world.lost.add(HOME)
    run(world, actors, 16_000)
    assert world.record.epoch == 1
    assert world.promotions_sent == 0


def test_a_lag_unknown_for_a_moment_still_allows_the_failover():
    """H11: at a region loss the last lags are unknown."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.servers[HOME].lag_ms = None
    run(world, actors, 3900)
    world.lost.add(HOME)
    run(world, actors, 8000)
    assert world.record.holder == STANDBY


def test_the_neighbours_word_of_long_ago_renews_nothing():
    """It was asked in a late moment and answered when nobody was late any more; then the region is lost."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    standby = actors[STANDBY].controller
    standby._ask_neighbour()
    run(world, actors, 6000)
    before = world.record
    world.lost.add(HOME)
    # The tick falls where the neighbour may renew already.
    actors[STANDBY].due_ms = 6000 + FAST.lease_ttl_ms * 7 // 10
    run(world, actors, 6000 + FAST.lease_ttl_ms * 7 // 10 + 50)
    assert world.record.renewal_seq == before.renewal_seq


def test_what_the_control_plane_said_before_a_freeze_is_old_after_it():
    world = SimWorld()
    controller = world.controller(HOME, "frozen")
    describe = controller._world.cloud.describe

    def frozen_before_the_reply_is_taken():
        found = describe()
        world.clock.mono_ms += 60_000
        return found

    controller._world.cloud.describe = frozen_before_the_reply_is_taken
    controller._record = None
    controller._describe()
    assert world.clock.mono_ms - controller._described_at_ms >= 60_000


def test_a_freeze_over_a_look_at_the_table_is_no_silence_of_the_other_region():
    world = SimWorld()
    run(world, start(world), 3000)
    controller = world.controller(STANDBY, "frozen")
    controller._read()
    read = controller._world.journal.read

    def frozen_before_the_reply_is_taken():
        page = read()
        world.clock.mono_ms += 60_000
        return page

    controller._world.journal.read = frozen_before_the_reply_is_taken
    controller._read()
    assert controller._observe().observations[HOME].unchanged_ms == 0


def test_a_promotion_frozen_on_its_way_is_not_sent_after_its_time():
    """H6: Lambda freezes the process between the record and the request, another finishes, this one wakes."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    frozen = []
    controller = actors[STANDBY].controller
    controller._world = dataclasses.replace(
        controller._world,
        background=lambda name, work: frozen.append(work) if name == "move" else work(),
    )
    world.lost.add(HOME)
    run(world, actors, 5500)
    assert world.record.phase is Phase.PROMOTING
    assert len(frozen) == 1
    actors[STANDBY] = Actor(world.controller(STANDBY, "next"), due_ms=world.clock.mono_ms)
    run(world, actors, 5500 + FAST.intent_not_after_ms)
    assert world.record.holder == STANDBY
    world.lost.clear()
    world.cluster.writer = HOME  # the role has moved on
    world.cluster.advance(FAST.intent_not_after_ms)
    sent = world.promotions_sent
    frozen[0]()
    assert world.promotions_sent == sent


def test_a_lost_compare_and_set_publishes_nothing():
    """P6: it has just proved that the record in hand is old."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    said = []
    controller = actors[HOME].controller
    controller._world.publisher.authority_home = lambda **word: said.append(word)
    controller._published = None
    world.record = dataclasses.replace(world.record, version=world.record.version + 1, paused=True)
    controller._read_at_ms = world.clock.mono_ms
    controller.tick()
    assert said == []


def test_an_adopted_role_with_a_member_missing_is_degraded():
    """Somebody fails over in the console: there may be orphans, and the operator must hear of it."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.record = dataclasses.replace(world.record, version=world.record.version + 1, mode="manual")
    world.lost.add(HOME)
    world.cluster.move_by_hand(STANDBY)
    run(world, actors, 9000)
    assert (world.record.holder, world.record.degraded) == (STANDBY, True)


def test_every_event_is_kept_though_its_writer_never_heard_that_it_had_written():
    """The claim's reply is lost: the record stands, and its line of history must too."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    journal = actors[STANDBY].controller._world.journal
    write = journal.compare_and_set
    lost = []

    def unheard(before, after):
        won = write(before, after)
        if not lost and after.phase is Phase.CLAIMED:
            lost.append(after)
            raise UnknownOutcomeError("the reply is lost")
        return won

    journal.compare_and_set = unheard
    world.lost.add(HOME)
    run(world, actors, 7000)
    assert lost
    assert "claim-lost-holder" in {event.action for event in world.events}


def test_a_target_that_died_while_promoting_gives_the_source_its_role_back():
    """H14: the request may have been sent; when it can no longer arrive and nothing has moved, the source goes on."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    del actors[HOME]
    world.lost.add(HOME)
    actors[STANDBY].controller._world = dataclasses.replace(
        actors[STANDBY].controller._world, background=lambda name, work: None
    )
    run(world, actors, 5500)
    assert world.record.phase is Phase.PROMOTING
    world.lost = {STANDBY}
    actors[HOME] = Actor(world.controller(HOME, "back"), due_ms=5500)
    run(world, actors, 5500 + FAST.request_life_ms)
    assert world.record.phase is Phase.PROMOTING
    run(world, actors, world.clock.mono_ms + FAST.intent_not_after_ms + 5000)
    assert (world.record.phase, world.record.holder, world.record.epoch) == (Phase.HELD, HOME, 3)
    assert world.servers[HOME].may_write()


def test_an_unreachable_database_at_first_boot_is_not_called_a_reader():
    world = SimWorld()
    world.controller(STANDBY, "s").tick()
    facts = world.controller(HOME, "h")._observe()
    now = world.clock.now()
    no_server = decide(None, dataclasses.replace(facts, servers={}), now, FAST).reason
    no_cluster = decide(None, dataclasses.replace(facts, cluster=None), now, FAST).reason
    assert "cannot be reached" in no_server
    assert "global cluster" in no_cluster
    assert "is not the writer" not in no_server + no_cluster


def test_the_holders_controller_reads_again_though_it_has_the_record_in_hand():
    """Each renewal is a compare-and-set, as good as a read; a keeper that cannot renew must look."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    controller = actors[HOME].controller
    world.servers[HOME].in_recovery = True
    reads = []
    read = controller._world.journal.read
    controller._world.journal.read = lambda: reads.append(world.clock.mono_ms) or read()
    run(world, actors, 9000)
    gaps = [b - a for a, b in itertools.pairwise(reads)]
    assert len(reads) > 3
    assert max(gaps) <= 4 * FAST.renew_ms


def test_a_description_that_cannot_be_renewed_becomes_unknown():
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    controller = actors[STANDBY].controller
    assert controller._observe().cluster is not None
    controller._describing.start = lambda: None
    world.cluster.advance(3 * FAST.describe_ms)
    assert controller._observe().cluster is None


def test_until_the_role_has_moved_dns_stays_with_the_source():
    """P6: a claim is no authority; the metric changes when the target holds."""
    world = SimWorld()
    actors = start(world)
    said = []
    actors[STANDBY].controller._world.publisher.authority_home = lambda **word: said.append(
        (world.record.phase, word["is_home"])
    )
    run(world, actors, 3000)
    world.lost.add(HOME)
    run(world, actors, 7000)
    assert {phase for phase, _ in said} & {Phase.CLAIMED, Phase.PROMOTING}
    assert all(is_home for phase, is_home in said if phase is not Phase.HELD)
    assert said[-1] == (Phase.HELD, False)


def test_a_lease_counts_from_the_clock_read_before_its_record_was_written():
    """H8: the write takes a second; the lease ends as if it had taken none."""
    world = SimWorld()
    controller = world.controller(HOME, "slow")
    write = controller._world.journal.compare_and_set

    def slow(before, after):
        world.clock.mono_ms += 1000
        return write(before, after)

    run(world, {HOME: Actor(controller)}, 500)
    controller._world.journal.compare_and_set = slow
    began = world.clock.mono_ms
    controller.tick()
    assert world.servers[HOME].until_ms <= began + FAST.lease_ttl_ms


def test_whoever_lost_the_compare_and_set_does_nothing():
    """H1: the claim came first; the keeper's renewal must not reach the database either."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    keeper = actors[HOME].controller
    world.record = dataclasses.replace(world.record, version=world.record.version + 1, paused=True)
    keeper._read_at_ms = world.clock.mono_ms
    before = world.servers[HOME].until_ms
    world.cluster.advance(100)
    keeper.tick()
    assert world.servers[HOME].until_ms == before


def test_a_new_reason_for_waiting_is_told(capsys):
    """The region is lost and nobody may act but a person: the log must say so, once."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.record = dataclasses.replace(world.record, version=world.record.version + 1, mode="manual")
    world.lost.add(HOME)
    run(world, actors, 9000)
    assert capsys.readouterr().out.count("mode is manual: a person must approve") == 1
