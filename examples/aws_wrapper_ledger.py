"""The AWS Advanced Python Wrapper (3.1 or newer) with confirmed commits: on top of farshore.client, or by itself.

`on_farshore` keeps the wrapper's plugins that know nothing of topology (IAM, Secrets Manager, tracing, host
monitoring) and leaves finding the writer to farshore.client. `by_itself` leaves that to the wrapper, which needs
Aurora (its failover plugins ask functions that only Aurora has), and confirms each commit by hand.
"""

from typing import Any

import psycopg
from aws_advanced_python_wrapper import AwsWrapperConnection

from farshore.client import Client, UnknownOutcomeError, WriterConnection

PAY = "INSERT INTO ledger.payment (id, amount) VALUES (%s, %s)"


def on_farshore(client: Client, **properties: Any) -> AwsWrapperConnection:
    """Its commit() confirms, and raises what WriterConnection.commit raises."""

    def connect(user: str | None = None, password: str | None = None, **_: Any) -> WriterConnection:
        return client.connect(call_s=2.0, user=user, password=password)

    return AwsWrapperConnection.connect(
        connect, wrapper_driver_dialect="psycopg", wrapper_dialect="pg", **properties
    )


def pay(connection: AwsWrapperConnection, payment_id: str, amount: int) -> None:
    """Over `on_farshore`: returns if the payment is certain; UnknownOutcomeError if not; else it was not made."""
    try:
        connection.cursor().execute(PAY, (payment_id, amount))
        connection.commit()
    except psycopg.Error:
        if not connection.is_closed:
            connection.rollback()
        raise


def by_itself(**properties: Any) -> AwsWrapperConnection:
    """On Aurora, for example: plugins="initial_connection,failover_v2,host_monitoring_v2",
    wrapper_dialect="global-aurora-pg", host=the global writer endpoint, and
    global_cluster_instance_host_patterns="us-east-1:?.abc.us-east-1.rds.amazonaws.com,us-west-2:?.def..."
    """
    return AwsWrapperConnection.connect(
        psycopg.Connection.connect, connect_timeout=2, tcp_user_timeout=2000, **properties
    )


def commit_and_confirm(connection: AwsWrapperConnection) -> int:
    """Commit in place of connection.commit(); the epoch in which it was confirmed.

    Raises UnknownOutcomeError if it may have been committed. The wrapper's own TransactionResolutionUnknownError
    means the same; any other error of the database: it was refused.
    """
    cursor = connection.cursor()
    try:
        cursor.execute("COMMIT; SELECT farshore.confirm()")
        rolled_back = cursor.statusmessage == "ROLLBACK"
        epoch = cursor.fetchone()[0] if cursor.nextset() else None
    except psycopg.OperationalError as error:
        raise UnknownOutcomeError(str(error)) from error
    if rolled_back:
        raise psycopg.errors.InFailedSqlTransaction("the transaction had failed; COMMIT rolled it back")
    if epoch is None:
        raise UnknownOutcomeError("committed, but not confirmed as the only writer's")
    return int(epoch)
