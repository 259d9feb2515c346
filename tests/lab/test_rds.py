"""The RDS calls, made with boto3 through moto's own dispatcher, on real servers. The stories run in order."""

import re

import psycopg
import pytest
from botocore.exceptions import ClientError
from cloudkit import Links, client, make_cloud
from fleet_rig import EAST, PASSWORD, WEST, eventually, rig, settled

from farshore.lab.cloud import rds, rds_rules
from farshore.lab.cloud.rds_rules import Fault, Member
from farshore.lab.postgres.cluster import Patience

pytestmark = pytest.mark.lab
QUICK = {"Delay": 0.05, "MaxAttempts": 400}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with rig(zombie_s=0.2, patience=Patience(restart_s=0.5, rebuild_s=3.0)) as made:
        root = tmp_path_factory.mktemp("cloud")
        cloud = make_cloud(root, Links(), overlays=(lambda: rds.install(made.fleet),))
        made.clients = {region: client(cloud, "rds", region, read_timeout=30) for region in (EAST, WEST)}
        yield made
        cloud.close()


@pytest.fixture(scope="module")
def east(lab):
    return lab.clients[EAST]


@pytest.fixture(scope="module")
def west(lab):
    return lab.clients[WEST]


def refused(code, call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    return error.value.response["Error"]["Message"]


def global_cluster(caller, lab):
    return caller.describe_global_clusters(GlobalClusterIdentifier=lab.names.global_cluster)[
        "GlobalClusters"
    ][0]


def arn(lab, region):
    return f"arn:aws:rds:{region}:123456789012:cluster:{lab.names.cluster(region)}"


def writer_region(caller, lab):
    members = global_cluster(caller, lab)["GlobalClusterMembers"]
    return next(member["DBClusterArn"].split(":")[3] for member in members if member["IsWriter"])


def synchronized(caller, lab):
    found = global_cluster(caller, lab)
    statuses = {member["SynchronizationStatus"] for member in found["GlobalClusterMembers"]}
    return statuses == {"connected"} and not found.get("FailoverState")


def create_instances(lab):
    for region in (EAST, WEST):
        for number in (1, 2):
            lab.clients[region].create_db_instance(
                DBInstanceIdentifier=lab.names.instance(region, number),
                DBClusterIdentifier=lab.names.cluster(region),
                DBInstanceClass="db.r5.large",
                Engine="aurora-postgresql",
            )


def test_boto3_builds_the_global_database(lab, east, west):
    names = lab.names
    east.create_global_cluster(GlobalClusterIdentifier=names.global_cluster, Engine="aurora-postgresql")
    refused(
        "GlobalClusterAlreadyExistsFault",
        west.create_global_cluster,
        GlobalClusterIdentifier=names.global_cluster.upper(),
        Engine="aurora-postgresql",
    )
    wanted = {
        "DBClusterIdentifier": names.cluster(EAST),
        "GlobalClusterIdentifier": names.global_cluster,
        "Engine": "aurora-postgresql",
        "EngineVersion": "15.4",
    }
    user = {"MasterUsername": "dbadmin", "MasterUserPassword": PASSWORD, "DatabaseName": "ledger"}
    refused("InvalidParameterValue", east.create_db_cluster, **wanted)
    refused(
        "GlobalClusterNotFoundFault",
        east.create_db_cluster,
        **wanted | user | {"GlobalClusterIdentifier": "none"},
    )
    made = east.create_db_cluster(**wanted, **user, BackupRetentionPeriod=30)["DBCluster"]
    assert made["Endpoint"] == f"{names.cluster(EAST)}.cluster-farshorelab.us-east-1.rds.amazonaws.com"
    assert made["Port"] == lab.addresses.pg_port
    refused("DBClusterAlreadyExistsFault", east.create_db_cluster, **wanted, **user)

    far = wanted | {"DBClusterIdentifier": names.cluster(WEST)}
    message = refused("InvalidParameterCombination", west.create_db_cluster, **far, **user)
    assert "MasterUsername" in message
    west.create_db_cluster(**far)

    create_instances(lab)
    refused(
        "DBInstanceAlreadyExists",
        east.create_db_instance,
        DBInstanceIdentifier=names.instance(EAST, 1),
        DBClusterIdentifier=names.cluster(EAST),
        DBInstanceClass="db.r5.large",
        Engine="aurora-postgresql",
    )
    for region in (EAST, WEST):
        for number in (1, 2):
            waiter = lab.clients[region].get_waiter("db_instance_available")
            waiter.wait(DBInstanceIdentifier=names.instance(region, number), WaiterConfig=QUICK)
    settled(lab, EAST, WEST)
    with lab.connect(EAST) as home:
        home.execute("create table t(v text)")
    assert east.describe_db_cluster_snapshots()["DBClusterSnapshots"] == []  # no volume, no snapshot


def test_describe_shows_the_real_roles_and_names(lab, east, west):
    names = lab.names
    found = global_cluster(west, lab)
    assert found["Status"] == "available"
    assert found.get("FailoverState") in (None, {})
    assert found["Endpoint"] == f"{names.global_cluster}.global-farshorelab.global.rds.amazonaws.com"
    assert lab.fleet.resolve(EAST, found["Endpoint"]) == (lab.member(EAST, 1).address.host, 5)
    members = {member["DBClusterArn"]: member for member in found["GlobalClusterMembers"]}
    assert members[arn(lab, EAST)]["IsWriter"] is True
    assert members[arn(lab, EAST)]["Readers"] == [arn(lab, WEST)]
    assert members[arn(lab, WEST)]["IsWriter"] is False
    assert synchronized(east, lab)
    refused("GlobalClusterNotFoundFault", east.describe_global_clusters, GlobalClusterIdentifier="none")

    cluster = west.describe_db_clusters(DBClusterIdentifier=names.cluster(WEST))["DBClusters"][0]
    assert (cluster["Status"], cluster["ReplicationSourceIdentifier"]) == ("available", arn(lab, EAST))
    assert not any(member["IsClusterWriter"] for member in cluster["DBClusterMembers"])
    cluster = east.describe_db_clusters()["DBClusters"][0]
    assert [m["IsClusterWriter"] for m in cluster["DBClusterMembers"]] == [True, False]
    instance = east.describe_db_instances(DBInstanceIdentifier=names.instance(EAST, 1))["DBInstances"][0]
    assert (
        instance["Endpoint"]["Address"]
        == f"{names.instance(EAST, 1)}.farshorelab.us-east-1.rds.amazonaws.com"
    )
    assert instance["Endpoint"]["Port"] == lab.addresses.pg_port


def test_wrong_moves_are_refused_with_awss_codes(lab, east, west):
    which = {"GlobalClusterIdentifier": lab.names.global_cluster}
    to_west = which | {"TargetDbClusterIdentifier": arn(lab, WEST)}
    to_east = which | {"TargetDbClusterIdentifier": arn(lab, EAST)}
    refused(
        "GlobalClusterNotFoundFault",
        east.switchover_global_cluster,
        **to_west | {"GlobalClusterIdentifier": "x"},
    )
    refused(
        "DBClusterNotFoundFault",
        east.switchover_global_cluster,
        **to_west | {"TargetDbClusterIdentifier": "x"},
    )
    refused("InvalidDBClusterStateFault", east.switchover_global_cluster, **to_east)
    refused("InvalidDBClusterStateFault", east.failover_global_cluster, **to_east, AllowDataLoss=True)
    assert "us-east-1" in refused("DBClusterNotFoundFault", west.switchover_global_cluster, **to_west)
    assert "us-west-2" in refused(
        "DBClusterNotFoundFault", east.failover_global_cluster, **to_west, AllowDataLoss=True
    )
    both = {"AllowDataLoss": True, "Switchover": True}
    refused("InvalidParameterCombination", west.failover_global_cluster, **to_west, **both)
    refused("InvalidDBClusterStateFault", east.delete_db_cluster, DBClusterIdentifier=lab.names.cluster(EAST))
    refused("InvalidGlobalClusterStateFault", east.delete_global_cluster, **which)
    refused(
        "InvalidGlobalClusterStateFault",
        east.remove_from_global_cluster,
        **which,
        DbClusterIdentifier=arn(lab, EAST),
    )
    lab.links.cut(EAST, WEST)
    refused("InvalidGlobalClusterStateFault", east.switchover_global_cluster, **to_west)
    lab.links.join(EAST, WEST)
    assert writer_region(east, lab) == EAST
    settled(lab, EAST, WEST)


def test_an_in_region_failover_and_a_reboot_on_request(lab, east):
    names = lab.names
    east.failover_db_cluster(DBClusterIdentifier=names.cluster(EAST))
    eventually(lambda: lab.cluster(EAST).leader is lab.member(EAST, 2))
    settled(lab, EAST, WEST)
    with lab.connect(EAST) as home:
        home.execute("insert into t values ('after the in-region failover')")
        started = home.execute("select pg_postmaster_start_time()").fetchone()
    east.reboot_db_instance(DBInstanceIdentifier=names.instance(EAST, 2))
    waiter = east.get_waiter("db_instance_available")
    waiter.wait(DBInstanceIdentifier=names.instance(EAST, 2), WaiterConfig=QUICK)
    with lab.connect(EAST) as home:
        assert home.execute("select pg_postmaster_start_time()").fetchone() > started
    settled(lab, EAST, WEST)


def test_the_bare_failover_command_of_a_healthy_database_is_a_switchover(lab, east, west):
    """`aws rds failover-global-cluster` without --allow-data-loss, with a bare name, in the home region."""
    with lab.connect(EAST) as home:
        home.execute("insert into t values ('before the switchover')")
    answer = east.failover_global_cluster(
        GlobalClusterIdentifier=lab.names.global_cluster, TargetDbClusterIdentifier=lab.names.cluster(WEST)
    )
    state = answer["GlobalCluster"]["FailoverState"]
    assert state["IsDataLossAllowed"] is False
    assert state["Status"] in ("pending", "switching-over")
    assert (state["FromDbClusterArn"], state["ToDbClusterArn"]) == (arn(lab, EAST), arn(lab, WEST))
    refused(
        "InvalidGlobalClusterStateFault",
        east.switchover_global_cluster,
        GlobalClusterIdentifier=lab.names.global_cluster,
        TargetDbClusterIdentifier=arn(lab, WEST),
    )
    eventually(lambda: writer_region(east, lab) == WEST and synchronized(east, lab))
    with lab.connect(WEST) as far:
        assert far.execute("select count(*) from t where v = 'before the switchover'").fetchone() == (1,)
        far.execute("insert into t values ('the west writes')")
    settled(lab, WEST, EAST)
    messages = [event["Message"] for event in east.describe_events()["Events"]]
    assert (
        f"Global switchover to DB cluster {lab.names.cluster(WEST)} in Region us-west-2 started." in messages
    )
    found = west.describe_events(SourceType="db-cluster", SourceIdentifier=lab.names.cluster(WEST))["Events"]
    assert all(event["SourceArn"] == arn(lab, WEST) for event in found)
    assert any(event["Message"].endswith("finished.") for event in found)
    assert west.describe_events(EventCategories=["backup"])["Events"] == []
    refused("InvalidParameterCombination", west.describe_events, SourceIdentifier="x")


def test_a_manual_snapshot_restores_to_a_cluster_of_its_own(lab, west):
    names = lab.names
    west.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier="before", DBClusterIdentifier=names.cluster(WEST)
    )
    eventually(
        lambda: (
            west.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="before")["DBClusterSnapshots"][0][
                "Status"
            ]
            == "available"
        )
    )
    with lab.connect(WEST) as far:
        far.execute("insert into t values ('after the snapshot')")
    restore(lab, west, "before")
    with lab.connect(WEST, name=endpoint(west, "restored")) as old:
        rows = {value for (value,) in old.execute("select v from t")}
        assert "the west writes" in rows
        assert "after the snapshot" not in rows
    drop(west)
    west.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="before")
    refused(
        "DBClusterSnapshotNotFoundFault",
        west.restore_db_cluster_from_snapshot,
        SnapshotIdentifier="before",
        DBClusterIdentifier="again",
        Engine="aurora-postgresql",
    )
    assert not list((lab.volumes / "snapshots").iterdir())


