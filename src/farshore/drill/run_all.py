"""Many drills one after another, each in a lab of its own, and one report of them all."""

import json
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from farshore.drill import report, scenarios
from farshore.drill.errors import DrillUsageError
from farshore.drill.matrix import Matrix, MatrixRow, row_of, worst
from farshore.drill.matrixpage import render, terminal
from farshore.drill.options import DrillOptions
from farshore.drill.run import EXIT_CODES, as_interrupt, in_main_thread, run_drill
from farshore.drill.scenario import Scenario

ALL = "all"
_TABLE_COLUMNS = 120  # a narrower one would cut names; a narrow terminal wraps instead


def chosen(only: str | None) -> list[Scenario]:
    """Every scenario, or those named, in the order of the list; DrillUsageError for a name there is none of."""
    if only is None:
        return list(scenarios.SCENARIOS.values())
    wanted = {scenarios.find(name.strip()).name for name in only.split(",") if name.strip()}
    if not wanted:
        raise DrillUsageError("--only", repr(only), "name scenarios, with commas between them")
    return [scenario for scenario in scenarios.SCENARIOS.values() if scenario.name in wanted]


def run_all(options: DrillOptions, only: str | None) -> int:
    """Run them, show the matrix, write index.html and matrix.json; returns the worst exit code.

    After Ctrl-C or SIGTERM what ran is reported; what did not makes the verdict unknown.
    """
    turn = chosen(only)
    scenarios.pace_of(options.profile)
    report.prepare(options.report)
    console = Console(file=sys.stderr if options.as_json else sys.stdout, highlight=False, soft_wrap=True)
    began, started = time.monotonic(), datetime.now(UTC)
    rows: list[MatrixRow] = []
    ended = signal.signal(signal.SIGTERM, as_interrupt) if in_main_thread() else None
    try:
        for number, scenario in enumerate(turn, start=1):
            console.print(f"\n[bold]{number} of {len(turn)}[/] {scenario.name}", style="cyan")
            rows.append(_run_one(options, scenario))
            console.print(f"{rows[-1]['verdict']} after {rows[-1]['took_seconds']:.0f} s", style="cyan")
    except KeyboardInterrupt:
        console.print("interrupted: what ran is reported", style="bold red")
    finally:
        if ended is not None:
            signal.signal(signal.SIGTERM, ended)
    matrix = _matrix(options, only, rows, turn, started, time.monotonic() - began)
    html = _write(options, matrix)
    if options.as_json:
        print(json.dumps(matrix, indent=2))
    console.print()
    console.width = max(console.width, _TABLE_COLUMNS)
    console.print(terminal(matrix))
    console.print(
        f"\n{matrix['verdict'].upper()} in {matrix['took_seconds'] / 60:.1f} minutes; report {html}"
    )
    return EXIT_CODES[matrix["verdict"]]


def _run_one(options: DrillOptions, scenario: Scenario) -> MatrixRow:
    directory = options.report / scenario.name
    for stale in ("report.json", "report.html"):
        (directory / stale).unlink(missing_ok=True)
    seconds = options.seconds or scenario.seconds_of_all
    alone = replace(
        options,
        scenario=scenario.name,
        report=directory,
        as_json=False,
        quiet=options.as_json,
        seconds=seconds,
    )
    began = time.monotonic()
    try:
        why = f"the drill ended with {run_drill(alone)} and no report"
    except DrillUsageError:
        raise
    except Exception as error:  # noqa: BLE001 - one drill that breaks must not take the others' reports with it
        why = f"the drill broke: {error!r}"
    took_s = time.monotonic() - began
    return row_of(scenario.name, scenario.summary, scenario.ends_with, options.report, took_s, why)


def _matrix(
    options: DrillOptions,
    only: str | None,
    rows: list[MatrixRow],
    turn: Sequence[Scenario],
    started: datetime,
    took_s: float,
) -> Matrix:
    not_run = [scenario.name for scenario in turn[len(rows) :]]
    words = replace(options, scenario=ALL).command()
    return Matrix(
        verdict=worst(rows, not_run),
        seed=options.seed,
        profile=options.profile,
        cadence=options.cadence,
        started_at=f"{started:%Y-%m-%d %H:%M:%S} UTC",
        took_seconds=round(took_s, 1),
        command=words + (f" --only {only}" if only else ""),
        rows=rows,
        not_run=not_run,
        acked=sum(row["acked"] or 0 for row in rows),
        lost_acked=sum(row["lost_acked"] or 0 for row in rows),
        platform=f"{platform.system()} {platform.machine()}",
        lab_figures=True,
    )


def _write(options: DrillOptions, matrix: Matrix) -> str:
    report.replace_text(options.report / "matrix.json", json.dumps(matrix, indent=2) + "\n")
    return str(report.replace_text(options.report / "index.html", render(matrix)))
