"""The lag that a monitor knows is told to CloudWatch, at its pace; an unknown lag is never told."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from farshore.core.facts import Now
from farshore.core.profile import FAST
from farshore.monitor import Monitor

PROFILE = replace(FAST, metric_ms=1000)


class Endpoint:
    """Answers its first probe with a lag, or with none, as a reader does."""

    def __init__(self, lag_ms):
        self.lag_ms, self.asked = lag_ms, threading.Event()

    def row(self, statement, values, timeout_ms):
        self.asked.set()
        return (self.lag_ms,)

    def close(self):
        pass


@pytest.fixture
def started():
    made = []

    def start(lag_ms):
        clock = SimpleNamespace(ms=0)
        clock.now = lambda: Now(wall_ms=50_000 + clock.ms, mono_ms=clock.ms)
        journal = SimpleNamespace(sightings=[])
        journal.put_sighting = journal.sightings.append
        told = []
        writer, reader = Endpoint(lag_ms), Endpoint(None)
        monitor = Monitor(
            region="us-west-2",
            process="m",
            sessions={"us-east-1": (writer, reader)},
            profile=PROFILE,
            journal=journal,
            clock=clock,
            tell_lag=lambda lag, at: told.append((lag, at)),
        )
        made.append(monitor)
        assert writer.asked.wait(5)
        prober = monitor._probers["us-east-1"][0]
        while lag_ms is not None and prober.lag_ms() is None:
            assert writer.asked.wait(5)
        return monitor, clock, told, journal

    yield start
    for monitor in made:
        monitor.stop()


def test_a_known_lag_is_told_at_the_metrics_pace(started):
    monitor, clock, told, journal = started(7)
    monitor.tick()
    clock.ms = 999
    monitor.tick()
    clock.ms = 1000
    monitor.tick()
    assert told == [(7, 50_000), (7, 51_000)]
    assert [sighting.lag_ms for sighting in journal.sightings] == [7, 7, 7]


def test_an_unknown_lag_is_not_told(started):
    monitor, _clock, told, journal = started(None)
    monitor.tick()
    assert told == []
    assert journal.sightings[0].lag_ms is None