def restore(lab, caller, snapshot):
    caller.restore_db_cluster_from_snapshot(
        SnapshotIdentifier=snapshot, DBClusterIdentifier="restored", Engine="aurora-postgresql"
    )
    caller.create_db_instance(
        DBInstanceIdentifier="restored-1",
        DBClusterIdentifier="restored",
        DBInstanceClass="db.r5.large",
        Engine="aurora-postgresql",
    )
    caller.get_waiter("db_instance_available").wait(DBInstanceIdentifier="restored-1", WaiterConfig=QUICK)


def endpoint(caller, cluster):
    return caller.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]["Endpoint"]


def drop(caller):
    caller.delete_db_instance(DBInstanceIdentifier="restored-1", SkipFinalSnapshot=True)
    caller.delete_db_cluster(DBClusterIdentifier="restored", SkipFinalSnapshot=True)
    refused("DBClusterNotFoundFault", caller.describe_db_clusters, DBClusterIdentifier="restored")


def test_failover_with_the_writer_region_lost_and_its_return(lab, east, west):
    """The west is lost holding a row that never left; the east takes over by an ARN, in the target's region."""
    lab.links.set_delay(EAST, WEST, 2000.0)
    with lab.connect(WEST) as far:
        far.execute("insert into t values ('orphan')")
    lab.lose(WEST)
    lab.links.set_delay(EAST, WEST, 5.0)
    move = {"GlobalClusterIdentifier": lab.names.global_cluster, "TargetDbClusterIdentifier": arn(lab, EAST)}
    state = east.failover_global_cluster(**move, AllowDataLoss=True)["GlobalCluster"]["FailoverState"]
    assert state["IsDataLossAllowed"] is True

    def east_writes():
        with lab.connect(EAST) as home:
            home.execute("insert into t values ('survivor')")
        return True

    eventually(east_writes)
    eventually(lambda: writer_region(east, lab) == EAST)
    eventually(lambda: not global_cluster(east, lab).get("FailoverState"))
    members = {
        m["DBClusterArn"]: m["SynchronizationStatus"]
        for m in global_cluster(east, lab)["GlobalClusterMembers"]
    }
    assert members == {arn(lab, EAST): "connected", arn(lab, WEST): "pending-resync"}
    refused("InvalidDBClusterStateFault", east.failover_global_cluster, **move, AllowDataLoss=True)
    back = move | {"TargetDbClusterIdentifier": arn(lab, WEST)}
    refused("InvalidGlobalClusterStateFault", east.switchover_global_cluster, **back)

    lab.bring_back(WEST)
    eventually(lambda: synchronized(east, lab))
    snapshots = west.describe_db_cluster_snapshots(
        DBClusterIdentifier=lab.names.cluster(WEST), SnapshotType="automated"
    )["DBClusterSnapshots"]
    name = snapshots[0]["DBClusterSnapshotIdentifier"]
    assert len(snapshots) == 1
    pattern = rf"rds:unplanned-global-failover-{lab.names.cluster(WEST)}-\d{{4}}(-\d\d){{5}}"
    assert re.fullmatch(pattern, name)
    refused(
        "InvalidDBClusterSnapshotStateFault",
        west.delete_db_cluster_snapshot,
        DBClusterSnapshotIdentifier=name,
    )

    west.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=name, TargetDBClusterSnapshotIdentifier="evidence"
    )
    restore(lab, west, "evidence")
    with lab.connect(WEST, name=endpoint(west, "restored")) as old:
        rows = {value for (value,) in old.execute("select v from t")}
    assert "orphan" in rows
    assert "survivor" not in rows
    drop(west)
    eventually(lambda: lab.event_ids()[-4:] and "0241" in lab.event_ids())
    settled(lab, EAST, WEST)


