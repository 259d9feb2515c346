"""The peers' benchmark without servers: what is measured from a history, what the tables and the page make of it."""

import html.parser
import io
import itertools
import socket
import threading
import time

import pytest
from benchmarks.peers import table
from benchmarks.peers.__main__ import _chosen, _plan
from benchmarks.peers.client import IDS_PER_WRITER, Job, Notes, work
from benchmarks.peers.measure import Attempt, Course, judge, read
from benchmarks.peers.page import render
from benchmarks.peers.session import Candidate, Session, SilentError
from benchmarks.peers.systems import ALL

from farshore.client.names import Resolver
from farshore.core.errors import UsageError

SECOND = 1_000_000_000
DASH = "\N{EN DASH}"


def attempt(begun, ended, outcome="ack", row=1, server="home"):
    return Attempt(int(begun * SECOND), int(ended * SECOND), outcome, row, server)


def course(fault, over, promoted=None):
    return Course(
        int(fault * SECOND), None if promoted is None else int(promoted * SECOND), int(over * SECOND), "home"
    )


def steady(start, end, server="home", *, every=0.01, rows=None):
    """An acknowledgement every so often, each with a row of its own."""
    rows = itertools.count(1) if rows is None else rows
    count = round((end - start) / every)
    return [
        attempt(start + n * every - 0.005, start + n * every, "ack", next(rows), server) for n in range(count)
    ]


def all_rows(history):
    return {each.row for each in history}


def test_the_outage_is_the_longest_gap_that_ends_after_the_fault():
    rows = itertools.count(1)
    history = [*steady(0, 3, rows=rows), *steady(4, 10, rows=rows), *steady(12.5, 20, "away", rows=rows)]
    found = judge(history, course(10, 20), all_rows(history))
    assert found.outage_s == pytest.approx(2.51)  # the gap of one second before the fault is not the fault's
    assert found.recovered
    assert (found.acked, found.lost, found.rate) == (len(history), 0, pytest.approx(100, abs=1))


def test_a_gap_that_comes_later_than_the_first_acknowledgement_counts_when_it_is_longer():
    rows = itertools.count(1)
    history = [*steady(0, 10, rows=rows), *steady(11, 12, rows=rows), *steady(15, 20, rows=rows)]
    assert judge(history, course(10, 20), ()).outage_s == pytest.approx(3.01)


def test_an_outage_that_is_not_over_is_said_so_and_lasts_until_the_clients_stopped():
    history = steady(0, 10)
    found = judge(history, course(10, 70), all_rows(history))
    assert not found.recovered
    assert found.outage_s == pytest.approx(60.01)


def test_no_acknowledgement_at_all_is_an_outage_from_the_fault():
    found = judge([], course(10, 30), ())
    assert (found.outage_s, found.recovered, found.acked) == (20, False, 0)


def test_a_late_reply_to_a_write_of_before_the_fault_is_no_recovery():
    history = [*steady(0, 10), attempt(9.9, 29.99, row=5000)]
    assert not judge(history, course(10, 30), all_rows(history)).recovered


def test_lost_are_acknowledged_rows_only_and_unknown_ones_may_have_landed():
    history = [
        attempt(1, 2, "ack", 1),
        attempt(2, 3, "ack", 2),
        attempt(3, 4, "unknown", 3),
        attempt(3, 4, "unknown", 4),
        attempt(3, 4, "no", 5),
    ]
    found = judge(history, course(3, 9), {1, 3})
    assert (found.lost, found.unknown, found.landed) == (1, 2, 1)


def test_a_zombies_acknowledgements_are_those_begun_after_the_promotion_was_seen():
    history = [
        attempt(9, 9.5, row=1),
        attempt(11.9, 12.1, row=2),  # under way when the promotion was seen
        attempt(12.5, 12.6, row=3),
        attempt(12.6, 12.7, "no", row=4),
        attempt(12.7, 12.8, row=5, server="away"),
    ]
    found = judge(history, course(10, 20, promoted=12), {5})
    assert (found.zombie, found.lost, found.promoted_s) == (1, 3, 2)
    assert judge(history, course(10, 20), {5}).zombie == 0


