"""What the verbs that ask for something share: their options, the plan on --dry-run, and live progress."""

import datetime as dt
import json
from typing import Annotated, Any

import typer

from farshore.cli.output import JsonLines, err, out
from farshore.core.authority import Authority, Event, Phase
from farshore.core.errors import FarshoreError, UnknownOutcomeError
from farshore.operate import moves
from farshore.requester import Build, Requester
from farshore.workshop import Workshop

Json = JsonLines
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")]
Ticket = Annotated[str | None, typer.Option("--ticket", help="A ticket's number, kept in the journal.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in your own words, kept in the journal.")]
To = Annotated[str | None, typer.Option("--to", help="The region to move to; the other one if not given.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the move to its end.")]


class MoveFailedError(FarshoreError):
    """The move ended elsewhere than it was meant to; who may write is as the journal says."""


class MoveUnfinishedError(FarshoreError):
    """The move had not ended when the time to follow it was over; the controllers go on."""

    exit_code = 3


def rehearse(workshop: Workshop, requester: Requester, build: Build, *, as_json: bool) -> None:
    before = requester.record()
    outline = moves.outline(before, build(before, requester.asked()), workshop.settings.profile)
    if as_json:
        print(json.dumps(outline.as_dict()))
        return
    lines = [
        f"plan      {outline.kind} from {outline.source} to {outline.target}, epoch {outline.epoch}",
        f"may lose  {outline.loss}",
    ]
    if outline.accept is not None:
        lines.append(f"accept    {outline.accept}")
    lines += [
        f"stage     {stage}: {bound_ms / 1000:.2f} s at most" for stage, bound_ms in outline.stages.items()
    ]
    lines += ["stage     AWS moves the writer: AWS's own time", "dry run   nothing was changed"]
    out.print("\n".join(lines), markup=False)


def submit(requester: Requester, build: Build, *, as_json: bool) -> Authority:
    written = requester.submit(build)
    tell(written.last_event, as_json=as_json)
    return written


def follow(requester: Requester, written: Authority, target: str, limit_ms: int, *, as_json: bool) -> None:
    """Tell each step with its reason; end well only when `target` holds. Ctrl-C leaves it to the controllers."""
    last = written
    try:
        for last in requester.follow(written, limit_ms):
            tell(last.last_event, as_json=as_json)
        last = requester.record()
    except UnknownOutcomeError as error:
        raise MoveUnfinishedError(
            f"the move was asked for and the controllers go on; how it stands cannot be read here: {error}"
        ) from error
    except KeyboardInterrupt:
        err.print(
            "farshore: you stopped watching; the move goes on, the controllers carry it out. "
            "Next: `farshore history --follow`, `farshore status`, `farshore abort`.",
            markup=False,
        )
        raise typer.Exit(130) from None
    if last.phase is not Phase.HELD:
        raise MoveUnfinishedError(
            f"after {limit_ms // 1000} s the move has not ended: {last.phase} in epoch {last.epoch}, "
            f"{last.last_event.reason}. Next: `farshore status`; the controllers go on."
        )
    if last.holder != target:
        raise MoveFailedError(
            f"{last.holder} holds epoch {last.epoch}: {last.last_event.reason}. Next: `farshore history` tells why."
        )


def tell(event: Event, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event_line(event)), flush=True)
        return
    at = dt.datetime.fromtimestamp(event.at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    out.print(
        f"{at}  epoch {event.epoch}  {event.phase:<9}  {event.holder or '-':<10}  {event.reason}",
        markup=False,
    )


def event_line(event: Event) -> dict[str, Any]:
    return {
        "version": event.version,
        "at_unix_ms": event.at_ms,
        "epoch": event.epoch,
        "phase": event.phase,
        "holder": event.holder,
        "action": event.action,
        "reason": event.reason,
        "by": event.by,
        "detected_at_unix_ms": event.detected_at_ms,
        "ticket": event.ticket,
    }
