"""The simulator itself: repeatable, sharp enough to see a broken core, and able to make its finding short."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farshore import controller
from farshore.cli.app import app
from farshore.core import decide as deciding
from farshore.core import effects, health, moving
from farshore.core.authority import Phase
from farshore.core.transitions import TABLE
from farshore.simulate.history import EVENTS_MIN, History, play
from farshore.simulate.plan import FAULTS, KINDS, Case, Plan, Trouble, from_json, plan_of, to_json
from farshore.simulate.ports import SimPublisher, Word
from farshore.simulate.promises import Judge
from farshore.simulate.run import EDGES, ROWS, Totals, batch, simulate
from farshore.simulate.servers import HOME, STANDBY
from farshore.simulate.shrink import Shrinker, shrunk
from farshore.simulate.troubles import _EFFECTS

CASES_DIR = Path(__file__).with_name("cases")
CASES = sorted(CASES_DIR.glob("*.json"))


@pytest.mark.parametrize("file", CASES, ids=[file.stem for file in CASES])
def test_a_kept_history_breaks_no_promise(file):
    outcome = play(from_json(file.read_text()).plan)
    assert outcome.broken == ""
    assert outcome.events >= EVENTS_MIN


# --- the same seed is the same history --------------------------------------------------------------------------


def test_a_seed_is_the_same_history_each_time_and_another_one_is_not():
    first, again, other = (play(plan_of(seed)) for seed in (11, 11, 12))
    assert (first.digest, first.rows, first.faults) == (again.digest, again.rows, again.faults)
    assert first.digest != other.digest


def test_a_seed_is_the_same_plan_on_every_python():
    """Changes only with what is diced: a seed that somebody wrote down means another history then."""
    plans = "".join(to_json(Case(plan_of(seed))) for seed in range(50))
    assert (
        hashlib.sha256(plans.encode()).hexdigest()
        == "90e36f7de9dc3a86b74a662fa2b7b44de83157dac3ba9dcff4abe6d96a9cf7c5"
    )


def test_what_comes_out_does_not_depend_on_how_many_processes_run_it():
    one, two = (simulate(80, 3, jobs, lambda _totals: None) for jobs in (1, 2))
    assert (one.digest, one.rows, one.faults, one.events) == (two.digest, two.rows, two.faults, two.events)
    assert simulate(80, 4, 1, lambda _totals: None).digest != one.digest


def test_a_plan_is_read_back_as_it_was_written():
    case = Case(plan_of(5), "about", ("a line", 'with "quotes"'))
    assert from_json(to_json(case)) == case
    assert from_json(to_json(Case(Plan()))) == Case(Plan())


# --- it sees what is broken -------------------------------------------------------------------------------------


def without(monkeypatch, *rows):
    table = tuple(row for row in TABLE if row.name not in rows)
    monkeypatch.setattr(deciding, "ROWS", deciding.by_phase(table))


def breaks(monkeypatch, what):
    match what:
        case "the lease is not waited for":
            monkeypatch.setattr(health, "lease_certainly_ended", lambda _facts, _profile: True)
        case "observations do not count":
            monkeypatch.setattr(health, "observations_stale", lambda _facts, _region, _profile: True)
        case "endpoints do not count":
            monkeypatch.setattr(health, "endpoints_unreachable", lambda _facts, _region, _profile: True)
        case "a lease is taken for lapsed":
            monkeypatch.setattr(health, "lease_lapsed", lambda _facts, _profile: True)
        case "nobody is asked":
            monkeypatch.setattr(health, "approval_needed", lambda _record, _profile: None)
        case "nobody accounts for a lost region":
            monkeypatch.setattr(effects, "_accounts", lambda view, unplanned: view.record.aftermaths)
        case "a refused switchover is never rolled back":
            without(monkeypatch, "rolled-back")
        case "a role moved outside is not adopted":
            without(monkeypatch, "role-moved-outside")


MUTATIONS = {
    "the lease is not waited for": "P1",
    "observations do not count": "P4",
    "endpoints do not count": "P4",
    "a lease is taken for lapsed": "P4",
    "nobody is asked": "P4",
    "nobody accounts for a lost region": "P3",
    "a refused switchover is never rolled back": "P5",
    "a role moved outside is not adopted": "P5",
}
TRIED_MAX = 600


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_broken_core_breaks_the_promise_of_its_case(monkeypatch, what):
    case = from_json((CASES_DIR / f"{what.replace(' ', '-')}.json").read_text())
    breaks(monkeypatch, what)
    assert play(case.plan).promise == MUTATIONS[what]


def test_a_broken_core_is_found_by_chance(monkeypatch):
    breaks(monkeypatch, "the lease is not waited for")
    found = next((o.promise for o in (play(plan_of(s)) for s in range(TRIED_MAX)) if o.broken), "")
    assert found == "P1"


def test_a_switchover_before_the_last_byte_is_found(monkeypatch):
    def at_once(view):
        return view.facts.me == view.plan.source and moving._unsent_here(view)

    table = tuple(replace(row, when=at_once) if row.name == "switch" else row for row in TABLE)
    monkeypatch.setattr(deciding, "ROWS", deciding.by_phase(table))
    found = {o.promise for o in (play(plan_of(s)) for s in range(100)) if o.broken}
    assert "P2" in found


def test_a_word_to_dns_that_follows_reachability_is_found(monkeypatch):
    publish = controller.Controller._publish

    def flipped(self):
        server = self._world.databases[self._region].inspect(1)
        self._names = replace(self._names, home_region=STANDBY if server is None else HOME)
        publish(self)

    monkeypatch.setattr(controller.Controller, "_publish", flipped)
    found = {o.promise for o in (play(plan_of(s)) for s in range(100)) if o.broken}
    assert "P6" in found


@pytest.fixture
def words(monkeypatch):
    """What DNS is told in a case in which the role moves for good."""
    found: list[tuple[str, Word]] = []
    published = Judge.published

    def listens(self, region, word):
        found.append((region, word))
        published(self, region, word)

    monkeypatch.setattr(Judge, "published", listens)
    return found


MOVES = Plan(until_ms=8000, troubles=(Trouble(3000, "switchover", STANDBY),))
DIES = Plan(until_ms=8000, troubles=(Trouble(3000, "region dies", HOME, 2400),))


@pytest.mark.parametrize("plan", [MOVES, DIES], ids=["switchover", "failover"])
def test_both_regions_tell_dns_of_a_move_and_go_on_telling(plan, words):
    assert play(plan).broken == ""
    for region in (HOME, STANDBY):
        said = [word.is_home for where, word in words if where == region]
        assert said == sorted(said, reverse=True)
        assert set(said) == {True, False}


def told_otherwise(monkeypatch, change):
    """The controller's word on its way to DNS: another one, or None for none at all."""
    tell = SimPublisher.authority_home

    def changed(self, *, is_home, read_at_ms):
        told = change(self, is_home, read_at_ms)
        if told is not None:
            tell(self, is_home=told[0], read_at_ms=told[1])

    monkeypatch.setattr(SimPublisher, "authority_home", changed)


