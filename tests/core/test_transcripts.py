"""Stories: each file in transcripts/ is a list of commands and what farshore said and did, in order.

Commands: `run MS`, `lose REGION`, `heal REGION`, `kill REGION controller`, `start REGION controller`,
`console moves the role to REGION`, `by hand the role goes to REGION, the record away`, `mode MODE`,
`aws ok|refused|cancelled|...`, and what people ask for: `switchover REGION`, `failover REGION`, `approve`, `abort`,
`pause`, `resume`, `account REGION`, and by a colleague `propose REGION [although healthy]`.
FARSHORE_REWRITE=1 writes the answers anew: read the diff.
"""

import dataclasses
import os
from pathlib import Path

import pytest

from farshore.core import requests
from farshore.core.authority import Evidence
from farshore.core.errors import RefusedError
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.processes import Actor, run
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.world import SimWorld

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


class Story:
    def __init__(self):
        self.world = SimWorld()
        self.actors = {}
        self.started = 0
        self.told = 0
        for region in (HOME, STANDBY):
            self.start(region)

    def start(self, region):
        self.started += 1
        controller = self.world.controller(region, f"{region}/{self.started}")
        self.actors[region] = Actor(controller, due_ms=self.world.clock.mono_ms)

    def obey(self, command):
        world = self.world
        match command.split():
            case ["run", ms]:
                run(world, self.actors, world.clock.mono_ms + int(ms))
            case ["lose", region]:
                world.lost.add(region)
            case ["heal", region]:
                world.lost.remove(region)
                self.start(region)
            case ["kill", region, "controller"]:
                del self.actors[region]
            case ["start", region, "controller"]:
                self.start(region)
            case ["console", *_] | ["by", "hand", *_]:
                self.move_outside(command)
            case ["aws", answer]:
                world.aws = lambda: answer.replace("-", " ")
            case [
                "switchover" | "failover" | "propose" | "approve" | "abort" | "pause" | "resume" | "account",
                *_,
            ]:
                return self.ask(command)
            case ["mode", mode]:
                world.record = dataclasses.replace(world.record, version=world.record.version + 1, mode=mode)
            case _:
                raise AssertionError(f"no such command: {command}")
        return self.news()

    def move_outside(self, command):
        region = HOME if HOME in command else STANDBY
        self.world.cluster.move_by_hand(region)
        if command.startswith("by hand"):
            self.world.record = None

    def ask(self, command):
        """By the same journal as everybody; a refusal is told and changes nothing."""
        world, record = self.world, self.world.record
        asked = requests.Asked("alice", world.clock.now(), world.profile)
        try:
            match command.split():
                case ["switchover", region]:
                    cluster = SimCloud(world, region).describe()
                    after = requests.switchover(record, cluster, (HOME, STANDBY), region, asked)
                case ["failover", region]:
                    statement = requests.loss_statement(record, world.profile)
                    after = requests.failover(record, region, statement, asked)
                case ["propose", region, *despite]:
                    bob = dataclasses.replace(asked, by="bob")
                    after = requests.propose(record, region, bob, although_healthy=bool(despite))
                case ["approve"]:
                    after = requests.approve(record, None, asked, second_person=True)
                case ["account", region]:
                    owed = next(a for a in record.aftermaths if a.region == region)
                    settled = dataclasses.replace(owed, evidence=Evidence.SAVED, orphans_open=0)
                    after = requests.account(record, settled, asked)
                case [verb]:
                    after = getattr(requests, verb)(record, asked)
        except RefusedError as error:
            return [f"refused: {error}", *self.news()]
        assert SimJournal(world, HOME if STANDBY in world.lost else STANDBY).compare_and_set(record, after)
        return self.news()

    def news(self):
        world = self.world
        lines = [f"{e.action}: {e.reason}" for e in world.events[self.told :]]
        self.told = len(world.events)
        record = world.record
        writing = [region for region, server in world.servers.items() if server.may_write()]
        state = (
            "no record"
            if record is None
            else f"{record.phase} epoch {record.epoch} by {record.holder or 'nobody'}"
        )
        degraded = ", degraded" if record is not None and record.degraded else ""
        lines.append(f"= {state}{degraded}; accepts writes: {', '.join(writing) or 'nobody'}")
        return lines


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_story_is_told_as_written(path):
    story = Story()
    told = []
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            told.append(line)
        elif not line.startswith("  "):
            told.append(line)
            told += [f"  {answer}" for answer in story.obey(line)]
    text = "\n".join(told) + "\n"
    if os.environ.get("FARSHORE_REWRITE"):
        path.write_text(text)
    assert path.read_text() == text


def test_there_are_stories():
    assert len(TRANSCRIPTS) >= 5
