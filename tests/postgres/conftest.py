import pytest

from two_servers import pair

SCHEMA = """
create table account(id int primary key, balance int not null);
insert into account select n, 0 from generate_series(1, 10) n;
create table parted(id int, region text) partition by list (region);
create table parted_a partition of parted for values in ('a');
create table free(id int primary key);
select farshore.set_enforcing(true);
select farshore.guard('account');
select farshore.guard('parted');
create table parted_b partition of parted for values in ('b');
"""


@pytest.fixture(scope="module")
def pair_of_servers():
    with pair(SCHEMA) as servers:
        servers.keepers[-1].stopped.set()
        servers.keepers[-1].join()
        yield servers
