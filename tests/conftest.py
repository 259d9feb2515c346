"""Its place puts tests/ on the import path, so that every directory can use two_servers."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from two_servers import TEMPLATES, NameServer


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


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()
