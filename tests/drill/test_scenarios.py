"""What a scenario asks for, and what the monitor makes of histories while they grow."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.drill import scenarios
from farshore.drill.errors import DrillUsageError
from farshore.drill.events import Meta
from farshore.drill.history import HistoryWriter
from farshore.drill.ledger import Transfer
from farshore.drill.monitor import Monitor
from farshore.drill.scenario import Crew, crews_in
from farshore.lab import harms

TRANSFER = Transfer("11111111-1111-4111-8111-111111111111", 1, 2, 3)


def test_both_kinds_of_client_work_in_a_region_and_newcomers_have_names_of_their_own():
    crews = [*crews_in("us-east-1"), *crews_in("us-west-2"), *crews_in("us-east-1", first=3)]
    assert {(crew.region, crew.kind) for crew in crews} == {
        (region, kind) for region in ("us-east-1", "us-west-2") for kind in ("plain", "aware")
    }
    names = [name for crew in crews for name in crew.names]
    assert len(set(names)) == len(names) == scenarios.find("failback").terms.clients == 12


class Told:
    """Takes the place of a course, and keeps what a story asks of it."""

    lab = SimpleNamespace(
        home_region="us-east-1", standby_region="us-west-2", regions=("us-east-1", "us-west-2")
    )

    def __init__(self, unresolved=0):
        self.steps, self.effects, self.open = [], [], []
        self.unresolved = unresolved

    def unresolved_orphans(self):
        return self.unresolved

    def lose(self, region, **named):
        self.steps.append(f"lose {region}")
        self.open.append(True)

    def harm(self, kinds, region, *, mends=True, **named):
        self.steps.append(f"harm {kinds} {region}")
        self.open.append(mends)

    def move(self, verb, target):
        self.steps.append(f"move {verb} {target}")
        self.open.append(False)

    def heal(self, back=1):
        assert self.open[-back], "nothing is healed twice, or that ends by itself"
        self.open[-back] = False
        self.steps.append("heal")

    def nothing(self):
        self.steps.append("nothing")
        self.open.append(False)

    def __getattr__(self, name):
        return lambda *words, **named: self.steps.append(" ".join([name, *map(str, words)]))


def tell(name, **course):
    course = Told(**course)
    scenarios.find(name).story(course)
    return course


def told(name, **course):
    return tell(name, **course).steps


def test_a_region_is_lost_and_healed_and_the_lost_are_named():
    assert told("region-loss") == ["lose us-east-1", "until_served", "stop", "heal", "name_orphans"]


def test_the_writer_goes_away_and_comes_home():
    there_and_back = [
        "move switchover us-west-2",
        "until_served",
        "move switchover us-east-1",
        "until_served",
    ]
    assert told("switchover") == [*there_and_back, "stop"]


@pytest.mark.parametrize("unresolved", [0, 3])
def test_the_way_home_is_tried_before_every_account_is_closed(unresolved):
    steps = told("failback", unresolved=unresolved)
    moved = steps.index("move failback us-east-1")
    refused = [step for step in steps[:moved] if step.startswith("must_refuse failback")]
    closed = [step for step in steps[:moved] if step.startswith("tell reconcile")]
    assert len(refused) == len(closed) == (2 if unresolved else 1)
    assert [steps.index(step) for step in refused] < [steps.index(step) for step in closed]
    assert steps.index("bring_clients_back us-east-1") < moved < steps.index("stop")


EACH = pytest.mark.parametrize("scenario", scenarios.SCENARIOS.values(), ids=scenarios.SCENARIOS)
LAB = Told.lab


@EACH
def test_every_fault_of_a_story_is_due_and_healed(scenario):
    course = tell(scenario.name)
    assert scenario.terms.faults_due == len(course.open)
    assert not any(course.open)
    assert "stop" in course.steps


@EACH
def test_every_client_of_a_story_is_due(scenario):
    crews = list(scenario.crews(LAB))
    names = [name for crew in crews for name in crew.names]
    assert len(set(names)) == len(names)
    joined = [step for step in told(scenario.name) if step.startswith(("put_to_work", "bring_clients_back"))]
    # A further crew has two clients, a region that came back two of each kind.
    late = sum(4 if step.startswith("bring") else 2 for step in joined)
    assert scenario.terms.clients == len(names) + late


@EACH
def test_the_lab_knows_every_harm_of_a_story(scenario):
    for step in told(scenario.name):
        verb, *words = step.split()
        if verb in {"harm", "also", "heal_also", "heal_part"}:
            for kind in words[0].split(","):
                assert kind in harms.KINDS
                assert verb in {"harm", "also"} or harms.KINDS[kind].undo


@EACH
def test_what_moves_the_writer_may_lose_and_must_name_it_and_nothing_else_may(scenario):
    moves = scenario.terms.loss_allowed
    assert moves == scenario.terms.orphans_due or scenario.name == "failback"
    lost = any(step.startswith("lose us-east-1") for step in told(scenario.name))
    assert moves or not lost


def test_what_does_not_exist_is_refused_with_what_does():
    with pytest.raises(
        DrillUsageError, match=r"use one of api-errors, .*, failback, .*, region-loss, .*, switchover"
    ):
        scenarios.find("meteor")
    with pytest.raises(DrillUsageError, match="use one of aws, fast"):
        scenarios.pace_of("slow")


@pytest.mark.parametrize("pace", scenarios.PACES.values(), ids=scenarios.PACES)
def test_an_attempt_leaves_time_for_another_within_its_call(pace):
    assert pace.attempt_s <= pace.deadline_s / 2


@pytest.fixture
def clients(tmp_path):
    crews = (Crew("us-east-1", "plain", 1, 10), Crew("us-west-2", "aware", 1, 10))
    monitor = Monitor(tmp_path, crews)
    monitor.poll()
    with (
        HistoryWriter(tmp_path, Meta("us-east-1-plain-1", "plain", "us-east-1", 1, 1)) as home,
        HistoryWriter(tmp_path, Meta("us-west-2-aware-1", "aware", "us-west-2", 2, 1)) as west,
    ):
        yield monitor, home, west


def ack(history, region):
    history.invoke(TRANSFER)
    history.returned(TRANSFER.key, "ok", "bare", attempt=1, region=region, epoch=1)


def test_the_monitor_counts_what_every_client_has_been_told(clients):
    monitor, home, west = clients
    ack(home, "us-east-1")
    monitor.poll()
    assert monitor.least_acks() == 0
    ack(west, "us-east-1")
    west.invoke(TRANSFER)
    west.returned(TRANSFER.key, "unknown", "confirmed", attempt=2)
    monitor.poll()
    assert monitor.least_acks() == 1
    assert monitor.rates() == "2 acknowledged in the last second: us-east-1 aware 1, us-east-1 plain 1"


def test_a_client_is_served_again_when_another_region_acknowledges_what_it_asked_for_after_the_fault(clients):
    monitor, home, west = clients
    ack(home, "us-east-1")
    ack(west, "us-east-1")
    west.invoke(TRANSFER)
    monitor.poll()
    monitor.bury("us-east-1")
    fault = next(iter(monitor.clients["us-west-2-aware-1"].invoked.values())) + 1
    west.returned(TRANSFER.key, "ok", "confirmed", attempt=1, region="us-west-2", epoch=2)
    monitor.poll()
    assert monitor.unserved_since(fault, "us-east-1") == ["us-west-2-aware-1"], "asked for before the fault"
    ack(west, "us-east-1")
    monitor.poll()
    assert monitor.unserved_since(fault, "us-east-1") == ["us-west-2-aware-1"], (
        "acknowledged by the lost region"
    )
    ack(west, "us-west-2")
    monitor.poll()
    assert monitor.unserved_since(fault, "us-east-1") == []


def test_each_scenario_is_explained_in_a_line():
    shown = CliRunner().invoke(app, ["drill", "--list"])
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(scenarios.SCENARIOS)
    assert all(len(line.split()) > 6 for line in lines)
    listed = json.loads(CliRunner().invoke(app, ["drill", "--list", "--json"]).stdout)
    assert listed == {name: scenario.summary for name, scenario in scenarios.SCENARIOS.items()}