def test_the_master_password_changes(lab, east):
    changed = "another-password-for-tests"
    east.modify_db_cluster(
        DBClusterIdentifier=lab.names.cluster(EAST), MasterUserPassword=changed, ApplyImmediately=True
    )
    with pytest.raises(psycopg.OperationalError, match="password"):
        lab.connect(EAST)
    with lab.connect(EAST, password=changed) as home:
        assert home.execute("select 1").fetchone() == (1,)
    east.modify_db_cluster(DBClusterIdentifier=lab.names.cluster(EAST), MasterUserPassword=PASSWORD)
    eventually(lambda: lab.connect(WEST).close() or True)  # it has crossed the WAN


def test_everything_is_taken_apart_in_awss_order(lab, east, west):
    which = {"GlobalClusterIdentifier": lab.names.global_cluster}
    east.modify_global_cluster(**which, DeletionProtection=True)
    west.remove_from_global_cluster(**which, DbClusterIdentifier=arn(lab, WEST))
    with lab.connect(WEST) as alone:  # a writer of its own now
        alone.execute("insert into t values ('detached')")
    east.remove_from_global_cluster(**which, DbClusterIdentifier=arn(lab, EAST))
    refused("InvalidGlobalClusterStateFault", east.delete_global_cluster, **which)
    east.modify_global_cluster(**which, DeletionProtection=False)
    east.delete_global_cluster(**which)
    assert east.describe_global_clusters()["GlobalClusters"] == []
    for region in (EAST, WEST):
        caller, cluster = lab.clients[region], lab.names.cluster(region)
        refused(
            "InvalidDBClusterStateFault",
            caller.delete_db_cluster,
            DBClusterIdentifier=cluster,
            SkipFinalSnapshot=True,
        )
        processes = [server.process for server in lab.cluster(region).members]
        for number in (1, 2):
            caller.delete_db_instance(DBInstanceIdentifier=lab.names.instance(region, number))
        assert not any(process.alive() for process in processes)
        refused("InvalidParameterCombination", caller.delete_db_cluster, DBClusterIdentifier=cluster)
        caller.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
        assert caller.describe_db_clusters()["DBClusters"] == []
    assert lab.fleet.clusters == {}


