"""farshore simulate: the same core in a simulated world, a million times, and what a year may bring."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from farshore.cli.output import err, out, reported
from farshore.core.errors import UsageError
from farshore.core.profile import Mode
from farshore.operate.budget import measured
from farshore.simulate.availability import (
    ASSUMPTIONS,
    CAUSES,
    Answer,
    Clients,
    Model,
    answer,
    quantile,
    variants,
)
from farshore.simulate.availability_page import render, sentence
from farshore.simulate.plan import FAULTS, plan_of, to_json
from farshore.simulate.run import EDGES, ROWS, Totals
from farshore.simulate.run import simulate as run_all
from farshore.simulate.shrink import shrunk

SHRUNK_MAX = 3
app = typer.Typer(invoke_without_command=True)


@app.callback()
def simulate(
    context: typer.Context,
    *,
    histories: Annotated[int, typer.Option("--histories", help="How many histories.", min=1)] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Where their seeds begin.", min=0)] = 1,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes side by side; default: one for each core.", min=1)
    ] = None,
    report: Annotated[Path, typer.Option("--report", help="Directory for what failed, made short.")] = Path(
        "simulate-report"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try the core's promises in a simulated world where everything fails, drifts, freezes and repeats.

    Exit 0: every promise kept, every transition and kind of fault tried. 1: a promise broken, its history made short
    and written down. 2: wrong use. 3: kept, but something was never tried: run more histories.
    """
    if context.invoked_subcommand is not None:
        return
    with reported():
        began_s = time.monotonic()
        totals = _run(histories, seed, jobs or os.cpu_count() or 1)
        files = _write_down(totals, report)
        document = _document(totals, files, seed, time.monotonic() - began_s)
        if as_json:
            print(json.dumps(document))
        else:
            _print(totals, document)
    raise typer.Exit(totals.exit_code)


def _run(histories: int, seed: int, jobs: int) -> Totals:
    columns = (
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} histories"),
        BarColumn(),
        TextColumn("{task.fields[broken]}"),
        TimeRemainingColumn(),
    )
    if not err.is_terminal:
        return run_all(histories, seed, jobs, _tell_now_and_then(histories))
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=histories, broken="")

        def tell(totals: Totals) -> None:
            broken = f"[red]{totals.broken_count} broken[/]" if totals.broken_count else ""
            bar.update(task, completed=totals.histories, broken=broken)

        return run_all(histories, seed, jobs, tell)


def _tell_now_and_then(histories: int) -> Callable[[Totals], None]:
    """A line for each tenth, for a log: a file has no bar that moves."""
    told = 0

    def tell(totals: Totals) -> None:
        nonlocal told
        tenth = totals.histories * 10 // histories
        if tenth > told:
            told = tenth
            err.print(
                f"farshore: {totals.histories:,} of {histories:,} histories, {totals.broken_count} broken",
                markup=False,
                highlight=False,
            )

    return tell


