"""farshore verify: the deployment's integration checks."""

from typing import Annotated

import typer

from farshore.cli.output import Json, finish, reported
from farshore.operate import verify as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop


def verify(
    *,
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Send one message to each alert topic.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Check that the deployment works. Exit 1 when anything fails, 3 when something could not be seen."""
    with reported():
        finish(operate.verify(Workshop(from_environment()), publish=publish), as_json=as_json)
