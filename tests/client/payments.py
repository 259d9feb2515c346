"""Settings and payments that the client's tests share."""

from farshore.client import Key, Settings, Target
from two_servers import HOME, NAMES, PASSWORD, STANDBY, WRITER_NAME


def settings(servers, names, *, home_port=None, standby_port=None, **changes) -> Settings:
    targets = (
        Target(HOME, NAMES[HOME], home_port or servers.home.port),
        Target(STANDBY, NAMES[STANDBY], standby_port or servers.standby.port),
    )
    fields = {
        "writer_name": WRITER_NAME,
        "targets": targets,
        "dbname": "postgres",
        "user": "postgres",
        "password": PASSWORD,
        "sslrootcert": str(servers.certificate),
        "nameservers": (names.address,),
        "attempt_s": 0.5,
    }
    return Settings(**(fields | changes))


def pay(key, amount=1):
    async def work(ask):
        return await ask.row("INSERT INTO payment VALUES (%s, %s) RETURNING amount", key, amount)

    return work


def keyed(key) -> Key:
    return Key("payment", {"id": key})


def rows(server, key) -> int:
    return server.sql("SELECT count(*) FROM payment WHERE id = %s", key)[0][0]


def connections(server, *, active: str | None = None) -> int:
    """How many sessions clients have at a server; with `active`, those that run a statement containing it."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'farshore-client'"
    if active is None:
        return server.sql(query)[0][0]
    return server.sql(f"{query} AND state = 'active' AND query LIKE %s", f"%{active}%")[0][0]
