"""farshore history: every move of authority, with its reason."""

import time
from typing import Annotated

import typer

from farshore.cli.moves import tell
from farshore.cli.output import JsonLines, err, reported
from farshore.core.errors import UnknownOutcomeError
from farshore.settings import from_environment
from farshore.workshop import Workshop

_POLL_S = 0.2
_LATE_VERSIONS = 1000  # lines are kept off the path, so an earlier one may come after a later one


def history(
    *,
    as_json: JsonLines = False,
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
                        tell(event, as_json=as_json)
            except UnknownOutcomeError as error:
                if not follow:
                    raise
                err.print(f"farshore: {error}; trying again", markup=False)
            if not follow:
                return
            time.sleep(_POLL_S)