def _write_down(totals: Totals, report: Path) -> list[Path]:
    """The first failing history of each promise, made short."""
    firsts = {broken.promise: broken for broken in reversed(totals.broken)}
    files = []
    for broken in list(firsts.values())[:SHRUNK_MAX]:
        err.print(f"farshore: making seed {broken.seed} short ({broken.promise})", markup=False)
        case = shrunk(plan_of(broken.seed), broken.promise, f"seed {broken.seed}")
        try:
            report.mkdir(parents=True, exist_ok=True)
            file = report / f"{broken.promise.lower()}-seed-{broken.seed}.json"
            file.write_text(to_json(case), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--report {report}: cannot be written to ({error}).") from error
        files.append(file)
    return files


def _document(totals: Totals, files: list[Path], seed: int, took_s: float) -> dict[str, Any]:
    return {
        "histories": totals.histories,
        "seed": seed,
        "events": totals.events,
        "events_min": totals.events_min,
        "simulated_hours": round(totals.simulated_ms / 3_600_000, 1),
        "failovers": totals.failovers,
        "planned_moves": totals.planned,
        "transactions_lost_in_failovers": totals.lost,
        "broken": totals.broken_count,
        "broken_seeds": [
            {"seed": broken.seed, "promise": broken.promise, "words": broken.words}
            for broken in totals.broken
        ],
        "cases": [str(file) for file in files],
        "rows": {name: totals.rows[name] for name in ROWS},
        "edges": dict(totals.edges),
        "faults": {kind: totals.faults[kind] for kind in FAULTS},
        "uncovered": totals.uncovered,
        "digest": totals.digest,
        "took_s": round(took_s, 1),
        "histories_per_cpu_s": round(totals.histories / totals.cpu_s, 1) if totals.cpu_s else None,
        "exit_code": totals.exit_code,
    }


def _print(totals: Totals, document: dict[str, Any]) -> None:
    rows = Table(box=None, pad_edge=False)
    for name in ("transition", "from -> to", "taken"):
        rows.add_column(name, justify="right" if name == "taken" else "left")
    for name in ROWS:
        rows.add_row(name, EDGES[name], f"{totals.rows[name]:,}")
    faults = Table(box=None, pad_edge=False)
    faults.add_column("fault or person")
    faults.add_column("struck", justify="right")
    for kind in FAULTS:
        faults.add_row(kind, f"{totals.faults[kind]:,}")
    out.print(rows)
    out.print()
    out.print(faults)
    out.print(
        f"\n{totals.histories:,} histories, {totals.events:,} events (each at least {totals.events_min}), "
        f"{document['simulated_hours']:,} simulated hours, {totals.failovers:,} failovers, "
        f"{totals.planned:,} planned moves\n"
        f"{document['took_s']:,} s, {document['histories_per_cpu_s'] or 0:,} histories a second and core\n"
        f"digest {totals.digest}",
        markup=False,
    )
    for broken in totals.broken:
        out.print(f"broken: seed {broken.seed}: {broken.words[:300]}", markup=False)
    for file in document["cases"]:
        out.print(f"short: {file}; keep it in tests/simulate/cases/", markup=False)
    if totals.uncovered:
        out.print(f"never tried: {', '.join(totals.uncovered)}; run more histories", markup=False)
    verdict = (
        "every promise was kept"
        if not totals.broken_count
        else f"{totals.broken_count} histories broke a promise"
    )
    out.print(verdict, markup=False)


@app.command("availability")
def availability(
    *,
    target: Annotated[float, typer.Option("--target", help="Yearly availability, as a share.")] = 0.9999,
    years: Annotated[int, typer.Option("--years", help="How many years to dice.", min=100)] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same years.", min=0)] = 1,
    mode: Annotated[Mode, typer.Option("--mode", help="auto, or approve: a person confirms.")] = "auto",
    clients: Annotated[
        Clients, typer.Option("--clients", help="aware: they know both endpoints; dns: only the name.")
    ] = "aware",
    given: Annotated[
        list[str] | None, typer.Option("--set", help="An assumption as name=value; repeat for more.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Directory for availability.html and availability.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Dice years of faults on stated assumptions: is 99.99 % credible, and what would make it so?

    Exit 0: at least 95 % of the years are within the target. 1: fewer than half. 3: in between. 2: wrong use.
    """
    with reported():
        model = replace(Model(**_numbers(given or [])), mode=mode, clients=clients)
        with Progress(transient=True, console=err) as bar:
            task = bar.add_task("dicing years", total=len(variants(model)))
            found = answer(model, target, years, seed, lambda: bar.advance(task))
        document = _years_document(found, seed)
        if report is not None:
            _write_page(found, document, report)
        if as_json:
            print(json.dumps(document))
        else:
            _print_years(found, report)
    raise typer.Exit({"valid": 0, "unknown": 3, "invalid": 1}[found.verdict])


def _numbers(given: list[str]) -> dict[str, Any]:
    known = {field.name for field in fields(Model) if isinstance(field.default, float)}
    numbers: dict[str, Any] = {}
    for words in given:
        name, _, value = words.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            raise UsageError(f"--set {words}: use name=value, --set region_loss=0.5 for instance.") from None
        if name not in known:
            raise UsageError(f"--set {words}: there is no {name}; use one of {', '.join(sorted(known))}.")
    return numbers


def _years_document(found: Answer, seed: int) -> dict[str, Any]:
    events = found.events
    return {
        "target": found.target,
        "verdict": found.verdict,
        "share_of_years": found.share,
        "availability": events.availability,
        "years": events.years,
        "seed": seed,
        "minutes_a_year": {cause: events.minutes_a_year(cause) for cause in CAUSES},
        "outage_s": {
            cause: {
                f"p{share * 100:g}": quantile(events.outages_s[cause], share) for share in (0.5, 0.95, 0.99)
            }
            for cause in CAUSES
        },
        "loss_s": {f"p{share * 100:g}": quantile(events.losses_s, share) for share in (0.5, 0.95, 0.99)},
        "what_if": [
            {"words": variant.words, "share_of_years": share, "minutes_a_year": minutes}
            for variant, share, minutes in found.others
        ],
        "assumptions": asdict(found.model),
        "sources": {name: about.source for name, about in ASSUMPTIONS.items()},
    }


def _write_page(found: Answer, document: dict[str, Any], report: Path) -> None:
    try:
        report.mkdir(parents=True, exist_ok=True)
        (report / "availability.html").write_text(render(found, measured()), encoding="utf-8")
        (report / "availability.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--report {report}: cannot be written to ({error}).") from error


def _print_years(found: Answer, report: Path | None) -> None:
    causes = Table(box=None, pad_edge=False)
    for name in ("what stops writing", "minutes a year", "half below, s", "1 in 20 above, s"):
        causes.add_column(name, justify="left" if name.startswith("what") else "right")
    for cause in CAUSES:
        values = found.events.outages_s[cause]
        half, seldom = (f"{quantile(values, share):,.0f}" for share in (0.5, 0.95))
        causes.add_row(cause, f"{found.events.minutes_a_year(cause):.1f}", half, seldom)
    others = Table(box=None, pad_edge=False)
    for name in ("the same years, but", "within the target", "minutes a year"):
        others.add_column(name, justify="left" if name.startswith("the") else "right")
    for variant, share, minutes in found.others:
        others.add_row(variant.words, f"{share * 100:.1f} %", f"{minutes:.1f}")
    out.print(sentence(found), markup=False)
    out.print()
    out.print(causes)
    out.print()
    out.print(others)
    where = (
        f"page: {report / 'availability.html'}"
        if report
        else "--report DIR writes the page with all assumptions"
    )
    out.print(f"\na model on stated assumptions, not a measurement; {where}", markup=False)
