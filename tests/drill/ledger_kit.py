"""The drill's ledger on two servers, and the way a client reaches it."""

import psycopg

from farshore.drill import workload
from farshore.drill.clients import Access
from two_servers import HOME, NAMES, PASSWORD, STANDBY, WRITER_NAME

APP_USER = "ledger_app"
ACCOUNTS = 50


def create_ledger(servers) -> None:
    with servers.home.admin() as connection:
        connection.execute(f"CREATE ROLE {APP_USER} LOGIN PASSWORD '{PASSWORD}'")
        workload.create(connection, user=APP_USER, accounts=ACCOUNTS)
        connection.execute("SELECT farshore.set_enforcing(true)")
        for table in workload.GUARDED_TABLES:
            connection.execute("SELECT farshore.guard(%s)", (table,))


def access(servers, names, *, port=None) -> Access:
    return Access(
        writer_name=WRITER_NAME,
        endpoints={HOME: NAMES[HOME], STANDBY: NAMES[STANDBY]},
        port=port or servers.home.port,
        nameserver=names.address,
        dbname="postgres",
        user=APP_USER,
        password=PASSWORD,
        sslrootcert=str(servers.certificate),
    )


def read_ledger(server, region):
    with psycopg.connect(
        host=server.host, port=server.port, user="postgres", dbname="postgres", password=PASSWORD
    ) as connection:
        return workload.read(connection, region, accounts=ACCOUNTS)
