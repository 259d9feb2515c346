"""How late lease renewals are, under full load and on a bad network; it decides how short a lease is safe.

    python benchmarks/lease_margin.py [--minutes 1] [--jitter-ms 3] [--stall-every-s 0] [--load full|drill|none]

Boots a lab, runs the drill's clients without pause, and watches the guard's own sequence on the writer: for each
renewal how long after the one before it came into force, and how much of the lease was left. Lab figures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from farshore.drill import scenarios, workload
from farshore.drill.crewing import Crews
from farshore.drill.monitor import Monitor
from farshore.drill.product import COMMAND, LabInfo
from farshore.drill.scenario import crews_in

WATCH = "select pg_sequence_last_value('farshore.until_us'), (date_part('epoch', clock_timestamp()) * 1e6)::bigint"


def main() -> None:
    options = _options()
    name = f"margin-{int(time.time()) % 100000}"
    argv = [
        *COMMAND,
        "lab",
        "run",
        "--json",
        "--until-eof",
        "--name",
        name,
        "--jitter-ms",
        str(options.jitter_ms),
    ]
    lab = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        info = LabInfo.parse(_ready(lab))
        with tempfile.TemporaryDirectory() as directory:
            _measure(info, name, Path(directory), options)
    finally:
        if lab.stdin:
            lab.stdin.close()
        lab.wait(60)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--jitter-ms", type=float, default=3.0)
    parser.add_argument(
        "--stall-every-s", type=float, default=0.0, help="stall every WAN link for 1 s this often"
    )
    parser.add_argument(
        "--load",
        choices=("full", "drill", "none"),
        default="full",
        help="clients without pause, at the drill's pace, or no clients",
    )
    return parser.parse_args()


def _ready(lab: "subprocess.Popen[str]") -> dict[str, Any]:
    for line in lab.stdout or ():
        event = json.loads(line)
        if event["event"] == "ready":
            return dict(event["lab"])
    raise SystemExit("the lab did not start")


def _measure(info: LabInfo, name: str, directory: Path, options: argparse.Namespace) -> None:
    with info.connect(info.home_region, admin=True) as connection:
        workload.create(connection, user=info.database["app_user"])
    for table in workload.GUARDED_TABLES:
        info.run("guard", "install", "--table", table, "--json")
    crews = [] if options.load == "none" else [crew for region in info.regions for crew in crews_in(region)]
    if options.load == "full":
        crews = [replace(c, per_second=10_000.0) for c in crews]
    working = Crews(info, crews, directory, 1, scenarios.PACES["fast"]) if crews else None
    monitor = Monitor(directory, crews)
    try:
        with info.connect(info.home_region, admin=True) as connection:
            _watch(connection, name, options, monitor)
    finally:
        if working:
            working.stop()
    history = [json.loads(line) for line in _product(info, "history", "--json").splitlines()]
    print(f"moves of authority since boot: {len(history) - 1}")


def _product(info: LabInfo, *argv: str) -> str:
    return subprocess.run(
        [*COMMAND, *argv],
        env={**os.environ, **info.env["outside"]},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _watch(
    connection: psycopg.Connection[Any], name: str, options: argparse.Namespace, monitor: Monitor
) -> None:
    gaps: list[float] = []
    margins: list[float] = []
    began = time.monotonic()
    before: tuple[int, int] | None = None

    end = time.monotonic() + options.minutes * 60
    next_stall = time.monotonic() + options.stall_every_s if options.stall_every_s else end
    while time.monotonic() < end:
        row = connection.execute(WATCH).fetchone()
        connection.commit()
        if row is None:
            continue
        until_us, now_us = row
        if before is not None and until_us != before[0]:
            gaps.append((now_us - before[1]) / 1000)
            margins.append((before[0] - now_us) / 1000)
            if margins[-1] < 0:
                print(
                    f"  at {time.monotonic() - began:.1f} s: {gaps[-1]:.0f} ms after the renewal before",
                    flush=True,
                )
        if before is None or until_us != before[0]:
            before = (until_us, now_us)
        if time.monotonic() >= next_stall:
            subprocess.run(
                [*COMMAND, "lab", "fault", "stall", "1", "--lab", name], check=True, capture_output=True
            )
            next_stall += options.stall_every_s
        time.sleep(0.003)
    lapsed_ms = sum(-margin for margin in margins if margin < 0)
    _print(gaps, margins, lapsed_ms, monitor, options)


def _print(
    gaps: list[float], margins: list[float], lapsed_ms: float, monitor: Monitor, options: argparse.Namespace
) -> None:
    monitor.poll()
    acks = sum(seen.acks for seen in monitor.clients.values())
    percent = sorted(gaps)
    print(
        f"{len(gaps)} renewals in {options.minutes:g} min, {acks / (options.minutes * 60):.0f} acknowledgements/s"
    )
    print(
        f"gap between renewals, ms: median {statistics.median(gaps):.0f}, "
        f"99th {percent[int(len(percent) * 0.99)]:.0f}, 99.9th {percent[int(len(percent) * 0.999)]:.0f}, "
        f"longest {percent[-1]:.0f}"
    )
    print(f"lease left when renewed, ms: median {statistics.median(margins):.0f}, least {min(margins):.0f}")
    print(f"without a lease: {lapsed_ms:.0f} ms in all, {sum(m < 0 for m in margins)} times")


if __name__ == "__main__":
    sys.exit(main())
