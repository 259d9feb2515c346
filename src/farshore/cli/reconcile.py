"""farshore reconcile: close the account of a region that was lost."""

from typing import Annotated

import typer

from farshore.cli import moves
from farshore.cli.output import err, reported
from farshore.operate import moves as operate
from farshore.operate import reconcile as accounts
from farshore.settings import from_environment
from farshore.workshop import Workshop

Resolved = Annotated[
    bool, typer.Option("--resolved", help="The orphans have been replayed, refunded or written off.")
]
Waive = Annotated[
    bool, typer.Option("--waive", help="Give the evidence up: the loss window stays the only word.")
]


def reconcile(
    *,
    resolved: Resolved = False,
    waive: Waive = False,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    as_json: moves.Json = False,
) -> None:
    """Read the lost region's old volume, count its orphans, and write down what has become of them."""
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        build = accounts.request(workshop, requester.record(), resolved=resolved, waive=waive)
        if dry_run:
            moves.tell(requester.rehearse(build).last_event, as_json=as_json)
            err.print("farshore: dry run, nothing was changed.", markup=False)
            return
        moves.submit(requester, build, as_json=as_json)
