"""Changing a login's password on a real server, without the server ever seeing it."""

import psycopg
import pytest

from farshore.core.errors import RefusedError
from farshore.postgres.admin import AdminConnectError
from farshore.postgres.logins import WritersLogins

OLD, NEW = {"username": "rotated", "password": "old0"}, {"username": "rotated", "password": "new1"}


@pytest.fixture
def place(pair_of_servers):
    writer = pair_of_servers.home
    writer.sql("drop role if exists rotated")
    writer.sql("create role rotated login password 'old0'")

    def connect(host, login):
        try:
            return psycopg.connect(
                host=host,
                port=writer.port,
                dbname="postgres",
                user=login["username"],
                password=login["password"],
                autocommit=True,
                connect_timeout=3,
            )
        except psycopg.Error as error:
            raise AdminConnectError(str(error)) from error

    return writer, connect


def test_the_new_password_works_and_the_old_one_no_more(place):
    writer, connect = place
    logins = WritersLogins(lambda: writer.host, connect)
    assert (logins.accepts(OLD), logins.accepts(NEW)) == (True, False)
    logins.change(OLD, NEW)
    assert (logins.accepts(OLD), logins.accepts(NEW)) == (False, True)


def test_the_server_is_given_a_verifier_not_the_password(place):
    writer, connect = place
    said = []

    class Listening:
        def __init__(self, connection):
            self.connection, self.pgconn = connection, connection.pgconn

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.connection.close()

        def execute(self, statement):
            said.append(statement.as_string(self.connection))
            return self.connection.execute(statement)

    WritersLogins(lambda: writer.host, lambda host, login: Listening(connect(host, login))).change(OLD, NEW)
    assert "SCRAM-SHA-256$" in said[0]
    assert "new1" not in said[0]


def test_nobody_is_asked_while_nobody_holds_authority(place):
    _writer, connect = place
    logins = WritersLogins(lambda: None, connect)
    with pytest.raises(RefusedError, match="nobody holds authority"):
        logins.accepts(OLD)


def test_an_unreachable_writer_is_not_a_refusal(place):
    _writer, connect = place
    logins = WritersLogins(lambda: "127.0.0.9", connect)
    with pytest.raises(AdminConnectError):
        logins.accepts(OLD)
