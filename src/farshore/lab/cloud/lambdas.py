"""Lambda overlay: moto keeps the functions, real processes run them.

Rules: https://docs.aws.amazon.com/lambda/latest/dg/invocation-sync.html,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html (two retries, after one and two more
minutes; throttled events come again with growing pauses until they are six hours old),
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html (what is given up goes to the
dead-letter queue, in the role's name) and
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (the variables every function has).
Metrics: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html (Invocations and Errors are counted
when an invocation has ended, and carry the time at which it began; a throttled one is no invocation).
"""

import base64
import io
import json
import logging
import os
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda import models, urls
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_types import TYPE_RESPONSE
from moto.sts.models import sts_backends

from farshore.lab.cloud.environments import Function, Outcome
from farshore.lab.cloud.overlay import patch, swap
from farshore.lab.cloud.pools import Pools, RegionLostError, ThrottledError
from farshore.lab.cloud.refusals import NotInTheLabError
from farshore.lab.cloud.wire import Silence
from farshore.lab.ports import Spawn

RETRY_PAUSES_S = (60.0, 120.0)
THROTTLE_PAUSE_MAX_S = 300.0
EVENT_AGE_MAX_S = 6 * 3600.0
CREDENTIALS_LIFE_S = 12 * 3600
_log = logging.getLogger(__name__)
_dead_letters: WeakKeyDictionary[LambdaFunction, str] = WeakKeyDictionary()  # moto forgets them
_moto_configuration = models.LambdaFunction.get_configuration


