"""The `farshore` command: one file per verb, each thin; what it does is in operate/, lab/ or drill/."""

import typer

import farshore
from farshore.cli import (
    budget,
    cost,
    drill,
    failover,
    guard,
    history,
    lab,
    orphans,
    pause,
    preflight,
    reconcile,
    simulate,
    status,
    switchover,
    verify,
    watch,
)

app = typer.Typer(
    name="farshore",
    help="Keeps a financial transaction database alive through the loss of an AWS region, and proves it beforehand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(farshore.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Options come before the verb."""


app.command("drill")(drill.drill)
app.command("status")(status.status)
app.command("watch")(watch.watch)
app.command("history")(history.history)
app.command("switchover")(switchover.switchover)
app.command("failover")(failover.failover)
app.command("failback")(switchover.failback)
app.command("approve")(failover.approve)
app.command("abort")(failover.abort)
app.command("pause")(pause.pause)
app.command("resume")(pause.resume)
app.command("mode")(pause.mode)
app.command("orphans")(orphans.orphans)
app.command("reconcile")(reconcile.reconcile)
app.command("budget")(budget.budget)
app.command("cost")(cost.cost)
app.command("preflight")(preflight.preflight)
app.command("verify")(verify.verify)
app.add_typer(guard.app, name="guard")
app.add_typer(simulate.app, name="simulate")
app.add_typer(lab.app, name="lab")


def main() -> None:
    app()