WRONG_WORDS = {
    "the other region": (lambda _to, is_home, at_ms: (not is_home, at_ms), "which never was so"),
    "what was so once": (lambda _to, _is_home, at_ms: (True, at_ms), "does not tell what it knows"),
    "a time that is not the read's": (lambda _to, is_home, at_ms: (is_home, at_ms + 1), "another time"),
    "nothing": (lambda _to, _is_home, _at_ms: None, "is silent"),
    "nothing in the standby": (
        lambda to, is_home, at_ms: (is_home, at_ms) if to.region == HOME else None,
        "us-west-2/2 reads the table and is silent",
    ),
    "nothing after the move": (
        lambda _to, is_home, at_ms: (is_home, at_ms) if is_home else None,
        "does not tell what it knows",
    ),
}


@pytest.mark.parametrize("told", WRONG_WORDS)
@pytest.mark.parametrize("plan", [MOVES, DIES], ids=["switchover", "failover"])
def test_a_wrong_word_to_dns_is_found(monkeypatch, plan, told):
    change, words = WRONG_WORDS[told]
    told_otherwise(monkeypatch, change)
    outcome = play(plan)
    assert outcome.promise == "P6"
    assert words in outcome.broken


@pytest.mark.parametrize("plan", [MOVES, DIES], ids=["switchover", "failover"])
def test_a_region_without_a_controller_in_the_end_is_found(monkeypatch, plan):
    """It tells DNS nothing new: once the move is on its way the home region has no process left."""
    written = History._written

    def dies(self, before, after):
        written(self, before, after)
        if after.phase is not Phase.HELD:
            self.at(self.now_ms + 1, lambda: [self.bury(process) for process in self.of(HOME)])

    monkeypatch.setattr(History, "_written", dies)
    monkeypatch.setattr(History, "ensure", lambda _self, _region: None)
    outcome = play(plan)
    assert outcome.promise == "P6"
    assert "in the end us-east-1 was told" in outcome.broken


