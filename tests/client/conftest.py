import pytest

from two_servers import HOME, pair

SCHEMA = """
create table payment(id uuid primary key, amount int not null check (amount <> 0), parent uuid);
create table note(id int primary key deferrable initially deferred);
create table slow(id int);
create function slow_commit() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return null; end $$;
create constraint trigger slow after insert on slow deferrable initially deferred
    for each row execute function slow_commit();
select farshore.set_enforcing(true);
select farshore.guard('payment');
"""


@pytest.fixture(scope="session")
def shared_servers():
    with pair(SCHEMA) as servers:
        yield servers


@pytest.fixture
def servers(shared_servers):
    """Two servers with empty tables, home holding a lease in an epoch of this test's own."""
    shared_servers.home.sql("DELETE FROM note")
    if shared_servers.keepers[-1].stopped.is_set():
        shared_servers.keep(shared_servers.home, HOME, shared_servers.epoch + 1)
    return shared_servers


@pytest.fixture
def doomed_servers():
    """Servers of this test's own, because it kills or promotes them."""
    with pair(SCHEMA) as servers:
        yield servers
