"""Wrong use ends in one clear line and exit code 2, before anything has begun."""

import os
import subprocess
import sys

import psycopg
import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner

from farshore.cli.lab_options import Typed, takes_lab_options
from farshore.cli.output import reported


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


@pytest.mark.parametrize(
    "error",
    [
        ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "not\nallowed"}}, "GetSecretValue"
        ),
        EndpointConnectionError(endpoint_url="https://secretsmanager"),
        psycopg.errors.UndefinedTable('relation "farshore.lease" does not exist'),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_aws_or_postgresql_answers_ends_in_one_line_too(error, capsys):
    with pytest.raises(typer.Exit) as ended, reported():
        raise error
    assert ended.value.exit_code == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"farshore: {type(error).__name__}: ")
    assert "Next: " in line


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
