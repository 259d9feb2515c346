"""An order desk as a drill's workload: farshore drill region-loss --workload examples/order_desk.py

The constants and functions and their rules: docs/workloads.md.
"""

import random
from collections.abc import Iterator
from typing import Any

import psycopg

GUARDED_TABLES = ("desk.orders", "desk.stock")
KEY = ("desk.orders", "id")

_ITEMS, _PIECES = 500, 1_000_000


def setup(connection: psycopg.Connection[Any]) -> None:
    """By the database's owner, once, before the guard is set."""
    connection.execute("CREATE SCHEMA desk")
    connection.execute("CREATE TABLE desk.stock (item int PRIMARY KEY, pieces int NOT NULL)")
    connection.execute(
        "CREATE TABLE desk.orders (id uuid PRIMARY KEY, item int NOT NULL REFERENCES desk.stock, "
        "pieces int NOT NULL CHECK (pieces > 0))"
    )
    connection.execute(
        "INSERT INTO desk.stock SELECT id, %s FROM generate_series(1, %s) AS id", (_PIECES, _ITEMS)
    )


def write(connection: psycopg.Connection[Any], key: str, choose: random.Random) -> None:
    """One order, in the transaction that is open; `choose` depends on `key` alone, so a retry is the same order."""
    item, pieces = choose.randint(1, _ITEMS), choose.randint(1, 9)
    connection.execute("INSERT INTO desk.orders (id, item, pieces) VALUES (%s, %s, %s)", (key, item, pieces))
    connection.execute("UPDATE desk.stock SET pieces = pieces - %s WHERE item = %s", (pieces, item))


def probe(connection: psycopg.Connection[Any]) -> list[str]:
    """Every key that is there, as often as it is there."""
    return [row[0] for row in connection.execute("SELECT id::text FROM desk.orders")]


def invariant(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Each text is one thing that is wrong."""
    rows = connection.execute(
        "SELECT s.item, s.pieces, coalesce(sum(o.pieces), 0) FROM desk.stock s "
        "LEFT JOIN desk.orders o USING (item) GROUP BY s.item"
    )
    for item, left, ordered in rows:
        if left + ordered != _PIECES:
            yield f"item {item}: {left} left and {ordered} ordered, of {_PIECES}"
