"""farshore pause, resume, mode: what farshore may do by itself."""

from typing import Annotated

import typer

from farshore.cli import moves
from farshore.cli.output import err, reported
from farshore.core import requests
from farshore.core.profile import Mode
from farshore.operate import moves as operate
from farshore.requester import Build
from farshore.settings import from_environment
from farshore.workshop import Workshop


def pause(
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    as_json: moves.Json = False,
) -> None:
    """Keep leases, but move nothing by itself: for maintenance."""
    _submit(requests.pause, reason, ticket, dry_run=dry_run, as_json=as_json)


def resume(
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    as_json: moves.Json = False,
) -> None:
    """End a pause."""
    _submit(requests.resume, reason, ticket, dry_run=dry_run, as_json=as_json)


def mode(
    to: Annotated[Mode, typer.Argument(help="auto: by itself; approve: it proposes; manual: it only tells.")],
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    as_json: moves.Json = False,
) -> None:
    """Set what farshore may do when a region is lost."""
    _submit(
        lambda record, asked: requests.set_mode(record, to, asked),
        reason,
        ticket,
        dry_run=dry_run,
        as_json=as_json,
    )


def _submit(build: Build, reason: str, ticket: str | None, *, dry_run: bool, as_json: bool) -> None:
    with reported():
        requester = operate.requester(Workshop(from_environment()), reason=reason, ticket=ticket)
        if dry_run:
            moves.tell(requester.rehearse(build).last_event, as_json=as_json)
            err.print("farshore: dry run, nothing was changed.", markup=False)
            return
        moves.submit(requester, build, as_json=as_json)
