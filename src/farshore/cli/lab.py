"""farshore lab: both regions on this computer."""

import gc
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from farshore.cli.lab_options import Typed, takes_lab_options
from farshore.cli.output import Json, err, out, reported, show
from farshore.core.errors import FarshoreError, RefusedError, UsageError

app = typer.Typer(
    help="Both regions on this computer: real PostgreSQL, real handlers, lab figures.", no_args_is_help=True
)
fault_app = typer.Typer(help="Break something on purpose, and heal it.", no_args_is_help=True)
app.add_typer(fault_app, name="fault")

Which = Annotated[
    str | None, typer.Option("--lab", "--name", help="Which lab; not needed while only one runs.")
]


@app.command("run")
@takes_lab_options
def run(
    typed: Typed,
    *,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="End when standard input ends.")] = False,
    as_json: Json = False,
) -> None:
    """Run a lab in the foreground until Ctrl-C."""
    with reported():
        options = typed.checked()
        gc.disable()  # what a boot makes is there to stay
        from farshore.lab import environment, models

        models.share()
        from farshore.lab.lab import Lab

        def tell(text: str) -> None:
            if as_json:
                print(json.dumps({"event": "progress", "text": text}), flush=True)
            else:
                out.print(text, markup=False)

        def stop(_signal: int, _frame: object) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, stop)
        if until_eof:
            threading.Thread(target=_end_with_input, daemon=True).start()
        lab = Lab(options, tell)
        try:
            lab.boot()
            gc.collect()
            gc.freeze()
            gc.enable()
            if as_json:
                print(json.dumps({"event": "ready", "lab": environment.described(lab)}), flush=True)
            else:
                out.print(
                    f"lab {typed.name} runs; Ctrl-C ends it, `farshore lab env` prints how to talk to it",
                    markup=False,
                )
            lab.stopped.wait()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            lab.close()


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


@app.command()
@takes_lab_options
def up(typed: Typed, *, as_json: Json = False) -> None:
    """Start a lab in the background; `farshore lab down` ends it."""
    with reported():
        typed.checked()
        command = [sys.executable, "-m", "farshore", "lab", "run", "--json", *typed.words()]
        with tempfile.TemporaryFile("w+") as words:
            # The lab outlives this command, so it must not hold the terminal's or a pipe's other end open.
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
                text=True,
            )
            try:
                ready = _await_ready(started, quiet=as_json)
            except BaseException:
                started.terminate()
                raise
            if ready is None:
                exit_code = started.wait()
                words.seek(0)
                failure = FarshoreError(
                    words.read().strip().removeprefix("farshore: ") or f"{typed.name} did not start."
                )
                failure.exit_code = exit_code
                raise failure
        show(ready, as_json=as_json, words=lambda lab: f"lab {lab['name']} runs in {lab['dir']}")


def _await_ready(process: "subprocess.Popen[str]", *, quiet: bool) -> dict[str, Any] | None:
    """The lab's description once it is ready, None when it ended before; progress is printed on the way."""
    for event in _events(process):
        if event["event"] == "ready":
            return dict(event["lab"])
        if not quiet:
            out.print(event["text"], markup=False)
    return None


