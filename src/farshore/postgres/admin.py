"""Connections for the operator's work on a database: the master user, ordinary blocking calls, short lives."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from farshore.core.errors import FarshoreError
from farshore.resolve import resolver
from farshore.settings import Settings


class AdminConnectError(FarshoreError):
    """The database could not be reached as its master user."""

    exit_code = 3


def connect(
    settings: Settings, host: str, credentials: Mapping[str, Any]
) -> psycopg.Connection[dict[str, Any]]:
    """An autocommit connection to `host` with rows as dictionaries; the caller closes it."""
    try:
        return psycopg.connect(
            host=host,
            hostaddr=resolver(settings.nameserver)(host),
            port=settings.port,
            dbname=settings.dbname,
            user=credentials["username"],
            password=credentials["password"],
            sslmode="verify-full",
            sslrootcert=settings.sslrootcert,
            application_name="farshore operator",
            connect_timeout=10,
            autocommit=True,
            row_factory=dict_row,
        )
    except (OSError, psycopg.Error) as error:
        raise AdminConnectError(
            f"{host} cannot be reached as {credentials['username']}: {error}. Nothing was changed. Next: repeat from a "
            "place that reaches the databases; `farshore status` says whether that region is lost."
        ) from error
