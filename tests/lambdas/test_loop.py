"""The loop inside an invocation: it overlaps, steps aside, survives a table that does not answer, and ends."""

import itertools
from dataclasses import dataclass, field

import pytest

from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Now
from farshore.lambdas import loop
from farshore.ports import Page, Presence


@dataclass
class Clock:
    ms: int = 0

    def now(self):
        return Now(wall_ms=self.ms, mono_ms=self.ms)

    def sleep(self, milliseconds):
        self.ms += milliseconds


@dataclass
class Table:
    presences: list = field(default_factory=list)

    def read(self):
        return Page(None, {}, self.presences)

    def put_presence(self, presence):
        kept = [p for p in self.presences if (p.kind, p.region) != (presence.kind, presence.region)]
        self.presences = [*kept, presence]


@dataclass
class SlowTable(Table):
    """A clock that runs on while the table answers a beat's read and write."""

    clock: Clock = field(default_factory=Clock)
    slow_ms: int = 0

    def read(self):
        self.clock.ms += self.slow_ms
        return super().read()

    def put_presence(self, presence):
        self.clock.ms += self.slow_ms
        super().put_presence(presence)


@dataclass
class Context:
    clock: Clock
    aws_request_id: str = "r"
    limit_ms: int = 170_000

    def get_remaining_time_in_millis(self):
        return self.limit_ms - self.clock.ms


def run(table, clock, tick=lambda: 100, process="old", limit_ms=170_000):
    return loop.run(
        kind="controller",
        region="us-east-1",
        process=process,
        context=Context(clock, limit_ms=limit_ms),
        journal=table,
        clock=clock,
        tick=tick,
    )


def test_it_goes_on_past_the_next_schedule():
    clock = Clock()
    assert run(Table(), clock)["ended"] == "time"
    assert clock.ms >= loop.LOOP_MS > 97_000  # a minute and the latest start seen


def test_it_ends_before_the_function_is_killed():
    clock = Clock()
    run(Table(), clock, limit_ms=20_000)
    assert clock.ms < 20_000


def test_it_steps_aside_for_a_newer_loop_that_runs():
    table, clock = Table(), Clock()

    def tick():
        if clock.ms > 60_000:
            table.put_presence(
                Presence("controller", "us-east-1", "new", 60_000, (clock.ms - 60_000) // 2000)
            )
        return 100

    ended = run(table, clock, tick)
    assert ended["ended"] == "a newer loop runs"
    assert clock.ms < 68_000


@pytest.mark.parametrize("started_ms", [60_000, 3_600_000], ids=["died", "its clock was an hour ahead"])
def test_a_loop_that_beats_no_more_drives_nobody_out(started_ms):
    """Its last word stays in the table; whoever steps aside for it leaves the region without a keeper."""
    table, clock = Table(), Clock()

    def tick():
        if not table.presences or table.presences[0].process == "old":
            table.presences = [Presence("controller", "us-east-1", "gone", started_ms, 9)]
        return 100

    assert run(table, clock, tick)["ended"] == "time"


def test_it_stays_while_the_newer_one_has_only_begun_or_is_of_another_kind():
    table, clock = Table(), Clock()
    table.presences = [
        Presence("controller", "us-east-1", "new", 60_000, 1),
        Presence("monitor", "us-east-1", "new", 60_000, 9),
        Presence("controller", "us-west-2", "new", 60_000, 9),
    ]
    assert run(table, clock)["ended"] == "time"


@pytest.mark.parametrize(
    ("slow_ms", "apart_ms"), [(40, {100}), (600, {100, 1200})], ids=["within the rest", "beyond it"]
)
def test_a_beat_comes_out_of_the_rest_and_what_overruns_is_not_made_up_for(slow_ms, apart_ms):
    clock, began = Clock(), []

    def tick():
        began.append(clock.ms)
        return 100

    run(SlowTable(clock=clock, slow_ms=slow_ms), clock, tick)
    assert {after - before for before, after in itertools.pairwise(began)} == apart_ms


def test_a_table_that_does_not_answer_is_asked_again():
    clock = Clock()

    def tick():
        raise UnknownOutcomeError("no reply")

    ended = run(Table(), clock, tick, limit_ms=10_000)
    assert ended["failures"] > 50
    assert ended["ticks"] == 0


def test_what_nobody_expected_silences_no_region_and_is_told_at_the_end():
    table, clock, said = Table(), Clock(), []

    def tick():
        said.append(clock.ms)
        if 10_000 < clock.ms < 12_000:
            raise TypeError("an answer that nobody thought of")
        return 100

    with pytest.raises(TypeError, match="nobody thought of"):
        run(table, clock, tick)
    assert clock.ms >= loop.LOOP_MS
    assert max(after - before for before, after in itertools.pairwise(said)) <= loop.UNEXPECTED_MS
    assert table.presences[0].beat > loop.LOOP_MS / loop.BEAT_MS * 0.9