def _events(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    for line in process.stdout or ():
        yield json.loads(line)


@app.command()
def down(*, lab: Which = None) -> None:
    """End a lab and remove everything it made."""
    with reported():
        from farshore.lab import control, directory

        path = directory.find(lab)
        control.ask(path, {"order": "stop"})
        directory.await_end(path)
        out.print(f"lab {path.name} is gone", markup=False)


@app.command()
def status(*, as_json: Json = False) -> None:
    """List the labs that run."""
    with reported():
        from farshore.lab import control, directory

        found = []
        for path in directory.alive():
            if not (path / control.SOCKET).exists():
                continue
            try:
                found.append(control.ask(path, {"order": "status"}))
            except RefusedError:
                err.print(f"farshore: the lab in {path} does not answer; it begins or ends.", markup=False)
        show(found, as_json=as_json, words=_words)


def _words(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no lab runs; `farshore lab up` starts one"
    return "\n".join(
        f"{lab['name']}: up {lab['up_seconds']} s, profile {lab['profile']}, cadence {lab['cadence']}, "
        f"PostgreSQL {lab['postgres_version']}, {lab['subnet']}, lost: {', '.join(lab['lost']) or 'none'}"
        for lab in found
    )


@app.command()
def env(
    *,
    lab: Which = None,
    view: Annotated[str, typer.Option("--view", help="outside, or a region to stand in.")] = "outside",
    as_json: Json = False,
) -> None:
    """Print what aws, psql, dig and boto3 need to talk to a lab: `eval "$(farshore lab env)"`."""
    with reported():
        from farshore.lab import awscli, control, directory

        found = control.ask(directory.find(lab), {"order": "env"})
        if view not in found["env"]:
            raise UsageError(f"--view {view!r}: use {', '.join(found['env'])}.")
        show(
            found, as_json=as_json, words=lambda _: _exports(found, view, awscli.install(Path(found["dir"])))
        )


def _exports(found: dict[str, Any], view: str, tools: Path) -> str:
    database = found["database"]
    variables = {
        **found["env"][view],
        "PGPORT": str(found["port"]),
        "PGDATABASE": database["dbname"],
        "PGUSER": database["app_user"],
        "PGPASSWORD": database["app_password"],
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": found["sslrootcert"],
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f'export PATH={shlex.quote(str(tools))}:"$PATH"')
    host, _, port = found["dns"][view].partition(":")
    dig = f"dig @{host} -p {port} {found['writer_name']}"
    lines.append(f"# {dig}")
    lines.append(f'# psql "host={found["writer_name"]} hostaddr=$({dig} +short | tail -1)"')
    lines.append("# aws is the AWS CLI held to this lab; it cannot reach AWS")
    return "\n".join(lines)


@app.command()
def deploy(*, lab: Which = None, as_json: Json = False) -> None:
    """Run the stack program against a running lab: create what is missing, change nothing that exists."""
    with reported():
        from farshore.lab import control, directory
        from farshore.lab.deploy.deployment import Deployment
        from farshore.lab.processes import Spawner

        found = control.ask(directory.find(lab), {"order": "env"})

        def tell(text: str) -> None:
            if not as_json:
                out.print(text, markup=False)

        with Spawner() as spawn:
            done = Deployment.read(found["stack"]).up(spawn, tell)
        summary = {
            "created": len(done.created),
            "unchanged": len(done.unchanged),
            "seconds": done.seconds,
            "outputs": dict(done.outputs),
        }
        show(summary, as_json=as_json, words=_deployed)


def _deployed(summary: dict[str, Any]) -> str:
    outputs = [f"  {name}: {value}" for name, value in sorted(summary["outputs"].items())]
    changes = f"{summary['created']} changes, {summary['unchanged']} resources unchanged"
    return "\n".join([*outputs, f"{changes}, {summary['seconds']:.1f} s"])


@fault_app.command("region-loss")
def region_loss(region: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Lose a region: its processes die, its links become a black hole."""
    _fault("region-loss", region, lab, as_json=as_json)


@fault_app.command()
def heal(region: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Bring a lost region back, its old writer first."""
    _fault("heal", region, lab, as_json=as_json)


@fault_app.command()
def health(region: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Let AWS Health say that RDS has an issue in REGION: an opinion, and nothing else happens."""
    _fault("health", region, lab, as_json=as_json)


@fault_app.command()
def stall(seconds: float, *, lab: Which = None, as_json: Json = False) -> None:
    """Stall every WAN link: nothing arrives for SECONDS, then all of it. Heals by itself."""
    _order({"fault": "stall", "seconds": seconds}, lab, as_json=as_json)


@fault_app.command()
def cut(place: str, other: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Cut the WAN link between two regions (the witness region included); `join` heals it."""
    _order({"fault": "cut", "places": [place, other]}, lab, as_json=as_json)


@fault_app.command()
def join(place: str, other: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Join a link that was cut; what was held is delivered."""
    _order({"fault": "join", "places": [place, other]}, lab, as_json=as_json)


@fault_app.command()
def api(
    call: Annotated[str, typer.Argument(help="service:Operation, as in rds:FailoverGlobalCluster.")],
    kind: Annotated[str, typer.Argument(help="throttle, error, request-lost or reply-lost.")],
    *,
    times: Annotated[int, typer.Option(help="How many calls it befalls.", min=1)] = 1,
    view: Annotated[str | None, typer.Option(help="Only calls made from this region.")] = None,
    lab: Which = None,
    as_json: Json = False,
) -> None:
    """Let something happen to the next calls of an AWS operation."""
    service, _, operation = call.partition(":")
    order = {"service": service, "operation": operation, "kind": kind, "times": times, "view": view}
    _order({"fault": "api", **order}, lab, as_json=as_json)


@fault_app.command()
def harm(
    kinds: Annotated[
        str, typer.Argument(help="What: one or several with commas; any other word lists them.")
    ],
    region: str,
    *,
    lab: Which = None,
    as_json: Json = False,
) -> None:
    """Do something else to a region: crash, freeze, cut, fill, darken, throttle. `mend` undoes it."""
    _order({"fault": "harm", "kinds": kinds, "region": region}, lab, as_json=as_json)


@fault_app.command()
def mend(kinds: str, region: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Undo what `harm` did."""
    _order({"fault": "mend", "kinds": kinds, "region": region}, lab, as_json=as_json)


@app.command()
def volume(region: str, *, lab: Which = None, as_json: Json = False) -> None:
    """Open a copy of what was saved of a lost region's volume, and name its endpoint; `orphans` opens its own."""
    with reported():
        from farshore.lab import control, directory

        found = control.ask(directory.find(lab), {"order": "volume", "region": region})
        show(found, as_json=as_json, words=lambda opened: f"{opened['saved']}: {opened['endpoint']}")


@app.command()
def calls(
    *,
    since_unix_ms: Annotated[int, typer.Option(help="Only calls made since then.")] = 0,
    lab: Which = None,
    as_json: Json = False,
) -> None:
    """List the AWS calls that were made in a lab: who asked whom for what, and how often."""
    with reported():
        from farshore.lab import control, directory

        found = control.ask(directory.find(lab), {"order": "calls", "since_unix_ms": since_unix_ms})
        show(found["calls"], as_json=as_json, words=_counted)


def _counted(calls: list[dict[str, Any]]) -> str:
    counts = Counter(
        f"{made['view']:<10} {made['caller'].rpartition('/')[2]:<36} {made['service']}:{made['operation']} in "
        f"{made['region']}"
        for made in calls
    )
    return "\n".join(f"{count:>7}  {line}" for line, count in sorted(counts.items())) or "no calls"


def _fault(fault: str, region: str, lab: str | None, *, as_json: bool) -> None:
    _order({"fault": fault, "region": region}, lab, as_json=as_json)


def _order(order: dict[str, Any], lab: str | None, *, as_json: bool) -> None:
    with reported():
        from farshore.lab import control, directory

        done = control.ask(directory.find(lab), {"order": "fault", **order})
        show(done, as_json=as_json, words=lambda d: f"{d['fault']}: {json.dumps(d)}")


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(region: str, command: Annotated[list[str], typer.Argument()], *, lab: Which = None) -> None:
    """Run a command inside a region, as one of its processes: it dies with the region."""
    with reported():
        from farshore.lab import control, directory

        path = directory.find(lab)
        found = control.ask(path, {"order": "env"})
        control.become_resident(path, region)
        os.execvpe(command[0], command, {**os.environ, **found["env"][region]})  # noqa: S606 - the user's own command