def test_a_claim_is_judged_whatever_its_row_is_called(monkeypatch):
    case = from_json((CASES_DIR / "a-lease-is-taken-for-lapsed.json").read_text())
    breaks(monkeypatch, "a lease is taken for lapsed")
    table = tuple(replace(row, name=f"new-{row.name}") for row in TABLE)
    monkeypatch.setattr(deciding, "ROWS", deciding.by_phase(table))
    assert play(case.plan).promise == "P4"


def test_a_finding_is_made_short(monkeypatch):
    breaks(monkeypatch, "observations do not count")
    seed = next(
        s for s in range(TRIED_MAX) if len(plan_of(s).troubles) > 4 and play(plan_of(s)).promise == "P4"
    )
    case = shrunk(plan_of(seed), "P4", f"seed {seed}")
    assert len(case.plan.troubles) <= 2
    assert play(case.plan).promise == "P4"
    assert len(case.transcript) < 30
    assert "BROKEN P4" in case.transcript[-1]
    monkeypatch.undo()
    assert play(case.plan).broken == ""


def test_a_history_is_made_no_shorter_than_it_breaks():
    plan = Plan(
        troubles=tuple(
            Trouble(100 * n, kind) for n, kind in enumerate(("pause", "abort", "twin", "resume", "mode"))
        )
    )

    def needs_two(candidate):
        kinds = [trouble.kind for trouble in candidate.troubles]
        return "P1" if "abort" in kinds and "resume" in kinds else ""

    short = Shrinker("P1", needs_two).shrink(plan)
    assert [trouble.kind for trouble in short.troubles] == ["abort", "resume"]


# --- what a run says --------------------------------------------------------------------------------------------


def test_every_kind_of_trouble_has_an_effect_and_every_row_an_edge():
    assert set(_EFFECTS) == set(KINDS)
    assert set(EDGES) == set(ROWS)
    assert all(any(phase in edge for phase in Phase) for edge in EDGES.values())


def test_a_run_that_left_something_untried_is_not_a_success():
    totals = Totals(histories=1)
    assert totals.exit_code == 3
    totals.rows.update(ROWS)
    totals.faults.update(FAULTS)
    assert totals.exit_code == 0
    totals.faults["crash"] = 0
    assert (totals.exit_code, totals.uncovered) == (3, ["fault crash"])
    totals.broken_count = 1
    assert totals.exit_code == 1


def test_the_command_reports_and_writes_a_short_case(monkeypatch, tmp_path):
    breaks(monkeypatch, "nobody accounts for a lost region")
    arguments = [
        "simulate",
        "--histories",
        "50",
        "--seed",
        "1",
        "--jobs",
        "1",
        "--json",
        "--report",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["broken_seeds"][0]["promise"] == "P3"
    case = from_json(Path(document["cases"][0]).read_text())
    assert play(case.plan).promise == "P3"
    monkeypatch.undo()
    small = CliRunner().invoke(app, ["simulate", "--histories", "5", "--jobs", "1", "--json"])
    assert small.exit_code == 3
    assert json.loads(small.stdout)["uncovered"]
    assert "farshore: 5 of 5 histories, 0 broken" in small.stderr


def test_wrong_use_is_said():
    assert CliRunner().invoke(app, ["simulate", "--histories", "0"]).exit_code == 2


def test_a_batch_counts_what_its_histories_did():
    totals = batch((40, 20))
    outcomes = [play(plan_of(seed)) for seed in range(40, 60)]
    assert totals.events == sum(outcome.events for outcome in outcomes)
    assert totals.rows["renew"] == sum(outcome.rows["renew"] for outcome in outcomes)
