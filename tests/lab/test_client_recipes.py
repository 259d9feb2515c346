"""Both clients and the recipes of docs/clients.md against one running lab, through the loss of its home region."""

import asyncio
import itertools
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass

import psycopg
import pytest
from aws_advanced_python_wrapper import AwsWrapperConnection
from aws_advanced_python_wrapper.errors import FailoverFailedError
from aws_wrapper_ledger import by_itself, commit_and_confirm, on_farshore
from aws_wrapper_ledger import pay as pay_by_wrapper
from pool_ledger import PAY, open_async_pool, open_pool, pay, pay_async
from running import HOME, OUTSIDE, STANDBY, RunningLab, unique, wait_for
from sqlalchemy_ledger import Payment, make_async_engine, make_engine
from sqlalchemy_ledger import pay as pay_by_orm
from sqlalchemy_ledger import pay_async as pay_by_async_orm

from farshore.client import AsyncClient, Client, Key, Settings, Target, UnknownOutcomeError
from farshore.client.names import Resolver

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
PAUSE_S = 0.05
SCHEMA = """
create schema if not exists ledger;
create table ledger.payment(id text primary key, amount int not null check (amount <> 0));
grant usage on schema ledger to {app};
grant select, insert on ledger.payment to {app};
"""


@pytest.fixture(scope="module")
def lab():
    running = RunningLab(unique("c"))
    try:
        running.await_ready()
        with running.admin(HOME) as admin:
            admin.execute(SCHEMA.format(app=running.info["database"]["app_user"]))
        running.run("guard", "install", "--table", "ledger.payment")
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def settings(lab):
    database = lab.info["database"]
    return Settings(
        writer_name=lab.info["writer_name"],
        targets=tuple(Target(region, lab.endpoint(region), lab.info["port"]) for region in (HOME, STANDBY)),
        dbname=database["dbname"],
        user=database["app_user"],
        password=database["app_password"],
        sslrootcert=lab.info["sslrootcert"],
        nameservers=(lab.info["dns"][OUTSIDE],),
        attempt_s=0.5,
    )


@pytest.fixture(scope="module")
def client(settings):
    with Client(settings) as client:
        yield client


@pytest.fixture(scope="module")
def loop():
    """Runs coroutines on a loop of its own thread, from any thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@pytest.fixture(scope="module")
def async_client(settings, loop):
    client = AsyncClient(settings)
    loop(client.__aenter__())
    yield client
    loop(client.close())


@pytest.fixture(scope="module")
def services(client, async_client, loop):
    """What each kind of ledger service does to pay: a function of a payment's id, giving its status."""
    pool = open_pool(client)
    async_pool = loop(open_async_pool(async_client))
    engine, async_engine = make_engine(client), make_async_engine(async_client)

    def by_client(payment: str) -> str:
        work = lambda session: session.execute(PAY, (payment, 1))  # noqa: E731
        return client.transact(work, key=Key("ledger.payment", {"id": payment}), deadline_s=2).status

    def by_async_client(payment: str) -> str:
        key = Key("ledger.payment", {"id": payment})
        outcome = async_client.transact(
            lambda session: session.execute(PAY, (payment, 1)), key=key, deadline_s=2
        )
        return loop(outcome).status

    def by_async_pool(payment: str) -> str:
        return said(lambda: loop(pay_async(async_pool, payment, 1)))

    yield {
        "client": by_client,
        "async client": by_async_client,
        "pool": lambda payment: pay(pool, payment, 1, deadline_s=2),
        "async pool": by_async_pool,
        "sqlalchemy": lambda payment: pay_by_orm(engine, Payment(id=payment, amount=1)),
        "async sqlalchemy": lambda payment: loop(
            pay_by_async_orm(async_engine, Payment(id=payment, amount=1))
        ),
        "wrapper on farshore": OnWrapper(client).pay,
    }
    pool.close()
    loop(async_pool.close())
    engine.dispose()
    loop(async_engine.dispose())


def said(call) -> str:
    try:
        call()
    except UnknownOutcomeError:
        return "unknown"
    except psycopg.Error:
        return "failed"
    return "ok"


class OnWrapper:
    """One connection of the AWS wrapper, made anew when it is closed."""

    def __init__(self, client) -> None:
        self._client, self._connection = client, None

    def pay(self, payment: str) -> str:
        return said(lambda: self._pay(payment))

    def _pay(self, payment: str) -> None:
        if self._connection is None or self._connection.is_closed:
            self._connection = on_farshore(self._client, host="ledger", plugins="host_monitoring_v2")
        pay_by_wrapper(self._connection, payment, 1)


@dataclass(frozen=True)
class Paid:
    service: str
    payment: str
    status: str
    begun: float
    ended: float


