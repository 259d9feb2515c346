"""farshore drill: break something on purpose, and prove what survived."""

import json
from pathlib import Path
from typing import Annotated

import typer

from farshore.cli.output import out, reported
from farshore.core.errors import UsageError


def drill(
    scenario: Annotated[
        str, typer.Argument(help="What to do; --list explains each; `all` does one after the other.")
    ] = "region-loss",
    *,
    list_them: Annotated[bool, typer.Option("--list", help="Explain each scenario in a line.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="With `all`: only these, with commas between them.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="fast or aws.")] = "fast",
    cadence: Annotated[
        int, typer.Option("--cadence", help="How many times faster AWS's own evaluation loops run.")
    ] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the workload and of the lab's jitter.")] = 1,
    ttl: Annotated[
        int | None,
        typer.Option("--ttl", help="TTL of the writer's DNS name in seconds (1 in fast, 60 in aws)."),
    ] = None,
    report: Annotated[
        Path, typer.Option("--report", help="Directory for report.html and report.json.")
    ] = Path("drill-report"),
    postgres: Annotated[
        str | None, typer.Option("--postgres", help="An installed PostgreSQL: its major or its path.")
    ] = None,
    workload: Annotated[
        str, typer.Option("--workload", help="ledger, tpcb, or your own FILE.py or FILE.sql.")
    ] = "ledger",
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="How long nothing-happens lasts (600 when run alone).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print report.json on standard output, progress on standard error.")
    ] = False,
) -> None:
    """Break something on purpose, or move the writer, under load, and prove what survived.

    Exit 0 valid, 1 invalid, 2 wrong use, 3 unknown.
    """
    from farshore.drill.errors import DrillUsageError
    from farshore.drill.options import DrillOptions
    from farshore.drill.run import run_drill
    from farshore.drill.run_all import ALL, run_all

    if list_them:
        _list(as_json=as_json)
        return
    with reported():
        if only is not None and scenario != ALL:
            raise UsageError(f"--only {only!r}: it goes with `farshore drill {ALL}`.")
        try:
            options = DrillOptions(
                scenario, profile, cadence, seed, report, postgres, ttl, as_json, seconds, workload=workload
            )
            exit_code = run_all(options, only) if scenario == ALL else run_drill(options)
        except DrillUsageError as error:
            raise UsageError(str(error)) from error
    raise typer.Exit(exit_code)


def _list(*, as_json: bool) -> None:
    from farshore.drill.scenarios import SCENARIOS

    if as_json:
        print(json.dumps({name: scenario.summary for name, scenario in SCENARIOS.items()}))
        return
    width = max(map(len, SCENARIOS))
    for name, scenario in SCENARIOS.items():
        out.print(f"{name:<{width}}  {scenario.summary}", markup=False)
