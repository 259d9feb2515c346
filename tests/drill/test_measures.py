"""Figures against histories small enough to work them out by hand."""

from dataclasses import replace

import pytest
from sample import CLIENTS, HOME, MS, OUTSIDE, SECOND, UNIX_NS, WEST, Plan, drill

from farshore.drill.checker import judge
from farshore.drill.events import Clock, History, Invoke, Meta, Return
from farshore.drill.losses import Losses
from farshore.drill.measures import latency, measure, outages, percentile, rpo_seconds, unix_offset_ns
from farshore.drill.moves import moves
from farshore.drill.operations import Ack, fold
from farshore.drill.series import bins, latencies, throughput
from farshore.drill.stages import STAGES, JournalEvent, boundaries, parse_journal, stages
from farshore.drill.terms import Fault

FAULT = Fault("region-loss", HOME, at=10 * SECOND)


def history(client: str, kind: str, view: str, *returns_s: float, region: str = HOME) -> History:
    """A client whose every transfer takes 10 ms and is acknowledged at the given seconds."""
    events = []
    for number, at in enumerate(returns_s):
        t = round(at * SECOND)
        op = f"{client}-{number}"
        by = region if t < FAULT.at else WEST
        epoch = (1 if by == HOME else 2) if kind == "aware" else None
        tag = "confirmed" if kind == "aware" else "bare"
        events += [Invoke(op, t - 10 * MS, 100, 1, 2), Return(op, t, "ok", tag, by, epoch, None, 1)]
    meta = Meta(client, kind, view, 1, 7)
    return History(client, meta, (Clock(UNIX_NS, 0),), tuple(events))


def test_the_groups_outage_is_shorter_than_its_worst_clients() -> None:
    operations = fold([
        history("a", "aware", WEST, 9.0, 9.9, 12.5, 14.0),
        history("b", "aware", OUTSIDE, 9.5, 9.8, 13.5, 14.0),
        history("dead", "aware", HOME, 9.0, 9.99),
    ])  # fmt: skip
    found = outages(operations, "aware", {HOME}, end=14 * SECOND)
    assert found.group is not None
    assert found.group.seconds == pytest.approx(2.6)
    assert found.worst_client is not None
    assert (found.worst_client.who, found.worst_client.seconds) == ("b", pytest.approx(3.7))


def test_a_client_that_never_came_back_has_an_outage_to_the_end() -> None:
    operations = fold([history("a", "plain", WEST, 9.0, 9.9), history("b", "plain", WEST, 9.0, 9.9, 11.0)])
    found = outages(operations, "plain", {HOME}, end=20 * SECOND)
    assert found.group is not None
    assert (found.group.seconds, found.group.recovered) == (pytest.approx(9.0), False)
    assert found.worst_client is not None
    assert found.worst_client.seconds == pytest.approx(10.1)


def test_a_drill_that_ends_between_two_acknowledgements_ends_in_no_outage() -> None:
    operations = fold([history("a", "plain", WEST, 9.0, 9.2, 9.4)])
    found = outages(operations, "plain", {HOME}, end=10 * SECOND)
    assert found.group is not None
    assert (found.group.seconds, found.group.recovered) == (pytest.approx(0.6), True)


def test_without_acknowledgements_there_is_no_figure() -> None:
    measures = measure(fold([]), Losses(), FAULT, link_one_way_ms=30)
    assert (measures.aware.group, measures.dns_only.worst_client) == (None, None)
    assert (measures.acks_per_second, measures.lost_expected, measures.latency_before) == (None, None, None)


def test_rpo_reaches_from_the_earliest_lost_acknowledgement_to_the_fault() -> None:
    def lost(at_s: float) -> Ack:
        t = round(at_s * SECOND)
        return Ack("k", "a", "plain", WEST, HOME, None, False, 100, t - MS, t)

    assert rpo_seconds(Losses(lost=(lost(9.96), lost(9.9), lost(9.99))), FAULT) == pytest.approx(0.1)
    assert rpo_seconds(Losses(lost=(lost(10.001),)), FAULT) == 0.0
    assert rpo_seconds(Losses(), FAULT) == 0.0


def test_expected_loss_is_commit_rate_times_link_delay() -> None:
    times = [round(8 + 0.02 * number, 3) for number in range(100)]
    measures = measure(fold([history("a", "aware", WEST, *times, 12.0)]), Losses(), FAULT, link_one_way_ms=30)
    assert measures.home_acks_per_second == pytest.approx(50)
    assert measures.lost_expected == pytest.approx(1.5)


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([1, 2, 3, 4], share) for share in (0.5, 0.75, 0.76, 1.0)] == [2, 3, 4, 4]
    operations = fold([history("a", "plain", WEST, 9.0, 9.1)])
    measured = latency(operations.acks())
    assert measured is not None
    assert (measured.count, measured.p50_ms, measured.max_ms) == (2, 10.0, 10.0)


