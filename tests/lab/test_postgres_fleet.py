"""Two regions of real PostgreSQL. One fleet is carried through the stories in order; each leaves it settled."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from fleet_rig import EAST, WEST, Rig, boot, eventually, rig, settled

from farshore.lab.ports import OUTSIDE
from farshore.lab.postgres import volume
from farshore.lab.postgres.cluster import Patience, Role

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab():
    with rig(zombie_s=1.0, patience=Patience(restart_s=0.5, rebuild_s=3.0)) as made:
        boot(made)
        with made.connect(EAST) as home:
            home.execute("create table ledger_line(id bigserial primary key, what text not null)")
        yield made


def write(connection, what):
    connection.execute("insert into ledger_line(what) values (%s)", (what,))


def count(connection, what):
    return connection.execute("select count(*) from ledger_line where what = %s", (what,)).fetchone()[0]


def has(made: Rig, region: str, what: str, name: str | None = None) -> bool:
    with made.connect(region, name=name) as connection:
        return count(connection, what) > 0


def first_write(made: Rig, region: str, what: str) -> float:
    """Seconds until a write is accepted."""
    began = time.monotonic()

    def attempt():
        with made.connect(region) as connection:
            write(connection, what)
        return True

    eventually(attempt)
    return time.monotonic() - began


def test_writes_reach_the_other_region_and_all_connections_are_encrypted(lab):
    with lab.connect(EAST) as home:
        write(home, "first")
        assert home.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)
    for number in (1, 2):
        name = lab.fleet.instance_endpoint(WEST, lab.names.instance(WEST, number))
        assert eventually(lambda name=name: has(lab, WEST, "first", name))
    with lab.member(EAST, 1).connect() as admin:
        rows = admin.execute(
            "select application_name, sync_state, ssl from pg_stat_replication join pg_stat_ssl using (pid)"
        ).fetchall()
    assert sorted(rows) == [
        (f"us-east-1/{lab.names.instance(EAST, 2)}", "sync", True),
        (f"us-west-2/{lab.names.instance(WEST, 1)}", "async", True),
    ]


def test_a_standby_refuses_writes_with_25006(lab):
    with lab.connect(WEST) as west, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        write(west, "never")


def test_plaintext_and_the_labs_own_user_are_refused_over_tcp(lab):
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(
            host=lab.member(EAST, 1).address.host,
            port=lab.addresses.pg_port,
            user="dbadmin",
            password="x",
            dbname="ledger",
            sslmode="disable",
        )
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        lab.connect(EAST, user="rdsadmin", password="x")


def test_the_master_user_is_no_superuser_but_can_do_its_work(lab):
    with lab.connect(EAST) as master:
        assert master.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (
            False,
        )
        master.execute("create role watcher login password 'watch-watch-watch' in role pg_monitor")
        master.execute("create schema app authorization current_user")
        master.execute("checkpoint")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            master.execute("select pg_read_file('postgresql.conf')")
        shown = dict(master.execute("select name, setting from pg_settings").fetchall())
    expected = {"max_prepared_transactions": "0", "track_commit_timestamp": "on", "fsync": "on", "ssl": "on"}
    expected["idle_in_transaction_session_timeout"] = "5000"
    assert {name: shown[name] for name in expected} == expected


def test_aurora_status_functions_tell_the_lag_in_both_regions(lab):
    with lab.connect(EAST, user="watcher", password="watch-watch-watch") as home:
        rows = home.execute("select * from aurora_global_db_status()").fetchall()
        instances = home.execute(
            "select server_id, session_id, aws_region from aurora_global_db_instance_status()"
        )
        assert {(row[0], row[2]) for row in instances} == {
            (lab.names.instance(EAST, 1), EAST),
            (lab.names.instance(EAST, 2), EAST),
            (lab.names.instance(WEST, 1), WEST),
        }
    assert [row[0] for row in rows] == [EAST, WEST]
    assert rows[0][2:4] == (-1, -1)
    assert 0 <= rows[1][3] < 5000
    with lab.connect(WEST, user="watcher", password="watch-watch-watch") as west:
        rows = west.execute("select aws_region, rpo_lag_in_msec from aurora_global_db_status()").fetchall()
    assert [row[0] for row in rows] == [EAST, WEST]
    assert 0 <= rows[1][1] < 5000


def test_rpo_lag_grows_while_the_other_region_is_frozen(lab):
    far = lab.member(WEST, 1)
    far.freeze()
    try:
        with lab.connect(EAST) as home:
            write(home, "while west is frozen")

            def lag():
                row = home.execute(
                    "select rpo_lag_in_msec from aurora_global_db_status() where aws_region = %s", (WEST,)
                ).fetchone()
                return row and row[0] > 300

            eventually(lag)
    finally:
        far.thaw()
    eventually(lambda: has(lab, WEST, "while west is frozen"))
    settled(lab, EAST, WEST)


def test_names_resolve_by_view(lab):
    writer = lab.fleet.cluster_endpoint(EAST, lab.names.cluster(EAST))
    reader = lab.fleet.cluster_endpoint(EAST, lab.names.cluster(EAST), reader=True)
    assert lab.fleet.resolve(EAST, writer) == (lab.member(EAST, 1).address.host, 5)
    mouths = {lab.fleet.resolve(view, writer.upper() + ".")[0] for view in (WEST, OUTSIDE)}
    assert len(mouths | {lab.member(EAST, 1).address.host}) == 3
    for view in (EAST, WEST, OUTSIDE):
        with lab.connect(EAST, view=view) as connection:
            assert connection.execute("select pg_is_in_recovery()").fetchone() == (False,)
    assert lab.fleet.resolve(EAST, reader) == (lab.member(EAST, 2).address.host, 5)
    assert lab.fleet.resolve(EAST, "elsewhere.us-east-1.rds.amazonaws.com") is None


def test_writing_goes_on_within_a_second_when_the_in_region_standby_dies(lab):
    with lab.connect(EAST) as home:
        lab.member(EAST, 2).kill()
        began = time.monotonic()
        write(home, "standby dead")
        assert time.monotonic() - began < 1.0
    settled(lab, EAST, WEST)  # and it is synchronous again once it is back


def test_writing_goes_on_within_a_second_when_the_in_region_standby_freezes(lab):
    standby = lab.member(EAST, 2)
    with lab.connect(EAST) as home:
        standby.freeze()
        try:
            began = time.monotonic()
            write(home, "standby frozen")
            assert time.monotonic() - began < 1.0
        finally:
            standby.thaw()
    settled(lab, EAST, WEST)


def test_in_region_failover_keeps_every_commit_and_repoints_the_endpoint(lab):
    old, new = lab.member(EAST, 1), lab.member(EAST, 2)
    with lab.connect(EAST) as home:
        write(home, "before the writer died")
    old.kill()
    assert first_write(lab, EAST, "after the writer died") < 3.0
    assert lab.cluster(EAST).leader is new
    assert has(lab, EAST, "before the writer died")
    eventually(lambda: has(lab, WEST, "after the writer died"))
    settled(lab, EAST, WEST)  # the dead one has rejoined as the synchronous standby
    assert lab.cluster(EAST).synchronous is old
    assert lab.event_ids()[-2:] == ["0073", "0071"]


def test_switchover_loses_nothing_and_swaps_the_roles(lab):
    with lab.connect(EAST) as home:
        for number in range(50):
            write(home, f"planned {number}")
    assert lab.fleet.changes.begin(lab.cluster(WEST), data_loss=False)
    assert not lab.fleet.changes.begin(lab.cluster(WEST), data_loss=False)
    eventually(lambda: lab.fleet.change() is None)
    assert lab.fleet.writer is lab.cluster(WEST)
    with lab.connect(WEST) as west:
        assert count(west, "planned 49") == 1
        assert west.execute("select count(*) from ledger_line where what like 'planned %'").fetchone() == (
            50,
        )
        write(west, "from the west")
    eventually(lambda: has(lab, EAST, "from the west"))
    settled(lab, WEST, EAST)
    assert lab.event_ids()[-5:] == ["0181", "0182", "0184", "0185", "0397"]
    assert not lab.saved


def test_a_switchover_that_cannot_finish_is_taken_back(lab):
    """The target answers but receives nothing: it lacks the last byte, so the old writer opens again."""
    target = lab.cluster(EAST).leader
    processes = psutil.Process(target.process.pid).children()
    receiver = next(process for process in processes if "walreceiver" in " ".join(process.cmdline()))
    lab.fleet.changes.last_byte_timeout_s = 0.2
    with lab.member(
        WEST, 1
    ).connect() as admin:  # a stopping server waits so long for a standby that is silent
        admin.execute("alter system set wal_sender_timeout = '500ms'")
        admin.execute("select pg_reload_conf()")
    receiver.suspend()
    try:
        assert lab.fleet.changes.begin(lab.cluster(EAST), data_loss=False)
        eventually(lambda: lab.fleet.change().status == "cancelling")
        eventually(lambda: lab.fleet.change() is None)
    finally:
        receiver.resume()
    with lab.member(WEST, 1).connect() as admin:
        admin.execute("alter system reset all")
        admin.execute("select pg_reload_conf()")
    assert lab.fleet.writer is lab.cluster(WEST)
    assert lab.event_ids()[-2:] == ["0181", "0186"]
    assert first_write(lab, WEST, "after the cancelled switchover") < 3.0
    settled(lab, WEST, EAST)


def test_region_loss_failover_zombie_snapshot_and_return(lab):
    """The west is lost while it holds a row that never left; the east takes over; the west comes back."""
    lab.links.set_delay(EAST, WEST, 2000.0, 0.0)
    with lab.connect(WEST) as west:
        write(west, "orphan")
        assert lab.lose(WEST) == 2
        with pytest.raises(psycopg.OperationalError):
            write(west, "never")
    lab.links.set_delay(EAST, WEST, 5.0, 0.0)
    assert lab.fleet.changes.begin(lab.cluster(EAST), data_loss=True)
    assert first_write(lab, EAST, "survivor") < 1.0
    assert not has(lab, EAST, "orphan")
    assert not lab.fleet.connected(lab.cluster(WEST))
    assert lab.event_ids(EAST)[-3:] == ["0391", "0238", "0397"]

    lab.bring_back(WEST)
    with lab.connect(WEST) as zombie:  # the old writer, as it was, still writing
        assert count(zombie, "orphan") == 1
        write(zombie, "zombie")
    eventually(lambda: lab.saved)
    saved = lab.saved[0]
    assert saved.identifier.startswith(f"rds:unplanned-global-failover-{lab.names.cluster(WEST)}-20")
    eventually(lambda: lab.event_ids()[-1] == "0241")
    assert lab.fleet.connected(lab.cluster(WEST))
    assert lab.cluster(WEST).role is Role.SECONDARY
    settled(lab, EAST, WEST)
    with lab.connect(WEST) as west:
        assert (count(west, "orphan"), count(west, "survivor")) == (0, 1)

    restored = lab.fleet.restore(WEST, "old-volume", "orphans-of-the-west", saved.path)
    with lab.connect(WEST, name=lab.fleet.instance_endpoint(WEST, "orphans-of-the-west")) as old:
        assert (count(old, "orphan"), count(old, "zombie"), count(old, "survivor")) == (1, 1, 0)
        write(old, "a restored volume takes writes")
        stamped = old.execute(
            "select pg_xact_commit_timestamp(xmin) from ledger_line where what = 'orphan'"
        ).fetchone()
        assert stamped[0] is not None
    lab.fleet.delete_instance(restored)
    assert lab.fleet.resolve(WEST, lab.fleet.instance_endpoint(WEST, "orphans-of-the-west")) is None


def test_failover_fences_an_old_writer_that_can_be_reached(lab):
    """`AllowDataLoss` on a healthy database: the old writer is killed before the new one is promoted."""
    with lab.connect(EAST) as home:
        assert lab.fleet.changes.begin(lab.cluster(WEST), data_loss=True)
        first_write(lab, WEST, "west again")
        with pytest.raises(psycopg.OperationalError):
            write(home, "never")
    assert "0390" in lab.event_ids(EAST)
    eventually(lambda: lab.event_ids()[-1] == "0241")
    settled(lab, WEST, EAST)
    assert len(lab.saved) == 2


def test_a_lost_secondary_comes_back_by_itself(lab):
    assert lab.lose(EAST) == 2
    with lab.connect(WEST) as west:
        write(west, "while the east was away")
    lab.bring_back(EAST)
    settled(lab, WEST, EAST)
    eventually(lambda: has(lab, EAST, "while the east was away"))
    assert len(lab.saved) == 2  # nothing was rebuilt


def test_a_writer_region_that_returns_before_any_failover_writes_on(lab):
    assert lab.lose(WEST) == 2
    lab.bring_back(WEST)
    assert first_write(lab, WEST, "back in time") < 3.0
    settled(lab, WEST, EAST)


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from fleet_rig import EAST, rig
from farshore.lab.postgres.bootstrap import Master
with rig() as made:
    made.fleet.create_cluster(EAST, "c", Master("dbadmin", "a-password", None))
    server = made.fleet.add_instance(EAST, "i")
    made.fleet.start_instance(server)
    print(server.process.pid, made.fleet.root, made.volumes, flush=True)
    time.sleep(60)
"""


