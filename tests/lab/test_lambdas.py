import io
import json
import signal
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from cloudkit import HOME, STANDBY, Links, bundle, client, eventually, make_cloud
from moto.awslambda.models import lambda_backends

from farshore.lab.cloud.pools import RegionLostError

ROLE = "arn:aws:iam::123456789012:role/lambda-monitor-role-t"
SOURCE = """
import json, os, sys, time
import boto3

warm = 0
print("cold start")

def handler(event, context):
    global warm
    warm += 1
    what = event.get("do")
    if what == "raise":
        raise ValueError("no luck")
    if what == "sleep":
        open(event["mark"], "w").close()
        time.sleep(event["s"])
    if what == "exit":
        os._exit(3)
    if what == "append":
        with open(event["path"], "a") as file:
            file.write(f"{os.getpid()}\\n")
        if event.get("raise"):
            raise ValueError("again")
    if what == "environ":
        return dict(os.environ)
    if what == "whoami":
        return boto3.client("sts").get_caller_identity()["Arn"]
    if what == "import":
        import farshore
        return farshore.__file__
    return {"pid": os.getpid(), "warm": warm, "arn": context.invoked_function_arn,
            "left_ms": context.get_remaining_time_in_millis(), "cwd": os.getcwd(), "echo": event}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    links = Links()
    root = tmp_path_factory.mktemp("cloud")
    cloud = make_cloud(root, links)
    cloud.lambdas._retry_pauses_s = (0.1, 0.2)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client(cloud, "iam", HOME).create_role(
        RoleName=ROLE.rpartition("/")[2],
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    yield cloud, links, root
    cloud.close()


@pytest.fixture
def east(running):
    cloud, links, _ = running
    yield client(cloud, "lambda", HOME, read_timeout=20)
    links.lost_regions.clear()
    cloud.lambdas.kill_all()


def make(lambdas, name, source=SOURCE, handler="app.handler", **more):
    lambdas.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler=handler,
        Code={"ZipFile": bundle(source)},
        **{"Timeout": 10, **more},
    )
    return name


def invoke(lambdas, name, **event):
    answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_function_runs_in_its_own_process_and_stays_warm(running, east):
    _, _, root = running
    make(east, "f")
    begin = time.perf_counter()
    first, error = invoke(east, "f", x=1)
    print(f"cold start {time.perf_counter() - begin:.2f} s")
    second, _ = invoke(east, "f", x=2)
    assert error is None
    assert first["echo"] == {"x": 1}
    assert first["arn"].endswith("function:f")
    assert 9000 < first["left_ms"] <= 10000
    assert (second["pid"], second["warm"]) == (first["pid"], 2)
    assert "cold start" in (root / "logs" / "f.log").read_text()


def test_a_function_sees_its_own_environment_and_nothing_of_ours(running, east, monkeypatch):
    cloud, _, _ = running
    monkeypatch.setenv("FARSHORE_LEAK", "1")
    make(east, "env", Environment={"Variables": {"FARSHORE_SUFFIX": "t", "AWS_REGION": "mars"}})
    environ, _ = invoke(east, "env", do="environ")
    assert environ["FARSHORE_SUFFIX"] == "t"
    assert environ["AWS_REGION"] == HOME
    assert environ["AWS_ENDPOINT_URL"] == f"http://{cloud.endpoint(HOME)}"
    assert "FARSHORE_LEAK" not in environ
    assert "VIRTUAL_ENV" not in environ


def test_a_function_calls_aws_as_its_role(east):
    make(east, "who")
    assert invoke(east, "who", do="whoami")[0] == (
        "arn:aws:sts::123456789012:assumed-role/lambda-monitor-role-t/who"
    )


def test_the_bundle_comes_before_the_installed_package(east):
    make(east, "shadow", SOURCE)
    installed, _ = invoke(east, "shadow", do="import")
    assert "/bundles/" not in installed
    both = io.BytesIO(bundle(SOURCE))
    with zipfile.ZipFile(both, "a") as archive:
        archive.writestr("farshore/__init__.py", "")
    east.update_function_code(FunctionName="shadow", ZipFile=both.getvalue())
    where, _ = invoke(east, "shadow", do="import")
    assert "/bundles/" in where


def test_errors_are_the_functions_own(east):
    make(east, "err")
    body, error = invoke(east, "err", do="raise")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "ValueError", "no luck")
    body, error = invoke(east, "err", do="exit")
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert invoke(east, "err")[1] is None


def test_a_function_that_cannot_start_says_why(east):
    make(east, "broken", "import nowhere_to_be_found\n")
    body, error = invoke(east, "broken")
    assert error == "Unhandled"
    assert "nowhere_to_be_found" in body["errorMessage"]


def test_a_timeout_kills_the_environment(east, tmp_path):
    make(east, "slow", Timeout=1)
    before, _ = invoke(east, "slow")
    body, error = invoke(east, "slow", do="sleep", s=30, mark=str(tmp_path / "mark"))
    assert (error, body["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "timed out after 1.00 seconds" in body["errorMessage"]
    after, _ = invoke(east, "slow")
    assert after["pid"] != before["pid"]


def sleeping(lambdas, name, s, mark):
    """Start an invocation that sleeps, and wait until it does; its result comes as a Future's."""
    pool = ThreadPoolExecutor(1)
    result = pool.submit(invoke, lambdas, name, do="sleep", s=s, mark=str(mark))
    eventually(mark.exists)
    return result


