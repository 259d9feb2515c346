"""Region loss in the simulated world: what is claimed when and by whom."""

import dataclasses

import pytest

from farshore.core.authority import Phase
from farshore.core.profile import FAST
from farshore.simulate.processes import Actor, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld


def start(world: SimWorld) -> dict[str, Actor]:
    return {region: Actor(world.controller(region, f"{region}/1")) for region in (HOME, STANDBY)}


def test_first_boot_gives_the_writer_an_epoch_and_renewals():
    world = SimWorld()
    run(world, start(world), 3000)
    assert (world.record.phase, world.record.holder, world.record.epoch) == (Phase.HELD, HOME, 1)
    assert world.record.renewal_seq > 5
    assert world.servers[HOME].may_write()


def test_a_recreated_table_starts_above_the_databases_epoch():
    world = SimWorld()
    world.servers[HOME].epoch = 7
    run(world, start(world), 1000)
    assert world.record.epoch == 8


def test_region_loss_moves_the_writer_within_the_budget():
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.lost.add(HOME)
    run(world, actors, 6000)
    assert (world.record.phase, world.record.holder, world.record.epoch) == (Phase.HELD, STANDBY, 2)
    assert world.servers[STANDBY].may_write()
    assert world.record.degraded
    assert [event.action for event in world.events] == [
        "first-boot",
        "claim-lost-holder",
        "promote",
        "promoted",
    ]
    claimed, held = world.events[1], world.events[3]
    assert held.at_ms - claimed.at_ms < FAST.stall_margin_ms + 400


def test_the_old_writer_that_comes_back_is_fenced_and_never_holds_again():
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.lost.add(HOME)
    run(world, actors, 6000)
    world.lost.clear()
    actors[HOME] = Actor(world.controller(HOME, "back"), due_ms=6000)
    run(world, actors, 7500)
    assert world.servers[HOME].fenced
    run(world, actors, 9000)
    assert world.record.holder == STANDBY
    assert not world.servers[HOME].may_write()


def refusal(world: SimWorld, actors: dict[str, Actor], until_ms: int = 8000) -> None:
    run(world, actors, until_ms)
    assert world.record.epoch == 1, world.events[-1].reason
    assert world.promotions_sent == 0


def test_no_failover_while_the_holders_monitor_is_alive():
    """H10: an in-region failover looks like this."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    del actors[HOME]
    world.servers[HOME].in_recovery = True
    refusal(world, actors)


def test_no_failover_when_only_the_holders_functions_are_gone():
    """H9 and H12: the endpoints answer, so the neighbour renews for the holder and writing goes on."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    del actors[HOME]
    world.observe = lambda region, observe=world.observe: observe(region) if region == STANDBY else None
    refusal(world, actors)
    assert world.servers[HOME].may_write()


@pytest.mark.parametrize("missing", ["mode", "paused", "lag", "budget"])
def test_no_failover_by_itself_without(missing):
    profile = dataclasses.replace(FAST, loss_budget_ms=1000) if missing == "budget" else FAST
    world = SimWorld(profile=profile)
    actors = start(world)
    run(world, actors, 3000)
    changes = {"mode": {"mode": "approve"}, "paused": {"paused": True}, "lag": {"lag_ms": None}, "budget": {}}
    world.record = dataclasses.replace(world.record, version=world.record.version + 1, **changes[missing])
    world.lost.add(HOME)
    refusal(world, actors)


def test_no_failover_on_a_renewal_that_a_new_process_has_not_watched():
    """H8: a process that has just started waits the whole lease again, however old the record looks."""
    world = SimWorld()
    actors = start(world)
    run(world, actors, 3000)
    world.lost.add(HOME)
    run(world, actors, 4000)
    actors[STANDBY] = Actor(world.controller(STANDBY, "new"), due_ms=4000)
    run(world, actors, 4000 + FAST.lease_ttl_ms - 50)
    assert world.record.epoch == 1
    run(world, actors, 8000)
    assert world.record.holder == STANDBY
