"""What the guard costs: TPC-B-like transactions, COPY and confirm(), with and without it, round by round in one run.

    python benchmarks/guard_cost.py [--rounds 20] [--seconds 2] [--clients 4] [--postgres 15]
                                    [--protocol prepared] [--standby]

Starts one server of its own, keeps its lease, and runs every form once a round, in random order: guarded, unguarded,
with a row trigger that does nothing (what any trigger costs at least) and with confirm() (not with prepared
statements: one message holds two); once with real fsync and once without. --standby gives the server what the lab's
and Aurora's writers have, a commit that waits for a second machine (here: a synchronous standby on the same cores),
and leaves COPY and "without fsync" out. Prints the median of the rounds' ratios with a 95 % interval (bootstrap).
Lab figures.
"""

import argparse
import contextlib
import os
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg

from farshore.lab.postgres.binaries import find
from farshore.lab.processes import server_user

TABLES = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")
LEASE_S, RENEW_S = 1.6, 0.3
ROWS = 1_000_000
RESAMPLES = 4000
START_S = 60

TPCB = r"""
\set aid random(1, 100000 * :scale)
\set bid random(1, 1 * :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
"""
NOTHING = """
create or replace function farshore.nothing() returns trigger language plpgsql as 'begin return null; end';
create constraint trigger zz_farshore after insert or update or delete on {table} deferrable initially deferred
    for each row when (false) execute function farshore.nothing();
"""
ENDS = {"bare": "END;", "confirmed": r"COMMIT \; SELECT farshore.confirm();"}


def main() -> None:
    options = _options()
    pgbench = find(options.postgres).program("pgbench")
    with tempfile.TemporaryDirectory(prefix="guard-cost-") as directory:
        root = Path(directory)
        with _server(root, options.postgres) as dsn, _lease(dsn), contextlib.ExitStack() as stack:
            _fill(dsn, pgbench)
            if options.standby:
                stack.enter_context(_standby(root, dsn, options.postgres))
            for fsync in ("on",) if options.standby else ("on", "off"):
                _set(dsn, "fsync", fsync)
                _compare_tpcb(dsn, pgbench, root, options, fsync)
            if not options.standby:
                _compare_copy(dsn, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--postgres")
    parser.add_argument("--protocol", choices=("simple", "prepared"), default="simple")
    parser.add_argument("--standby", action="store_true")
    return parser.parse_args()


@contextmanager
def _server(root: Path, wanted: str | None) -> Iterator[str]:
    binaries = find(wanted)
    root.chmod(0o755)
    home = _home(root / "pg")
    _run([binaries.program("initdb"), "-D", home / "data", "-U", "postgres", "-A", "trust", "--no-sync"])
    with _running(home, wanted) as dsn:
        print(f"PostgreSQL {binaries.version}")
        yield dsn


@contextmanager
def _standby(root: Path, dsn: str, wanted: str | None) -> Iterator[None]:
    """A synchronous standby of the server at `dsn`; while it runs each commit waits for its disk too."""
    home = _home(root / "standby")
    _run([find(wanted).program("pg_basebackup"), "-D", home / "data", "-d", dsn, "-R", "-c", "fast"])
    auto = home / "data" / "postgresql.auto.conf"
    auto.write_text(re.sub("user=postgres", "user=postgres application_name=standby", auto.read_text()))
    with _running(home, wanted):
        _set(dsn, "synchronous_standby_names", "standby")
        with psycopg.connect(dsn, autocommit=True) as connection:
            state = "select sync_state from pg_stat_replication"
            _until(
                lambda: connection.execute(state).fetchone() == ("sync",), "the standby is not synchronous"
            )
        yield


def _run_as() -> dict[str, Any]:
    user = server_user()
    return {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}


def _home(home: Path) -> Path:
    home.mkdir(mode=0o700)
    if user := server_user():
        os.chown(home, user.uid, user.gid)
    return home


def _run(argv: list[str | Path]) -> None:
    subprocess.run(argv, check=True, capture_output=True, cwd="/", **_run_as())


@contextmanager
def _running(home: Path, wanted: str | None) -> Iterator[str]:
    settings = {"listen_addresses": "", "unix_socket_directories": str(home), "shared_buffers": "256MB",
                "max_wal_size": "4GB", "checkpoint_timeout": "30min"}  # fmt: skip
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [find(wanted).program("postgres"), "-D", home / "data", *flags],
        cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_run_as(),
    )  # fmt: skip
    dsn = f"host={home} user=postgres dbname=postgres"
    try:
        _until(lambda: _answers(dsn), f"the server in {home} does not answer")
        yield dsn
    finally:
        process.terminate()
        process.wait()