def shared_memory(pid, since_unix_s):
    """The segments that this process has made: its number may have been somebody else's before."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [row for row in rows if row[4] == str(pid) and int(row[13]) >= int(since_unix_s)]


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_a_killed_server_leaves_no_shared_memory(lab):
    server = lab.cluster(EAST).leader
    process = psutil.Process(server.process.pid)
    born = process.create_time() - 1
    assert shared_memory(process.pid, born)
    assert not [
        mapped.path for mapped in process.memory_maps() if mapped.path.startswith("/dev/shm/PostgreSQL")
    ]
    server.kill()
    assert not shared_memory(process.pid, born)
    settled(lab, WEST, EAST)


@linux
def test_kill_9_of_the_lab_takes_postgres_with_it(request):
    folder, began = str(request.path.parent), time.time()
    child = subprocess.Popen([sys.executable, "-c", CHILD, folder], stdout=subprocess.PIPE, text=True)
    try:
        pid, *folders = child.stdout.readline().split()
        tree = [psutil.Process(int(pid)), *psutil.Process(int(pid)).children(recursive=True)]
        assert len(tree) > 3
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    _, left = psutil.wait_procs(tree, timeout=5)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    assert shared_memory(pid, began)
    eventually(lambda: all(row[6] == "0" for row in shared_memory(pid, began)))  # who was born last dies last
    volume.release_all_memory(Path(folders[1]))  # as the next lab does when it clears a dead one's directory
    assert not shared_memory(pid, began)
    for folder in folders:
        shutil.rmtree(folder)
