import importlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from cloudkit import HOME, OUTSIDE, STANDBY, WITNESS, Links, client, eventually, make_cloud
from moto.core.utils import camelcase_to_underscores

from farshore.lab.cloud.services import SERVICES, Kind, table


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    links = Links()
    cloud = make_cloud(tmp_path_factory.mktemp("cloud"), links)
    yield cloud, links
    cloud.close()


@pytest.fixture(autouse=True)
def whole(world):
    yield
    _, links = world
    links.lost_regions.clear()
    links.cuts.clear()
    links.one_way.clear()


def test_each_region_has_its_own_resources(world):
    cloud, _ = world
    client(cloud, "sqs", HOME).create_queue(QueueName="here")
    assert "QueueUrls" not in client(cloud, "sqs", STANDBY).list_queues()
    assert len(client(cloud, "sqs", HOME, view=OUTSIDE).list_queues()["QueueUrls"]) == 1


def test_a_call_to_the_other_region_pays_for_both_ways(world):
    cloud, links = world
    links.one_way[frozenset((HOME, STANDBY))] = 0.1
    west, east = client(cloud, "sqs", STANDBY), client(cloud, "sqs", STANDBY, view=HOME)
    west.list_queues(), east.list_queues()
    assert min(_seconds(west.list_queues) for _ in range(5)) < 0.2
    assert 0.2 <= min(_seconds(east.list_queues) for _ in range(2)) < 0.8


def test_global_services_live_in_us_east_1(world):
    cloud, links = world
    links.lost_regions.add("us-east-1")
    for service in ("iam", "route53"):
        caller = client(cloud, service, STANDBY, read_timeout=0.3)
        with pytest.raises(ReadTimeoutError):
            caller.list_roles() if service == "iam" else caller.list_hosted_zones()
    assert client(cloud, "sts", STANDBY).get_caller_identity()["Account"]
    with pytest.raises(ReadTimeoutError):
        client(cloud, "sts", HOME, view=OUTSIDE, read_timeout=0.3).get_caller_identity()


def test_a_lost_region_is_silent_to_everybody_and_hangs_until_it_returns(world):
    cloud, links = world
    callers = {v: client(cloud, "sqs", HOME, view=v, read_timeout=20) for v in (HOME, STANDBY, OUTSIDE)}
    for caller in callers.values():
        caller.list_queues()
    links.lost_regions.add(HOME)
    errors = {}

    def call(view):
        try:
            callers[view].list_queues()
        except ConnectionClosedError as error:
            errors[view] = error

    threads = [threading.Thread(target=call, args=(view,)) for view in callers]
    for thread in threads:
        thread.start()
    threads[0].join(0.5)
    assert not errors
    assert all(thread.is_alive() for thread in threads)
    links.lost_regions.clear()
    for thread in threads:
        thread.join(5)
    assert set(errors) == set(callers)
    assert callers[OUTSIDE].list_queues()


def applied(cloud, name):
    """Whether the queue is there, asked in its own region."""
    return "QueueUrls" in client(cloud, "sqs", STANDBY).list_queues(QueueNamePrefix=name)


def test_a_cut_on_the_way_back_means_applied_without_an_answer(world):
    cloud, links = world
    caller = client(cloud, "sqs", STANDBY, view=HOME, read_timeout=2.5)
    caller.list_queues()
    links.one_way[(STANDBY, HOME)] = 2.0
    with ThreadPoolExecutor() as pool:
        unanswered = pool.submit(caller.create_queue, QueueName="applied")
        eventually(lambda: applied(cloud, "applied"))
        links.cut(HOME, STANDBY)
        with pytest.raises(ReadTimeoutError):
            unanswered.result()


def test_a_cut_on_the_way_there_means_nothing_was_applied(world):
    cloud, links = world
    caller = client(cloud, "sqs", STANDBY, view=HOME, read_timeout=2.5)
    caller.list_queues()
    links.one_way[(HOME, STANDBY)] = 2.0
    threading.Timer(0.2, links.cut, (HOME, STANDBY)).start()
    with pytest.raises(ReadTimeoutError):
        caller.create_queue(QueueName="never")
    assert not applied(cloud, "never")


def test_a_region_lost_and_back_while_it_worked_does_not_answer(world):
    cloud, links = world
    caller = client(cloud, "sqs", STANDBY, view=HOME)
    caller.list_queues()
    links.one_way[(STANDBY, HOME)] = 2.0
    with ThreadPoolExecutor() as pool:
        unanswered = pool.submit(caller.create_queue, QueueName="worked")
        eventually(lambda: applied(cloud, "worked"))
        links.lost_regions.add(STANDBY)
        cloud.region_lost(STANDBY)
        cloud.region_back(STANDBY)
        links.lost_regions.clear()
        with pytest.raises(ConnectionClosedError):
            unanswered.result()


