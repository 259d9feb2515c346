"""What befalls API calls on purpose, and how often."""

import time
from types import SimpleNamespace

import pytest

from farshore.lab.cloud.mishaps import Calls, Kind, Mishap
from farshore.lab.cloud.services import SERVICES
from farshore.lab.cloud.wire import Answer, Silence
from farshore.lab.harms import RECOVERY_CALLS

HOME, WEST = "us-east-1", "us-west-2"


def call(service="dynamodb", operation="GetItem"):
    return SimpleNamespace(
        service=service, operation=operation, region=HOME, request=SimpleNamespace(headers={})
    )


@pytest.fixture
def calls():
    return Calls(lambda _: "somebody")


def ask(calls, one=None, view=HOME):
    """`ok`, `failed` or `silent`."""
    try:
        answer = calls.befall(view, one or call(), lambda: Answer(200, b"done"))
    except Silence:
        return "silent"
    return "ok" if answer.body == b"done" else "failed"


def test_each_operations_first_call_from_a_view_and_every_nth_after_it_meet_each_kind_in_turn(calls):
    mishap = Mishap("*", "*", (Kind.ERROR, Kind.REQUEST_LOST), None, every=3)
    calls.arrange(mishap)
    assert [ask(calls) for _ in range(6)] == ["failed", "ok", "ok", "silent", "ok", "ok"]
    move = call("rds", "FailoverGlobalCluster")
    assert [ask(calls, move), ask(calls, move)] == ["failed", "ok"]
    assert [ask(calls, move, view=WEST), ask(calls, move, view=WEST)] == ["silent", "ok"]
    assert mishap.befallen == {"dynamodb:GetItem": 2, "rds:FailoverGlobalCluster": 2}


def test_what_a_recovery_asks_for_is_spelt_as_the_lab_spells_it():
    """Another spelling would be counted as never spoiled."""
    for name in RECOVERY_CALLS:
        service, _, operation = name.partition(":")
        assert operation in SERVICES[service].operations


def test_only_the_service_and_the_view_that_are_meant(calls):
    calls.arrange(Mishap("dynamodb", "*", Kind.REQUEST_LOST, None, view=HOME))
    assert ask(calls, call("rds", "DescribeGlobalClusters")) == "ok"
    assert ask(calls, view=WEST) == "ok"
    assert ask(calls, call(operation="UpdateItem")) == "silent"


def test_a_mishap_ends_when_it_is_ended_or_used_up(calls):
    once, for_ever = (Mishap("dynamodb", "GetItem", Kind.REQUEST_LOST, times) for times in (1, None))
    calls.arrange(once)
    assert [ask(calls), ask(calls)] == ["silent", "ok"]
    calls.arrange(for_ever)
    assert [ask(calls), ask(calls)] == ["silent", "silent"]
    calls.end(for_ever)
    assert ask(calls) == "ok"
    assert for_ever.befallen == {"dynamodb:GetItem": 2}


def test_who_waits_for_a_lost_answer_is_let_go_when_it_ends(calls):
    mishap = Mishap("dynamodb", "*", Kind.REPLY_LOST, None)
    calls.arrange(mishap)
    with pytest.raises(Silence) as silence:
        calls.befall(HOME, call(), lambda: Answer(200, b"done"))
    assert not silence.value.over()
    calls.end(mishap)
    assert silence.value.over()


def test_a_slow_call_is_answered_late(calls):
    calls.arrange(Mishap("dynamodb", "*", Kind.SLOW, None, delay_ms=50))
    began = time.monotonic()
    assert ask(calls) == "ok"
    assert time.monotonic() - began >= 0.05
