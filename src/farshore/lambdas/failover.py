"""Lambda handler: what a runbook asks for goes into the journal, what AWS says of itself is written down beside it.

It moves nothing. A request is judged by core.requests and written by compare-and-set, like a person's at a terminal;
the controllers carry it out. An event from EventBridge is an opinion, whatever else it says.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farshore.aws.clients import client
from farshore.aws.opinions import Opinions, is_event, opinion_in
from farshore.core import requests
from farshore.core.authority import Authority
from farshore.core.errors import FarshoreError, RefusedError, UnknownOutcomeError, UsageError
from farshore.core.requests import Asked, Statement, loss_statement
from farshore.core.units import whole_number
from farshore.lambdas.loop import LambdaContext
from farshore.log import log
from farshore.requester import Build, Person, Requester, planned
from farshore.settings import from_environment
from farshore.workshop import Workshop

MOVES = ("switchover", "failover", "failback")
ANY_LOSS = "unknown"
PUT_TRIES = 3
_KNOWN = {"move", "target", "ticket", "accept_loss_ms", "requested_by", "reason"}


@dataclass(frozen=True, slots=True)
class Request:
    """`target` None: the region that does not write now, or home for a failback.

    `accept_loss_ms`: the loss that a failover may have at most; ANY_LOSS: also one that nobody can bound.
    """

    move: str
    target: str | None
    person: Person
    accept_loss_ms: int | str | None


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


def handler(event: Any, context: LambdaContext) -> dict[str, object]:
    """The answer to a request always says `accepted` and `reason`; a refusal is no error of the function."""
    workshop = _workshop()
    if is_event(event):
        return _hear(workshop, event)
    try:
        request = parse(event, context.aws_request_id)
        return _ask(workshop, request)
    except RefusedError as refusal:
        return _refused(refusal.reason, refusal.next_step)
    except UnknownOutcomeError as error:
        return _refused(f"nobody knows whether it was written: {error}", "`farshore status`, then repeat.")
    except FarshoreError as error:
        return _refused(str(error), "correct the request and repeat.")


def parse(event: object, request_id: str) -> Request:
    """Raises UsageError naming what is wrong with the event."""
    if not isinstance(event, Mapping) or event.get("move") not in MOVES:
        raise UsageError(f'an event is {{"move": one of {", ".join(MOVES)}, "ticket": ...}}, not {event!r}.')
    if unknown := event.keys() - _KNOWN:
        raise UsageError(f"{', '.join(sorted(unknown))}: a request has {', '.join(sorted(_KNOWN))}.")
    ticket = str(event.get("ticket") or "").strip()
    if not ticket:
        raise UsageError("ticket is empty: say where it is written down why the writer moves.")
    person = Person(
        arn=str(event.get("requested_by") or f"lambda/{request_id}"),
        reason=str(event.get("reason") or ""),
        ticket=ticket,
    )
    return Request(str(event["move"]), event.get("target") or None, person, _loss(event))


def _loss(event: Mapping[str, Any]) -> int | str | None:
    """Runbooks hand over strings; an empty one is nothing."""
    given = event.get("accept_loss_ms")
    if given in (None, ""):
        return None
    if event["move"] != "failover":
        raise UsageError(f"accept_loss_ms = {given}: a {event['move']} loses nothing.")
    if given == ANY_LOSS:
        return ANY_LOSS
    limit_ms = whole_number(str(given))
    if limit_ms is None:
        raise UsageError(f"accept_loss_ms = {given!r} is neither a number of milliseconds nor {ANY_LOSS!r}.")
    return limit_ms


def _ask(workshop: Workshop, request: Request) -> dict[str, object]:
    names = workshop.settings.names
    if request.target is not None and request.target not in names.regions:
        raise UsageError(f"target = {request.target!r} is not one of {', '.join(names.regions)}.")
    requester = Requester(workshop.journal, workshop.clock, workshop.settings.profile, request.person)
    if request.move == "failover":
        return _answer(requester.submit(_failover(workshop, request)))
    return _answer(requester.submit(planned(requester, workshop.cloud, names, request.move, request.target)))


def _failover(workshop: Workshop, request: Request) -> Build:
    names = workshop.settings.names

    def build(record: Authority, asked: Asked) -> Authority:
        requests.refuse_if_healthy(record, asked)
        target = request.target or names.other(record.region_of_record)
        if workshop.settings.two_person:
            return requests.propose(record, target, asked)
        stated = loss_statement(record, asked.profile)
        if request.accept_loss_ms is None:
            least = ANY_LOSS if stated.loss_bound_ms is None else stated.loss_bound_ms
            raise RefusedError(
                f"a failover now may lose {stated.words}, and accept_loss_ms does not say that it may.",
                f"repeat with accept_loss_ms = {least}, if that is acceptable.",
            )
        limit = None if request.accept_loss_ms == ANY_LOSS else int(request.accept_loss_ms)
        return requests.failover(record, target, Statement(limit, None), asked)

    return build


def _answer(record: Authority) -> dict[str, object]:
    plan, told = record.plan, record.last_event
    if plan is None:
        return _refused(told.reason, "a second person must approve it: `farshore approve`.")
    log("request-accepted", epoch=record.epoch, by=told.by, ticket=told.ticket, reason=told.reason)
    return {
        "accepted": True,
        "reason": told.reason,
        "epoch": record.epoch,
        "phase": record.phase,
        "target": plan.target,
        "version": record.version,
    }


def _refused(reason: str, next_step: str) -> dict[str, object]:
    log("request-refused", reason=reason, next_step=next_step)
    return {"accepted": False, "reason": reason, "next": next_step}


def _hear(workshop: Workshop, event: Mapping[str, Any]) -> dict[str, object]:
    """Write it down and go: late news is worth little, so it is tried some times and then only logged."""
    settings, now = workshop.settings, workshop.clock.now()
    opinion = opinion_in(event, settings.region, now.wall_ms)
    if opinion is None:
        log("event-ignored", source=str(event.get("source")), region=settings.region)
        return {"opinion": False}
    log(
        "opinion",
        source=opinion.source,
        about=opinion.about,
        what=opinion.what,
        age_ms=opinion.age_ms(now.wall_ms),
        region=opinion.region,
    )
    dynamodb = client("dynamodb", settings.region, timeout_ms=settings.profile.table_timeout_ms)
    opinions = Opinions(dynamodb, settings.names.authority_table, settings.names.global_cluster)
    for _ in range(PUT_TRIES):
        try:
            opinions.put(opinion)
        except UnknownOutcomeError as error:
            log("opinion-not-kept", error=str(error))
        else:
            return {"opinion": True, "kept": True}
    return {"opinion": True, "kept": False}
