"""The ledger's statement keeps the books right, under concurrency too, and the stream is the seed's alone."""

import threading
from itertools import islice

import psycopg
import pytest
from ledger_kit import APP_USER, read_ledger

from farshore.drill import workload
from farshore.drill.books import audit
from two_servers import HOME, PASSWORD, STANDBY


def as_application(server) -> psycopg.Connection:
    return psycopg.connect(
        host=server.host, port=server.port, user=APP_USER, dbname="postgres", password=PASSWORD
    )


def test_the_stream_depends_on_seed_and_client_alone():
    def first(seed, client):
        return list(islice(workload.transfers(seed, client, 50), 20))

    assert first(1, "a") == first(1, "a")
    assert first(1, "a") != first(2, "a")
    assert not {each.key for each in first(1, "a")} & {each.key for each in first(1, "b")}
    assert all(each.source != each.target and each.amount > 0 for each in first(3, "c"))


def test_concurrent_transfers_keep_the_books_balanced(ledger):
    made = []

    def client(name):
        with as_application(ledger.home) as connection:
            for transfer in islice(workload.transfers(7, name, 50), 25):
                try:
                    workload.write(connection, transfer, name)
                    connection.commit()
                except psycopg.errors.DeadlockDetected:
                    connection.rollback()
                    continue
                made.append(transfer)

    threads = [threading.Thread(target=client, args=(f"c{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_ledger(ledger.home, HOME)
    books = audit(found)
    assert books.balanced, books.findings
    assert len(made) > 80
    assert {transfer.key: transfer for transfer in found.transfers} == {each.key: each for each in made}
    assert found.balances != found.initial


def test_a_transfer_cannot_be_applied_twice(ledger):
    transfer = next(workload.transfers(8, "a", 50))
    with as_application(ledger.home) as connection:
        workload.write(connection, transfer, "a")
        connection.commit()
        with pytest.raises(psycopg.errors.UniqueViolation):
            workload.write(connection, transfer, "a")
    assert audit(read_ledger(ledger.home, HOME)).balanced


def test_the_survivors_copy_reads_the_same_on_a_standby(ledger):
    with as_application(ledger.home) as connection:
        workload.write(connection, next(workload.transfers(9, "a", 50)), "a")
    ledger.caught_up()
    home, standby = read_ledger(ledger.home, HOME), read_ledger(ledger.standby, STANDBY)
    assert home.transfers == standby.transfers
    assert home.balances == standby.balances
