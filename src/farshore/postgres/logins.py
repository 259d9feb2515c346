"""Logins at the server that writes by authority's word, wherever it is."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from farshore.core.errors import RefusedError
from farshore.postgres.admin import AdminConnectError

Connect = Callable[[str, Mapping[str, Any]], psycopg.Connection[dict[str, Any]]]
"""(host, login) -> an autocommit connection; raises FarshoreError, with psycopg's refusal as its cause."""


class WritersLogins:
    """`writer` gives the endpoint of authority's holder, None while nobody holds it."""

    def __init__(self, writer: Callable[[], str | None], connect: Connect) -> None:
        self._writer = writer
        self._connect = connect

    def accepts(self, login: Mapping[str, Any]) -> bool:
        """False when the server refuses the login; raises FarshoreError when it cannot be asked."""
        try:
            self._connect(self._host(), login).close()
        except AdminConnectError as error:
            if is_refusal(error.__cause__):
                return False
            raise
        return True

    def change(self, current: Mapping[str, Any], pending: Mapping[str, Any]) -> None:
        """The server sees a verifier only, so that no log of its statements can hold the password."""
        with self._connect(self._host(), current) as connection:
            user = pending["username"]
            verifier = connection.pgconn.encrypt_password(
                pending["password"].encode(), user.encode(), b"scram-sha-256"
            )
            statement = sql.SQL("alter role {} password {}")
            connection.execute(statement.format(sql.Identifier(user), sql.Literal(verifier.decode())))

    def _host(self) -> str:
        host = self._writer()
        if host is None:
            raise RefusedError("nobody holds authority now.", "Secrets Manager tries again by itself")
        return host


def is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, psycopg.OperationalError) and "password authentication failed" in str(error)