def _answers(dsn: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn):
        return True
    return False


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    give_up = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > give_up:
            raise SystemExit(f"{otherwise} after {START_S} s")
        time.sleep(0.05)


@contextmanager
def _lease(dsn: str) -> Iterator[None]:
    """Keep the lease as a controller does."""
    stop = threading.Event()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(resources.files("farshore.postgres").joinpath("guard.sql").read_bytes())
        connection.execute("select farshore.grant_epoch('here', 1)")

        def keep() -> None:
            while not stop.is_set():
                connection.execute(
                    "select farshore.renew(1, clock_timestamp(), %s * interval '1 s')", (LEASE_S,)
                )
                stop.wait(RENEW_S)

        keeper = threading.Thread(target=keep)
        keeper.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()


def _fill(dsn: str, pgbench: str) -> None:
    subprocess.run([pgbench, "-i", "-s", "10", "-q", dsn], check=True, capture_output=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select farshore.set_enforcing(true)")
        connection.execute("create table copied (id bigint, word text)")


def _set(dsn: str, name: str, value: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"alter system set {name} = {value}".encode())
        connection.execute("select pg_reload_conf()")


def _guard(dsn: str, tables: tuple[str, ...], form: str) -> None:
    """`form`: unguarded, guarded or nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in tables:
            connection.execute(
                f"select farshore.{'guard' if form == 'guarded' else 'unguard'}('{table}')".encode()
            )
            if form == "nothing":
                connection.execute(NOTHING.format(table=table).encode())


def _compare_tpcb(dsn: str, pgbench: str, root: Path, options: argparse.Namespace, fsync: str) -> None:
    scripts = {}
    for name, end in ENDS.items():
        scripts[name] = root / f"{name}.sql"
        scripts[name].write_text(TPCB + end + "\n")

    def rate(form: str, script: str = "bare") -> float:
        _guard(dsn, TABLES, form)
        argv = [pgbench, "-n", "-M", options.protocol, "-c", str(options.clients), "-j", "2", "-s", "10"]
        argv += ["-T", str(options.seconds), "-f", str(scripts[script]), dsn]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        return float(found.group(1)) if found else 0.0

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum")
        connection.execute("checkpoint")
    rate("guarded")
    forms = {
        "unguarded": lambda: rate("unguarded"),
        "guarded": lambda: rate("guarded"),
        "a trigger that does nothing": lambda: rate("nothing"),
    }
    pairs = [("guarded", "unguarded"), ("a trigger that does nothing", "unguarded")]
    if options.protocol == "simple":
        forms["guarded and confirmed"] = lambda: rate("guarded", "confirmed")
        pairs.append(("guarded and confirmed", "guarded"))
    found = _rounds(options.rounds, forms)
    for one, other in pairs:
        _tell(f"TPC-B, {options.protocol}, fsync {fsync}: {one} / {other}", found[one], found[other])


def _compare_copy(dsn: str, rounds: int) -> None:
    def rate(form: str) -> float:
        _guard(dsn, ("copied",), "unguarded")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("truncate copied")
        _guard(dsn, ("copied",), form)
        with psycopg.connect(dsn) as connection:
            began = time.monotonic()
            with connection.cursor().copy("copy copied from stdin") as copy:
                for start in range(0, ROWS, 10_000):
                    copy.write("".join(f"{n}\tword\n" for n in range(start, start + 10_000)))
            connection.commit()
            return ROWS / (time.monotonic() - began)

    found = _rounds(rounds, {"unguarded": lambda: rate("unguarded"), "guarded": lambda: rate("guarded")})
    _tell("COPY of a million rows: guarded / unguarded", found["guarded"], found["unguarded"])


def _rounds(count: int, forms: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Every form once a round, in random order."""
    dice = random.Random(1)
    found: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(count):
        for name in dice.sample(list(forms), len(forms)):
            found[name].append(forms[name]())
    return found


def _tell(what: str, ones: list[float], others: list[float]) -> None:
    ratios = [one / other for one, other in zip(ones, others, strict=True)]
    dice = random.Random(2)
    medians = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    low, high = medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]
    print(
        f"{what}: {statistics.median(ratios) - 1:+.1%} (95 % interval {low - 1:+.1%} to {high - 1:+.1%}), "
        f"{len(ratios)} rounds, {statistics.median(others):,.0f} / s without",
        flush=True,
    )


if __name__ == "__main__":
    main()
