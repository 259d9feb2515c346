"""The configuration model: what it takes, where from, and each refusal with key, value and fix."""

import json

import pulumi
import pytest

from farshore.core.errors import UsageError
from farshore.infra.load import from_pulumi, load

GOOD = {"suffix": "demo", "createdAt": "2026-11-22T17:00:00Z"}


def refusal(environ=(), **changes):
    with pytest.raises(UsageError) as refused:
        load({**GOOD, **changes}, dict(environ))
    return str(refused.value)


def test_two_keys_are_enough():
    config = load(GOOD, {})
    assert (config.home_region, config.standby_region, config.witness_region) == (
        "us-east-1",
        "us-west-2",
        "us-east-2",
    )
    assert (config.home_cidr, config.standby_cidr) == ("10.0.0.0/16", "10.1.0.0/16")
    assert (config.instance_class, config.instances_per_region) == ("db.r5.large", 2)
    assert config.names.global_cluster == "aurora-global-demo"


def test_the_seeds_variables_are_honoured():
    config = load(
        {"createdAt": GOOD["createdAt"], "standbyRegion": "us-east-1"},
        {"ENVIRONMENT_SUFFIX": "pr-7", "AWS_REGION": "us-west-2", "TEAM": "payments"},
    )
    assert (config.suffix, config.home_region, config.team) == ("pr-7", "us-west-2", "payments")


def test_a_key_wins_over_a_tag_variable():
    assert load({**GOOD, "team": "ledger"}, {"TEAM": "payments"}).team == "ledger"


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [("ENVIRONMENT_SUFFIX", "other", "suffix"), ("AWS_REGION", "us-west-2", "homeRegion")],
)
def test_a_variable_never_moves_a_deployment(variable, value, key):
    said = refusal({variable: value}.items(), homeRegion="us-east-1")
    assert f"farshore:{key}" in said
    assert f"{variable} = '{value}'" in said
    assert "Fix: unset" in said


def test_lists_arrive_as_json_and_numbers_as_text():
    config = load({**GOOD, "trustedAccounts": '["210987654321"]', "cpuPercent": "70", "flowLogs": "true"}, {})
    assert (config.trusted_accounts, config.cpu_percent, config.flow_logs) == (["210987654321"], 70, True)


