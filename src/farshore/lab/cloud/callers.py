"""Who calls: the account's administrator, or a session of a role, found by its access key."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sts.models import STSBackend, sts_backends

ADMINISTRATOR_KEY = "AKIAFARSHORELAB00000"


class UnknownCallerError(Exception):
    """The credentials are nobody's; `code` and the message are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """`role` is None for the administrator. `arn` is what a denial calls the caller."""

    account: str
    arn: str
    role: str | None
    userid: str

    @property
    def identities(self) -> tuple[str, ...]:
        """The ARNs under which a trust policy may name the caller itself."""
        return (self.arn,) if self.role is None else (self.arn, self.role)


@dataclass(frozen=True, slots=True)
class Session:
    caller: Caller
    token: str
    expires: dt.datetime


def administrator(account: str = DEFAULT_ACCOUNT_ID) -> Caller:
    return Caller(
        account, f"arn:aws:iam::{account}:user/farshore-lab-administrator", None, "AIDAFARSHORELAB00000"
    )


class Callers:
    """Sessions are moto's; each is looked up once."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def find(self, access_key: str, headers: Mapping[str, str]) -> Caller:
        """Raises UnknownCallerError, as AWS does for a key that is nobody's, without its token, or too old."""
        if access_key == ADMINISTRATOR_KEY:
            return administrator()
        session = self._sessions.get(access_key) or self._look_up(access_key)
        if session is None or headers.get("x-amz-security-token") != session.token:
            raise UnknownCallerError(
                "InvalidClientTokenId", "The security token included in the request is invalid."
            )
        if session.expires < dt.datetime.now(dt.UTC).replace(tzinfo=None):
            raise UnknownCallerError("ExpiredToken", "The security token included in the request is expired")
        return session.caller

    def _look_up(self, access_key: str) -> Session | None:
        for _, _, backend in sts_backends.iter_backends():
            made: Any = cast("STSBackend", backend).get_assumed_role_from_access_key(access_key)
            if made is not None:
                caller = Caller(made.account_id, made.arn, made.role_arn, made.user_id)
                expires = made.expiration.replace(tzinfo=None)
                self._sessions[access_key] = Session(caller, made.session_token, expires)
                return self._sessions[access_key]
        return None
