"""What a lab adds to the deployed stack: the ledger's own login, and the functions' first minute."""

import secrets
import string
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg import sql

from farshore.names import Names

Clients = Callable[[str, str], Any]
"""Gives a boto3 client for (service, region)."""

FIRST_MINUTE = b'{"source": "farshore"}'


def password() -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(24))


def create_application_role(admin: "psycopg.Connection[Any]", name: str, secret: str) -> None:
    """What a ledger service would log in as: no superuser, no owner."""
    statement = sql.SQL("create role {} login password {}")
    admin.execute(statement.format(sql.Identifier(name), sql.Literal(secret)))


def start_functions(names: Names, clients: Clients, regions: Iterable[str] | None = None) -> None:
    """Invoke monitors and controllers once; their schedules would start them a minute after their creation."""
    for region in regions or names.regions:
        functions = clients("lambda", region)
        for name in (names.monitor_function(region), names.controller_function(region)):
            functions.invoke(FunctionName=name, InvocationType="Event", Payload=FIRST_MINUTE)