class Crew:
    """Every service pays again and again, a new payment each time, until told to stop."""

    def __init__(self, services) -> None:
        self.paid: list[Paid] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=each, daemon=True) for each in services.items()
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _work(self, service, pay) -> None:
        while not self._stop.wait(PAUSE_S):
            payment, begun = str(uuid.uuid4()), time.monotonic()
            try:
                status = pay(payment)
            except Exception as error:  # noqa: BLE001  a service that breaks its recipe is shown by the assertion
                status = f"{service} raised {error!r}"
            self.paid.append(Paid(service, payment, status, begun, time.monotonic()))

    def ok(self, since: float = 0.0) -> Counter:
        return Counter(each.service for each in list(self.paid) if each.status == "ok" and each.begun > since)


def held(lab, region) -> set[str]:
    with lab.admin(region) as admin:
        return {row[0] for row in admin.execute("SELECT id FROM ledger.payment")}


def test_each_recipes_payment_is_committed_and_confirmed(lab, services):
    payments = {name: str(uuid.uuid4()) for name in services}
    assert {name: pay(payments[name]) for name, pay in services.items()} == dict.fromkeys(services, "ok")
    assert set(payments.values()) <= held(lab, HOME)


def test_a_payment_that_is_there_already_is_found_by_the_pools_recipe_and_refused_by_the_others(services):
    payment = str(uuid.uuid4())
    assert services["client"](payment) == "ok"
    again = {name: pay(payment) for name, pay in services.items()}
    finds = {"client", "async client", "pool"}
    assert again == {name: "ok" if name in finds else "failed" for name in services}


def test_the_wrapper_by_itself_confirms_by_hand(lab, settings):
    """By a name that does not look like Aurora's, and without the failover plugins: those ask what only Aurora has."""
    host = lab.info["writer_name"]
    connection = by_itself(
        host=host,
        hostaddr=Resolver(settings.nameservers).find(host, 3).address,
        port=lab.info["port"],
        dbname=settings.dbname,
        user=settings.user,
        password=settings.password,
        sslmode="verify-full",
        sslrootcert=settings.sslrootcert,
        plugins="host_monitoring_v2",
        wrapper_dialect="pg",
    )
    payment = str(uuid.uuid4())
    connection.cursor().execute(PAY, (payment, 1))
    assert commit_and_confirm(connection) == lab.record()["epoch"]
    assert payment in held(lab, HOME)
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.cursor().execute(PAY, (str(uuid.uuid4()), 0))
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        commit_and_confirm(connection)
    connection.close()


def test_the_wrappers_own_failover_connects_and_then_finds_no_topology(lab, settings):
    """What docs/clients.md says of it: Aurora's functions of topology are not in the lab."""
    hosts = {region: lab.endpoint(region) for region in (HOME, STANDBY)}
    patterns = [f"{region}:?.farshorelab.{region}.rds.amazonaws.com" for region in hosts]

    def connect(**properties):
        address = Resolver(settings.nameservers).find(properties["host"], 3).address
        return psycopg.Connection.connect(**properties, hostaddr=address)

    connection = AwsWrapperConnection.connect(
        connect,
        host=hosts[HOME],
        port=lab.info["port"],
        dbname=settings.dbname,
        user=settings.user,
        password=settings.password,
        sslmode="verify-full",
        sslrootcert=settings.sslrootcert,
        plugins="gdb_failover",
        wrapper_dialect="global-aurora-pg",
        wrapper_driver_dialect="psycopg",
        global_cluster_instance_host_patterns=",".join(patterns),
        failover_timeout_sec=1,
    )
    cursor = connection.cursor()
    cursor.execute("select pg_backend_pid()")
    with lab.admin(HOME) as admin:
        admin.execute("select pg_terminate_backend(%s)", cursor.fetchone())
    with pytest.raises(FailoverFailedError, match="topology"):
        cursor.execute("select 1")


def test_every_service_pays_on_after_the_region_is_lost_and_no_payment_is_said_that_is_not_there(
    lab, services
):
    with Crew(services) as crew:
        wait_for("each has paid", lambda: len(crew.ok()) == len(services))
        lost = lab.fault("region-loss", HOME)["at_monotonic_ns"] / 1e9
        wait_for("each has paid again", lambda: len(crew.ok(since=lost + 1.0)) == len(services), 60)
    there = held(lab, STANDBY)
    after = [each for each in crew.paid if each.begun > lost]
    assert [each for each in after if each.status == "ok" and each.payment not in there] == []
    assert {each.payment for each in after if each.status == "failed"} & there == set()
    for name in services:
        ends = [each.ended for each in crew.paid if each.service == name and each.status == "ok"]
        silence = max(b - a for a, b in itertools.pairwise(ends))
        print(
            f"{name}: longest silence {silence:.2f} s, {Counter(e.status for e in after if e.service == name)}"
        )
