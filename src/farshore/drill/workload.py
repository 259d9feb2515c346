"""The ledger as a workload: its schema, a seeded stream of transfers, and how one is written and read back.

A transfer is one statement, so that a client on the far side of a WAN pays one round trip for it and one for
its commit. The transfer's primary key is the client's idempotency key.
"""

import random
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from farshore.drill.ledger import Entry, Ledger, Transfer

ACCOUNTS = 4000
INITIAL_CENTS = 1_000_000
GUARDED_TABLES = ("ledger.account", "ledger.transfer", "ledger.entry")
_AMOUNT_MAX_CENTS = 50_000

_SCHEMA = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.account (
    id integer PRIMARY KEY,
    balance bigint NOT NULL
);
CREATE TABLE ledger.transfer (
    id uuid PRIMARY KEY,
    source integer NOT NULL REFERENCES ledger.account,
    target integer NOT NULL REFERENCES ledger.account CHECK (target <> source),
    amount bigint NOT NULL CHECK (amount > 0),
    client text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger.entry (
    transfer_id uuid NOT NULL REFERENCES ledger.transfer,
    account_id integer NOT NULL REFERENCES ledger.account,
    amount bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transfer_id, account_id)
);
"""

_TRANSFER = """
WITH wanted(id, source, target, amount, client) AS (
    VALUES (%(key)s::uuid, %(source)s::integer, %(target)s::integer, %(amount)s::bigint, %(client)s::text)
), made AS (
    INSERT INTO ledger.transfer (id, source, target, amount, client) SELECT * FROM wanted RETURNING id
), sides(account_id, amount) AS (
    SELECT source, -amount FROM wanted UNION ALL SELECT target, amount FROM wanted
), entered AS (
    INSERT INTO ledger.entry SELECT made.id, sides.account_id, sides.amount FROM made, sides
)
UPDATE ledger.account SET balance = balance + sides.amount FROM sides WHERE account.id = sides.account_id
"""


def create(connection: psycopg.Connection[Any], *, user: str, accounts: int = ACCOUNTS) -> None:
    """Create the ledger, fill its accounts, and let `user` work in it; the caller commits."""
    connection.execute(_SCHEMA)
    connection.execute(
        "INSERT INTO ledger.account SELECT id, %s FROM generate_series(1, %s) AS id",
        (INITIAL_CENTS, accounts),
    )
    role = sql.Identifier(user)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA ledger TO {}").format(role))
    connection.execute(
        sql.SQL("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ledger TO {}").format(role)
    )


def transfers(seed: int, client: str, accounts: int = ACCOUNTS) -> Iterator[Transfer]:
    """An endless stream of transfers that depends on nothing but its arguments."""
    choose = random.Random(f"{seed}/{client}")
    while True:
        source, target = choose.sample(range(1, accounts + 1), 2)
        key = uuid.UUID(int=choose.getrandbits(128), version=4)
        yield Transfer(str(key), source, target, choose.randint(1, _AMOUNT_MAX_CENTS))


def write(connection: psycopg.Connection[Any], transfer: Transfer, client: str) -> None:
    """The transfer's one statement, in the transaction that is open."""
    connection.execute(
        _TRANSFER,
        {
            "key": transfer.key,
            "source": transfer.source,
            "target": transfer.target,
            "amount": transfer.amount,
            "client": client,
        },
    )


def read(connection: psycopg.Connection[Any], region: str, *, accounts: int = ACCOUNTS) -> Ledger:
    """Everything the ledger holds, in one snapshot; the connection must be idle and not in autocommit."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    transfer_rows = connection.execute("SELECT id::text, source, target, amount FROM ledger.transfer")
    entry_rows = connection.execute("SELECT transfer_id::text, account_id, amount FROM ledger.entry")
    balance_rows = connection.execute("SELECT id, balance FROM ledger.account")
    ledger = Ledger(
        region=region,
        transfers=tuple(Transfer(*row) for row in transfer_rows),
        entries=tuple(Entry(*row) for row in entry_rows),
        initial=dict.fromkeys(range(1, accounts + 1), INITIAL_CENTS),
        balances=dict(balance_rows.fetchall()),
    )
    connection.rollback()
    return ledger
