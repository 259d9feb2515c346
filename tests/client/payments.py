"""Settings and payments that the client's tests share."""

from farshore.client import Settings, Target
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
    insert = "INSERT INTO payment VALUES (%s, %s) RETURNING amount"
    return lambda session: session.execute(insert, (key, amount)).fetchone()


def rows(server, key) -> int:
    return server.sql("SELECT count(*) FROM payment WHERE id = %s", key)[0][0]
