"""farshore guard: install it, switch it, look at it."""

from typing import Annotated

import typer

from farshore.cli.output import Json, reported, show
from farshore.core.errors import RefusedError, UsageError
from farshore.operate import guard as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop

app = typer.Typer(
    help="The guard: PostgreSQL itself refuses commits outside the lease.", no_args_is_help=True
)

Region = Annotated[
    str | None, typer.Option("--region", help="The writer's region, where no authority names it yet.")
]


@app.command()
def install(
    *,
    table: Annotated[
        list[str], typer.Option("--table", help="A table to guard, as schema.table; repeatable.")
    ] = [],  # noqa: B006 - Typer reads it, nobody writes it
    ddl: Annotated[
        bool, typer.Option(help="Guard changes of the schema too, where event triggers may be created.")
    ] = True,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Create the guard in the writer's database and guard the given tables. Safe to repeat."""
    with reported():
        workshop = Workshop(from_environment())
        installed = operate.install(workshop, _writer(workshop, region), table, ddl=ddl)
        show(installed, as_json=as_json, words=_words)


@app.command()
def uninstall(
    *,
    table: Annotated[
        list[str], typer.Option("--table", help="A guarded table, as schema.table; repeatable.")
    ] = [],  # noqa: B006 - Typer reads it, nobody writes it
    ddl: Annotated[bool, typer.Option("--ddl", help="Off changes of the schema.")] = False,
    as_json: Json = False,
) -> None:
    """Take the guard off tables: nothing holds back a second writer there any more."""
    with reported():
        workshop = Workshop(from_environment())
        left = operate.uninstall(workshop, _writer(workshop, None), table, ddl=ddl)
        show(left, as_json=as_json, words=_words)


@app.command()
def status(*, region: Region = None, as_json: Json = False) -> None:
    """Show the lease as the writer's database sees it, and the guarded tables."""
    with reported():
        workshop = Workshop(from_environment())
        show(operate.status(workshop, _writer(workshop, region)), as_json=as_json, words=_words)


@app.command()
def enforce(*, as_json: Json = False) -> None:
    """Refuse commits outside the lease; possible after three good renewals."""
    with reported():
        workshop = Workshop(from_environment())
        show(
            operate.set_enforcing(workshop, _writer(workshop, None), enforcing=True),
            as_json=as_json,
            words=_words,
        )


@app.command()
def advisory(*, as_json: Json = False) -> None:
    """Only warn of commits outside the lease."""
    with reported():
        workshop = Workshop(from_environment())
        show(
            operate.set_enforcing(workshop, _writer(workshop, None), enforcing=False),
            as_json=as_json,
            words=_words,
        )


def _writer(workshop: Workshop, region: str | None) -> str:
    if region is not None:
        known = workshop.settings.endpoints
        if region not in known:
            raise UsageError(
                f"--region {region} is not a region of this deployment; use {' or '.join(known)}."
            )
        return region
    record = workshop.journal.read().record
    if record is None or record.holder is None:
        raise RefusedError("no region holds authority now.", "name the writer's region with --region.")
    return record.holder


def _words(found: operate.GuardStatus) -> str:
    return "\n".join(
        (
            f"epoch     {found.epoch} of {found.region or 'nobody'}{', fenced' if found.fenced else ''}",
            f"mode      {'enforce' if found.enforcing else 'advisory'}",
            f"lease     {'valid now' if found.in_lease else 'not valid now'}",
            f"tables    {', '.join(found.tables) or 'none'}",
            f"schema    {'changes are guarded' if found.ddl else 'changes are not guarded'}",
        )
    )
