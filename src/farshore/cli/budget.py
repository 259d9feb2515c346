"""farshore budget: how long an outage may last, stage by stage, and which of the original claims hold."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from farshore.cli.output import Json, Profile, out, reported, show
from farshore.core import budget as core
from farshore.core.budget import Budget, DnsTrigger, Settings, Stage
from farshore.core.profile import Mode
from farshore.operate import budget as operate


def budget(
    *,
    profile: Profile = "aws",
    stack: Annotated[
        Path | None, typer.Option("--stack", help="A Pulumi.<stack>.yaml; options given beside it win.")
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="auto, approve or manual; default auto.")
    ] = None,
    dns_trigger: Annotated[
        DnsTrigger | None,
        typer.Option("--dns-trigger", help="What moves DNS: metric, or https; default metric."),
    ] = None,
    ttl: Annotated[int | None, typer.Option("--ttl", help="TTL of the writer's name, s; default 60.")] = None,
    alarm_period: Annotated[
        int | None, typer.Option("--alarm-period", help="Period of the alarm on authority, s; default 60.")
    ] = None,
    alarm_periods: Annotated[
        int | None, typer.Option("--alarm-periods", help="Periods that it evaluates; default 1.")
    ] = None,
    check_interval: Annotated[
        int | None, typer.Option("--check-interval", help="Health check interval, s; default 30.")
    ] = None,
    promotion: Annotated[
        int | None, typer.Option("--promotion", help="What AWS is given to move the writer, s; default 180.")
    ] = None,
    lag_ms: Annotated[
        int | None, typer.Option("--lag-ms", help="Lag above which people are told; default 5000.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="A drill's report.json to show beside the bounds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bound each stage from failure to first acknowledged write, with sources, and judge the original claims."""
    with reported():
        base = operate.of_stack(stack) if stack else Settings(operate.profile_named(profile))
        given: dict[str, Any] = {
            "mode": mode,
            "dns_trigger": dns_trigger,
            "ttl_s": ttl,
            "alarm_period_s": alarm_period,
            "alarm_periods": alarm_periods,
            "check_interval_s": check_interval,
            "promotion_s": promotion,
            "lag_ms": lag_ms,
        }
        settings = replace(base, **{name: value for name, value in given.items() if value is not None})
        measured = operate.measured(report)
        found = core.budget(settings, measured.lab)
        if as_json:
            show(_document(found, measured), as_json=True, words=str)
        else:
            _print(found, measured)


def _document(found: Budget, measured: operate.Measured) -> dict[str, Any]:
    """Bounds and lab figures in ms, side by side and never summed together."""
    return {
        "settings": asdict(found.settings),
        "paths": [
            {
                "clients": path.clients,
                "bound_ms": path.bound_ms,
                "lab_outage_ms": path.lab_ms,
                "stages": [asdict(stage) for stage in path.stages],
            }
            for path in (found.aware, found.dns_only)
        ],
        "loss_bound_ms": found.loss_bound_ms,
        "claims": [{**asdict(claim), "holds": claim.holds} for claim in found.claims],
        "lab": {
            "drill": dict(measured.drill),
            "dns_followed": [asdict(one) for one in operate.dns_measured(found.settings.dns_trigger)],
            "lab_figures": True,
        },
    }


def _print(found: Budget, measured: operate.Measured) -> None:
    settings, lab = found.settings, f"lab, {measured.drill['profile']}"
    alarm = f"alarm {settings.alarm_periods} x {settings.alarm_period_s} s, health check {settings.check_interval_s} s"
    out.print(
        f"profile {settings.profile.name}, mode {settings.mode}, DNS moved by {settings.dns_trigger}, "
        f"TTL {settings.ttl_s} s, {alarm + ', ' if settings.dns_trigger == 'metric' else ''}"
        f"AWS given {settings.promotion_s} s to promote\n",
        markup=False,
    )
    shared = [stage for stage in found.aware.stages if stage in found.dns_only.stages]
    out.print(_table(found.aware, found.aware.stages, lab))
    out.print()
    until = core.Path("", tuple(shared)).bound_ms
    above = Stage("until the grant", until, core.Source.CONFIGURATION, "as above")
    out.print(_table(found.dns_only, (above, *found.dns_only.stages[len(shared) :]), lab))
    out.print(
        f"\nmay lose {_s(found.loss_bound_ms)} s: lag up to {_s(settings.lag_ms)} s + lease + stall margin\n",
        markup=False,
    )
    for claim in found.claims:
        verdict = "holds" if claim.holds else "does not hold"
        out.print(f"claim: {claim.words}", markup=False)
        out.print(f"  {verdict}: {_s(claim.bound_ms)} s at most; {claim.remedy}", markup=False)
    pages = dict.fromkeys(stage.page for stage in found.dns_only.stages if stage.page)
    out.print("\nAWS's pages\n" + "\n".join(f"  {page}" for page in pages), markup=False)
    out.print(f"lab\n  {measured.words}", markup=False)
    out.print("  DNS after the grant (profile fast), no stage of which was measured by itself:", markup=False)
    for one in operate.dns_measured(settings.dns_trigger):
        out.print(f"    {one.words}", markup=False)
    out.print("  one computer: part of no sum, and no figure of AWS's", markup=False)


def _table(path: core.Path, stages: Sequence[Stage], lab: str) -> Table:
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column(path.clients, "first acknowledged write")
    table.add_column("at most, s", _s(path.bound_ms), justify="right")
    table.add_column(f"{lab}, s", "" if path.lab_ms is None else f"{path.lab_ms / 1000:.2f}", justify="right")
    table.add_column("source")
    table.add_column("basis", overflow="fold")
    for stage in stages:
        table.add_row(*_row(stage))
    return table


def _row(stage: Stage) -> tuple[str, ...]:
    lab = "" if stage.lab_ms is None else f"{stage.lab_ms / 1000:.2f}"
    return stage.name, _s(stage.bound_ms), lab, stage.source, stage.basis


def _s(milliseconds: int | None) -> str:
    return "no bound" if milliseconds is None else f"{milliseconds / 1000:.1f}"
