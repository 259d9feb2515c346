"""A Cloud with links the test controls, and clients as a caller in some view has them."""

import io
import socket
import threading
import time
import zipfile

import boto3
import moto.sns.models
import moto.sns.urls
from botocore.config import Config

from farshore.lab.cloud.gateway import Cloud
from farshore.lab.processes import Spawner
from farshore.names import Names

HOME, STANDBY, WITNESS, OUTSIDE = "us-east-1", "us-west-2", "us-east-2", "outside"
_OCTETS = {HOME: 1, STANDBY: 2, OUTSIDE: 3}


class Links:
    """Instant and whole unless a test says otherwise."""

    def __init__(self):
        self.lost_regions = set()
        self.cuts = set()
        self.one_way = {}

    def lost(self, region):
        return region in self.lost_regions

    def connected(self, a, b):
        return not self.lost_regions & {a, b} and frozenset((a, b)) not in self.cuts

    def one_way_s(self, a, b):
        return self.one_way.get((a, b), self.one_way.get(frozenset((a, b)), 0.0))

    def cut(self, a, b):
        self.cuts.add(frozenset((a, b)))

    def join(self, a, b):
        self.cuts.discard(frozenset((a, b)))


class Addresses:
    """This process's own corner of loopback."""

    def __init__(self):
        while True:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.gateway_port = probe.getsockname()[1]
            self.subnet = f"127.200.{self.gateway_port % 250 + 1}"
            if all(_free(self.view(view), self.gateway_port) for view in _OCTETS):
                break
        self.runtime = f"{self.subnet}.4"

    def view(self, view):
        return f"{self.subnet}.{_OCTETS[view]}"


def _free(host, port):
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


_MOTOS_SNS = (dict(moto.sns.urls.url_paths), moto.sns.models.Subscription.publish)


def make_cloud(root, links, overlays=(), **options):
    """Overlays outlive a lab in its process: one that was closed must not answer here."""
    moto.sns.urls.url_paths, moto.sns.models.Subscription.publish = _MOTOS_SNS
    cloud = Cloud(
        names=Names("t"),
        addresses=Addresses(),
        links=links,
        spawn=Spawner(),
        root=root,
        cadence=1,
        overlays=overlays,
        **options,
    )
    cloud.start()
    return cloud


def client(cloud, service, region, *, view=None, read_timeout=5, retries=0, credentials=None):
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=f"http://{cloud.endpoint(view or region)}",
        **(credentials or {"aws_access_key_id": "AKIAFARSHORELAB00000", "aws_secret_access_key": "none"}),
        config=Config(
            connect_timeout=2, read_timeout=read_timeout, retries={"total_max_attempts": 1 + retries}
        ),
    )


def bundle(source):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", source)
    return packed.getvalue()


def eventually(met, timeout_s=10):
    give_up = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (value := met()):
        assert time.monotonic() < give_up, "did not happen in time"
        pause.wait(0.02)
    return value


def authority_table(names, dynamodb):
    """As the stack makes it: one replica and one witness; `dynamodb` is a client in the home region."""
    dynamodb.create_table(
        TableName=names.authority_table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "global_cluster", "AttributeType": "S"},
            {"AttributeName": "entry_key", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "global_cluster", "KeyType": "HASH"},
            {"AttributeName": "entry_key", "KeyType": "RANGE"},
        ],
    )
    dynamodb.update_table(
        TableName=names.authority_table,
        MultiRegionConsistency="STRONG",
        ReplicaUpdates=[{"Create": {"RegionName": names.standby_region}}],
        GlobalTableWitnessUpdates=[{"Create": {"RegionName": names.witness_region}}],
    )
