"""farshore switchover, farshore failback: planned moves that lose nothing."""

from farshore.cli import moves
from farshore.cli.output import reported
from farshore.operate import moves as operate
from farshore.requester import planned
from farshore.settings import from_environment
from farshore.workshop import Workshop


def switchover(
    *,
    to: moves.To = None,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    wait: moves.Wait = True,
    as_json: moves.Json = False,
) -> None:
    """Move the writer to the other region; nothing is lost. Exit 0 only when it writes there."""
    _planned("switchover", to, reason, ticket, dry_run=dry_run, wait=wait, as_json=as_json)


def failback(
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    wait: moves.Wait = True,
    as_json: moves.Json = False,
) -> None:
    """Move the writer back to the home region once what was lost there is accounted for (`farshore reconcile`)."""
    _planned("failback", None, reason, ticket, dry_run=dry_run, wait=wait, as_json=as_json)


def _planned(
    move: str, to: str | None, reason: str, ticket: str | None, *, dry_run: bool, wait: bool, as_json: bool
) -> None:
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        build = planned(requester, workshop.cloud, workshop.settings.names, move, to)
        if dry_run:
            moves.rehearse(workshop, requester, build, as_json=as_json)
            return
        written = moves.submit(requester, build, as_json=as_json)
        if wait and written.plan is not None:
            moves.follow(requester, written, written.plan.target, operate.FOLLOW_MS, as_json=as_json)