def test_a_history_is_read_in_the_order_of_its_ends_without_its_torn_line():
    lines = ["10 30 ack 2 home\n", "5 20 no 1 home\n", "40 50 ack 3 ho"]
    assert [each.row for each in read(lines)] == [1, 2]


# --- the client's deadlines ---------------------------------------------------------------------------------------


@pytest.fixture
def silent_server():
    """Accepts by its backlog and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


def candidate(address):
    return Candidate("home", *address, dbname="postgres", user="postgres")


def test_a_silent_server_costs_the_deadline_and_no_more(silent_server):
    begun = time.monotonic()
    with pytest.raises(SilentError):
        Session.open(candidate(silent_server), Resolver(), 0.2)
    assert 0.2 <= time.monotonic() - begun < 10


def test_writers_go_through_the_candidates_and_note_nothing_while_nobody_lets_them_in(silent_server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        accepted = threading.Event()
        threading.Thread(target=lambda: (other.accept(), accepted.set()), daemon=True).start()
        job = Job((candidate(silent_server), candidate(other.getsockname())), writers=1, connect_s=0.05)
        notes, stop = io.StringIO(), threading.Event()
        worker = threading.Thread(target=work, args=(job, notes, stop))
        worker.start()
        try:
            assert accepted.wait(20)
        finally:
            stop.set()
            worker.join(20)
    assert not worker.is_alive()
    assert notes.getvalue() == ""


def test_a_job_and_a_history_are_read_as_they_were_written(tmp_path):
    job = Job((candidate(("127.0.0.1", 1)),), by_client={"writer_name": "db"})
    job.write(tmp_path / "job")
    assert Job.read(tmp_path / "job") == job
    file = io.StringIO()
    Notes(file).note(1, "ack", IDS_PER_WRITER + 1, "home")
    (found,) = read(file.getvalue().splitlines(keepends=True))
    assert (found.begun, found.outcome, found.row, found.server) == (1, "ack", IDS_PER_WRITER + 1, "home")
    assert found.ended > 1


# --- the tables and the page --------------------------------------------------------------------------------------


def ran(system, scenario, outage_s=1.0, **more):
    usual = {
        "run": 1, "error": None, "outage_s": outage_s, "recovered": True, "acked": 100, "lost": 0, "unknown": 0,
        "landed": 0, "zombie": 0, "rate": 200.0, "promoted_s": None, "rejoined_s": 3.0, "writers_at_end": ["away"],
        "load_before": 1.0,
    }  # fmt: skip
    return {"system": system, "scenario": scenario, **usual, **more}


def report(*runs):
    return {
        "measured_at": "2026-11-23 01:00 UTC", "platform": "Linux, 2 cores", "postgres_version": "15.18",
        "one_way_ms": 40.0, "client": "4 writers", "load": "1.0 to 1.5", "runs": list(runs),
        "systems": [
            {"name": each.name, "label": each.label, "group": each.group, "about": each.about} for each in ALL
        ],
    }  # fmt: skip


def test_a_row_is_the_median_with_its_range_and_the_ratio_to_farshore():
    document = report(
        ran("farshore", "region", 2.0, lost=4),
        ran("farshore", "region", 4.0, lost=6),
        ran("farshore", "region", 2.5, lost=5),
        ran("patroni", "region", 25.0, lost=70),
        ran("farshore", "switchover", 0.5),
    )
    ours, theirs = table.rows(document, "region")
    assert (ours.outage, ours.ratio, ours.runs) == (table.Spread(2.5, 2.0, 4.0), 1.0, 3)
    assert theirs.ratio == 10
    assert table.cells(ours, "region")[:4] == ["farshore", f"2.50 (2.00{DASH}4.00)", "1", f"5 (4{DASH}6)"]
    assert table.cells(theirs, "region")[:4] == ["Patroni, default", "25.0", "10", "70"]
    assert table.scenarios(document) == ["region", "switchover"]


def test_without_farshore_there_is_no_ratio():
    (row,) = table.rows(report(ran("patroni", "node", 20.0)), "node")
    assert row.ratio is None
    assert table.cells(row, "node")[2] == DASH


def test_what_went_wrong_is_in_the_row():
    document = report(
        ran("patroni", "zombie", 0.1, promoted_s=20.0, zombie=900, writers_at_end=["home", "away"]),
        ran("patroni", "zombie", 60.0, recovered=False, promoted_s=None),
        {
            "system": "patroni",
            "scenario": "zombie",
            "run": 3,
            "error": "it did not come up",
            "load_before": 1.0,
        },
    )
    (row,) = table.rows(document, "zombie")
    assert (row.runs, row.failed, row.forked, row.endless, row.unpromoted) == (2, 1, 1, 1, 1)
    words = table.cells(row, "zombie")
    assert "1 not over" in words[1]
    assert words[5] == "20.0, 1 never"
    assert words[7] == "2, 1 failed, 1 forked"


def test_a_zombie_that_nobody_was_promoted_beside_has_no_acknowledgements_to_count():
    _, row = table.rows(report(ran("farshore", "zombie", 0.2), ran("paf", "zombie", 0.1)), "zombie")
    assert row.ratio == 0.5
    assert table.cells(row, "zombie")[2] == DASH  # who goes on acknowledging wins nothing by it
    assert table.cells(row, "zombie")[4:6] == [DASH, "nobody was"]


def test_a_system_whose_every_run_failed_is_still_in_the_table_and_on_the_page():
    failed = {"system": "paf", "scenario": "node", "run": 1, "error": "no monitor", "load_before": 1.0}
    document = report(ran("farshore", "node", 0.5), failed)
    assert f"| pg_auto_failover, default | {DASH} | {DASH} |" in table.markdown(document)
    assert "no run ended well" in render(document)


class Shape(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.bars, self.outside = [], 0, []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in {"meta", "path", "line", "rect", "br"}:
            self.open.append(tag)
        self.bars += tag == "rect" and values.get("class", "").startswith("bar")
        self.outside += [values[name] for name in ("src", "href") if name in values]

    def handle_endtag(self, tag):
        if tag not in {"line", "rect"}:
            assert self.open.pop() == tag


def test_the_page_is_whole_has_a_bar_for_each_system_in_both_widths_and_asks_for_nothing():
    document = report(*(ran(system.name, name, 3.0) for system in ALL for name in table.WORDS))
    shape = Shape()
    shape.feed(render(document))
    assert shape.open == []
    assert shape.outside == []
    assert shape.bars == 2 * len(ALL) * len(table.WORDS)


# --- the command --------------------------------------------------------------------------------------------------


class Options:
    runs, only, scenarios = 2, ["farshore", "paf"], ["node", "zombie"]


def test_every_system_is_measured_once_before_any_is_measured_twice():
    plan = [(run, scenario, system.name) for run, system, scenario in _plan(Options, _chosen(Options))]
    assert plan[:3] == [(1, "node", "farshore"), (1, "node", "paf"), (1, "zombie", "farshore")]
    assert [run for run, *_ in plan] == [1] * 3 + [
        2
    ] * 3  # a variant is not measured where it tells nothing new


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("only", ["mysql"], "--only mysql"), ("scenarios", [], "--scenarios nothing"), ("runs", 0, "--runs 0")],
)
def test_wrong_use_is_refused_by_name(name, value, words):
    options = type("Wrong", (Options,), {name: value})
    with pytest.raises(UsageError, match=words):
        _chosen(options)
