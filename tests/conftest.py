"""Its place puts tests/ on the import path, so that every directory can use two_servers."""

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


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()
