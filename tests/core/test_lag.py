"""The verdict on readings of the lag, as a table: what is missing, stale, moved or contradicted is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.core.lag import (
    Limits,
    Metric,
    Patience,
    Quality,
    Replica,
    Seen,
    State,
    Word,
    around,
    is_news,
    judge,
    lines,
    noted,
)

HOME, STANDBY = "us-east-1", "us-west-2"
LIMITS = Limits(alert_ms=5000, status_stale_ms=30_000, metric_stale_ms=300_000)


def writer(lag_ms=40, age_ms=500, region=STANDBY):
    return Word(writes=True, replicas=(Replica(region, lag_ms, age_ms),))


READER = Word(writes=False)
ALONE = Word(writes=True)
NONE_HERE = Metric(answered_ms=1000, asked_ms=60_000)
FRESH = Metric(50, 20_000, 1000, 60_000)


def metric(lag_ms, age_ms=20_000, answered_ms=1000):
    return Metric(lag_ms, age_ms, answered_ms, 600_000)


TABLE = [
    # name, region that looks, words, metric, recent, state, lag, the database's and CloudWatch's quality
    (
        "writer's region, all well",
        HOME,
        {HOME: writer(), STANDBY: READER},
        NONE_HERE,
        (0, 40),
        State.OK,
        40,
        "known",
        "absent",
    ),
    (
        "secondary, all well",
        STANDBY,
        {HOME: writer(), STANDBY: READER},
        FRESH,
        (0, 40),
        State.OK,
        40,
        "known",
        "known",
    ),
    ("late", HOME, {HOME: writer(5001)}, NONE_HERE, (0, 5001), State.LATE, 5001, "known", "absent"),
    ("just not late", HOME, {HOME: writer(5000)}, NONE_HERE, (0, 5000), State.OK, 5000, "known", "absent"),
    (
        "late, and CloudWatch agrees",
        STANDBY,
        {HOME: writer(9000)},
        metric(7000),
        (40, 9000),
        State.LATE,
        9000,
        "known",
        "known",
    ),
    (
        "roles swapped",
        HOME,
        {STANDBY: writer(region=HOME), HOME: READER},
        FRESH,
        (0, 40),
        State.OK,
        40,
        "known",
        "known",
    ),
    ("nobody answers", HOME, {}, NONE_HERE, None, State.UNKNOWN, None, "missing", "absent"),
    ("nobody answers, CloudWatch does", STANDBY, {}, FRESH, None, State.UNKNOWN, None, "missing", "known"),
    (
        "nobody writes",
        HOME,
        {HOME: READER, STANDBY: READER},
        NONE_HERE,
        None,
        State.UNKNOWN,
        None,
        "missing",
        "absent",
    ),
    (
        "both write",
        HOME,
        {HOME: writer(), STANDBY: ALONE},
        NONE_HERE,
        None,
        State.UNKNOWN,
        None,
        "contradictory",
        "absent",
    ),
    (
        "no secondary",
        HOME,
        {HOME: ALONE, STANDBY: READER},
        NONE_HERE,
        None,
        State.UNKNOWN,
        None,
        "missing",
        "absent",
    ),
    (
        "only itself is reported",
        HOME,
        {HOME: writer(region=HOME)},
        NONE_HERE,
        None,
        State.UNKNOWN,
        None,
        "missing",
        "absent",
    ),
    (
        "an old calculation",
        HOME,
        {HOME: writer(age_ms=30_001)},
        NONE_HERE,
        (0, 40),
        State.UNKNOWN,
        None,
        "stale",
        "absent",
    ),
    (
        "CloudWatch never answered",
        STANDBY,
        {HOME: writer()},
        Metric(asked_ms=30_001),
        (0, 40),
        State.OK,
        40,
        "known",
        "missing",
    ),
    (
        "CloudWatch has just been asked",
        STANDBY,
        {HOME: writer()},
        Metric(asked_ms=3000),
        (0, 40),
        State.OK,
        40,
        "known",
        "pending",
    ),
    (
        "CloudWatch answers no more",
        STANDBY,
        {HOME: writer()},
        metric(40, answered_ms=300_001),
        (0, 40),
        State.OK,
        40,
        "known",
        "missing",
    ),
    (
        "a secondary without the metric",
        STANDBY,
        {HOME: writer()},
        NONE_HERE,
        (0, 40),
        State.OK,
        40,
        "known",
        "missing",
    ),
    (
        "an old metric",
        STANDBY,
        {HOME: writer()},
        metric(40, 300_001),
        (0, 40),
        State.OK,
        40,
        "known",
        "stale",
    ),
    (
        "a metric of before the move",
        HOME,
        {HOME: writer()},
        metric(40),
        (0, 40),
        State.OK,
        40,
        "known",
        "moved",
    ),
    (
        "the move is long ago",
        HOME,
        {HOME: writer()},
        metric(40, 300_001),
        (0, 40),
        State.OK,
        40,
        "known",
        "absent",
    ),
    (
        "CloudWatch says far more",
        STANDBY,
        {HOME: writer()},
        metric(5041),
        (0, 40),
        State.UNKNOWN,
        None,
        "known",
        "contradictory",
    ),
    (
        "CloudWatch says far less",
        STANDBY,
        {HOME: writer(9000)},
        metric(10),
        (6000, 9000),
        State.UNKNOWN,
        None,
        "known",
        "contradictory",
    ),
    (
        "CloudWatch saw the spike that we saw",
        STANDBY,
        {HOME: writer()},
        metric(8000),
        (0, 8100),
        State.OK,
        40,
        "known",
        "known",
    ),
]


@pytest.mark.parametrize(
    ("me", "words", "told", "recent", "state", "lag_ms", "database", "cloudwatch"),
    [pytest.param(*row[1:], id=row[0]) for row in TABLE],
)
def test_the_verdict(me, words, told, recent, state, lag_ms, database, cloudwatch):
    verdict = judge(Seen(me, words, told, recent), LIMITS)
    assert (verdict.state, verdict.lag_ms) == (state, lag_ms)
    assert [reading.quality for reading in verdict.readings] == [database, cloudwatch]
    assert verdict.why
    assert len(verdict.doubts) == sum(Quality(q).is_doubt for q in (database, cloudwatch))


MOVES = [
    # me; for how long the other one (or me) has written; the metric's age, None without a value; what it is worth
    ("a value of the minute of the move", HOME, 90_000, 20_000, "settling"),
    ("a value of long before the move", HOME, 1000, 250_000, "settling"),
    ("Aurora's last word, a minute late", HOME, 140_000, 20_000, "settling"),
    ("a value of a minute that began after the move", HOME, 140_001, 20_000, "moved"),
    ("values go on coming after the move", HOME, 600_000, 20_000, "moved"),
    ("nobody knows since when", HOME, None, 20_000, "moved"),
    ("the move is long ago", HOME, 600_000, 300_001, "absent"),
    ("a new secondary without a value", STANDBY, 180_000, None, "settling"),
    ("a new secondary with a value of its last time", STANDBY, 180_000, 300_001, "settling"),
    ("a new secondary that has its value", STANDBY, 1000, 20_000, "known"),
    ("a secondary that never gets its value", STANDBY, 180_001, None, "missing"),
    ("a secondary whose value stays old", STANDBY, 180_001, 300_001, "stale"),
    ("a secondary since nobody knows when", STANDBY, None, None, "missing"),
]


@pytest.mark.parametrize(
    ("me", "writer_for_ms", "age_ms", "cloudwatch"), [pytest.param(*row[1:], id=row[0]) for row in MOVES]
)
def test_after_a_move_only_what_contradicts_the_new_roles_is_in_doubt(me, writer_for_ms, age_ms, cloudwatch):
    told = NONE_HERE if age_ms is None else metric(40, age_ms)
    verdict = judge(Seen(me, {HOME: writer()}, told, (0, 40), writer_for_ms), LIMITS)
    assert verdict.readings[1].quality == cloudwatch
    assert bool(verdict.doubts) == (cloudwatch in ("moved", "missing", "stale"))
    assert verdict.lag_ms == 40


@pytest.mark.parametrize("me", [HOME, STANDBY])
def test_whatever_settles_is_in_doubt_within_bounds(me):
    """Minute by minute after a move that leaves each region with what it had: two minutes until values that go on
    coming are in doubt, three until one that never comes is."""
    for minute in range(1, 11):
        writer_for_ms = minute * 60_000
        told = metric(40, 30_000) if me == HOME else NONE_HERE
        verdict = judge(Seen(me, {HOME: writer()}, told, (0, 40), writer_for_ms), LIMITS)
        assert bool(verdict.doubts) == (minute > (2 if me == HOME else 3)), minute


words = st.builds(
    Word,
    writes=st.booleans(),
    replicas=st.lists(
        st.builds(Replica, st.sampled_from([HOME, STANDBY]), st.integers(0, 10**6), st.integers(0, 10**6)),
        max_size=2,
    ).map(tuple),
)
maybe = st.none() | st.integers(0, 10**6)


@given(
    st.sampled_from([HOME, STANDBY]),
    st.dictionaries(st.sampled_from([HOME, STANDBY]), words),
    st.builds(Metric, maybe, maybe, maybe, maybe),
)
def test_no_lag_without_one_fresh_writer(me, said, told):
    """Whatever CloudWatch says: without one writer and its fresh word there is no lag, and a reason is shown."""
    verdict = judge(Seen(me, said, told), LIMITS)
    writers = [word for word in said.values() if word.writes]
    assert (verdict.lag_ms is None) == (verdict.state is State.UNKNOWN)
    if len(writers) != 1:
        assert verdict.state is State.UNKNOWN
        assert verdict.doubts
    if verdict.lag_ms is not None:
        assert any(r.rpo_lag_ms == verdict.lag_ms and r.age_ms <= 30_000 for r in writers[0].replicas)
    assert verdict.why in next(iter(lines(verdict)))


PATIENCE = Patience(late_ms=300, unknown_ms=60_000, ok_ms=900)


@pytest.mark.parametrize(
    ("told", "state", "lasted_ms", "expected"),
    [
        (State.OK, State.LATE, 299, False),
        (State.OK, State.LATE, 300, True),
        (State.LATE, State.LATE, 10**6, False),
        (State.OK, State.UNKNOWN, 59_999, False),
        (State.OK, State.UNKNOWN, 60_000, True),
        (State.LATE, State.UNKNOWN, 60_000, True),
        (State.LATE, State.OK, 899, False),
        (State.LATE, State.OK, 900, True),
        (State.UNKNOWN, State.OK, 900, True),
    ],
)
def test_what_people_are_told_of(told, state, lasted_ms, expected):
    assert is_news(told, state, lasted_ms, PATIENCE) is expected


def test_the_last_minutes_are_kept_as_their_extremes():
    minutes = ()
    for minute, lag_ms in ((7, 30), (7, 10), (8, 5), (7, 20), *((at, 1) for at in range(10, 14))):
        minutes = noted(minutes, minute, lag_ms)
    assert minutes == ((8, 5, 5), *((at, 1, 1) for at in range(10, 14)))
    assert noted(noted((), 7, 30), 7, 10) == ((7, 10, 30),)


def test_a_minute_is_compared_with_its_neighbours_and_never_with_nothing():
    minutes = ((7, 10, 30), (8, 5, 5), (11, 900, 900))
    assert around(minutes, 8) == (5, 30)
    assert around(minutes, 11) == (900, 900)
    assert around(minutes, 9) is None
