"""The stand-in's lab: two servers and a name server, living as long as its standard input."""

import json
import os
import shutil
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledger_kit import APP_USER
from standin import JOURNAL, ORPHANS, PORT, WRONG

from two_servers import (
    HOME,
    NAMES,
    PASSWORD,
    STANDBY,
    WRITER_NAME,
    NameServer,
    Server,
    binaries,
    give_away,
    pair,
    run,
)

TABLE, COLUMN = os.environ.get("STANDIN_KEY", "ledger.transfer id").split()
_ONE_MORE = "INSERT INTO ledger.transfer (id, source, target, amount, client) VALUES (gen_random_uuid(), 1, 2, 1, 'x')"
HELD = f"SELECT {COLUMN} FROM {TABLE}"


def write_event(version: int, epoch: int, phase: str, holder: str | None, reason: str) -> None:
    event = {"version": version, "at_unix_ms": time.time_ns() // 10**6, "epoch": epoch, "phase": phase}
    event |= {"holder": holder, "action": phase.lower(), "reason": reason, "by": "standin"}
    with JOURNAL.open("a") as file:
        file.write(json.dumps(event) + "\n")


def conninfo(server: Server) -> str:
    return f"host={server.host} port={server.port} user=postgres password={PASSWORD}"


def caught_up(writer: Server, follower: Server) -> None:
    lsn = writer.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
    while not follower.sql("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)[0][0]:
        time.sleep(0.01)


class StandIn:
    def __init__(self, servers, names: NameServer) -> None:
        self.servers, self.names = servers, names
        self.by_region = {HOME: servers.home, STANDBY: servers.standby}
        self.account = "settled"
        self.told = 4
        self.residents: list[tuple[str, int]] = []
        self.threads: list[threading.Thread] = []

    def lose(self, region: str) -> dict:
        at_monotonic_ns = time.monotonic_ns()
        gone = [pid for where, pid in self.residents if where == region]
        if "toothless" in WRONG:
            return {"at_monotonic_ns": at_monotonic_ns, "bit": {"servers": 0, "residents": 0}}
        self.servers.keepers[0].stopped.set()
        self.servers.home.kill()
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        if "no failover" not in WRONG:
            self.threads.append(threading.Thread(target=self.fail_over, daemon=True))
            self.threads[-1].start()
        return {"at_monotonic_ns": at_monotonic_ns, "bit": {"servers": 1, "residents": len(gone)}}

    def fail_over(self) -> None:
        time.sleep(0.5)
        write_event(2, 2, "CLAIMED", None, "the home region is silent")
        self.servers.promote()
        write_event(3, 2, "PROMOTED", None, "the standby writes")
        self.servers.keep(self.servers.standby, STANDBY, 2, ttl_s=5)
        write_event(4, 2, "HELD", STANDBY, "the lease is granted")
        self.names.aliases[WRITER_NAME] = NAMES[STANDBY]

    def move(self, kind: str, target: str) -> dict:
        """Fence, drain, promote, and let the old writer follow the new one."""
        source = next(region for region in (HOME, STANDBY) if region != target)
        old, new = self.by_region[source], self.by_region[target]
        epoch = self.servers.epoch + 1
        self.tell(epoch - 1, "DRAINING", source, f"a person asks for a {kind}")
        if "loses what is on its way" in WRONG:
            new.sql("ALTER SYSTEM SET primary_conninfo = ''")
            new.sql("SELECT pg_reload_conf()")
            time.sleep(0.3)
        self.servers.keepers[-1].fence()
        old.sql("SELECT pg_advisory_xact_lock(7041, 1)")
        if "loses what is on its way" not in WRONG:
            caught_up(old, new)
        self.tell(epoch, "PROMOTING", None, f"{source} is fenced and drained")
        old.sql(f"ALTER SYSTEM SET primary_conninfo = '{conninfo(new)}'")
        old.stop()
        new.sql("SELECT pg_promote(true, 10)")
        (old.data / "standby.signal").touch()
        give_away(old.data / "standby.signal")
        old.start()
        self.servers.keep(new, target, epoch, ttl_s=5)
        self.tell(epoch, "HELD", target, f"{target} is promoted")
        self.names.aliases[WRITER_NAME] = NAMES[target]
        return {"epoch": epoch}

    def tell(self, epoch: int, phase: str, holder: str | None, reason: str) -> None:
        self.told += 1
        write_event(self.told, epoch, phase, holder, reason)

    def fail_back(self) -> dict:
        if self.account == "open" and "forgets the lost" not in WRONG:
            return {"refused": "what was lost has not been looked at. Next: `farshore reconcile`."}
        if self.account == "unresolved":
            return {"refused": "orphans are unresolved. Next: `farshore reconcile --resolved`."}
        self.rejoin()
        return self.move("failback", HOME)

    def rejoin(self) -> None:
        """The returned server begins anew as the standby of the one that took over."""
        home = self.servers.home
        home.kill()
        shutil.rmtree(home.data)
        run(
            binaries() / "pg_basebackup",
            "-D",
            home.data,
            "-R",
            "--no-sync",
            "-c",
            "fast",
            "-d",
            conninfo(self.servers.standby),
        )
        home.start()

    def heal(self) -> dict:
        at_monotonic_ns = time.monotonic_ns()
        self.servers.home.start()
        held = {str(row[0]) for row in self.servers.home.sql(HELD)}
        kept = {str(row[0]) for row in self.servers.standby.sql(HELD)}
        orphans = [
            {
                "xid": 1,
                "committed_at": None,
                "rows": [{"table": TABLE, "key": {COLUMN: key}, "state": "missing"}],
            }
            for key in sorted(held - kept)
        ]
        if "invented orphan" in WRONG:
            orphans += [
                {
                    "xid": 1,
                    "committed_at": None,
                    "rows": [{"table": TABLE, "key": {COLUMN: min(kept)}, "state": "missing"}],
                }
            ]
        answer = {"epoch": 2, "lost_region": HOME, "source": "rds:standin", "complete": True}
        ORPHANS.write_text(json.dumps({**answer, "orphans": orphans}))
        if "leaves out what nobody was told of" in WRONG:
            with self.servers.home.admin() as connection:
                connection.execute("SELECT farshore.set_enforcing(false)")
                connection.execute(_ONE_MORE)
        self.account = "open"
        return {"at_monotonic_ns": at_monotonic_ns}

    def befall(self, what: str, region: str) -> dict:
        match what:
            case "region-loss":
                return self.lose(region)
            case "heal":
                return self.heal()
        hit = int("toothless second" not in WRONG)
        return {"ended_monotonic_ns": time.monotonic_ns(), "bit": {"servers": hit, "functions": hit}}

    def obey(self, order: list) -> dict:
        match order:
            case ["resident", region, pid]:
                self.residents.append((region, pid))
                return {}
            case ["lab", "fault", what, region, *_]:
                return self.befall(what, region)
            case ["lab", "volume", region, *_]:
                return {"endpoint": NAMES[region]}
            case ["switchover", "--to", region, "--json"]:
                return self.move("switchover", region)
            case ["failback", "--json"]:
                return self.fail_back()
            case ["reconcile", *words]:
                named = json.loads(ORPHANS.read_text())["orphans"]
                self.account = "unresolved" if named and "--resolved" not in words else "settled"
                return {}
            case ["guard", "install", *words]:
                with self.servers.home.admin() as connection:
                    connection.execute("SELECT farshore.set_enforcing(true)")
                    for table in words[1::2]:
                        connection.execute("SELECT farshore.guard(%s)", (table,))
                return {}
        raise ValueError(order)


def serve(standin: StandIn) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(json.dumps(standin.obey(json.loads(self.rfile.readline()))).encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    PORT.write_text(str(server.server_address[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()


def run_lab(words: list[str]) -> None:
    if "refusing" in WRONG:
        print("farshore: --postgres '9': too old, use 15 or newer.", file=sys.stderr)
        sys.exit(2)
    options = dict(zip(words[::2], words[1::2], strict=True))
    with pair("") as servers:
        names = NameServer()
        with servers.home.admin() as connection:
            connection.execute(f"CREATE ROLE {APP_USER} LOGIN PASSWORD '{PASSWORD}'")
        servers.caught_up()
        serve(StandIn(servers, names))
        write_event(1, 1, "HELD", HOME, "first boot")
        views = (HOME, STANDBY, "outside")
        info = {
            "name": options["--name"],
            "profile": options["--profile"],
            "cadence": int(options["--cadence"]),
            "postgres_version": "17.10",
            "home_region": HOME,
            "standby_region": STANDBY,
            "writer_name": WRITER_NAME,
            "port": servers.home.port,
            "ttl_s": 1,
            "sslrootcert": str(servers.certificate),
            "dns": dict.fromkeys(views, names.address),
            "endpoints": {region: {"writer": NAMES[region]} for region in (HOME, STANDBY)},
            "database": {
                "dbname": "postgres",
                "admin_user": "postgres",
                "admin_password": PASSWORD,
                "app_user": APP_USER,
                "app_password": PASSWORD,
            },
            "env": {view: {} for view in views},
            "link_one_way_ms": 0.0,
        }
        print(json.dumps({"event": "progress", "text": "two servers run"}), flush=True)
        print(json.dumps({"event": "ready", "lab": info}), flush=True)
        while os.read(0, 4096):
            pass


if __name__ == "__main__":
    run_lab(sys.argv[1:])
