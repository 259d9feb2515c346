"""farshore status: who may write, since when, and what to do next."""

import datetime as dt
from typing import Annotated

import typer

from farshore.cli.output import reported, show
from farshore.operate import status as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop


def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show who may write, since when, and what to do next."""
    with reported():
        found = operate.status(Workshop(from_environment()))
        show(found.as_dict() if as_json else found, as_json=as_json, words=_words)


def _words(found: operate.Status) -> str:
    record = found.record
    if record is None:
        return f"writer    nobody\nnext      {found.next_step}"
    since = dt.datetime.fromtimestamp(record.last_event.at_ms / 1000, dt.UTC).isoformat(timespec="seconds")
    lag = (
        "unknown"
        if record.lag_ms is None
        else f"{record.lag_ms} ms at the last renewal, by the writer's own view"
    )
    return "\n".join(
        (
            f"writer    {record.holder or 'nobody'} ({record.phase}, epoch {record.epoch})",
            f"since     {since}: {record.last_event.reason}",
            f"lease     renewed {found.renewed_ms_ago} ms ago by this computer's clock",
            f"lag       {lag}",
            f"mode      {record.mode}{', paused' if record.paused else ''}{', degraded' if record.degraded else ''}",
            f"next      {found.next_step}",
        )
    )
