-- An order desk as a drill's workload: farshore drill region-loss --workload examples/order_desk.sql
-- The sections and their rules: docs/workloads.md.

-- farshore: guard
-- Every table that the application writes to; the one whose primary key is the write's key says so.
desk.orders key id
desk.stock

-- farshore: setup
-- By the database's owner, once, before the guard is set.
CREATE SCHEMA desk;
CREATE TABLE desk.stock (item int PRIMARY KEY, pieces int NOT NULL, sold int NOT NULL DEFAULT 0);
CREATE TABLE desk.orders (
    id uuid PRIMARY KEY,
    item int NOT NULL REFERENCES desk.stock,
    pieces int NOT NULL CHECK (pieces > 0),
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO desk.stock SELECT id, 1000000 FROM generate_series(1, 500) AS id;

-- farshore: write
-- One transaction, without BEGIN and COMMIT. :key is the idempotency key, a uuid.
\set item random(1, 500)
\set pieces random(1, 9)
INSERT INTO desk.orders (id, item, pieces) VALUES (:key, :item, :pieces);
UPDATE desk.stock SET pieces = pieces - :pieces, sold = sold + :pieces WHERE item = :item;

-- farshore: probe
-- Every key that is there, as often as it is there.
SELECT id FROM desk.orders;

-- farshore: invariant
-- Each row is one thing that is wrong; no row means that all is well.
SELECT item, pieces, sold, coalesce(ordered, 0) AS ordered
FROM desk.stock
LEFT JOIN (SELECT item, sum(pieces) AS ordered FROM desk.orders GROUP BY item) AS orders USING (item)
WHERE sold <> coalesce(ordered, 0) OR pieces + sold <> 1000000;
