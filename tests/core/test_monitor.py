"""The monitor's silences: time in which it really asked, never time in which it was frozen itself."""

import time
from dataclasses import dataclass

import pytest

from farshore.clock import SystemClock
from farshore.core.facts import Now
from farshore.core.profile import FAST
from farshore.postgres.session import DatabaseUnreachableError
from farshore.prober import Prober


@dataclass
class Clock:
    ms: int = 0

    def now(self):
        return Now(wall_ms=self.ms, mono_ms=self.ms)


class Endpoint:
    """An endpoint that answers at once, or hangs until the deadline; `frozen_ms` passes within the next call."""

    def __init__(self, clock):
        self.clock, self.answers, self.frozen_ms = clock, True, 0
        self.replicas = [["us-west-2", 7, 100]]

    def close(self):
        pass

    def row(self, statement, values, timeout_ms):
        self.clock.ms += self.frozen_ms
        self.frozen_ms = 0
        if self.answers:
            return True, self.replicas
        self.clock.ms += timeout_ms
        raise DatabaseUnreachableError("silence")


def eventually(met, within_s=10):
    give_up = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def place():
    clock = Clock()
    endpoint = Endpoint(clock)
    return clock, endpoint, Prober(endpoint, FAST, clock)


def turn(prober, clock):
    prober._turn()
    clock.ms += FAST.probe_ms


def test_a_dead_endpoint_is_silent_for_as_long_as_it_was_asked(place):
    clock, endpoint, prober = place
    turn(prober, clock)
    endpoint.answers = False
    began = clock.ms
    turn(prober, clock)
    assert prober.silent_ms() >= clock.ms - began
    assert prober.silent_ms() >= FAST.unreachable_after_ms


def test_an_endpoint_never_asked_is_unknown(place):
    _clock, _endpoint, prober = place
    assert prober.silent_ms() is None


def test_a_frozen_prober_knows_of_no_silence(place):
    """The process is thawed: before its next probe has ended, its long silence is its own."""
    clock, _endpoint, prober = place
    turn(prober, clock)
    clock.ms += 60_000
    assert prober.silent_ms() is None
    turn(prober, clock)
    assert prober.silent_ms() <= FAST.probe_ms


def test_a_probe_that_failed_over_a_freeze_is_no_evidence(place):
    """On waking, the deadline has passed before the answer that lies in the socket is looked at."""
    clock, endpoint, prober = place
    turn(prober, clock)
    endpoint.answers, endpoint.frozen_ms = False, 60_000
    turn(prober, clock)
    assert prober.silent_ms() is None or prober.silent_ms() < FAST.unreachable_after_ms
    began = clock.ms
    turn(prober, clock)
    turn(prober, clock)
    assert prober.silent_ms() >= FAST.unreachable_after_ms
    assert prober.silent_ms() <= clock.ms - began + FAST.probe_ms


def test_a_freeze_between_two_probes_does_not_count(place):
    clock, endpoint, prober = place
    turn(prober, clock)
    clock.ms += 60_000
    endpoint.answers = False
    turn(prober, clock)
    assert prober.silent_ms() <= FAST.unreachable_after_ms + 2 * FAST.probe_ms


def test_the_writers_word_grows_old_and_then_is_no_word(place):
    clock, endpoint, prober = place
    turn(prober, clock)
    (said,) = prober.word().replicas
    assert (said.region, said.rpo_lag_ms, said.age_ms) == ("us-west-2", 7, 100 + FAST.probe_ms)
    clock.ms += FAST.stale_after_ms - FAST.probe_ms
    assert prober.word().writes
    clock.ms += 1
    assert prober.word() is None
    endpoint.answers = False
    turn(prober, clock)
    assert prober.word() is None
    assert (prober.asked, prober.answered) == (2, 1)


def test_an_answer_that_cannot_be_read_ends_no_prober_and_is_no_evidence():
    """Then the endpoint falls silent: that is seen, which a thread that had died would never do."""
    endpoint = Endpoint(SystemClock())
    endpoint.replicas = [["us-west-2", None, None]]
    endpoint.clock = Clock()  # its silence takes no time here
    prober = Prober(endpoint, FAST, SystemClock())
    prober.start("test")
    try:
        eventually(lambda: prober.asked >= 3)
        assert (prober.answered, prober.silent_ms()) == (0, None)
        endpoint.answers = False
        eventually(lambda: (prober.silent_ms() or 0) >= FAST.unreachable_after_ms)
    finally:
        prober.stop()