def test_series_lose_no_acknowledgement() -> None:
    operations = fold([history("a", "aware", WEST, 9.0, 9.04, 12.0), history("b", "plain", WEST, 9.0)])
    acks = operations.acks()
    grid = bins(9 * SECOND, 12 * SECOND, wanted=40)
    assert (grid.width, grid.count) == (100 * MS, 30)
    drawn = {(series.region, series.kind): series.per_second for series in throughput(acks, grid)}
    assert drawn[HOME, "aware"][0] == pytest.approx(20)
    assert drawn[HOME, "plain"][0] == pytest.approx(10)
    assert drawn[WEST, "aware"][-1] == pytest.approx(10)
    assert sum(map(sum, drawn.values())) * grid.width / SECOND == pytest.approx(len(acks))
    west = next(band for band in latencies(acks, grid) if band.region == WEST)
    assert west.p50_ms[-1] == pytest.approx(10)
    assert west.p99_ms[0] is None


def test_the_two_clocks_are_related_by_the_median_anchor() -> None:
    clocks = [(Clock(UNIX_NS + jitter, 0),) for jitter in (0, 5, 1000)]
    assert unix_offset_ns([History("h", None, clock, ()) for clock in clocks]) == UNIX_NS + 5
    assert unix_offset_ns([]) is None


# ---- stages


def journal_event(at_s: float, phase: str, action: str, epoch: int = 2, **more: int) -> JournalEvent:
    at = UNIX_NS // MS + round(at_s * 1000)
    return JournalEvent(round(at_s * 1000), at, epoch, phase, None, action, "", "", **more)


def staged(journal: list[JournalEvent]) -> dict[str, float | None]:
    acks = fold([history("a", "aware", WEST, 9.9, 12.5)]).acks()
    ends = boundaries(journal, acks, FAULT, unix_offset_ns=UNIX_NS)
    return {stage.name: stage.seconds for stage in stages(ends, FAULT)}


FULL = [
    journal_event(3, "HELD", "first-boot", epoch=1),
    journal_event(11.4, "CLAIMED", "claim-lost-holder", detected_at_unix_ms=UNIX_NS // MS + 11_300),
    journal_event(11.9, "PROMOTING", "promote"),
    journal_event(12.2, "HELD", "promoted"),
]


def test_stages_split_the_outage_and_add_up_to_it() -> None:
    seconds = staged(FULL)
    expected = {"detect": 1.3, "decide": 0.1, "fence": 0.5, "promote": 0.3, "route": 0.29, "reconnect": 0.01}
    assert seconds == pytest.approx(expected)
    assert sum(seconds.values()) == pytest.approx(2.5)


@pytest.mark.parametrize("missing", range(1, 4))
def test_a_missing_event_leaves_a_gap_that_the_next_stage_takes_over(missing: int) -> None:
    seconds = staged([event for number, event in enumerate(FULL) if number != missing])
    assert None in seconds.values()
    assert sum(value for value in seconds.values() if value is not None) == pytest.approx(2.5)


def test_without_a_journal_only_the_whole_is_known() -> None:
    seconds = staged([])
    assert seconds == {**dict.fromkeys(STAGES), "reconnect": pytest.approx(2.5)}


def test_a_journal_clock_that_runs_ahead_makes_no_negative_stage() -> None:
    seconds = staged([*FULL[:3], journal_event(14, "HELD", "promoted")])
    assert min(value for value in seconds.values() if value is not None) >= 0
    assert sum(value for value in seconds.values() if value is not None) == pytest.approx(2.5)


def test_the_journal_is_read_as_published_and_bad_lines_are_left_out() -> None:
    sample = drill(Plan())
    parsed = parse_journal([{"note": "x"}, *sample.journal[::-1]])
    assert [event.action for event in parsed][:4] == [
        "first-boot",
        "claim-lost-holder",
        "promote",
        "promoted",
    ]


def test_the_samples_outage_is_about_what_was_simulated() -> None:
    plan = Plan()
    sample = drill(plan)
    judgement = judge(sample.evidence())
    measures = measure(judgement.operations, judgement.losses, sample.fault, link_one_way_ms=plan.link_ms)
    assert measures.aware.group is not None
    assert measures.aware.group.seconds == pytest.approx(plan.outage_s, abs=0.4)
    assert measures.dns_only.group is not None
    assert measures.dns_only.group.seconds > measures.aware.group.seconds
    assert 0 < measures.rpo_seconds <= plan.link_ms / 1000


def test_who_was_not_served_before_the_fault_is_counted_from_it():
    sample = drill(Plan(fault_s=1.0, outage_s=0.6, end_s=3.0))
    at = sample.fault.at
    for name, kind, view in CLIENTS:
        if kind == "aware" and view != HOME:
            sample.events[name] = [
                replace(e, outcome="unknown") if isinstance(e, Return) and e.t < at + SECOND else e
                for e in sample.events[name]
            ]
    judgement = judge(sample.evidence())
    measured = measure(judgement.operations, judgement.losses, sample.fault)
    assert measured.aware.group.start == at
    assert measured.aware.group.seconds >= 1
    move = moves(judgement.operations, [sample.fault], [], unix_offset_ns=None, end=measured.end)[0]
    assert move.aware.group.start == at
    assert "few_acks_before" in {finding.kind.value for finding in judgement.findings}
