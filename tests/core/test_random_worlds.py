"""Random worlds: regions come and go, processes die at any point, freeze, and send late what they meant to send.

People move the role, abort, approve and pause at random times; AWS refuses, cancels, throttles and loses replies; links
are cut one way and clocks drift and step. P1 to P6 are looked at after every event (simulate/promises.py). A failing
seed is printed, and is the same each time: `farshore simulate` makes it short.
"""

import os

import pytest

from farshore.simulate.history import EVENTS_MIN
from farshore.simulate.run import batch, simulate

SAMPLE = 200
SOAK_HISTORIES = int(os.environ.get("FARSHORE_HISTORIES", "40000"))


def test_every_promise_is_kept_in_a_sample_of_worlds():
    totals = batch((5_000_000_000, SAMPLE))
    assert not totals.broken, totals.broken[0]
    assert totals.events_min >= EVENTS_MIN
    assert totals.failovers > SAMPLE // 10


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_thousands_of_worlds_try_everything_and_keep_every_promise():
    totals = simulate(SOAK_HISTORIES, 6, os.cpu_count() or 1, lambda _totals: None)
    print(
        f"{totals.histories} histories, {totals.events} events, {totals.histories / totals.cpu_s:.0f} a second"
    )
    assert not totals.broken, totals.broken[0]
    assert totals.uncovered == []
