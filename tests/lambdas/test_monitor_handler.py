"""What starts a loop, and what a person who invokes a monitor is told."""

import pytest

from farshore.core.facts import Endpoints, Now
from farshore.core.profile import FAST
from farshore.lambdas import loop
from farshore.monitor import Monitor
from farshore.postgres.session import DatabaseUnreachableError


@pytest.mark.parametrize(
    ("event", "starts"),
    [
        ({"source": "aws.events", "detail-type": "Scheduled Event"}, True),
        ({"source": "farshore"}, True),
        ({}, False),
        ({"source": "somebody"}, False),
        (None, False),
        ([], False),
    ],
)
def test_a_schedule_starts_a_loop_and_a_person_does_not(event, starts):
    assert loop.starts(event) is starts


class Clock:
    def __init__(self):
        self.ms = 0

    def now(self):
        return Now(wall_ms=self.ms, mono_ms=self.ms)

    def sleep(self, milliseconds):
        self.ms += milliseconds


class Session:
    """An endpoint: a writer with a replica so far behind, or a reader; or silent."""

    def __init__(self, lag=None, *, answers=True):
        self.lag, self.answers = lag, answers

    def row(self, statement, values, timeout_ms):
        if not self.answers:
            raise DatabaseUnreachableError("silence")
        return (False, None) if self.lag is None else (True, [["standby", self.lag, 10]])

    def close(self):
        pass


def looked(**sessions):
    monitor = Monitor(
        region="home", process="p", sessions=sessions, profile=FAST, journal=None, clock=Clock()
    )
    try:
        return monitor.look()
    finally:
        monitor.stop()


def test_a_look_waits_for_every_endpoint_and_writes_nothing():
    endpoints, verdict = looked(home=(Session(7), Session()), standby=(Session(), Session()))
    assert set(endpoints) == {"home", "standby"}
    assert all(
        isinstance(seen, Endpoints) and None not in (seen.writer_silent_ms, seen.reader_silent_ms)
        for seen in endpoints.values()
    )
    assert (verdict.state, verdict.lag_ms) == ("ok", 7)


def test_a_look_ends_although_an_endpoint_never_answers():
    _, verdict = looked(home=(Session(answers=False), Session()), standby=(Session(), Session()))
    assert (verdict.state, verdict.lag_ms) == ("unknown", None)
    assert "none of them writes" in verdict.why
