"""What befalls API calls on purpose, and how often."""

import time
from types import SimpleNamespace

import pytest

from farshore.lab.cloud.mishaps import Calls, Kind, Mishap
from farshore.lab.cloud.wire import Answer, Silence

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


def test_every_nth_call_of_any_service_meets_each_kind_in_turn(calls):
    kinds = (Kind.REPLY_LOST, Kind.REQUEST_LOST)
    mishap = Mishap("*", "*", kinds, None, every=3)
    calls.arrange(mishap)
    seen = [ask(calls, call("rds", "DescribeGlobalClusters") if n % 2 else call()) for n in range(9)]
    assert seen == ["ok", "ok", "silent"] * 3
    assert mishap.befallen.total() == 3


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
