"""After a switchover or a failover the program has nothing to change.

The reports below are what AWS says of the clusters once the standby writes, by property; each is a difference that an
`up` would act on if it were not ignored, and what that would do stands beside it.
"""

import json
import re

import pytest

from infra.recorder import EVERYTHING, recorded

OTHER = "arn:aws:rds:us-west-2:123456789012:cluster:secondary-aurora-cluster-demo"
REPORTED_OF_HOME = [
    ("replicationSourceIdentifier", OTHER, "clearing it promotes the cluster to a standalone one"),
    (
        "globalClusterIdentifier",
        "",
        "a cluster being rebuilt is no member for a while; setting it detaches or errors",
    ),
    ("engineVersion", "15.99", "a minor upgrade is no drift, and a downgrade is refused"),
    ("masterUsername", "", "create-only: a difference would replace the cluster"),
    ("masterPassword", "rotated", "rotation is not undone"),
    ("masterPasswordWo", "rotated", "rotation is not undone"),
    ("databaseName", "", "create-only: a difference would replace the cluster"),
]


def changed_by_an_up(resource, reported):
    """Properties that Pulumi would send: those whose program value differs from the report, but for ignored ones."""
    state = {**resource.inputs, **reported}
    keys = {*state, *resource.inputs}
    return {key for key in keys if state.get(key) != resource.inputs.get(key)} - set(resource.ignored)


@pytest.mark.parametrize("side", ["home", "standby"])
@pytest.mark.parametrize(("key", "value", "harm"), REPORTED_OF_HOME, ids=[row[0] for row in REPORTED_OF_HOME])
def test_a_role_swap_changes_nothing(side, key, value, harm):
    cluster = recorded().one("rds/cluster:Cluster", side)
    assert changed_by_an_up(cluster, {key: value}) == set(), harm


def test_what_is_not_ignored_is_still_managed():
    cluster = recorded().one("rds/cluster:Cluster", "home")
    assert changed_by_an_up(cluster, {"deletionProtection": True}) == {"deletionProtection"}
    assert changed_by_an_up(cluster, {"backupRetentionPeriod": 1}) == {"backupRetentionPeriod"}


def test_nothing_is_ignored_by_accident():
    ignoring = {resource.name: set(resource.ignored) for resource in recorded().resources if resource.ignored}
    cluster_keys = {key for key, _, _ in REPORTED_OF_HOME}
    assert ignoring == {
        "farshore-database-global": {"engineVersion"},
        "farshore-database-home-cluster": cluster_keys,
        "farshore-database-standby-cluster": cluster_keys,
        **{
            f"farshore-database-{s}-instance-{n}": {"engineVersion"}
            for s in ("home", "standby")
            for n in (1, 2)
        },
        "farshore-credentials-master-value": {"secretString"},
        "farshore-credentials-controller-value": {"secretString"},
        "farshore-dns-zone": {"vpcs"},
    }


def test_a_pinned_version_is_an_upgrade_of_the_global_cluster_only():
    pinned = recorded(*EVERYTHING)
    assert changed_by_an_up(pinned.one("GlobalCluster"), {"engineVersion": "15.8"}) == {"engineVersion"}
    assert changed_by_an_up(pinned.one("rds/cluster:Cluster", "home"), {"engineVersion": "15.8"}) == set()


def without_place(resource):
    """Its inputs with nothing left of where it is."""
    inputs = {key: value for key, value in resource.inputs.items() if key != "code"}
    text = json.dumps(inputs, sort_keys=True)
    text = re.sub("us-(east-1|west-2)", "<region>", text)
    text = re.sub("primary|secondary", "<side>", text)
    return re.sub(r"(subnet|sg|vpc|rtb)-[0-9a-f]{17}", "<id>", text)


@pytest.mark.parametrize(
    "token",
    ["Function", "MetricAlarm", "EventRule", "RolePolicy", "Queue", "Topic", "Dashboard", "VpcEndpoint"],
)
def test_both_regions_have_the_same(token):
    """What watches and decides is symmetric, so that a swap leaves nothing on the wrong side."""
    here, there = (
        sorted(
            without_place(r)
            for r in recorded().of(token)
            if r.region == region and "operations" not in r.name
        )
        for region in ("us-east-1", "us-west-2")
    )
    assert here
    assert here == there


def test_the_same_program_twice_is_the_same():
    """All but the passwords, which are made anew and ignored."""
    first, second = recorded(), recorded.__wrapped__()
    assert len(first.resources) == len(second.resources)
    again = {resource.urn: resource for resource in second.resources}
    for resource in first.resources:
        keys = set(resource.inputs) - set(resource.ignored) - {"code"}
        assert {k: resource.inputs[k] for k in keys} == {k: again[resource.urn].inputs[k] for k in keys}
    assert first.archive.read_bytes() == second.archive.read_bytes()
