"""farshore failover, approve, abort: the unplanned move, by a person's word."""

from typing import Annotated

import typer

from farshore.cli import moves
from farshore.cli.output import err, reported
from farshore.core import requests
from farshore.core.errors import RefusedError
from farshore.operate import moves as operate
from farshore.requester import target_of
from farshore.settings import from_environment
from farshore.workshop import Workshop

AcceptLoss = Annotated[
    int | None,
    typer.Option("--accept-loss-ms", help="The loss you accept, in ms, as --dry-run states it."),
]
AcceptUnknown = Annotated[
    bool, typer.Option("--accept-unknown-loss", help="Accept a loss that nobody can bound.")
]
Healthy = Annotated[
    bool, typer.Option("--although-healthy", help="Leave a region that still renews its lease.")
]
Proposal = Annotated[str | None, typer.Argument(help="The proposal's name, from `farshore status`.")]


def failover(
    *,
    to: moves.To = None,
    accept_loss_ms: AcceptLoss = None,
    accept_unknown_loss: AcceptUnknown = False,
    although_healthy: Healthy = False,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    wait: moves.Wait = True,
    as_json: moves.Json = False,
) -> None:
    """Leave a lost region; the last moments may be lost, and how much is stated first."""
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        record = requester.record()
        target = target_of(workshop.settings.names, record, to)
        stated = requests.loss_statement(record, workshop.settings.profile)
        accepted = requests.Statement(
            stated.loss_bound_ms if dry_run else accept_loss_ms,
            stated.loss_transactions if dry_run or accept_loss_ms == stated.loss_bound_ms else None,
        )
        two = workshop.settings.two_person
        build = operate.failover(
            target, accepted, second_person=two, although_healthy=although_healthy or dry_run
        )
        if dry_run:
            moves.rehearse(workshop, requester, build, as_json=as_json)
            return
        if accept_loss_ms is None and not accept_unknown_loss and not two:
            raise RefusedError(
                f"this failover may lose {stated.words}.",
                f"to accept that: `farshore failover --to {target} {stated.acceptance}`.",
            )
        written = moves.submit(requester, build, as_json=as_json)
        if two:
            err.print("farshore: proposed; a second person must `farshore approve` it.", markup=False)
        elif wait:
            moves.follow(requester, written, target, operate.FOLLOW_MS, as_json=as_json)


def approve(
    proposal: Proposal = None,
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    wait: moves.Wait = True,
    as_json: moves.Json = False,
) -> None:
    """Say yes to a proposed failover: what farshore proposed is looked at once more, what a person did begins now."""
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        build = operate.approve(proposal, second_person=workshop.settings.two_person)
        if dry_run:
            moves.rehearse(workshop, requester, build, as_json=as_json)
            return
        written = moves.submit(requester, build, as_json=as_json)
        approved = written.proposal or written.plan
        if wait and approved is not None:
            moves.follow(requester, written, approved.target, operate.FOLLOW_MS, as_json=as_json)


def abort(
    *,
    reason: moves.Reason = "",
    ticket: moves.Ticket = None,
    dry_run: moves.DryRun = False,
    as_json: moves.Json = False,
) -> None:
    """Stop a planned move of which nothing has been sent to AWS, or a failover that AWS refuses; decline a proposal."""
    with reported():
        workshop = Workshop(from_environment())
        requester = operate.requester(workshop, reason=reason, ticket=ticket)
        if dry_run:
            requester.rehearse(requests.abort)
            err.print("farshore: it could be aborted now; nothing was changed.", markup=False)
            return
        moves.submit(requester, requests.abort, as_json=as_json)
