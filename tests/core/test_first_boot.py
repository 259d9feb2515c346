"""A record that begins over a history: its version, its epoch, and what is owed."""

from dataclasses import replace

import pytest

from farshore.core import first_boot, requests
from farshore.core.authority import VERSIONS_LEAPT, Aftermath, Event, Evidence, Phase
from farshore.core.facts import Facts, GlobalCluster, Now, Server
from farshore.core.profile import FAST

EAST, WEST = "us-east-1", "us-west-2"
NOW = Now(1_000_000, 5000)
FACTS = Facts(
    EAST,
    "p",
    0,
    servers={
        EAST: Server(EAST, in_recovery=False, epoch=5, fenced=False, enforcing=True, clock_us=1, lag_ms=7)
    },
    cluster=GlobalCluster(EAST, None, synchronized=True),
)


def history(*steps):
    """Each step as (epoch, phase, holder, action)."""
    return [
        Event(version, 1, epoch, Phase(phase), holder, action, "why", "p")
        for version, (epoch, phase, holder, action) in enumerate(steps, 1)
    ]


BOOT = (1, "HELD", EAST, "first-boot")
CLAIM, FAILED_OVER = (2, "CLAIMED", None, "claim-lost-holder"), (2, "HELD", WEST, "promoted")
DRAIN, SENT, SWITCHED = (
    (2, "DRAINING", WEST, "failback"),
    (3, "PROMOTING", None, "drained"),
    (3, "HELD", EAST, "promoted"),
)


@pytest.mark.parametrize(
    ("steps", "writer", "owed"),
    [
        ((), EAST, ()),
        ((BOOT,), EAST, ()),
        ((BOOT,), WEST, (Aftermath(1, EAST),)),
        ((BOOT, CLAIM, FAILED_OVER), WEST, (Aftermath(1, EAST),)),
        ((BOOT, CLAIM, FAILED_OVER), EAST, (Aftermath(1, EAST), Aftermath(2, WEST))),
        ((BOOT, CLAIM, FAILED_OVER, DRAIN, SENT, SWITCHED), EAST, ()),
        ((BOOT, CLAIM, FAILED_OVER, DRAIN, SENT, SWITCHED), WEST, (Aftermath(3, EAST),)),
        ((BOOT, CLAIM), WEST, (Aftermath(1, EAST),)),
        ((BOOT, (3, "HELD", WEST, "first-boot")), WEST, (Aftermath(1, EAST),)),
    ],
)
def test_whoever_was_left_through_a_claim_or_by_hand_is_to_be_accounted_for(steps, writer, owed):
    assert first_boot.accounts(history(*steps), writer) == owed


SETTLED = {"evidence": Evidence.SAVED, "orphans_open": 0}


@pytest.mark.parametrize(
    ("state", "owed"),
    [
        (SETTLED, ()),
        ({**SETTLED, "evidence": Evidence.WAIVED}, ()),
        ({**SETTLED, "orphans_open": 2}, (Aftermath(1, EAST),)),
        ({**SETTLED, "epoch": 7}, (Aftermath(1, EAST),)),
    ],
)
def test_what_was_settled_before_is_not_asked_for_again(state, owed):
    """Told in the history in the words of core.requests."""
    last = first_boot.record(FACTS, NOW, "auto", history(BOOT))
    account = replace(Aftermath(1, EAST), **state)
    before = replace(last, holder=WEST, aftermaths=(replace(account, evidence=Evidence.AWAITED),))
    told = requests.account(before, account, requests.Asked("alice", NOW, FAST)).last_event
    assert first_boot.accounts([*history(BOOT, CLAIM, FAILED_OVER), told], WEST) == owed


def test_versions_and_renewals_go_on_beyond_any_that_the_old_record_reached():
    """It lived on for renewals that left no line of history; a process that slept may know any of those versions."""
    told = history(BOOT, CLAIM, FAILED_OVER)
    first = first_boot.record(FACTS, NOW, "approve", told)
    assert (first.version, first.renewal_seq, first.renewals) == (VERSIONS_LEAPT + 1, VERSIONS_LEAPT + 1, 1)
    again = first_boot.record(FACTS, NOW, "approve", [*told, first.last_event])
    assert again.version == 2 * VERSIONS_LEAPT + 1
    assert f"{again.version:012d}" > f"{first.version:012d}", "the table sorts its story by twelve digits"


@pytest.mark.parametrize(("epoch", "expected"), [(2, 6), (9, 10)])
def test_the_epoch_is_above_the_databases_and_the_historys(epoch, expected):
    assert first_boot.record(FACTS, NOW, "auto", history((epoch, "HELD", EAST, "promoted"))).epoch == expected


def test_a_new_cluster_begins_at_one():
    record = first_boot.record(FACTS, NOW, "auto", ())
    assert (record.version, record.renewal_seq, record.aftermaths, record.degraded) == (1, 1, (), False)
