"""Secrets Manager's rotation: the four steps, each an invocation of the secret's own function.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html. The lab rotates when
it is asked to; it keeps no rotation schedule. A step that fails ends the rotation, whose pending version stays, and
the next RotateSecret begins anew.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.awslambda.utils import get_backend
from moto.secretsmanager.exceptions import (
    InvalidRequestException,
    ResourceNotFoundException,
    SecretNotFoundException,
)
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, SecretsManagerBackend

from farshore.lab.cloud.lambdas import Lambdas
from farshore.lab.cloud.pools import RegionLostError, ThrottledError

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_log = logging.getLogger(__name__)


def rotate(backend: SecretsManagerBackend, lambdas: Lambdas, wanted: Mapping[str, Any]) -> str:
    """RotateSecret; `wanted` is the request. The steps go on after the answer, as at AWS.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
    """
    secret = _secret(backend, str(wanted["SecretId"]))
    arn = str(wanted.get("RotationLambdaARN") or secret.rotation_lambda_arn)
    if not arn:
        raise InvalidRequestException("No Lambda rotation function ARN is associated with this secret.")
    function = _function(backend, arn)
    secret.rotation_requested = secret.rotation_enabled = True
    secret.rotation_lambda_arn = arn
    rules = wanted.get("RotationRules") or {}
    secret.auto_rotate_after_days = rules.get("AutomaticallyAfterDays", secret.auto_rotate_after_days)
    if not wanted.get("RotateImmediately", True):
        return secret.to_short_dict()
    version = str(wanted.get("ClientRequestToken") or uuid.uuid4())
    secret.remove_version_stages_from_old_versions(["AWSPENDING"])
    pending = {"version_id": version, "version_stages": [], "createdate": int(time.time())}
    secret.versions.setdefault(version, pending)
    secret.versions[version]["version_stages"].append("AWSPENDING")
    steps = threading.Thread(target=_run, args=(lambdas, function, secret.arn, version), daemon=True)
    steps.name = f"rotation-{secret.name}"
    steps.start()
    return secret.to_short_dict(version_id=version)


def settle(secret: FakeSecret) -> None:
    """After a stage moved: what is read without naming a version is AWSCURRENT, which moto forgets."""
    for version, content in secret.versions.items():
        if "AWSCURRENT" in content["version_stages"]:
            secret.set_default_version_id(version)


def _secret(backend: SecretsManagerBackend, identifier: str) -> FakeSecret:
    if not backend._is_valid_identifier(identifier):  # noqa: SLF001 - moto's own test of a name or an ARN
        raise SecretNotFoundException
    secret = backend.secrets[identifier]
    if isinstance(secret, ReplicaSecret):
        raise InvalidRequestException("Operation not permitted on a replica secret.")
    if secret.is_deleted():
        raise InvalidRequestException("You can't perform this operation on a deleted secret.")
    return secret


def _function(backend: SecretsManagerBackend, arn: str) -> LambdaFunction:
    try:
        made: LambdaFunction = get_backend(backend.account_id, backend.region_name).get_function(arn)
    except Exception as error:
        raise ResourceNotFoundException(f"Resource not found for ARN '{arn}'.") from error
    return made


def _run(lambdas: Lambdas, function: LambdaFunction, secret: str, version: str) -> None:
    for step in STEPS:
        event = {"Step": step, "SecretId": secret, "ClientRequestToken": version}
        try:
            outcome = lambdas.invoke(function, json.dumps(event).encode())
        except (ThrottledError, RegionLostError) as error:
            _log.warning("%s of %s was not run: %r", step, secret, error)
            return
        if outcome.failed:
            words = outcome.payload[:500].decode(errors="replace")
            _log.warning("%s of %s failed: %s", step, secret, words)
            return
