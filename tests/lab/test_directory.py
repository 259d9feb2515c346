"""A lab's directory: one living lab per name, and nothing left of dead ones."""

import subprocess
import sys

import pytest

from farshore.core.errors import RefusedError, UsageError
from farshore.lab import directory
from farshore.lab.directory import LabDirectory


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "home", lambda: tmp_path)
    return tmp_path


def test_a_name_is_taken_once():
    taken = LabDirectory.take("one")
    with pytest.raises(RefusedError, match="a lab named one is running"):
        LabDirectory.take("one")
    assert [path.name for path in directory.alive()] == ["one"]
    taken.remove()
    assert list(directory.alive()) == []
    LabDirectory.take("one").remove()


def test_what_a_dead_lab_left_is_removed(elsewhere):
    program = (
        "import sys; from pathlib import Path; from farshore.lab import directory; "
        f"directory.home = lambda: Path({str(elsewhere)!r}); "
        "directory.LabDirectory.take('dead'); import os; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert (elsewhere / "dead").exists()
    kept = LabDirectory.take("alive")
    assert not (elsewhere / "dead").exists()
    kept.remove()


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a_b", "../up", "a" * 21])
def test_names_that_aws_would_refuse_are_refused(name):
    with pytest.raises(UsageError, match="--name"):
        directory.valid_name(name)


def test_which_lab_is_asked_when_there_are_two_or_none():
    with pytest.raises(RefusedError, match="which lab"):
        directory.find(None)
    first, second = LabDirectory.take("first"), LabDirectory.take("second")
    with pytest.raises(RefusedError, match="first, second"):
        directory.find(None)
    assert directory.find("second").name == "second"
    first.remove()
    second.remove()