class Lambdas:
    """Runs functions; `endpoint(region)` is the URL at which a region's functions call AWS.

    `extra_environment(region)` stands for what a function finds in its VPC; it wins over the function's own.
    """

    def __init__(
        self,
        *,
        spawn: Spawn,
        root: Path,
        runtime_host: str,
        endpoint: Callable[[str], str],
        extra_environment: Callable[[str], Mapping[str, str]] = lambda _region: {},
        retry_pauses_s: tuple[float, ...] = RETRY_PAUSES_S,
    ) -> None:
        self.pools = Pools(spawn=spawn, runtime_host=runtime_host, logs=root / "logs")
        self._bundles = root / "bundles"
        self._endpoint = endpoint
        self._extra_environment = extra_environment
        self._retry_pauses_s = retry_pauses_s
        self._credentials: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        self._losses: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def invoke(self, made: LambdaFunction, payload: bytes) -> Outcome:
        """Run and wait. ThrottledError: no concurrency left; RegionLostError: the region is gone."""
        reserved, losses = made.reserved_concurrency, self._losses.get(made.region, 0)
        began = datetime.now(UTC)
        outcome = self.pools.run(self._describe(made), payload, None if reserved is None else int(reserved))
        if self._losses.get(made.region, 0) == losses:
            _count(made, began, outcome)
        return outcome

    def send(self, made: LambdaFunction, payload: bytes) -> None:
        """Run without waiting, with Lambda's retries. The loss of the region drops the event."""
        name = f"event-{made.function_name}"
        threading.Thread(target=self._see_through, args=(made, payload), name=name, daemon=True).start()

    def send_to(self, arn: str, payload: bytes) -> None:
        """`send`, to the function of an ARN."""
        _, _, _, region, account, _, name, *_ = arn.split(":")
        self.send(lambda_backends[account][region].get_function(name), payload)

    def region_lost(self, region: str) -> int:
        """Kill every process of the region and start none there; returns how many were alive."""
        self._losses[region] = self._losses.get(region, 0) + 1
        return self.pools.region_lost(region)

    def region_back(self, region: str) -> None:
        self.pools.region_back(region)

    def kill_all(self) -> int:
        """Kill every process, as if all crashed at once; the next event starts new ones."""
        return self.pools.kill(lambda _: True)

    def close(self) -> None:
        self._closing.set()
        self.pools.close()

    def _see_through(self, made: LambdaFunction, payload: bytes) -> None:
        settings: dict[str, Any] = made.event_invoke_config[-1].config if made.event_invoke_config else {}
        pauses = list(self._retry_pauses_s[: settings.get("MaximumRetryAttempts", len(self._retry_pauses_s))])
        too_old = time.monotonic() + settings.get("MaximumEventAgeInSeconds", EVENT_AGE_MAX_S)
        losses = self._losses.get(made.region, 0)
        throttle_pause, why = 1.0, "the event was throttled until it was too old"
        while self._losses.get(made.region, 0) == losses:
            try:
                outcome = self.invoke(made, payload)
            except RegionLostError:
                return
            except ThrottledError:
                pause = throttle_pause
                throttle_pause = min(2 * throttle_pause, THROTTLE_PAUSE_MAX_S)
            else:
                if not outcome.failed:
                    return
                why = outcome.payload[:500].decode(errors="replace")
                _log.warning("%s failed: %s", made.function_name, why)
                if not pauses:
                    self._bury(made, payload, why)
                    return
                pause = pauses.pop(0)
            if time.monotonic() + pause > too_old:
                self._bury(made, payload, why)
                return
            if self._closing.wait(pause):
                return

    def _bury(self, made: LambdaFunction, payload: bytes, why: str) -> None:
        """Send an event that is given up to the function's dead-letter queue or topic, if it has one."""
        arn = dead_letters(made)
        if not arn or self._closing.is_set():
            return
        _, _, service, region, account, name = arn.split(":", 5)
        keys = dict(self._role_credentials(made))
        client = boto3.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint(made.region),
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=keys["AWS_SESSION_TOKEN"],
        )
        told = {"ErrorMessage": {"DataType": "String", "StringValue": why or "no words"}}
        try:
            if service == "sqs":
                url = f"https://sqs.{region}.amazonaws.com/{account}/{name}"
                client.send_message(QueueUrl=url, MessageBody=payload.decode(), MessageAttributes=told)
            else:
                client.publish(TopicArn=arn, Message=payload.decode(), MessageAttributes=told)
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s: its dead letter was lost: %s", made.function_name, error)

    def _describe(self, made: LambdaFunction) -> Function:
        return Function(
            arn=made.function_arn,
            name=made.function_name,
            region=made.region,
            handler=str(made.handler),
            timeout_s=float(made.timeout),
            bundle=self._bundle(made),
            environment=tuple(sorted(self._environment(made).items())),
        )

    def _environment(self, made: LambdaFunction) -> dict[str, str]:
        extra = self._extra_environment(made.region)
        return {**made.environment_vars, **extra, **self._own_variables(made)}

    def _own_variables(self, made: LambdaFunction) -> dict[str, str]:
        bundle = str(self._bundle(made))
        return {
            "_HANDLER": str(made.handler),
            "AWS_DEFAULT_REGION": made.region,
            "AWS_REGION": made.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{made.run_time}",
            "AWS_LAMBDA_FUNCTION_NAME": made.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(made.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": str(made.version),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{made.function_name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "lab",
            "LAMBDA_TASK_ROOT": bundle,
            "LAMBDA_RUNTIME_DIR": bundle,
            "LANG": "en_US.UTF-8",
            "PATH": os.defpath,
            "TZ": ":UTC",
            # Nothing of the person who runs the lab may leak in: no profile, no metadata service, no real AWS.
            "HOME": bundle,
            "AWS_CONFIG_FILE": f"{bundle}/.no-config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{bundle}/.no-credentials",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self._endpoint(made.region),
            **dict(self._role_credentials(made)),
        }

    def _role_credentials(self, made: LambdaFunction) -> tuple[tuple[str, str], ...]:
        with self._lock:
            owner = (made.function_arn, made.role)
            if owner not in self._credentials:
                session = sts_backends[made.account_id][made.partition].assume_role(
                    region_name=made.region,
                    role_session_name=made.function_name,
                    role_arn=made.role,
                    policy="",
                    duration=CREDENTIALS_LIFE_S,
                    external_id="",
                )
                self._credentials[owner] = (
                    ("AWS_ACCESS_KEY_ID", session.access_key_id),
                    ("AWS_SECRET_ACCESS_KEY", session.secret_access_key),
                    ("AWS_SESSION_TOKEN", session.session_token),
                )
            return self._credentials[owner]

    def _bundle(self, made: LambdaFunction) -> Path:
        """The directory of an unpacked bundle; equal bundles share one."""
        directory = self._bundles / base64.b64decode(made.code_sha_256).hex()[:24]
        with self._lock:
            if not directory.exists():
                unpacking = directory.with_suffix(".unpacking")
                with zipfile.ZipFile(io.BytesIO(made.code_bytes)) as archive:
                    archive.extractall(unpacking)
                unpacking.rename(directory)
        return directory


class LabLambda(LambdaResponse):
    """moto's handlers; what would run, runs."""

    lambdas: ClassVar[Lambdas]

    def create_function(self) -> TYPE_RESPONSE:
        wanted = self.json_body
        if "ZipFile" not in wanted.get("Code", {}) or wanted.get("PackageType", "Zip") != "Zip":
            raise NotInTheLabError("functions come as a ZipFile; neither images nor buckets are emulated.")
        if not str(wanted.get("Runtime", "")).startswith("python"):
            raise NotInTheLabError(f"functions run Python, not {wanted.get('Runtime')}.")
        for unheard in ("Layers", "FileSystemConfigs", "ImageConfig"):
            if wanted.get(unheard):
                raise NotInTheLabError(f"{unheard} would have no effect.")
        answer = super().create_function()
        if target := wanted.get("DeadLetterConfig", {}).get("TargetArn"):
            _dead_letters[self.backend.get_function(wanted["FunctionName"])] = target
        return answer

    def create_function_url_config(self) -> TYPE_RESPONSE:
        wanted = self.json_body
        if (
            wanted.get("AuthType") != "NONE"
            or wanted.get("Cors")
            or wanted.get("InvokeMode", "BUFFERED") != "BUFFERED"
        ):
            raise NotInTheLabError("function URLs are buffered, without authentication and without CORS.")
        return super().create_function_url_config()

    def put_function_event_invoke_config(self) -> Any:
        if any(self.json_body.get("DestinationConfig", {}).values()):
            raise NotInTheLabError("DestinationConfig would have no effect.")
        made = self.backend.get_function(unquote(self.path.rsplit("/", 2)[-2]))
        made.event_invoke_config.clear()
        return super().put_function_event_invoke_config()

    def invoke(self) -> TYPE_RESPONSE:
        made = self.backend.get_function(unquote(self.path.rsplit("/", 2)[-2]), self._get_param("Qualifier"))
        payload = self.body.encode() if self.body else b"{}"
        match self.headers.get("X-Amz-Invocation-Type", "RequestResponse"):
            case "DryRun":
                return 204, {"status": "204"}, ""
            case "Event":
                self.lambdas.send(made, payload)
                return 202, {"status": "202"}, ""
        try:
            outcome = self.lambdas.invoke(made, payload)
        except ThrottledError as throttled:
            return _throttled(throttled)
        except RegionLostError:
            raise Silence(over=lambda: True) from None
        headers = {"content-type": "application/json", "x-amz-executed-version": str(made.version)}
        if outcome.failed:
            headers["x-amz-function-error"] = "Unhandled"
        return 200, headers, outcome.payload


def _count(made: LambdaFunction, began: datetime, outcome: Outcome) -> None:
    dimensions = [{"Name": "FunctionName", "Value": made.function_name}]
    counted = {"Invocations": 1, "Errors": int(outcome.failed)}
    at = began.replace(tzinfo=None)  # moto compares times without zones
    cloudwatch_backends[made.account_id][made.region].put_metric_data(
        "AWS/Lambda",
        [
            {"MetricName": n, "Dimensions": dimensions, "Value": value, "Unit": "Count", "Timestamp": at}
            for n, value in counted.items()
        ],
    )


def install(lambdas: Lambdas) -> None:
    """Put the overlay into moto's url table and behind SNS's deliveries; before the first request."""
    handler = type("LabLambda", (LabLambda,), {"lambdas": lambdas})
    swap(urls, handler)

    def deliver(made: LambdaFunction, body: str, _request_headers: Any, _response_headers: Any) -> str:
        # moto calls this for services that invoke a function, and all of those do it asynchronously.
        lambdas.send(made, body.encode())
        return ""

    patch(models.LambdaFunction, "invoke", deliver)
    patch(models.LambdaFunction, "get_configuration", _configuration)


def dead_letters(made: LambdaFunction) -> str:
    """Where events go that are given up; empty when they are dropped."""
    return _dead_letters.get(made, "")


def _configuration(made: LambdaFunction, *args: Any, **kwargs: Any) -> dict[str, Any]:
    shown: dict[str, Any] = _moto_configuration(made, *args, **kwargs)
    return {**shown, "DeadLetterConfig": {"TargetArn": target}} if (target := dead_letters(made)) else shown


def _throttled(error: ThrottledError) -> TYPE_RESPONSE:
    which = "ReservedFunctionConcurrent" if error.reserved else "Concurrent"
    body = {"Reason": f"{which}InvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."}
    headers = {"status": "429", "x-amzn-errortype": "TooManyRequestsException"}
    return 429, headers, json.dumps(body)
