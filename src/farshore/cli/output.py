"""How every verb ends: JSON or words on standard output, failures in one clear line, the promised exit codes."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import psycopg
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from farshore.core.errors import FarshoreError, UnknownOutcomeError
from farshore.operate.checks import Report

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Profile = Annotated[str, typer.Option("--profile", help="fast or aws.")]


def plain(value: Any) -> Any:
    return (
        dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
    )


def show(value: Any, *, as_json: bool, words: Callable[[Any], str]) -> None:
    if as_json:
        print(json.dumps(plain(value), default=str))
    else:
        out.print(words(value), markup=False)


def finish(report: Report, *, as_json: bool) -> None:
    """Print a report's checks, one line each, and end with its exit code."""
    if as_json:
        print(
            json.dumps({"exit_code": report.exit_code, "checks": [plain(check) for check in report.checks]})
        )
    else:
        width = max(len(check.name) for check in report.checks)
        for check in report.checks:
            out.print(f"{check.state:<8} {check.name:<{width}}  {check.seen}", markup=False)
    raise typer.Exit(report.exit_code)


@contextmanager
def reported() -> Iterator[None]:
    """Turn a failure into its one line and exit code; Ctrl-C into 130."""
    try:
        yield
    except FarshoreError as error:
        err.print(f"farshore: {error}", markup=False)
        raise typer.Exit(error.exit_code) from error
    except (BotoCoreError, ClientError, psycopg.Error) as error:
        err.print(
            f"farshore: {type(error).__name__}: {' '.join(str(error).split())}. Authority is as it was; what this verb "
            "does itself may be half done and is safe to repeat. Next: see that these credentials may do it, that "
            "AWS_REGION answers and that the guard is installed (`farshore preflight`), then repeat.",
            markup=False,
        )
        raise typer.Exit(UnknownOutcomeError.exit_code) from error
    except KeyboardInterrupt:
        err.print("farshore: stopped.", markup=False)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(0) from None
