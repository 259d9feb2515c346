import pytest
from ledger_kit import create_ledger

from farshore.drill import workload
from two_servers import HOME, pair


@pytest.fixture(scope="session")
def shared_ledger():
    with pair("") as servers:
        create_ledger(servers)
        yield servers


@pytest.fixture
def ledger(shared_ledger):
    """Two servers with the ledger, its tables guarded and empty, and home holding a lease."""
    if shared_ledger.keepers[-1].stopped.is_set():
        shared_ledger.keep(shared_ledger.home, HOME, shared_ledger.epoch + 1)
    shared_ledger.home.sql(
        "DELETE FROM ledger.entry; DELETE FROM ledger.transfer; "
        f"UPDATE ledger.account SET balance = {workload.INITIAL_CENTS}"
    )
    return shared_ledger
