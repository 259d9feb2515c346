import itertools
import math
import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.lab.links import Delay, LinkState, LinkTable
from farshore.lab.ports import OUTSIDE, Links

HOME, STANDBY, WITNESS = "us-east-1", "us-west-2", "us-east-2"
PLACES = (HOME, STANDBY, WITNESS, OUTSIDE)


def test_healthy_links_connect_everything():
    links: Links = LinkTable()
    assert all(links.connected(a, b) for a, b in itertools.product(PLACES, PLACES))
    assert not any(links.lost(region) for region in PLACES)


def test_default_delays():
    links = LinkTable(seed=3)
    drawn = [links.one_way_s(HOME, WITNESS) for _ in range(1000)]
    assert 0.027 <= min(drawn) < 0.0275
    assert 0.0325 < max(drawn) <= 0.033
    assert links.one_way_s(OUTSIDE, STANDBY) == pytest.approx(0.002)
    assert links.one_way_s(HOME, HOME) == 0.0


def test_the_same_seed_draws_the_same_jitter():
    def draws(seed):
        links = LinkTable(seed=seed)
        return [links.one_way_s(HOME, STANDBY) for _ in range(5)]

    assert draws(5) == draws(5)
    assert draws(5) != draws(6)


def test_a_lost_region_reaches_nobody_not_even_itself():
    links = LinkTable()
    links.lose(HOME)
    assert links.lost(HOME)
    assert not any(links.connected(HOME, place) for place in PLACES)
    assert links.connected(STANDBY, WITNESS)
    links.heal(HOME)
    assert all(links.connected(HOME, place) for place in PLACES)


def test_a_cut_parts_two_places_only():
    links = LinkTable()
    links.cut(HOME, STANDBY)
    assert not links.connected(HOME, STANDBY)
    assert links.connected(HOME, WITNESS)
    assert links.connected(OUTSIDE, HOME)
    links.join(STANDBY, HOME)
    assert links.connected(HOME, STANDBY)


def test_a_one_way_cut_passes_the_other_way():
    links = LinkTable()
    links.cut(HOME, STANDBY, one_way=True)
    assert not links.passes(HOME, STANDBY)
    assert links.passes(STANDBY, HOME)
    assert not links.connected(HOME, STANDBY)


def test_a_stall_adds_what_is_left_of_it():
    links = LinkTable(jitter_ms=0)
    links.stall(HOME, STANDBY, 5.0)
    assert 4.9 < links.one_way_s(HOME, STANDBY) <= 5.03
    assert links.one_way_s(HOME, WITNESS) == pytest.approx(0.03)
    links.stall(HOME, STANDBY, 0.0)
    assert links.one_way_s(STANDBY, HOME) == pytest.approx(0.03)


def test_delays_can_be_set_and_never_go_below_zero():
    links = LinkTable()
    links.set_delay(HOME, STANDBY, 5, 25)
    drawn = [links.one_way_s(STANDBY, HOME) for _ in range(500)]
    assert min(drawn) == 0.0
    assert 0.02 < max(drawn) <= 0.03


def test_every_change_is_pushed_before_the_call_returns():
    links, seen = LinkTable(), []

    def push(state):
        seen.append(state)
        return 7

    links.attach(push)
    assert links.lose(STANDBY) == 7
    links.cut(HOME, WITNESS)
    assert [state.lost for state in seen] == [frozenset(), {STANDBY}, {STANDBY}]
    assert seen[-1].cut == {(HOME, WITNESS), (WITNESS, HOME)}
    links.detach()
    links.heal(STANDBY)
    assert len(seen) == 3


def test_a_caller_can_wait_for_a_heal():
    links = LinkTable()
    links.lose(HOME)
    assert not links.wait_until(lambda s: s.connected(HOME, STANDBY), timeout_s=0.01)
    timer = threading.Timer(0.05, links.heal, [HOME])
    timer.start()
    assert links.wait_until(lambda s: s.connected(HOME, STANDBY), timeout_s=5)
    timer.join()


def test_unknown_places_are_refused():
    links = LinkTable()
    with pytest.raises(ValueError, match="eu-west-1"):
        links.lose("eu-west-1")
    with pytest.raises(ValueError, match="itself"):
        links.cut(HOME, HOME)


def test_opens_at_says_when_a_direction_delivers():
    state = LinkState(cut=frozenset({(HOME, STANDBY)}), stalled_until={(STANDBY, HOME): 12.5})
    assert state.opens_at(HOME, STANDBY) == math.inf
    assert state.opens_at(STANDBY, HOME) == 12.5
    assert state.opens_at(HOME, WITNESS) == 0.0


ways = st.tuples(st.sampled_from(PLACES), st.sampled_from(PLACES))
delays = st.builds(Delay, st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(1, 1e9))


@given(
    st.builds(
        LinkState,
        delays=st.dictionaries(ways, delays),
        lost=st.frozensets(st.sampled_from(PLACES)),
        cut=st.frozensets(ways),
        stalled_until=st.dictionaries(ways, st.floats(0, 1e9)),
    )
)
def test_a_state_survives_its_json(state):
    assert LinkState.from_json(state.as_json()) == state


@given(delays)
def test_delays_stay_within_their_jitter(delay):
    drawn = delay.draw(random.Random(1))
    assert max(0.0, delay.base_s - delay.jitter_s) <= drawn <= delay.base_s + delay.jitter_s


def test_asking_is_cheap():
    links = LinkTable()
    begin = time.process_time()
    for _ in range(20_000):
        links.connected(HOME, STANDBY)
        links.one_way_s(HOME, STANDBY)
    assert time.process_time() - begin < 1.0
