-- pgbench's TPC-B-like transaction, with an idempotency key in its history.
-- https://www.postgresql.org/docs/15/pgbench.html#TRANSACTIONS-AND-SCRIPTS
-- As pgbench at scale 100, because fewer branches would make the clients wait for each other's rows across
-- the WAN, but with 1,000 accounts a branch instead of 100,000, so that set-up takes a second.

-- farshore: guard
tpcb.pgbench_branches
tpcb.pgbench_tellers
tpcb.pgbench_accounts
tpcb.pgbench_history key key

-- farshore: setup
CREATE SCHEMA tpcb;
CREATE TABLE tpcb.pgbench_branches (bid int PRIMARY KEY, bbalance bigint NOT NULL, filler char(88))
    WITH (fillfactor = 50);
CREATE TABLE tpcb.pgbench_tellers (
    tid int PRIMARY KEY, bid int NOT NULL REFERENCES tpcb.pgbench_branches, tbalance bigint NOT NULL, filler char(84)
) WITH (fillfactor = 50);
CREATE TABLE tpcb.pgbench_accounts (
    aid int PRIMARY KEY, bid int NOT NULL REFERENCES tpcb.pgbench_branches, abalance bigint NOT NULL, filler char(84)
) WITH (fillfactor = 90);
CREATE TABLE tpcb.pgbench_history (
    key uuid PRIMARY KEY, tid int NOT NULL, bid int NOT NULL, aid int NOT NULL, delta int NOT NULL,
    mtime timestamptz NOT NULL
);
INSERT INTO tpcb.pgbench_branches SELECT id, 0 FROM generate_series(1, 100) AS id;
INSERT INTO tpcb.pgbench_tellers SELECT id, (id - 1) / 10 + 1, 0 FROM generate_series(1, 1000) AS id;
INSERT INTO tpcb.pgbench_accounts SELECT id, (id - 1) / 1000 + 1, 0 FROM generate_series(1, 100000) AS id;

-- farshore: write
\set aid random(1, 100000)
\set bid random(1, 100)
\set tid random(1, 1000)
\set delta random(-5000, 5000)
UPDATE tpcb.pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM tpcb.pgbench_accounts WHERE aid = :aid;
UPDATE tpcb.pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE tpcb.pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO tpcb.pgbench_history (key, tid, bid, aid, delta, mtime)
    VALUES (:key, :tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);

-- farshore: probe
SELECT key FROM tpcb.pgbench_history;

-- farshore: invariant
-- The benchmark's own consistency condition: the three sums of balances and the sum of deltas are equal.
SELECT 'sums differ: accounts ' || a || ', tellers ' || t || ', branches ' || b || ', history ' || h
FROM (SELECT sum(abalance) AS a FROM tpcb.pgbench_accounts) AS accounts,
     (SELECT sum(tbalance) AS t FROM tpcb.pgbench_tellers) AS tellers,
     (SELECT sum(bbalance) AS b FROM tpcb.pgbench_branches) AS branches,
     (SELECT coalesce(sum(delta), 0) AS h FROM tpcb.pgbench_history) AS history
WHERE a <> h OR t <> h OR b <> h;
-- Every row began with zero and holds what its history adds up to, no more and no less.
SELECT 'account ' || aid || ' has ' || abalance || ', its history gives ' || coalesce(made, 0)
FROM tpcb.pgbench_accounts
LEFT JOIN (SELECT aid, sum(delta) AS made FROM tpcb.pgbench_history GROUP BY aid) AS moved USING (aid)
WHERE abalance <> coalesce(made, 0);
SELECT 'teller ' || tid || ' has ' || tbalance || ', its history gives ' || coalesce(made, 0)
FROM tpcb.pgbench_tellers
LEFT JOIN (SELECT tid, sum(delta) AS made FROM tpcb.pgbench_history GROUP BY tid) AS moved USING (tid)
WHERE tbalance <> coalesce(made, 0);
SELECT 'branch ' || bid || ' has ' || bbalance || ', its history gives ' || coalesce(made, 0)
FROM tpcb.pgbench_branches
LEFT JOIN (SELECT bid, sum(delta) AS made FROM tpcb.pgbench_history GROUP BY bid) AS moved USING (bid)
WHERE bbalance <> coalesce(made, 0);
-- Nothing came or went besides.
SELECT 'rows: ' || b || ' branches, ' || t || ' tellers, ' || a || ' accounts'
FROM (SELECT count(*) AS b FROM tpcb.pgbench_branches) AS branches,
     (SELECT count(*) AS t FROM tpcb.pgbench_tellers) AS tellers,
     (SELECT count(*) AS a FROM tpcb.pgbench_accounts) AS accounts
WHERE b <> 100 OR t <> 1000 OR a <> 100000;
