"""The last look at the time: between a request's date and its leaving (H6), with the real SDK and a real server."""

import http.server
import threading
import time

import boto3
import pytest
from botocore.config import Config

from farshore.aws.global_cluster import AuroraGlobalCluster
from farshore.core.errors import MoveTooLateError

EAST, WEST = "us-east-1", "us-west-2"
MEMBERS = "".join(
    f"<GlobalClusterMember><DBClusterArn>arn:aws:rds:{region}:123456789012:cluster:{region}</DBClusterArn>"
    f"<IsWriter>{str(region == EAST).lower()}</IsWriter></GlobalClusterMember>"
    for region in (EAST, WEST)
)
GLOBAL = f"<GlobalClusterMembers>{MEMBERS}</GlobalClusterMembers>"
ANSWERS = {
    "DescribeGlobalClusters": f"<GlobalClusters><GlobalClusterMember>{GLOBAL}</GlobalClusterMember></GlobalClusters>",
    "FailoverGlobalCluster": f"<GlobalCluster>{GLOBAL}</GlobalCluster>",
    "SwitchoverGlobalCluster": f"<GlobalCluster>{GLOBAL}</GlobalCluster>",
}


class Rds(http.server.ThreadingHTTPServer):
    """Answers as RDS does, and keeps (operation, date of the signature) of each request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def client(self):
        return boto3.client(
            "rds",
            region_name=WEST,
            endpoint_url=f"http://127.0.0.1:{self.server_port}",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=3),
        )


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        operation = next(name for name in ANSWERS if f"Action={name}&" in f"{body}&")
        self.server.asked.append((operation, self.headers["X-Amz-Date"]))
        result = f"<{operation}Result>{ANSWERS[operation]}</{operation}Result>"
        answer = f"<{operation}Response>{result}</{operation}Response>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def rds():
    server = Rds()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cluster(rds):
    return AuroraGlobalCluster(rds.client(), rds.client(), "global")


def moves(rds):
    return [(operation, date) for operation, date in rds.asked if operation != "DescribeGlobalClusters"]


MOVES = pytest.mark.parametrize("move", ["promote", "switch"])


@MOVES
def test_a_request_whose_time_has_passed_never_leaves(rds, cluster, move):
    with pytest.raises(MoveTooLateError):
        getattr(cluster, move)(WEST, lambda: False)
    assert moves(rds) == []
    getattr(cluster, move)(WEST, lambda: True)
    assert len(moves(rds)) == 1


@MOVES
def test_a_request_bears_a_date_of_before_the_look(rds, cluster, move):
    """So whoever is frozen after the look sends what AWS refuses for its age."""
    looked = []

    def in_time():
        began = int(time.time())
        while int(time.time()) == began:
            time.sleep(0.01)
        # gmtime() of its own accord reads a coarse clock that is a tick late at the second's edge.
        looked.append(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time())))
        return True

    getattr(cluster, move)(WEST, in_time)
    [(_, date)] = moves(rds)
    assert date < looked[0]
