"""Each situation of the night, as words, next step and exact command. One row, one situation."""

from dataclasses import replace

import pytest

from core.scenes import (
    ANSWERS,
    APPROVED,
    DEAD,
    DESCRIBE,
    EAST,
    HEALTHY,
    LOST,
    NOW_MS,
    PLAN,
    PROPOSAL,
    SILENT,
    UNHEALED,
    VERIFY,
    WATCH,
    WEST,
    alone,
    monitors,
    moving,
    record,
)
from farshore.core.authority import Aftermath, Evidence, Intent, Phase, Quiet
from farshore.core.facts import Endpoints, GlobalCluster
from farshore.core.scene import Grade, span
from farshore.core.story import judge

DRAINING_AND_LOST = moving(Phase.DRAINING, 60_000, monitors=LOST["monitors"])
SITUATIONS = {
    "healthy": ({}, EAST, 0, None, "nothing to do", None),
    "the table is dark": (
        {"answered": False, "record": None, "monitors": {}, "cluster": None},
        None,
        3,
        "who may write is not known here: no replica of farshore-authority-t answers",
        "credentials",
        "aws dynamodb describe-table --region us-west-2 --table-name farshore-authority-t",
    ),
    "never begun": (
        {"record": None, "lease_age_ms": None},
        None,
        1,
        "no region has been given authority yet",
        "guard",
        "farshore preflight",
    ),
    "nothing runs": (
        {**SILENT, "monitors": monitors(60_000, 60_000)},
        None,
        1,
        "nobody may write: us-east-1 has not renewed its lease for 60 s, and no monitor",
        "functions run",
        VERIFY,
    ),
    "the keeper is gone, the database is not": (
        SILENT,
        None,
        1,
        "though its database answers",
        "controllers run",
        VERIFY,
    ),
    "Aurora replaces its writer": (
        UNHEALED,
        None,
        1,
        "its monitor lives: Aurora is taken to replace its writer",
        "wait 2 min",
        WATCH,
    ),
    "Aurora replaces its writer, and nobody would propose anything": (
        {**UNHEALED, **record(mode="manual")},
        None,
        1,
        "its monitor lives: Aurora is taken to replace its writer",
        "fail over yourself: mode is manual",
        WATCH,
    ),
    "Aurora replaces its writer while farshore is paused": (
        {**UNHEALED, **record(paused=True)},
        None,
        1,
        "its monitor lives: Aurora is taken to replace its writer",
        "end the pause",
        WATCH,
    ),
    "Aurora does not replace its writer, and a failover is proposed": (
        {**UNHEALED, **record(proposal=PROPOSAL), "lease_age_ms": 190_000},
        None,
        1,
        "waits for a person",
        "approve it within 10 min",
        "farshore approve failover-4-10",
    ),
    "Aurora does not replace its writer, and nothing is proposed": (
        {**UNHEALED, "lease_age_ms": 190_000},
        None,
        1,
        "its monitor lives; us-west-2 has not taken over",
        "fail over to us-west-2; it may lose up to 22.0 s, 221 transactions",
        "farshore failover --to us-west-2 --accept-loss-ms 22040",
    ),
    "lost, and farshore is about to act": (
        {**LOST, "lease_age_ms": 21_000},
        None,
        1,
        "farshore is about to claim a new epoch",
        "wait",
        WATCH,
    ),
    "lost, and a proposal is about to come": (
        {**LOST, **record(mode="approve"), "lease_age_ms": 21_000},
        None,
        1,
        "about to be proposed: mode is approve",
        "wait",
        WATCH,
    ),
    "lost, and farshore does not act": (
        LOST,
        None,
        1,
        "both of its endpoints are silent; us-west-2 has not taken over",
        "fail over to us-west-2",
        "farshore failover --to us-west-2 --accept-loss-ms 22040",
    ),
    "lost, by hand": (
        {**LOST, **record(mode="manual"), "lease_age_ms": 21_000},
        None,
        1,
        "mode is manual",
        "wait 19 s, then fail over to us-west-2",
        "farshore failover --to us-west-2 --accept-loss-ms 22040",
    ),
    "lost, with a lag that nobody knew": (
        {**LOST, **record(lag_ms=None, mode="manual")},
        None,
        1,
        "mode is manual",
        "it may lose an unknown amount",
        "farshore failover --to us-west-2 --accept-unknown-loss",
    ),
    "lost while paused": (
        {**LOST, **record(paused=True)},
        None,
        1,
        "farshore is paused",
        "end the pause",
        "farshore resume",
    ),
    "lost, proposed": (
        {**LOST, **record(mode="approve", proposal=PROPOSAL)},
        None,
        1,
        "a failover to us-west-2 that may lose up to 22 s, 221 transactions waits for a person: mode is approve",
        "approve it within 10 min, or decline it by `farshore abort`",
        "farshore approve failover-4-10",
    ),
    "lost, approved": (
        {**LOST, **record(mode="approve", proposal=APPROVED)},
        None,
        1,
        "user/bob has approved a failover to us-west-2",
        "the approval holds for 5 min",
        WATCH,
    ),
    "lost while it was being drained, a proposal waits": (
        {**DRAINING_AND_LOST, "record": replace(DRAINING_AND_LOST["record"], proposal=PROPOSAL)},
        None,
        1,
        "a failover to us-west-2 that may lose up to 22 s, 221 transactions waits for a person",
        "approve it within 10 min",
        "farshore approve failover-4-10",
    ),
    "lost, the proposal has expired": (
        {**LOST, **record(mode="approve", proposal=replace(PROPOSAL, expires_at_ms=NOW_MS))},
        None,
        1,
        "mode is approve",
        "fail over",
        "farshore failover --to us-west-2 --accept-loss-ms 22040",
    ),
    "lost, a request may still arrive": (
        {**LOST, **record(quiet=Quiet(2, 1, EAST, NOW_MS + 90_000))},
        None,
        1,
        "may still arrive for 90 s",
        "wait",
        WATCH,
    ),
    "draining": (
        moving(Phase.DRAINING),
        None,
        1,
        (
            "a switchover from us-east-1 to us-west-2 is under way, DRAINING for 1.0 s, asked for by "
            "arn:aws:iam::1:user/ann, ticket T-1; it waits for us-east-1 to be fenced"
        ),
        "wait",
        WATCH,
    ),
    "draining for too long": (
        moving(Phase.DRAINING, 60_000),
        None,
        1,
        "that is too long",
        "controllers of us-east-1",
        VERIFY,
    ),
    "claimed": (moving(Phase.CLAIMED), None, 1, "to end for certain, 7.0 s more", "wait", WATCH),
    "claimed, the wait is over": (
        moving(Phase.CLAIMED, lease_age_ms=30_000),
        None,
        1,
        "waits for the controller of us-west-2 to go on",
        "wait",
        WATCH,
    ),
    "promoting": (
        moving(
            Phase.PROMOTING,
            plan=replace(PLAN, intent=Intent(0, 2)),
            cluster=GlobalCluster(EAST, "failing-over", synchronized=True),
        ),
        None,
        1,
        "waits for AWS to make us-west-2 the writer (failing-over), request 2",
        "wait",
        WATCH,
    ),
    "promoting for long": (
        moving(Phase.PROMOTING, 400_000),
        None,
        1,
        "PROMOTING for 7 min",
        "docs/by-hand.md",
        DESCRIBE.format(WEST),
    ),
    "AWS moves the writer on its own": (
        {"cluster": GlobalCluster(EAST, "switching-over", synchronized=True)},
        EAST,
        1,
        "AWS is moving the writer (switching-over), and farshore has not asked",
        "adopts it",
        DESCRIBE.format(EAST),
    ),
    "AWS shows another writer": (
        {"cluster": GlobalCluster(WEST, None, synchronized=True)},
        EAST,
        1,
        "AWS shows us-west-2 as the writer, authority is with us-east-1",
        "controller of us-west-2",
        VERIFY,
    ),
    "the standby is not connected": (
        {"cluster": GlobalCluster(EAST, None, synchronized=False)},
        EAST,
        1,
        "us-west-2 is not connected",
        "refused",
        DESCRIBE.format(EAST),
    ),
    "after a failover": (
        alone(aftermaths=(Aftermath(3, EAST),)),
        WEST,
        1,
        "us-west-2 runs alone",
        "wait for us-east-1",
        DESCRIBE.format(WEST),
    ),
    "the lost region is back, and not accounted for": (
        record(aftermaths=(Aftermath(3, EAST),)),
        EAST,
        1,
        "what us-east-1 had acknowledged when it was lost in epoch 3 is not counted",
        "read its old volume; ",
        "farshore reconcile",
    ),
    "back, and AWS still rebuilds it": (
        record(degraded=True),
        EAST,
        1,
        "us-east-1 runs alone",
        "us-west-2 is back: AWS rebuilds it",
        DESCRIBE.format(EAST),
    ),
    "after a failover, all accounted for": (
        alone(),
        WEST,
        1,
        "us-west-2 runs alone",
        "wait for us-east-1",
        DESCRIBE.format(WEST),
    ),
    "orphans": (
        record(aftermaths=(Aftermath(3, EAST, Evidence.SAVED, 12),)),
        EAST,
        1,
        "12 transactions of us-east-1, lost in epoch 3, are unresolved",
        "replay or refund",
        "farshore orphans",
    ),
    "settled": (
        record(aftermaths=(Aftermath(3, EAST, Evidence.SAVED, 0),)),
        EAST,
        0,
        None,
        "nothing to do",
        None,
    ),
    "paused": (
        record(paused=True),
        EAST,
        1,
        "farshore is paused: a lost region would not be acted on",
        "end the pause",
        "farshore resume",
    ),
    "the standby is dark": (
        {"monitors": monitors(west_age_ms=40_000, east={EAST: ANSWERS, WEST: DEAD})},
        EAST,
        1,
        "the monitor of us-east-1 hears nothing from us-west-2: writer for 60 s and reader for 61 s",
        "state of the cluster",
        "aws rds describe-db-clusters --region us-west-2 --db-cluster-identifier secondary-t",
    ),
    "a monitor is stopped": (
        {"monitors": monitors(west_age_ms=40_000)},
        EAST,
        1,
        "the monitor of us-west-2 has written nothing for 40 s",
        "does not run",
        VERIFY,
    ),
    "a monitor has never been": (
        {"monitors": {EAST: monitors()[EAST]}},
        EAST,
        1,
        "the monitor of us-west-2 has never written",
        "does not run",
        VERIFY,
    ),
    "late": (
        {"monitors": monitors(lag_state="late", lag_ms=9000, lag_why="so it says")},
        EAST,
        1,
        "replication is 9000 ms behind by the monitor of us-east-1: so it says",
        "burst",
        WATCH,
    ),
    "lag unknown": (
        {"monitors": monitors(lag_state="unknown", lag_ms=None, lag_why="no writer endpoint answers")},
        EAST,
        1,
        "the lag is unknown to the monitor of us-east-1: no writer endpoint answers",
        "which endpoint",
        VERIFY,
    ),
    "a monitor has just started": (
        {"monitors": monitors(lag_state="", lag_ms=None)},
        EAST,
        0,
        None,
        "nothing to do",
        None,
    ),
    "proposed although healthy": (
        record(proposal=PROPOSAL),
        EAST,
        0,
        "a failover to us-west-2 is proposed by w/controller/1",
        "abort",
        "farshore approve failover-4-10",
    ),
    "a region does not answer this computer": (
        {"unread": ("us-east-1: timed out",)},
        EAST,
        3,
        "not seen from here: us-east-1: timed out",
        "from a place",
        None,
    ),
    "quiet": (
        record(quiet=Quiet(2, 1, WEST, NOW_MS + 90_000)),
        EAST,
        0,
        "an earlier request to move the writer to us-west-2 may still arrive, for 90 s",
        "nothing else",
        WATCH,
    ),
    "no longer quiet": (record(quiet=Quiet(2, 1, WEST, NOW_MS)), EAST, 0, None, "nothing to do", None),
    "away from home": (
        record(holder=WEST) | {"cluster": GlobalCluster(WEST, None, synchronized=True)},
        WEST,
        0,
        "us-west-2 writes, us-east-1 is the home region",
        "nothing is lost",
        "farshore failback --dry-run",
    ),
    "clocks differ": (
        {"clock_off_ms": 45_000},
        EAST,
        0,
        "differs from the controllers' by about 45 s",
        "set it",
        "date -u",
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_situation(name):
    changes, writer, exit_code, words, next_step, command = SITUATIONS[name]
    story = judge(replace(HEALTHY, **changes))
    assert (story.writer, story.exit_code, story.command) == (writer, exit_code, command)
    assert next_step in story.next_step
    assert (words or "") in (story.findings[0].words if story.findings else "")
    assert bool(story.findings) == (words is not None)


def test_the_worst_comes_first_and_notes_last():
    scene = replace(HEALTHY, **{**LOST, **record(quiet=Quiet(2, 1, WEST, NOW_MS + 9000))}, unread=("x",))
    story = judge(scene)
    order = [finding.grade for finding in story.findings]
    assert order == sorted(order, key=list(Grade).index)
    assert set(order) == set(Grade)
    assert story.findings[0].words.startswith("nobody may write")


def test_what_is_unknown_comes_before_notes():
    story = judge(replace(HEALTHY, **record(proposal=PROPOSAL), unread=("x",)))
    assert [finding.grade for finding in story.findings] == [Grade.UNKNOWN, Grade.NOTE]


def test_a_proposal_of_another_epoch_is_none():
    scene = replace(HEALTHY, **{**LOST, **record(proposal=replace(PROPOSAL, epoch=2), mode="approve")})
    assert judge(scene).command == "farshore failover --to us-west-2 --accept-loss-ms 22040"


def test_an_endpoint_never_probed_is_not_silent():
    seen = monitors(east_age_ms=60_000, west={EAST: Endpoints(None, 60_000)})
    story = judge(replace(HEALTHY, lease_age_ms=60_000, monitors=seen))
    assert story.command == VERIFY
    assert "though its database answers" in story.findings[0].words


@pytest.mark.parametrize(
    ("changes", "lease"),
    [
        ({}, "valid: renewed 2.0 s ago, lasts 20 s"),
        ({"lease_age_ms": 20_000}, "lapsed: renewed 20 s ago, lasted 20 s"),
        (
            moving(Phase.CLAIMED),
            "not renewed while the role moves; the last renewal was 15 s ago, a lease lasts 20 s",
        ),
        ({"answered": False, "record": None, "lease_age_ms": None}, "unknown"),
        ({"record": None, "lease_age_ms": None}, "none"),
    ],
)
def test_the_lease_in_words(changes, lease):
    assert judge(replace(HEALTHY, **changes)).lease == lease


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-5, "0.0 s"), (1234, "1.2 s"), (59_700, "60 s"), (600_000, "10 min"), (7_300_000, "2 h")],
)
def test_a_span_is_said_as_people_say_it(ms, words):
    assert span(ms) == words
