"""What status and watch print: the worst first, all of it within 80 columns, and one line per change for programs."""

import io
import json
import threading
import time
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from core.scenes import (
    APPROVED,
    EAST,
    EVENT,
    HEALTHY,
    LOST,
    PROPOSAL,
    RECORD,
    WEST,
    alone,
    monitors,
    moving,
    record,
)
from farshore.cli import watch as watching
from farshore.cli.status import words
from farshore.core.authority import Aftermath, Evidence, Phase, Quiet
from farshore.core.facts import LagReading
from farshore.core.scene import Scene
from farshore.core.story import judge
from farshore.operate import watch as operate
from farshore.operate.status import Status

PROPOSED = {**LOST, **record(mode="approve", proposal=PROPOSAL)}
AFTER = alone(
    aftermaths=(Aftermath(3, EAST),), quiet=Quiet(3, 1, WEST, HEALTHY.now_ms + 90_000), last_event=EVENT
)
DARK = {"answered": False, "record": None, "monitors": {}, "cluster": None, "lease_age_ms": None}
UNREAD = ("us-east-1: neither the authority table nor RDS: no answer within 2 s",)
READINGS = (LagReading("database", "known", 38, 100), LagReading("cloudwatch", "stale", None, 400_000))
SOURCES = "database known, 38 ms, 1.0 s old; cloudwatch stale, 7 min old"
SCENES = {
    "healthy": {},
    "proposed": PROPOSED,
    "approved": {**PROPOSED, **record(mode="approve", proposal=APPROVED)},
    "after": {**AFTER, "unread": UNREAD},
    "orphans": record(
        aftermaths=(Aftermath(3, EAST, Evidence.SAVED, 12), Aftermath(2, EAST, Evidence.WAIVED, 0))
    ),
    "draining": moving(Phase.DRAINING),
    "promoting": moving(Phase.PROMOTING),
    "dark": {**DARK, "unread": UNREAD},
    "doubtful": {
        "monitors": monitors(lag_state="unknown", lag_ms=None, lag_why="why", lag_doubts=("cloudwatch: x",))
    },
    "sources": {"monitors": monitors(lag_readings=READINGS)},
    "not yet": {"record": None, "lease_age_ms": None},
}


def scene(name) -> Scene:
    return replace(HEALTHY, **SCENES[name])


def status_words(name):
    found = scene(name)
    return words(Status(found, judge(found)))


def test_what_matters_stands_first():
    lines = status_words("proposed").splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["writer", "wrong", "next", "run"]
    assert lines[3] == "run       farshore approve failover-4-10"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("healthy", "writer    us-east-1 may write, epoch 3\nnext      nothing to do\n"),
        ("healthy", "lag       40 ms, ok by the monitor of us-east-1: 40 ms"),
        ("healthy", "us-west-2 by the monitor of us-east-1, 0.9 s ago: writer answers, reader answers"),
        ("healthy", "aws       us-east-1 is the writer, all connected"),
        ("proposed", "proposal  failover-4-10: failover us-east-1 -> us-west-2, may lose up to 22.0 s, 221 "),
        (
            "proposed",
            "by the monitor of us-west-2, 0.9 s ago: writer silent for 60 s, reader silent for 61 s",
        ),
        ("proposed", "lag       40 ms, ok by the monitor of us-east-1, 60 s ago"),
        ("approved", "approved by arn:aws:iam::1:user/bob until 2027-01-15T08:05:00Z"),
        ("after", "account   us-east-1, lost in epoch 3: evidence awaited, orphans not counted"),
        ("after", "quiet     until 2027-01-15T08:01:30Z a request for us-west-2 of epoch 3 may still arrive"),
        ("after", "unknown: not seen from here: us-east-1: neither the authority table nor RDS"),
        ("orphans", "account   us-east-1, lost in epoch 3: evidence saved, orphans 12 open"),
        ("orphans", "account   us-east-1, lost in epoch 2: settled"),
        (
            "draining",
            "move      switchover us-east-1 -> us-west-2, asked for by arn:aws:iam::1:user/ann, ticket T-1",
        ),
        ("draining", "writer    nobody may write, epoch 3, DRAINING"),
        ("dark", "writer    not known from here"),
        ("dark", "us-east-1 no monitor tells of it"),
        (
            "doubtful",
            "lag       unknown, unknown by the monitor of us-east-1: why\n            cloudwatch: x",
        ),
        ("sources", f"lag       40 ms, ok by the monitor of us-east-1: 40 ms\n            {SOURCES}\n"),
        ("not yet", "writer    nobody may write\n"),
    ],
)
def test_status_shows(name, shown):
    assert shown in status_words(name)


