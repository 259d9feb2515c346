"""farshore drill: break something on purpose, and prove what survived."""

from pathlib import Path
from typing import Annotated

import typer

from farshore.cli.output import reported
from farshore.core.errors import UsageError


def drill(
    scenario: Annotated[str, typer.Argument(help="What to break.")] = "region-loss",
    *,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print report.json on standard output, progress on standard error.")
    ] = False,
) -> None:
    """Lose a region under load and prove what survived. Exit 0 valid, 1 invalid, 2 wrong use, 3 unknown."""
    from farshore.drill.errors import DrillUsageError
    from farshore.drill.options import DrillOptions
    from farshore.drill.run import run_drill

    with reported():
        try:
            options = DrillOptions(scenario, profile, cadence, seed, report, postgres, ttl, as_json)
            exit_code = run_drill(options)
        except DrillUsageError as error:
            raise UsageError(str(error)) from error
    raise typer.Exit(exit_code)