def test_connections_are_kept(world):
    cloud, _ = world
    address = cloud.endpoint(HOME)
    with socket.create_connection((address.host, address.port)) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 403")


def test_a_client_that_gives_up_frees_its_thread(world):
    cloud, links = world
    before = threading.active_count()
    links.lost_regions.add(HOME)
    callers = [client(cloud, "sqs", HOME, read_timeout=0.2) for _ in range(4)]
    for caller in callers:
        with pytest.raises(ReadTimeoutError):
            caller.list_queues()
    eventually(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("dynamodb", "create_backup", {"TableName": "abc", "BackupName": "abc"}),  # JSON
        ("rds", "describe_db_log_files", {"DBInstanceIdentifier": "x"}),  # query
        ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}),  # ec2
        ("lambda", "list_layers", {}),  # REST JSON
        ("route53", "list_traffic_policies", {}),  # REST XML
        ("cloudwatch", "list_metric_streams", {}),
        ("sqs", "list_message_move_tasks", {"SourceArn": "x"}),
        ("ssm", "describe_parameters", {}),  # services the lab has not
        ("elasticache", "describe_cache_clusters", {}),
        ("s3", "list_buckets", {}),
        ("eks", "list_clusters", {}),
    ],
)
def test_what_the_lab_has_not_it_names(world, service, operation, arguments):
    cloud, _ = world
    with pytest.raises(ClientError) as caught:
        getattr(client(cloud, service, HOME), operation)(**arguments)
    error = caught.value.response
    assert error["Error"]["Code"] == "NotInTheLab"
    assert " is not in the lab: " in error["Error"]["Message"]
    assert service in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_what_moto_leaves_out_is_named_too(world, monkeypatch):
    cloud, _ = world

    def not_there(_):
        raise NotImplementedError

    monkeypatch.setattr("moto.sqs.responses.SQSResponse.list_queues", not_there)
    with pytest.raises(ClientError, match="sqs:ListQueues is not in the lab: moto does not implement it"):
        client(cloud, "sqs", HOME).list_queues()
    monkeypatch.setattr("moto.sqs.responses.SQSResponse.list_queues", lambda _: (404, {"status": 404}, ""))
    with pytest.raises(ClientError, match="sqs:ListQueues is not in the lab: moto does not implement it"):
        client(cloud, "sqs", HOME).list_queues()


def test_a_fault_of_the_lab_is_an_error_and_not_a_dead_network(world, monkeypatch):
    cloud, _ = world
    monkeypatch.setattr("moto.sqs.responses.SQSResponse.list_queues", lambda _: 1 / 0)
    with pytest.raises(ClientError, match="the lab failed in sqs:ListQueues") as caught:
        client(cloud, "sqs", HOME).list_queues()
    assert caught.value.response["Error"]["Code"] == "InternalFailure"


def test_a_region_the_lab_has_not_is_named(world):
    cloud, _ = world
    with pytest.raises(ClientError, match="not eu-west-1"):
        client(cloud, "sqs", "eu-west-1", view=OUTSIDE).list_queues()
    assert client(cloud, "sqs", WITNESS, view=OUTSIDE).list_queues()


def test_unsigned_calls_are_refused(world):
    cloud, _ = world
    address = cloud.endpoint(HOME)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(b"GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"MissingAuthenticationToken" in connection.recv(4096)


@pytest.mark.parametrize("signing", sorted(SERVICES))
def test_every_listed_operation_exists_at_aws(signing):
    service = SERVICES[signing]
    model = botocore.session.get_session().get_service_model(service.boto)
    assert model.signing_name == signing
    assert set(service.operations) <= set(model.operation_names)


@pytest.mark.parametrize("signing", sorted(set(SERVICES) - {"rds", "route53"}))
def test_every_listed_operation_has_a_handler(world, signing):
    service = SERVICES[signing]
    urls = importlib.import_module(f"moto.{service.module}.urls")
    handlers = {path.__self__ for path in urls.url_paths.values() if hasattr(path, "__self__")}
    for operation in service.operations:
        method = camelcase_to_underscores(operation)
        assert any(hasattr(handler, method) for handler in handlers), operation


def test_the_table_says_of_each_operation_whether_it_is_real():
    rows = list(table())
    assert {kind for _, kind, _, _ in rows} == set(Kind)
    assert all(note and operations for _, _, note, operations in rows)


def test_closing_frees_the_addresses(tmp_path):
    other = make_cloud(tmp_path, Links())
    address = other.endpoint(HOME)
    other.close()
    socket.create_server((address.host, address.port)).close()


def _seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
