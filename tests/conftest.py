"""Its place puts tests/ on the import path, so that every directory can use two_servers."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from two_servers import TEMPLATES, NameServer

LONGEST_FIRST = (
    "lab/test_watching_lab.py",
    "lab/test_by_hand.py",
    "lab/test_control_plane.py",
    "lab/test_operators_look.py",
    "drill/test_run.py",
    "lab/test_running_lab.py",
    "lab/test_seed_commands.py",
    "lab/test_deploy_lab.py",
)
"""Files of half a minute and more: begun last, one of them keeps one worker busy while the others have nothing left."""


def pytest_configure():
    """Processes that a test starts make no template of their own."""
    os.environ[TEMPLATES] = tempfile.mkdtemp(prefix="farshore-test-")
    Path(os.environ[TEMPLATES]).chmod(0o755)


def pytest_unconfigure():
    shutil.rmtree(os.environ.pop(TEMPLATES), ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What the tests import is there to stay: to look through it again and again is a third of collecting them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get("/".join(item.path.parts[-2:]), len(order)))


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()