def test_reserved_concurrency_throttles(east, tmp_path):
    make(east, "one")
    east.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    first = sleeping(east, "one", 1, tmp_path / "mark")
    with pytest.raises(ClientError) as throttled:
        invoke(east, "one")
    assert throttled.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert first.result()[1] is None
    assert invoke(east, "one")[1] is None


def test_a_throttled_event_comes_again(east, tmp_path):
    make(east, "again")
    east.put_function_concurrency(FunctionName="again", ReservedConcurrentExecutions=1)
    first = sleeping(east, "again", 0.7, tmp_path / "mark")
    event = json.dumps({"do": "append", "path": str(tmp_path / "runs")})
    east.invoke(FunctionName="again", InvocationType="Event", Payload=event)
    assert not lines(tmp_path / "runs")
    first.result()
    eventually(lambda: lines(tmp_path / "runs"))


def test_new_configuration_means_a_new_environment(east):
    make(east, "fresh")
    old, _ = invoke(east, "fresh")
    east.update_function_configuration(FunctionName="fresh", Environment={"Variables": {"A": "1"}})
    new, _ = invoke(east, "fresh")
    assert new["pid"] != old["pid"]


def test_invocations_and_errors_are_counted_when_they_began(running, east):
    cloud, _, _ = running
    make(east, "counted")
    begin = datetime.now(UTC)
    invoke(east, "counted")
    invoke(east, "counted", do="raise")

    def sums(metric):
        answer = client(cloud, "cloudwatch", HOME).get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": "counted"}],
            StartTime=begin - timedelta(minutes=1),
            EndTime=begin + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in answer["Datapoints"])

    assert (sums("Invocations"), sums("Errors")) == (2, 1)


def test_an_event_is_answered_at_once_and_retried_twice(east, tmp_path):
    make(east, "async")
    path = tmp_path / "runs"
    event = json.dumps({"do": "append", "path": str(path), "raise": True})
    answer = east.invoke(FunctionName="async", InvocationType="Event", Payload=event)
    assert answer["StatusCode"] == 202
    eventually(lambda: len(lines(path)) == 3)


def test_maximum_retry_attempts_is_honoured(east, tmp_path):
    make(east, "once")
    east.put_function_event_invoke_config(FunctionName="once", MaximumRetryAttempts=2)
    east.put_function_event_invoke_config(FunctionName="once", MaximumRetryAttempts=0)
    path = tmp_path / "runs"
    event = json.dumps({"do": "append", "path": str(path), "raise": True})
    east.invoke(FunctionName="once", InvocationType="Event", Payload=event)
    eventually(lambda: lines(path))
    eventually(lambda: not any(t.name == "event-once" for t in threading.enumerate()))
    assert len(lines(path)) == 1


def test_an_event_that_is_given_up_becomes_a_dead_letter(running, east):
    cloud, _, _ = running
    queues = client(cloud, "sqs", HOME)
    url = queues.create_queue(QueueName="dead")["QueueUrl"]
    dead = "arn:aws:sqs:us-east-1:123456789012:dead"
    make(east, "buried", DeadLetterConfig={"TargetArn": dead})
    east.put_function_event_invoke_config(FunctionName="buried", MaximumRetryAttempts=0)
    event = json.dumps({"do": "raise"}).encode()
    east.invoke(FunctionName="buried", InvocationType="Event", Payload=event)

    def letters():
        return queues.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")

    (letter,) = eventually(letters)
    assert letter["Body"].encode() == event
    assert "no luck" in letter["MessageAttributes"]["ErrorMessage"]["StringValue"]
    assert east.get_function_configuration(FunctionName="buried")["DeadLetterConfig"] == {"TargetArn": dead}