def a_member(**changes):
    usual = {
        "identifier": "c",
        "arn": "arn:aws:rds:us-west-2:1:cluster:c",
        "region": WEST,
        "is_writer": False,
        "connected": True,
        "instances": 2,
        "alive": True,
    }
    return Member(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "called_in", "changing", "code"),
    [
        ({}, WEST, True, "InvalidGlobalClusterStateFault"),
        ({"is_writer": True}, WEST, False, "InvalidDBClusterStateFault"),
        ({"instances": 0}, WEST, False, "InvalidDBClusterStateFault"),
        ({"connected": False}, WEST, False, "InvalidDBClusterStateFault"),
        ({}, EAST, False, "DBClusterNotFoundFault"),
    ],
)
def test_rules_of_failover(changes, called_in, changing, code):
    with pytest.raises(Fault) as error:
        rds_rules.check_failover(a_member(**changes), called_in=called_in, changing=changing)
    assert error.value.code == code


def test_a_failover_needs_nothing_of_the_lost_region():
    rds_rules.check_failover(a_member(), called_in=WEST, changing=False)


def test_a_switchover_needs_every_member_well():
    writer = a_member(identifier="w", arn="w", region=EAST, is_writer=True)
    target = a_member()
    rds_rules.check_switchover([writer, target], target, called_in=EAST, changing=False, linked=True)
    lost = a_member(identifier="w", arn="w", region=EAST, is_writer=True, alive=False)
    for members, linked in (([lost, target], True), ([writer, target], False), ([target], True)):
        with pytest.raises(Fault) as error:
            rds_rules.check_switchover(members, target, called_in=EAST, changing=False, linked=linked)
        assert error.value.code == "InvalidGlobalClusterStateFault"
