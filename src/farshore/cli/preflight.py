"""farshore preflight: what must be right before anything is moved."""

from farshore.cli.output import Json, finish, reported
from farshore.operate import preflight as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop


def preflight(*, as_json: Json = False) -> None:
    """Check configuration, versions, guard and parity. Exit 1 when anything fails, 3 when something is unknown."""
    with reported():
        finish(operate.preflight(Workshop(from_environment())), as_json=as_json)
