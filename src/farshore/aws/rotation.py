"""Rotating a database login in Secrets Manager's four steps, each safe to repeat.

One user changes its own password, so between `setSecret` and `finishSecret` only the pending version works: whoever
is refused fetches again. https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any, Protocol

from farshore.core.errors import RefusedError, UsageError

PASSWORD_LENGTH = 32
Login = Mapping[str, Any]


class Logins(Protocol):
    """The database that writes now."""

    def accepts(self, login: Login) -> bool: ...

    def change(self, current: Login, pending: Login) -> None:
        """Logged in with `current`, give its user `pending`'s password. Raises FarshoreError when it cannot."""


class Rotation:
    def __init__(self, manager: Any, logins: Logins) -> None:
        self._manager = manager
        self._logins = logins

    def run(self, step: str, secret: str, version: str) -> None:
        """Raises UsageError for a step, secret or version that is not being rotated, RefusedError to try again."""
        stages = self._stages(secret, version)
        if "AWSCURRENT" in stages[version]:
            return
        steps = {
            "createSecret": self._create,
            "setSecret": self._set,
            "testSecret": self._test,
            "finishSecret": self._finish,
        }
        if step not in steps:
            raise UsageError(f"{step} is none of the steps {', '.join(steps)}.")
        steps[step](secret, version)

    def _stages(self, secret: str, version: str) -> dict[str, list[str]]:
        described = self._manager.describe_secret(SecretId=secret)
        stages: dict[str, list[str]] = described.get("VersionIdsToStages", {})
        if not described.get("RotationEnabled") or version not in stages:
            raise UsageError(f"version {version} of {secret} is not being rotated.")
        return stages

    def _create(self, secret: str, version: str) -> None:
        try:
            self._read(secret, "AWSPENDING", version)
        except self._manager.exceptions.ResourceNotFoundException:
            pending = {**self._read(secret, "AWSCURRENT"), "password": password()}
            self._manager.put_secret_value(
                SecretId=secret,
                ClientRequestToken=version,
                SecretString=json.dumps(pending),
                VersionStages=["AWSPENDING"],
            )

    def _set(self, secret: str, version: str) -> None:
        pending = self._read(secret, "AWSPENDING", version)
        if not self._logins.accepts(pending):
            self._logins.change(self._read(secret, "AWSCURRENT"), pending)

    def _test(self, secret: str, version: str) -> None:
        if not self._logins.accepts(self._read(secret, "AWSPENDING", version)):
            raise RefusedError(
                "the writer does not accept the new password.", "wait for the next try, or look at the writer"
            )

    def _finish(self, secret: str, version: str) -> None:
        stages = self._stages(secret, version)
        current = next((each for each, names in stages.items() if "AWSCURRENT" in names), None)
        replaced = {"RemoveFromVersionId": current} if current else {}
        self._manager.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version, **replaced
        )

    def _read(self, secret: str, stage: str, version: str | None = None) -> dict[str, Any]:
        which = {"VersionId": version} if version else {}
        answer = self._manager.get_secret_value(SecretId=secret, VersionStage=stage, **which)
        return dict(json.loads(answer["SecretString"]))


def password() -> str:
    """Letters and digits only: RDS refuses / @ " and blanks."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
