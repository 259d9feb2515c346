"""farshore history: every move of authority, with its reason."""

import datetime as dt
import json
import time
from typing import Annotated

import typer

from farshore.cli.output import err, out, reported
from farshore.core.authority import Event
from farshore.core.errors import UnknownOutcomeError
from farshore.settings import from_environment
from farshore.workshop import Workshop

_POLL_S = 0.2
_LATE_VERSIONS = 1000  # lines are kept off the path, so an earlier one may come after a later one


def history(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
) -> None:
    """List the moves of authority, oldest first, each with its reason."""
    with reported():
        journal = Workshop(from_environment()).journal
        seen: set[int] = set()
        while True:
            try:
                for event in journal.history(after_version=max(seen, default=0) - _LATE_VERSIONS):
                    if event.version not in seen:
                        seen.add(event.version)
                        _print(event, as_json=as_json)
            except UnknownOutcomeError as error:
                if not follow:
                    raise
                err.print(f"farshore: {error}; trying again", markup=False)
            if not follow:
                return
            time.sleep(_POLL_S)


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        line = {
            "version": event.version,
            "at_unix_ms": event.at_ms,
            "epoch": event.epoch,
            "phase": event.phase,
            "holder": event.holder,
            "action": event.action,
            "reason": event.reason,
            "by": event.by,
            "detected_at_unix_ms": event.detected_at_ms,
        }
        print(json.dumps(line), flush=True)
        return
    at = dt.datetime.fromtimestamp(event.at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    out.print(
        f"{at}  epoch {event.epoch}  {event.phase:<9}  {event.holder or '-':<10}  {event.reason}",
        markup=False,
    )