@pytest.mark.parametrize(
    ("changes", "key_and_value", "fix"),
    [
        ({"standbyCidr": "10.0.128.0/17"}, "standbyCidr = '10.0.128.0/17'", "networks apart"),
        ({"homeCidr": "10.0.0.1/16"}, "homeCidr = '10.0.0.1/16'", "a network such as"),
        ({"homeCidr": "8.0.0.0/16"}, "homeCidr = '8.0.0.0/16'", "inside 10/8"),
        ({"homeCidr": "10.0.0.0/8"}, "homeCidr = '10.0.0.0/8'", "such as 10.0.0.0/16"),
        ({"homeSubnetCidrs": '["10.0.1.0/24"]'}, "homeSubnetCidrs = ['10.0.1.0/24']", "three"),
        (
            {"homeSubnetCidrs": '["10.0.1.0/24", "10.0.1.128/25", "10.0.3.0/24"]'},
            "homeSubnetCidrs = '10.0.1.128/25'",
            "subnets that are apart",
        ),
        (
            {"standbySubnetCidrs": '["10.0.1.0/24", "10.1.2.0/24", "10.1.3.0/24"]'},
            "standbySubnetCidrs = '10.0.1.0/24'",
            "subnets of 10.1.0.0/16",
        ),
        ({"homeZones": '["us-west-2a"]'}, "homeZones = ['us-west-2a']", "zones of us-east-1"),
        ({"standbyRegion": "us-east-1"}, "standbyRegion = 'us-east-1'", "three different regions"),
        ({"witnessRegion": "us-west-2"}, "witnessRegion = 'us-west-2'", "three different regions"),
        ({"witnessRegion": "eu-west-1"}, "witnessRegion = ", "us-east-1, us-east-2, us-west-2"),
        ({"instanceClass": "db.t3.medium"}, "instanceClass = 'db.t3.medium'", "db.r5.large or larger"),
        ({"instanceClass": "db.r4.large"}, "instanceClass = 'db.r4.large'", "db.r5.large or larger"),
        ({"instanceClass": "db.serverless"}, "instanceClass = 'db.serverless'", "db.r5.large or larger"),
        ({"instancesPerRegion": "1"}, 'instancesPerRegion = "1"', "2 to 15"),
        ({"engineVersion": "15.3"}, "engineVersion = '15.3'", "from 15.4 on"),
        ({"engineVersion": "14.19"}, "engineVersion = '14.19'", "from 15.4 on"),
        ({"engineVersion": "15"}, "engineVersion = '15'", "such as 15.10"),
        ({"engineVersion": "99.1"}, "engineVersion = '99.1'", "such as 15.10"),
        ({"globalRpoSeconds": "5"}, 'globalRpoSeconds = "5"', "20 or more"),
        ({"suffix": "Demo"}, "suffix = 'Demo'", "such as demo"),
        ({"suffix": "a--b"}, "suffix = 'a--b'", "such as demo"),
        ({"suffix": "a-"}, "suffix = 'a-'", "such as demo"),
        ({"suffix": "a" * 40}, "suffix = 'aaaa", "6 characters shorter"),
        ({"leaseTtlMs": "4000"}, "leaseTtlMs = 4000", "set leaseTtlMs to 15000 or more"),
        ({"renewMs": "9000"}, "leaseTtlMs = 20000", "set leaseTtlMs to 27000 or more"),
        ({"probeMs": "6000"}, "unreachableAfterMs = 15000", "set unreachableAfterMs to 18000 or more"),
        ({"staleAfterMs": "1000"}, "staleAfterMs = 1000", "set staleAfterMs to 15000 or more"),
        ({"lossBudgetMs": "5000"}, "lossBudgetMs = 5000", "a budget of 22000 or more"),
        ({"environment": "staging"}, 'environment = "staging"', "test or production"),
        ({"mode": "yes"}, 'mode = "yes"', "auto, approve or manual"),
        ({"dnsTrigger": "object"}, 'dnsTrigger = "object"', "metric, or https"),
        ({"port": "99"}, 'port = "99"', "1150 to 65535"),
        ({"accountId": "12"}, 'accountId = "12"', "12 digits"),
        ({"trustedAccounts": '["12"]'}, "trustedAccounts = '12'", "12 digits"),
        ({"alertEmails": '["ops"]'}, "alertEmails = 'ops'", "ops@example.com"),
        ({"logRetentionDays": "31"}, "logRetentionDays = 31", "one of 1, 3, 5"),
        ({"author": "bot[bot]"}, "author = 'bot[bot]'", "letters, digits"),
        ({"createdAt": "yesterday"}, "createdAt = 'yesterday'", "2026-11-22T17:00:00Z"),
        ({"rdsCaFile": "/nowhere.pem"}, "rdsCaFile = '/nowhere.pem'", "global-bundle.pem"),
    ],
)
def test_a_refusal_names_key_value_and_fix(changes, key_and_value, fix):
    said = refusal(**changes)
    assert key_and_value in said
    assert fix in said.split("Fix: ", 1)[1]


def test_an_unknown_key_is_told_with_the_known_ones():
    said = refusal(instnceClass="db.r5.large")
    assert "farshore:instnceClass is not a key" in said
    assert "instanceClass" in said


def test_every_refusal_is_told_at_once():
    said = refusal(suffix="Demo", engineVersion="15.1", instanceClass="db.t3.large")
    assert [line.split(" = ")[0] for line in said.splitlines()] == [
        "farshore:suffix",
        "farshore:instanceClass",
        "farshore:engineVersion",
    ]


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="farshore:suffix is not set") as refused:
        load({}, {})
    assert "pulumi config set farshore:createdAt" in str(refused.value)


def test_one_switch_turns_production_on():
    test, production = load(GOOD, {}), load({**GOOD, "environment": "production"}, {})
    assert (test.is_production, test.mode_in_force) == (False, "auto")
    assert (production.is_production, production.mode_in_force) == (True, "approve")
    assert load({**GOOD, "environment": "production", "mode": "manual"}, {}).mode_in_force == "manual"


def test_a_small_budget_is_no_obstacle_where_a_person_decides():
    assert load({**GOOD, "lossBudgetMs": "5000", "mode": "approve"}, {}).loss_budget_ms == 5000


def test_a_deployment_needs_the_databases_certificates_and_a_preview_does_not(monkeypatch):
    keys = {f"farshore:{key}": value for key, value in GOOD.items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(keys))
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    with pytest.raises(UsageError, match=r"farshore:rdsCaFile is not set.*global-bundle\.pem"):
        from_pulumi({})
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert from_pulumi({}).suffix == "demo"
