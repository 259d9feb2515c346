"""What a new primary cluster holds before its owner first connects: roles, Aurora's functions, the database."""

from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Connection, sql

from farshore.lab.postgres.server import Server
from farshore.lab.postgres.settings import REPLICATION_USER

AURORA_FUNCTIONS = Path(__file__).with_name("aurora.sql")
RESERVED_CONNECTIONS_VERSION = 160000


@dataclass(frozen=True, slots=True)
class Master:
    """CreateDBCluster's MasterUsername, MasterUserPassword and DatabaseName (None: no database of their own)."""

    username: str
    password: str = field(repr=False)
    database: str | None = None


def fill(server: Server, master: Master, replication_password: str) -> None:
    functions = AURORA_FUNCTIONS.read_text()
    with server.connect("template1") as template1:
        template1.execute(functions.encode())
        _roles(template1, master, replication_password)
    with server.connect() as postgres:
        postgres.execute(functions.encode())
        if master.database and master.database != "postgres":
            database, owner = sql.Identifier(master.database), sql.Identifier(master.username)
            postgres.execute(sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY wal_log").format(database, owner))


def _roles(connection: Connection[tuple[object, ...]], master: Master, replication_password: str) -> None:
    """The master user is no superuser, but may grant on what AWS's rds_superuser may grant.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
    """
    user = sql.Identifier(master.username)
    powers = ["pg_monitor", "pg_signal_backend", "pg_checkpoint"]
    if connection.info.server_version >= RESERVED_CONNECTIONS_VERSION:
        powers.append("pg_use_reserved_connections")
    replicator = sql.Identifier(REPLICATION_USER)
    statements: list[sql.SQL | sql.Composed] = [
        sql.SQL("CREATE ROLE {} LOGIN REPLICATION PASSWORD {}").format(
            replicator, sql.Literal(replication_password)
        ),
        sql.SQL("CREATE ROLE rds_superuser NOLOGIN"),
        sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}").format(
            user, sql.Literal(master.password)
        ),
        *(
            sql.SQL("GRANT {} TO rds_superuser, {} WITH ADMIN OPTION").format(sql.Identifier(p), user)
            for p in powers
        ),
        sql.SQL("GRANT SET ON PARAMETER session_replication_role TO rds_superuser WITH GRANT OPTION"),
        sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(user),
    ]
    for statement in statements:
        connection.execute(statement)


def set_password(server: Server, username: str, password: str) -> None:
    with server.connect() as connection:
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(username), sql.Literal(password)))
