"""The unmodified stack program in a lab: up, up again, up after the roles were swapped, and destroy."""

import contextlib
import json
import subprocess
import sys
import time
import uuid

import pytest

from farshore.lab import control, environment
from farshore.lab.deploy.checkpoint import Checkpoint
from farshore.lab.deploy.kinds import Clients, Old
from farshore.lab.deploy.provisioners import KINDS
from farshore.lab.deploy.run import SCRATCH
from farshore.lab.lab import Lab
from farshore.lab.options import Options

pytestmark = pytest.mark.lab
HOME, STANDBY, WITNESS = "us-east-1", "us-west-2", "us-east-2"
CLUSTER = "aws:rds/cluster:Cluster"
TAGS = {"Environment", "DR-Role", "Repository", "Author", "PRNumber", "Team", "CreatedAt"}


class Deployed:
    def __init__(self, lab):
        self.lab = lab
        self.names = lab.names
        self.deployment = environment.deployment(lab)
        self.clients = Clients(self.deployment.environ)
        self.said = []
        self.first = self.up(first_in=lab.names.regions)

    def up(self, **more):
        return self.deployment.up(self.lab.spawn, self.said.append, **more)

    def resources(self, kind):
        with Checkpoint.opened(self.deployment.directory) as checkpoint:
            return [resource for resource in checkpoint.all() if resource.type == kind]


@pytest.fixture(scope="module")
def deployed():
    lab = Lab(Options(f"tdep{uuid.uuid4().hex[:6]}"), lambda _text: None)
    with contextlib.closing(lab):
        yield Deployed(lab)


def test_everything_is_created_and_told(deployed):
    created = [line for line in deployed.said if line.startswith("created ")]
    total = deployed.first.resources
    assert len(created) == len(deployed.first.created) == total > 130
    assert sum(f", {total} of {total} asked for so far" in line for line in created) == 1
    assert deployed.first.outputs["writerName"] == deployed.names.writer_name


def test_the_program_leaves_no_file_behind(deployed):
    assert not (deployed.deployment.directory / SCRATCH).exists()


def test_the_resources_are_there_under_their_names(deployed):
    names, clients = deployed.names, deployed.clients
    (found,) = clients("rds", HOME).describe_global_clusters()["GlobalClusters"]
    assert found["GlobalClusterIdentifier"] == names.global_cluster
    writers = {m["DBClusterArn"].split(":")[3]: m["IsWriter"] for m in found["GlobalClusterMembers"]}
    assert writers == {HOME: True, STANDBY: False}

    (peering,) = clients("ec2", STANDBY).describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert peering["Status"]["Code"] == "active"

    table = clients("dynamodb", STANDBY).describe_table(TableName=names.authority_table)["Table"]
    assert table["MultiRegionConsistency"] == "STRONG"
    assert table["GlobalTableWitnesses"][0]["RegionName"] == WITNESS

    kept = clients("dynamodb", STANDBY).describe_continuous_backups(TableName=names.authority_table)
    backups = kept["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert backups["PointInTimeRecoveryStatus"] == "ENABLED"

    secrets = {
        region: clients("secretsmanager", region).get_secret_value(SecretId=names.master_secret)
        for region in names.regions
    }
    assert secrets[HOME]["SecretString"] == secrets[STANDBY]["SecretString"]


def test_the_functions_run_as_deployed(deployed):
    names = deployed.names
    for region in names.regions:
        shown = deployed.clients("lambda", region).get_function(
            FunctionName=names.controller_function(region)
        )
        configuration = shown["Configuration"]
        assert configuration["Timeout"] == 170
        assert shown["Concurrency"]["ReservedConcurrentExecutions"] == 5
        assert configuration["DeadLetterConfig"]["TargetArn"].endswith(names.dead_letters(region))
        variables = configuration["Environment"]["Variables"]
        assert variables["FARSHORE_SUFFIX"] == names.suffix
        assert "FARSHORE_NAMESERVER" not in variables


def test_seven_tags_are_on_what_has_tags(deployed):
    names, clients = deployed.names, deployed.clients
    for region in names.regions:
        side = names.side(region)
        cluster = clients("rds", region).describe_db_clusters()["DBClusters"][0]
        vpcs = clients("ec2", region).describe_vpcs(
            Filters=[{"Name": "tag:Name", "Values": [names.vpc(region)]}]
        )["Vpcs"]
        for tags in (cluster["TagList"], vpcs[0]["Tags"]):
            found = {tag["Key"]: tag["Value"] for tag in tags}
            assert found.keys() >= TAGS
            assert found["DR-Role"] == side


def test_no_password_is_in_the_checkpoint_the_log_or_the_progress(deployed):
    manager = deployed.clients("secretsmanager", HOME)
    for name in (deployed.names.master_secret, deployed.names.controller_secret):
        password = manager.get_secret_value(SecretId=name)["SecretString"].split('"password": "')[1][:32]
        for file in deployed.deployment.directory.iterdir():
            assert password not in file.read_text()
        assert password not in "".join(deployed.said) + repr(deployed.first)


def test_the_verb_runs_the_program_again_and_changes_nothing(deployed):
    deployed.lab.master_password = "not asked for"
    with _controlled(deployed.lab):
        command = [
            sys.executable,
            "-m",
            "farshore",
            "lab",
            "deploy",
            "--json",
            "--lab",
            deployed.names.suffix,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)

    assert (summary["created"], summary["unchanged"]) == (0, deployed.first.resources)
    assert summary["outputs"] == deployed.first.outputs


def test_after_a_swap_of_roles_nothing_changes_and_all_can_be_destroyed(deployed):
    names, clients = deployed.names, deployed.clients
    moved = {resource.region: resource for resource in deployed.resources(CLUSTER)}
    clients("rds", HOME).switchover_global_cluster(
        GlobalClusterIdentifier=names.global_cluster,
        TargetDbClusterIdentifier=moved[STANDBY].outputs["arn"],
    )
    _until(lambda: _writer(clients) == STANDBY)

    drift = KINDS[CLUSTER].observe(Old(moved[HOME], clients))
    assert drift["replicationSourceIdentifier"] == moved[STANDBY].outputs["arn"]
    assert len(deployed.up().unchanged) == deployed.first.resources

    gone = deployed.deployment.destroy(deployed.said.append)
    assert len(gone) == deployed.first.resources
    assert gone.index("farshore-database-standby-cluster") < gone.index("farshore-database-home-cluster")
    for region in names.regions:
        assert not clients("rds", region).describe_db_clusters()["DBClusters"]
        assert not clients("lambda", region).list_functions()["Functions"]
        left = clients("ec2", region).describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])
        assert not left["Vpcs"]
    assert not clients("iam", HOME).list_roles()["Roles"]
    assert not deployed.lab.fleet.clusters


@contextlib.contextmanager
def _controlled(lab):
    server = control.serve(lab.directory.path, lab.obey)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _writer(clients):
    (found,) = clients("rds", STANDBY).describe_global_clusters()["GlobalClusters"]
    if found["Status"] != "available":
        return None
    return next(m["DBClusterArn"].split(":")[3] for m in found["GlobalClusterMembers"] if m["IsWriter"])


def _until(met, timeout_s=30):
    give_up = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < give_up, "did not happen in time"
        time.sleep(0.1)
