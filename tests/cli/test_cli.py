"""Wrong use ends in one clear line and exit code 2, before anything has begun."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from farshore.cli.lab_options import Typed, takes_lab_options


def farshore(*argv, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FARSHORE_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "farshore", *argv],
        env={**kept, **environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("status",), "FARSHORE_SUFFIX is not set"),
        (("history",), "FARSHORE_SUFFIX is not set"),
        (("orphans",), "FARSHORE_SUFFIX is not set"),
        (("guard", "status"), "FARSHORE_SUFFIX is not set"),
        (("lab", "run", "--profile", "slow"), "--profile 'slow'"),
        (("lab", "run", "--cadence", "0"), "--cadence 0"),
        (("lab", "run", "--name", "Bad_Name"), "--name 'Bad_Name'"),
        (("lab", "up", "--cadence", "0"), "--cadence 0"),
        (("lab", "run", "--postgres", "14"), "--postgres 14"),
        (("drill", "nosuch"), "region-loss"),
        (("drill", "--seed", "-1"), "--seed"),
        (("drill", "--report", "/proc/nowhere"), "--report"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use(argv, named):
    done = farshore(*argv)
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version():
    assert "region" in farshore("--help").stdout
    assert farshore("--version").stdout.strip()


def test_a_lab_in_the_background_gets_the_options_that_were_typed():
    """`lab up` starts `lab run` with its own options said again: every one of them, by its name."""
    typed = Typed("other", "aws", 2, 3, 4, "15", 5.0, 6.0, "https")
    seen = []
    app = typer.Typer()
    app.command()(takes_lab_options(seen.append))
    assert CliRunner().invoke(app, typed.words()).exit_code == 0
    assert seen == [typed]
    assert CliRunner().invoke(app, Typed().words()).exit_code == 0
    assert seen[1:] == [Typed()]
