import pytest
from shells import Tasks, Threads

from two_servers import HOME, pair

SCHEMA = """
create table payment(id uuid primary key, amount int not null check (amount <> 0), parent uuid);
create table note(id int primary key deferrable initially deferred);
create table invoice(id uuid primary key, number text unique);
create table invoice_payment(number int primary key);
create schema shop;
create table shop.orders(tenant text, number int, what text, primary key (tenant, number), unique (number));
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


@pytest.fixture(params=[Threads, Tasks], ids=["threads", "asyncio"])
def shell(request):
    """The client under test, behind one face."""
    return request.param


@pytest.fixture
def servers(shared_servers):
    """Two servers with empty tables, home holding a lease in an epoch of this test's own."""
    shared_servers.home.sql("DELETE FROM note; DELETE FROM shop.orders; DELETE FROM invoice")
    if shared_servers.keepers[-1].stopped.is_set():
        shared_servers.keep(shared_servers.home, HOME, shared_servers.epoch + 1)
    return shared_servers


@pytest.fixture
def doomed_servers():
    """Servers of this test's own, because it kills or promotes them."""
    with pair(SCHEMA) as servers:
        yield servers
