"""Each procedure, broken into at every point between two steps, in every way, under every answer of AWS.

At every instant one region at most accepts writes (the simulation itself looks); a planned move loses nothing and is
asked for only when nothing can be lost; a failover takes effect only while the record wants it; in the end somebody
holds and writes. A case is named by procedure, answer, way and point, and is the same each time.
"""

from collections import Counter

import pytest
from interrupted import ANSWERS, BREAKS, PROCEDURES, play_out, points_of

from farshore import controller

REQUESTS_MAX = {"failover": 3, "switchover": 4, "failback": 5}
"""With the request of the person who moves the role back, and that of the failover before a failback."""
SAMPLE_POINTS = {"failover": 11, "switchover": 11, "failback": 11}


@pytest.fixture(autouse=True)
def no_log(monkeypatch):
    monkeypatch.setattr(controller, "log", lambda *_words, **_more: None)


def try_one(procedure: str, answer: str, index: int, how: str) -> None:
    play = play_out(procedure, answer, index, how)
    world, broken = play.world, play.passed[index][1]
    assert not world.stale_failovers
    assert not any(world.cluster.lost_by_moves), world.cluster.lost_by_moves
    # What was frozen on its way to AWS arrives late: that loses nothing, and only time can prevent it.
    assert not [asked for asked in world.requests if asked.early and asked.by != broken]
    assert len(world.requests) <= REQUESTS_MAX[procedure], world.requests


def cases(procedure: str, answer: str) -> list[tuple[int, str]]:
    return [(index, how) for index in range(len(points_of(procedure, answer))) for how in BREAKS]


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_the_points_cover_the_procedure(procedure):
    names = {name for name, _process in points_of(procedure, "ok")}
    asked = "promotion" if procedure == "failover" else "switchover"
    first = "CLAIMED" if procedure == "failover" else "drain"
    steps = (first, "PROMOTING", "HELD", "renew")
    assert names >= {f"{side} {step}" for side in ("before", "after") for step in steps}
    assert {"before the move is sent", f"before {asked} arrives", f"after {asked} arrived"} <= names


@pytest.mark.parametrize("how", [how for how in BREAKS if how != "freeze past the claim"])
@pytest.mark.parametrize("procedure", PROCEDURES)
def test_an_interruption_at_every_kind_of_point_is_survived(procedure, how):
    """The first passage of each kind of point, AWS answering yes."""
    firsts: dict[str, int] = {}
    for index, (name, _process) in enumerate(points_of(procedure, "ok")):
        firsts.setdefault(name, index)
    assert len(firsts) >= SAMPLE_POINTS[procedure]
    for index in firsts.values():
        try_one(procedure, "ok", index, how)


@pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer != "ok"])
@pytest.mark.parametrize("procedure", PROCEDURES)
def test_every_answer_of_aws_is_survived(procedure, answer):
    """Repeated right where the request is sent, and frozen there past its time."""
    names = [name for name, _process in points_of(procedure, answer)]
    for how in ("repeat", "freeze past not_after"):
        try_one(procedure, answer, names.index("before the move is sent"), how)


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("procedure", PROCEDURES)
def test_every_interruption_of_everything_is_survived(procedure):
    tried: Counter[str] = Counter()
    for answer in ANSWERS:
        for index, how in cases(procedure, answer):
            try_one(procedure, answer, index, how)
            tried[answer] += 1
    print(f"{procedure}: {tried.total()} interruptions survived, by AWS's answer {dict(tried)}")
    assert tried.total() >= 1000