def snapshot(name, **changes):
    found = scene(name)
    events = [replace(EVENT, version=v, at_ms=EVENT.at_ms + v, reason="a reason " * 20) for v in range(1, 9)]
    made = operate.Snapshot(
        scene=found,
        story=judge(found),
        events=events,
        dns={"127.64.2.3:5353": EAST, "system": "The DNS operation timed out"},
        checks={
            "primary": "healthy (5 of 6 children, needs 4)",
            "secondary": "unhealthy (5 of 6 children, needs 4, inverted)",
        },
        alarms={EAST: "lag-unknown, controller-deadlock, monitor-stopped, controller-stopped", WEST: "none"},
    )
    return replace(made, **changes)


def rendered(shot, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(watching.screen(shot))
    return console.file.getvalue()


@pytest.mark.parametrize("name", SCENES)
def test_the_screen_fits_80_columns_and_loses_no_word(name):
    shot = snapshot(name)
    text = rendered(shot)
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= 80
    joined = "".join(text.split())
    for finding in shot.story.findings[:4]:
        assert "".join(finding.words.split()) in joined
    if shot.story.command:
        assert "".join(shot.story.command.split()) in joined
    for word in ("lease", "lag-unknown", "127.64.2.3:5353", "unhealthy", "secondary"):
        assert word in joined


def test_the_screen_shows_the_lag_by_source():
    text = rendered(snapshot("sources"))
    assert [line.strip() for line in text.splitlines()].count(SOURCES) == 2


def test_a_source_that_turns_doubtful_is_a_change_and_its_age_is_none():
    known = (READINGS[0], replace(READINGS[1], quality="known", lag_ms=38))
    healthy = snapshot("sources", scene=replace(HEALTHY, monitors=monitors(lag_readings=known)))
    before, after = operate.state(healthy), operate.state(snapshot("sources"))
    changed = [(f"lag by {region}, cloudwatch", "known", "stale") for region in (EAST, WEST)]
    assert list(operate.changes(before, after)) == changed
    assert not [what for what in after.values() if "38" in str(what)]


def test_the_screen_shows_the_last_transitions_newest_first():
    text = rendered(snapshot("healthy"), width=400)
    times = [
        line.split()[0] for line in text.splitlines() if line.startswith("0") or "HELD us-east-1: a" in line
    ]
    assert len(times) == watching.Layout().events
    assert "3 HELD us-east-1: a reason" in text


def terminal(height):
    return Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None)


@pytest.mark.parametrize("name", SCENES)
def test_a_terminal_of_24_lines_shows_every_trouble_the_next_command_and_a_transition(name):
    shot, console = snapshot(name), terminal(24)
    lines = console.render_lines(watching.fitted(shot, console))
    assert len(lines) <= 24
    text = ["".join(segment.text for segment in line) for line in lines]
    assert not [line for line in text if cell_len(line.rstrip()) > 80]
    joined = "".join("".join(text).split())
    story = shot.story
    for told in (*(finding.words for finding in story.findings[:4]), story.next_step, story.command or ""):
        assert "".join(told.split()) in joined
    assert text[-1].startswith("07:59:56  3 HELD us-east-1: a reason")


