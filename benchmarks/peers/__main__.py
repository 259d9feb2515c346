"""farshore, Patroni and pg_auto_failover side by side: one client, one PostgreSQL, one machine, one run.

    python -m benchmarks.peers [--runs 3] [--only farshore,patroni-fastest] [--scenarios region,zombie]
                               [--report peers-report] [--postgres 15] [--minutes 25]

Installs what the peers need (as root; otherwise it names the command), then measures each system in each scenario on a
fresh cluster. Prints the tables and writes DIR/peers.json and DIR/peers.html after each measurement, so that Ctrl-C
keeps what is done. About a minute for each measurement. Lab figures; see docs/peers.md.
"""

import argparse
import dataclasses
import datetime as dt
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from benchmarks.peers import install, systems, table
from benchmarks.peers.course import SCENARIOS, measure
from benchmarks.peers.page import render
from benchmarks.peers.systems import Setting, System

from farshore.core.errors import FarshoreError, UsageError
from farshore.drill.product import CommandError
from farshore.lab.postgres import binaries

CLIENT = (
    "4 writers, 1 ms between rows, one commit per row; connect and statement end after 1 s; the candidates in turn, "
    "libpq's read-write check; 2 ms one way to either region"
)
NEXT_DOOR_MS = 0.0
INTERRUPTED = 130


def main() -> int:
    options = _options()
    try:
        return _compare(options)
    except FarshoreError as error:
        print(f"peers: {error}", file=sys.stderr)
        return error.exit_code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", type=_words, default=[each.name for each in systems.ALL])
    parser.add_argument("--scenarios", type=_words, default=list(SCENARIOS))
    parser.add_argument("--report", type=Path, default=Path("peers-report"))
    parser.add_argument("--postgres", default="15", help="an installed PostgreSQL: its major or its path")
    parser.add_argument("--work", type=Path, default=None, help="where Patroni's venv is kept")
    parser.add_argument("--minutes", type=float, default=None, help="begin no measurement after that")
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _compare(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    setting = _setting(options, chosen)
    report = _begin(options, chosen, setting)
    options.report.mkdir(parents=True, exist_ok=True)
    _end_like_ctrl_c()
    give_up = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    interrupted = False
    try:
        for number, (run, system, scenario) in enumerate(_plan(options, chosen), 1):
            if time.monotonic() > give_up:
                _say("the time is over; what was measured is kept")
                break
            _say(f"{number}: run {run}, {system.label}, {table.WORDS[scenario][0].lower()}")
            report["runs"].append({"run": run, **_measured(system, scenario, setting)})
            report["load"] = _loads(report)
            _write(options.report, report)
    except KeyboardInterrupt:
        _say("interrupted; what was measured is kept")
        interrupted = True
    if report["runs"]:
        _print(report)
        _say(f"{options.report}/peers.html and peers.json")
    if interrupted:
        return INTERRUPTED
    return 0 if all(run["error"] is None for run in report["runs"]) else 1


def _plan(options: argparse.Namespace, chosen: Sequence[System]) -> Iterator[tuple[int, System, str]]:
    """A whole run of everything before the next, so that an early end leaves an even picture."""
    for run in range(1, options.runs + 1):
        for scenario in options.scenarios:
            for system in chosen:
                if system.scenarios is None or scenario in system.scenarios:
                    yield run, system, scenario


def _chosen(options: argparse.Namespace) -> list[System]:
    by_name = {each.name: each for each in systems.ALL}
    for option, given, known in (
        ("--only", options.only, by_name),
        ("--scenarios", options.scenarios, SCENARIOS),
    ):
        if unknown := [name for name in given if name not in known] or ([] if given else ["nothing"]):
            raise UsageError(f"{option} {', '.join(unknown)}: use some of {', '.join(known)}.")
    if options.runs < 1:
        raise UsageError(f"--runs {options.runs}: use 1 or more.")
    return [by_name[name] for name in options.only]


def _setting(options: argparse.Namespace, chosen: Sequence[System]) -> Setting:
    found = binaries.find(options.postgres)
    needs = {each.needs for each in chosen if each.needs is not None}
    install.packages(needs, found, _say)
    programs = install.patroni(options.work, _say) if "patroni" in needs else None
    return Setting(found, options.postgres, programs)


def _begin(options: argparse.Namespace, chosen: Sequence[System], setting: Setting) -> dict[str, Any]:
    return {
        "measured_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        "postgres_version": setting.binaries.version,
        "one_way_ms": systems.WAN_ONE_WAY_MS,
        "client": CLIENT,
        "load": "",
        "scenarios": list(options.scenarios),
        "systems": [
            {"name": each.name, "label": each.label, "group": each.group, "about": each.about}
            for each in chosen
        ],
        "runs": [],
    }


def _measured(system: System, scenario: str, setting: Setting) -> dict[str, Any]:
    """One measurement; a system that did not come up is said so, and the next one is tried."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    document: dict[str, Any] = {
        "system": system.name,
        "scenario": scenario,
        "load_before": load,
        "error": None,
    }
    directory = Path(tempfile.mkdtemp(prefix="farshore-peers-"))
    directory.chmod(0o755)
    one_way_ms = NEXT_DOOR_MS if scenario == "node" and system.needs else systems.WAN_ONE_WAY_MS
    try:
        with systems.running(system, setting, directory / "world", one_way_ms, _aside) as cluster:
            found = measure(cluster, scenario, directory, _aside)
        document |= dataclasses.asdict(found.measured)
        document |= {"rejoined_s": found.rejoined_s, "writers_at_end": list(found.writers_at_end)}
        _aside(
            f"outage {found.measured.outage_s:.2f} s, {found.measured.lost} of {found.measured.acked} acknowledged "
            f"rows lost"
        )
    except (FarshoreError, CommandError, psycopg.Error, OSError) as error:
        document["error"] = str(error)
        _aside(f"failed: {error}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return document | {"took_s": round(time.monotonic() - begun, 1)}


def _loads(report: dict[str, Any]) -> str:
    loads = [run["load_before"] for run in report["runs"]]
    return f"{min(loads):.1f} to {max(loads):.1f} before the measurements, their own work included"


def _write(directory: Path, report: dict[str, Any]) -> None:
    for name, text in (("peers.json", json.dumps(report, indent=1) + "\n"), ("peers.html", render(report))):
        beside = directory / f".{name}"
        beside.write_text(text, "utf-8")
        beside.rename(directory / name)


def _print(report: dict[str, Any]) -> None:
    print(
        f"\n{report['platform']}, PostgreSQL {report['postgres_version']}, load {report['load']}. Lab figures.\n"
    )
    print(table.markdown(report))


def _say(text: str) -> None:
    print(text, flush=True)


def _aside(text: str) -> None:
    _say(f"   {text}")


def _end_like_ctrl_c() -> None:
    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    sys.exit(main())
