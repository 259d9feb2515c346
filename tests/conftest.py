"""Its place puts tests/ on the import path, so that every directory can use two_servers."""

import pytest

from two_servers import NameServer


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()