def test_a_lost_regions_processes_die_and_stay_away(running, east):
    cloud, links, _ = running
    west = client(cloud, "lambda", STANDBY, read_timeout=20)
    make(east, "lost"), make(west, "kept")
    old, _ = invoke(east, "lost")
    invoke(west, "kept")
    links.lost_regions.add(HOME)
    assert cloud.region_lost(HOME) >= 1
    with pytest.raises(ReadTimeoutError):
        invoke(client(cloud, "lambda", HOME, read_timeout=0.3), "lost")
    assert invoke(west, "kept")[0]["warm"] == 2
    links.lost_regions.clear()
    cloud.region_back(HOME)
    assert invoke(east, "lost")[0]["pid"] != old["pid"]


def test_a_throttled_region_starts_nothing_and_counts_what_it_refused(running, east):
    cloud, _, _ = running
    make(east, "crowded")
    pools = cloud.lambdas.pools
    assert pools.throttle(HOME) == 0
    with pytest.raises(ClientError, match="TooManyRequests"):
        client(cloud, "lambda", HOME).invoke(FunctionName="crowded")
    assert pools.release(HOME) >= 1
    assert invoke(east, "crowded")[1] is None


def test_a_frozen_function_goes_on_where_it_was(running, east, tmp_path):
    cloud, _, _ = running
    make(east, "cold")
    invoke(east, "cold")
    pools = cloud.lambdas.pools
    assert pools.signal(lambda function: function.name == "cold", signal.SIGSTOP) == 1
    with pytest.raises(ReadTimeoutError):
        client(cloud, "lambda", HOME, read_timeout=0.5).invoke(FunctionName="cold")
    assert pools.signal(lambda function: function.name == "cold", signal.SIGCONT) == 1
    assert invoke(east, "cold")[1] is None


def test_nothing_starts_in_a_lost_region(running, east, tmp_path):
    cloud, links, _ = running
    arn = east.get_function(FunctionName=make(east, "dark"))["Configuration"]["FunctionArn"]
    made = lambda_backends["123456789012"][HOME].get_function("dark")
    links.lost_regions.add(HOME)
    cloud.region_lost(HOME)
    with pytest.raises(RegionLostError):
        cloud.lambdas.invoke(made, b"{}")
    cloud.lambdas.send_to(arn, json.dumps({"do": "append", "path": str(tmp_path / "runs")}).encode())
    eventually(lambda: not any(t.name == "event-dark" for t in threading.enumerate()))
    assert not lines(tmp_path / "runs")
    cloud.region_back(HOME)


def test_an_event_dies_with_its_region(running, east, tmp_path, monkeypatch):
    cloud, _, _ = running
    monkeypatch.setattr(cloud.lambdas, "_retry_pauses_s", (1.0,))
    make(east, "gone")
    event = json.dumps({"do": "append", "path": str(tmp_path / "runs"), "raise": True})
    east.invoke(FunctionName="gone", InvocationType="Event", Payload=event)
    eventually(lambda: lines(tmp_path / "runs"))
    cloud.region_lost(HOME)
    cloud.region_back(HOME)
    eventually(lambda: not any(t.name == "event-gone" for t in threading.enumerate()))
    assert len(lines(tmp_path / "runs")) == 1


def test_a_process_killed_in_mid_air_fails_its_invocation_and_the_next_works(running, east, tmp_path):
    cloud, _, _ = running
    make(east, "victim")
    call = sleeping(east, "victim", 20, tmp_path / "mark")
    begin = time.perf_counter()
    assert cloud.lambdas.kill_all() == 1
    body, error = call.result()
    assert time.perf_counter() - begin < 2
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert invoke(east, "victim")[0]["warm"] == 1


@pytest.mark.parametrize(
    "more",
    [
        {"Runtime": "nodejs22.x"},
        {"Code": {"S3Bucket": "bucket", "S3Key": "k"}},
    ],
)
def test_what_functions_cannot_have_is_refused(east, more):
    wanted = {"Runtime": "python3.11", "Code": {"ZipFile": bundle(SOURCE)}} | more
    with pytest.raises(ClientError) as refused:
        east.create_function(FunctionName="no", Role=ROLE, Handler="app.handler", **wanted)
    assert refused.value.response["Error"]["Code"] == "NotInTheLab"
