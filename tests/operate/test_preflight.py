from types import SimpleNamespace

import pytest

from farshore.core.errors import RefusedError
from farshore.names import Names
from farshore.operate import preflight
from farshore.operate.guard import GuardStatus
from operate.aws_stub import Aws

HOME, STANDBY = "us-east-1", "us-west-2"
NAMES = Names("t")


def cluster(version="15.10", **changes):
    return {
        "EngineVersion": version,
        "StorageEncrypted": True,
        "BackupRetentionPeriod": 7,
        "DeletionProtection": False,
        "EnabledCloudwatchLogsExports": ["postgresql"],
        "Port": 5432,
        "DBClusterMembers": [{"DBInstanceIdentifier": "1"}, {"DBInstanceIdentifier": "2"}],
        **changes,
    }


@pytest.fixture
def shop(monkeypatch):
    made = SimpleNamespace(
        settings=SimpleNamespace(names=NAMES, region=HOME, mode="auto"),
        journal=SimpleNamespace(read=lambda: SimpleNamespace(record=SimpleNamespace(holder=HOME))),
        answers={},
    )
    monkeypatch.setattr(preflight, "client", Aws(made.answers).client)
    return made


def place(shop, home, standby, classes=("db.r5.large", "db.r5.large")):
    for region, made, instance in zip((HOME, STANDBY), (home, standby), classes, strict=True):
        shop.answers["rds", region, "describe_db_clusters"] = {"DBClusters": [made]}
        shop.answers["rds", region, "describe_db_instances"] = {
            "DBInstances": [{"DBInstanceClass": instance}]
        }


@pytest.mark.parametrize(
    ("home", "standby", "well"),
    [("15.10", "15.10", True), ("15.10", "15.9", False), ("15.3", "15.3", False), ("15.4", "15.4", True)],
)
def test_versions_are_equal_and_new_enough(shop, home, standby, well):
    place(shop, cluster(home), cluster(standby))
    assert preflight._versions(shop) == (well, f"us-east-1 {home}, us-west-2 {standby}")


def test_each_difference_between_the_sides_is_named(shop):
    place(shop, cluster(), cluster())
    assert preflight._parity(shop) == (True, "7 settings and instances db.r5.large, db.r5.large are equal")
    place(shop, cluster(), cluster(BackupRetentionPeriod=1), ("db.r5.large", "db.r5.xlarge"))
    well, seen = preflight._parity(shop)
    assert not well
    assert "BackupRetentionPeriod: 7 in us-east-1, 1 in us-west-2" in seen
    assert "db.r5.xlarge" in seen


@pytest.mark.parametrize(
    ("enforcing", "in_lease", "mode", "well"),
    [
        (True, True, "auto", True),
        (False, True, "auto", False),
        (False, True, "approve", True),
        (True, False, "approve", False),
    ],
)
def test_automatic_failover_needs_a_guard_that_enforces(monkeypatch, shop, enforcing, in_lease, mode, well):
    found = GuardStatus(3, HOME, False, enforcing, in_lease, ("ledger.transfer",))
    monkeypatch.setattr(preflight.guard, "status", lambda _shop, region: found if region == HOME else None)
    shop.settings.mode = mode
    assert preflight._guard(shop)[0] is well


def test_without_a_holder_nothing_is_said_of_the_database(shop):
    shop.journal.read = lambda: SimpleNamespace(record=None)
    with pytest.raises(RefusedError, match="no region holds authority"):
        preflight._guard(shop)


def test_quotas_leave_room_for_a_restored_snapshot(shop):
    quotas = [
        {"AccountQuotaName": "DBClusters", "Used": 38, "Max": 40},
        {"AccountQuotaName": "DBInstances", "Used": 4, "Max": 40},
        {"AccountQuotaName": "OptionGroups", "Used": 20, "Max": 20},
    ]
    shop.answers["rds", HOME, "describe_account_attributes"] = {"AccountQuotas": quotas}
    assert preflight._quotas(HOME) == (True, "DBClusters 38 of 40, DBInstances 4 of 40")
    quotas[0]["Used"] = 39
    assert not preflight._quotas(HOME)[0]


def test_concurrency_is_reserved_for_every_loop(shop):
    functions = [NAMES.monitor_function(HOME), NAMES.controller_function(HOME)]
    shop.answers["lambda", HOME, "list_functions"] = {
        "Functions": [{"FunctionName": name} for name in functions]
    }
    shop.answers["lambda", HOME, "get_function_concurrency"] = {"ReservedConcurrentExecutions": 5}
    assert preflight._concurrency(shop, HOME)[0]
    shop.answers["lambda", HOME, "get_function_concurrency"] = {}
    assert not preflight._concurrency(shop, HOME)[0]
    shop.answers["lambda", HOME, "list_functions"] = {"Functions": []}
    assert preflight._concurrency(shop, HOME) == (
        False,
        "primary-monitor-function-t is not there, primary-controller-function-t is not there",
    )