@pytest.mark.parametrize("height", [24, 18, 16])
def test_what_is_left_out_is_named(height):
    """Doubts first, and of what AWS says DNS last."""
    console, shot = terminal(height), snapshot("after")
    console.print(watching.fitted(shot, console))
    text = console.file.getvalue()
    assert "not shown: doubts, sources, endpoints" in text
    assert ("127.64.2.3" in text) == (height > 20)
    assert len(text.splitlines()) <= height


def test_a_high_terminal_shows_all():
    console, shot = terminal(60), snapshot("doubtful")
    console.print(watching.fitted(shot, console))
    text = console.file.getvalue()
    assert "cloudwatch: x" in text
    assert "not shown" not in text
    assert text.count("a reason") > 100


def test_a_live_screen_of_24_lines_is_not_cut():
    console, film = terminal(24), Film(snapshot("proposed"))
    watching._live(film, film, console)
    assert "3 HELD us-east-1: a reason" in console.file.getvalue()
    assert "farshore approve failover-4-10" in console.file.getvalue()


class Film:
    """A watcher that shows one prepared snapshot after another; the last is the end."""

    has_begun = True

    def __init__(self, *shots):
        self._shots = list(shots)

    def snapshot(self):
        return self._shots.pop(0)

    @property
    def has_come(self):
        return not self._shots


def stream(monkeypatch, capsys, *shots):
    monkeypatch.setattr(watching, "FRAME_S", 0.0)
    film = Film(*shots)
    watching._stream(film, film)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_stream_tells_each_transition_and_each_change_once(monkeypatch, capsys):
    events = [replace(EVENT, version=version) for version in (7, 8)]
    later = [*events, replace(EVENT, version=9, action="promoted")]
    first = snapshot("healthy", events=events)
    second = snapshot("proposed", events=later)
    lines = stream(monkeypatch, capsys, first, first, second, second)
    transitions = [line["version"] for line in lines if line["kind"] == "transition"]
    assert transitions == [8, 9]
    states = [line for line in lines if line["kind"] == "state"]
    changed = {s["what"]: (s["before"], s["now"]) for s in states if s["before"] is not None}
    assert changed["writer"] == (EAST, None)
    assert changed["lease"] == ("valid", "lapsed")
    assert changed[f"monitor {EAST}"] == ("heard", "silent")
    assert changed[f"database {EAST}"] == ("answers", "silent")
    assert changed["next"][1] == "farshore approve failover-4-10"
    begun = [s["what"] for s in states if s["before"] is None]
    assert len(begun) == len(set(begun))
    assert {"writer", "epoch", "phase", "check primary", "dns system", f"alarms {WEST}"} <= set(begun)


def test_ages_and_numbers_of_children_are_no_change(monkeypatch, capsys):
    first = snapshot("healthy")
    older = replace(first.scene, lease_age_ms=2900, monitors=monitors(1900, 1900, lag_ms=44))
    second = replace(
        first,
        scene=older,
        story=judge(older),
        checks={**first.checks, "primary": "healthy (6 of 6 children, needs 4)"},
    )
    before, after = operate.state(first), operate.state(second)
    assert list(operate.changes(before, after)) == []
    assert list(operate.changes(before, {**after, "epoch": 4})) == [("epoch", RECORD.epoch, 4)]


def test_a_question_that_hangs_leaves_the_last_answer_and_holds_nobody_up():
    answers, for_ever = [1], threading.Event()

    def question():
        if answers:
            return answers.pop()
        for_ever.wait()
        raise OSError("dark")

    poll = operate.Poll("test", question, 0.01)
    give_up = time.monotonic() + 20
    while poll.words != "1":
        assert time.monotonic() < give_up
    for_ever.set()
    while poll.words != "dark":
        assert time.monotonic() < give_up
    assert poll.value == 1
