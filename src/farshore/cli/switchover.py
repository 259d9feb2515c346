"""farshore switchover, farshore failback: planned moves that lose nothing."""

from collections.abc import Callable

from farshore.cli import moves
from farshore.cli.output import reported
from farshore.core.authority import Authority
from farshore.operate import moves as operate
from farshore.requester import Build
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

    def plan(workshop: Workshop, record: Authority) -> tuple[str, Build]:
        target = operate.target_of(workshop, record, to)
        return target, operate.switchover(workshop, target)

    _planned(plan, reason, ticket, dry_run=dry_run, wait=wait, as_json=as_json)


def failback(
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    wait: moves.Wait = True,
    as_json: moves.Json = False,
) -> None:
    """Move the writer back to the home region once what was lost there is accounted for (`farshore reconcile`)."""

    def plan(workshop: Workshop, _record: Authority) -> tuple[str, Build]:
        home = workshop.settings.names.home_region
        return home, operate.switchover(workshop, home)

    _planned(plan, reason, ticket, dry_run=dry_run, wait=wait, as_json=as_json)


def _planned(
    plan: Callable[[Workshop, Authority], tuple[str, Build]],
    reason: str,
    ticket: str | None,
    *,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        target, build = plan(workshop, requester.record())
        if dry_run:
            moves.rehearse(workshop, requester, build, as_json=as_json)
            return
        written = moves.submit(requester, build, as_json=as_json)
        if wait:
            moves.follow(requester, written, target, operate.FOLLOW_MS, as_json=as_json)
