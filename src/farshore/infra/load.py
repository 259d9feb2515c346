"""Reads the stack's configuration: Pulumi's keys, completed by the environment. Every refusal is told at once."""

import json
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import ValidationError

from farshore.core.errors import UsageError
from farshore.infra.checks import refusals
from farshore.infra.config import NAMESPACE, StackConfig, key_of

DEPLOYMENT_VARIABLES = {"suffix": "ENVIRONMENT_SUFFIX", "homeRegion": "AWS_REGION"}
"""A key and the variable that stands in for it; two that differ are refused, since either would move a deployment."""
TAG_VARIABLES = {
    "repository": "REPOSITORY",
    "author": "COMMIT_AUTHOR",
    "prNumber": "PR_NUMBER",
    "team": "TEAM",
    "createdAt": "CREATED_AT",
}
"""What a CI system tells about the deployment; a key in the stack's file wins."""


NO_CERTIFICATES = (
    f"{NAMESPACE}:rdsCaFile is not set, and functions verify the database's certificate. Fix: download "
    "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem and "
    f"`pulumi config set {NAMESPACE}:rdsCaFile <its path>`."
)


def from_pulumi(environ: Mapping[str, str] = os.environ) -> StackConfig:
    """The running program's stack configuration. Raises UsageError with every refusal.

    A preview goes without the database's certificates; a deployment whose functions verify them does not.
    """
    prefix = f"{NAMESPACE}:"
    stored = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    given = {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
    config = load(given, environ)
    if config.rds_ca_file is None:
        if not pulumi.runtime.is_dry_run():
            raise UsageError(NO_CERTIFICATES)
        pulumi.log.warn(NO_CERTIFICATES)
    return config


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> StackConfig:
    """`given`: keys without their namespace. Raises UsageError: one line per refusal."""
    values = _completed(given, environ)
    try:
        config = StackConfig.model_validate({key: _parsed(value) for key, value in values.items()})
    except ValidationError as error:
        raise UsageError("\n".join(_told(problem) for problem in error.errors())) from error
    found = [str(refusal) for refusal in refusals(config)]
    if found:
        raise UsageError("\n".join(found))
    return config


def _completed(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    values = dict(given)
    for key, variable in DEPLOYMENT_VARIABLES.items():
        said = environ.get(variable)
        if said and values.setdefault(key, said) != said:
            raise UsageError(
                f"{NAMESPACE}:{key} = {values[key]!r} contradicts {variable} = {said!r} in the environment. "
                f"Fix: unset {variable}, or set it to {values[key]}; a deployment does not move by a variable."
            )
    for key, variable in TAG_VARIABLES.items():
        if environ.get(variable):
            values.setdefault(key, environ[variable])
    return values


def _parsed(value: Any) -> Any:
    """Pulumi hands lists over as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _told(problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    if not path:
        return f"{_shown(problem['input'])} is no key of a configuration: {problem['msg']}. Fix: remove it."
    known = {key_of(name): field for name, field in StackConfig.model_fields.items()}
    field = known.get(path[0])
    if field is None:
        near = ", ".join(sorted(known))
        return f"{NAMESPACE}:{path[0]} is not a key of farshore. Fix: remove it, or use one of {near}."
    if problem["type"] == "missing":
        how = f"pulumi config set {NAMESPACE}:{path[0]} <value>"
        return f"{NAMESPACE}:{path[0]} is not set. Fix: `{how}`; {field.description}."
    return f"{NAMESPACE}:{path[0]} = {_shown(problem['input'])}: {problem['msg']}. Fix: {field.description}."


def _shown(value: Any) -> str:
    """YAML has values that JSON has not: dates as keys, lists that hold themselves."""
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return reprlib.repr(value)
