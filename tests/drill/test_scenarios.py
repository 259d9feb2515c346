"""What a scenario asks for, and what the monitor makes of histories while they grow."""

from types import SimpleNamespace

import pytest

from farshore.drill import scenarios
from farshore.drill.errors import DrillUsageError
from farshore.drill.events import Meta
from farshore.drill.faults import RegionLoss
from farshore.drill.history import HistoryWriter
from farshore.drill.ledger import Transfer
from farshore.drill.monitor import Monitor
from farshore.drill.scenarios import Crew

LAB = SimpleNamespace(home_region="us-east-1", standby_region="us-west-2", regions=("us-east-1", "us-west-2"))
TRANSFER = Transfer("11111111-1111-4111-8111-111111111111", 1, 2, 3)


def test_region_loss_puts_both_kinds_of_client_into_both_regions():
    scenario = scenarios.find("region-loss")
    crews = scenario.crews(LAB)
    assert {(crew.region, crew.kind) for crew in crews} == {
        (region, kind) for region in LAB.regions for kind in ("plain", "aware")
    }
    names = [name for crew in crews for name in crew.names]
    assert len(set(names)) == len(names) == scenario.terms.clients == 8
    assert scenario.fault(LAB) == RegionLoss("us-east-1")
    assert scenario.survivor(LAB) == "us-west-2"


def test_what_does_not_exist_is_refused_with_what_does():
    with pytest.raises(DrillUsageError, match="use one of region-loss"):
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
