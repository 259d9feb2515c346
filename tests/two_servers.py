"""Two real PostgreSQL servers (a writer and its standby), a name server and a WAN relay, all on loopback."""

import asyncio
import contextlib
import datetime as dt
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farshore.lab.postgres.binaries import find
from farshore.lab.postgres.volume import release_memory

HOME, STANDBY = "us-east-1", "us-west-2"
WRITER_NAME = "db.ledger.test"
NAMES = {HOME: "home.ledger.test", STANDBY: "standby.ledger.test"}
HOSTS = {HOME: "127.0.0.1", STANDBY: "127.0.0.2"}
PASSWORD = "test"
TEMPLATES = "FARSHORE_TEST_TEMPLATES"
GUARD = resources.files("farshore.postgres").joinpath("guard.sql")


def binaries() -> Path:
    """The PostgreSQL under test: FARSHORE_TEST_POSTGRES names an installed major, else the embedded one."""
    return find(os.environ.get("FARSHORE_TEST_POSTGRES")).bin_dir


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_server_user() -> dict:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres" if "postgres" in [each.pw_name for each in pwd.getpwall()] else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def run(*argv) -> None:
    subprocess.run([str(each) for each in argv], check=True, capture_output=True, cwd="/", **as_server_user())


def write_certificates(directory: Path) -> Path:
    """A root certificate, and one server certificate for both regional names; returns the root's path."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
    today = dt.datetime.now(dt.UTC)

    def build(subject: x509.Name, public_key) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(root_name)
        builder = builder.public_key(public_key).serial_number(x509.random_serial_number())
        return builder.not_valid_before(today - dt.timedelta(hours=1)).not_valid_after(
            today + dt.timedelta(days=1)
        )

    root = build(root_name, root_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ledger")])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES.values()])
    leaf = build(leaf_name, key.public_key()).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (directory / "root.crt").write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(pem))
    (directory / "server.crt").write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(pem))
    (directory / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (directory / "server.key").chmod(0o600)
    return directory / "root.crt"


@dataclass
class Server:
    data: Path
    host: str
    port: int
    process: subprocess.Popen | None = None

    def start(self) -> None:
        argv = [binaries() / "postgres", "-D", self.data, "-h", self.host, "-p", self.port]
        self.process = subprocess.Popen(
            [str(each) for each in argv],
            stdout=subprocess.DEVNULL,
            stderr=(self.data.parent / f"{self.data.name}.log").open("wb"),
            cwd="/",
            **as_server_user(),
        )
        limit = time.monotonic() + 20
        while not self.answers():
            assert time.monotonic() < limit, "the server does not start"
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user="postgres",
            dbname="postgres",
            password=PASSWORD,
            autocommit=True,
            connect_timeout=3,
        )

    def sql(self, statement: str, *values):
        with self.admin() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def discard(self) -> None:
        """End it with the shared memory that it holds; a machine has only 4096 segments, and killing leaves one."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
        release_memory(self.data)


class Keeper(threading.Thread):
    """Stands in for the controller: renews the lease of one server's epoch until it is stopped."""

    def __init__(self, server: Server, region: str, epoch: int, ttl_s: float = 1.0) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.server, self.epoch, self.ttl_s = server, epoch, ttl_s
        server.sql("SELECT farshore.grant_epoch(%s, %s)", region, epoch)
        self.connection = server.admin()
        self.renew()
        self.opened = time.monotonic()
        self.start()

    def renew(self) -> None:
        self.connection.execute(
            "SELECT farshore.renew(%s, clock_timestamp(), make_interval(secs => %s))",
            (self.epoch, self.ttl_s),
        )

    def run(self) -> None:
        with contextlib.suppress(psycopg.Error):
            while not self.stopped.wait(self.ttl_s / 4):
                self.renew()
        self.connection.close()

    def fence(self) -> None:
        self.stopped.set()
        self.join()
        self.server.sql("SELECT farshore.fence(%s)", self.epoch)


@dataclass
class Pair:
    root: Path
    certificate: Path
    home: Server
    standby: Server
    keepers: list[Keeper] = field(default_factory=list)

    def keep(self, server: Server, region: str, epoch: int, ttl_s: float = 1.0) -> Keeper:
        keeper = Keeper(server, region, epoch, ttl_s)
        self.keepers.append(keeper)
        return keeper

    @property
    def epoch(self) -> int:
        return self.keepers[-1].epoch

    def promote(self) -> None:
        self.standby.sql("SELECT pg_promote(true, 10)")

    def caught_up(self) -> None:
        """Wait until the standby has replayed what the home region has written."""
        lsn = self.home.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
        limit = time.monotonic() + 10
        while not self.standby.sql("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)[0][0]:
            assert time.monotonic() < limit, "the standby does not catch up"
            time.sleep(0.01)


SETTINGS = """
unix_socket_directories=''
fsync=off
hot_standby_feedback=on
wal_keep_size=64MB
shared_buffers=32MB
max_prepared_transactions=0
"""
ACCESS = """
host replication all 127.0.0.1/32 scram-sha-256
host all all 127.0.0.0/24 scram-sha-256
"""


def template() -> Path:
    """A stopped server with the guard. Made once for a run of the tests, in the directory that conftest removes."""
    made = Path(os.environ[TEMPLATES]) / "server"
    if made.exists():
        return made
    root = Path(tempfile.mkdtemp(dir=made.parent))
    password = root / "password"
    password.write_text(PASSWORD)
    give_away(root, password)
    server = Server(root / "server", HOSTS[HOME], free_port())
    auth = ["--auth=scram-sha-256", f"--pwfile={password}", "-U", "postgres", "--no-sync", "-E", "UTF8"]
    run(binaries() / "initdb", "-D", server.data, "--wal-segsize=4", *auth)
    for name, text in (("postgresql.conf", SETTINGS), ("pg_hba.conf", ACCESS)):
        with (server.data / name).open("a") as file:
            file.write(text)
    server.start()
    server.sql(GUARD.read_text())
    server.stop()
    server.data.rename(made)
    return made


def give_away(*paths: Path) -> None:
    """To the user that the servers run as."""
    if account := as_server_user():
        for path in paths:
            os.chown(path, account["user"], account["group"])


@contextlib.contextmanager
def pair(schema: str, more_settings: str = "") -> Iterator[Pair]:
    """A home server with `schema` and the guard, its streaming standby, and epoch 1 granted to home."""
    root = Path(tempfile.mkdtemp(prefix="farshore-test-"))
    certificate = write_certificates(root)
    give_away(root, *root.iterdir())
    root.chmod(0o755)
    port = free_port()
    home, standby = Server(root / "home", HOSTS[HOME], port), Server(root / "standby", HOSTS[STANDBY], port)
    servers = Pair(root, certificate, home, standby)
    tls = f"ssl=on\nssl_cert_file='{root}/server.crt'\nssl_key_file='{root}/server.key'\n"
    source = f"host={home.host} port={home.port} user=postgres password={PASSWORD}"
    try:
        # The standby begins where the home server begins: whatever happens since then, home keeps the WAL of.
        for server in (home, standby):
            subprocess.run(["cp", "-a", template(), server.data], check=True)
            with (server.data / "postgresql.conf").open("a") as settings:
                settings.write(tls if server is home else f"{tls}primary_conninfo='{source}'\n")
                settings.write(more_settings)
        mark = standby.data / "standby.signal"
        mark.touch()
        give_away(mark)
        home.start()
        standby.start()
        home.sql(schema)
        servers.keep(home, HOME, 1)
        servers.caught_up()
        yield servers
    finally:
        for keeper in servers.keepers:
            keeper.stopped.set()
        home.discard()
        standby.discard()
        shutil.rmtree(root, ignore_errors=True)


class NameServer(threading.Thread):
    """Answers A questions from `names` (name -> address) after following `aliases`; counts the questions."""

    def __init__(self, ttl_s: int = 1) -> None:
        super().__init__(daemon=True)
        self.names = {NAMES[region]: host for region, host in HOSTS.items()}
        self.aliases = {WRITER_NAME: NAMES[HOME]}
        self.ttl_s = ttl_s
        self.asked: list[str] = []
        self.silent = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                packet, client = self.socket.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return
            question = dns.message.from_wire(packet)
            name = question.question[0].name.to_text(omit_final_dot=True).lower()
            self.asked.append(name)
            if self.silent:
                continue
            reply = dns.message.make_response(question)
            reply.flags |= dns.flags.AA
            while alias := self.aliases.get(name):
                reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", "CNAME", f"{alias}."))
                name = alias
            if address := self.names.get(name):
                reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", "A", address))
            else:
                reply.set_rcode(3)
            with contextlib.suppress(OSError):  # closed meanwhile: the next receive ends the loop
                self.socket.sendto(reply.to_wire(), client)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Relay:
    """A listener that forwards to a port with a delay each way; `silence()` makes it a black hole."""

    def __init__(self, target: int, one_way_s: float = 0.0, *, host: str = HOSTS[HOME]) -> None:
        self.target, self.host = target, host
        self.one_way_s = one_way_s
        self.silent = False
        self.connections = 0
        self.mute_below = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self._call(asyncio.start_server(self._serve, host, 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def silence(self) -> None:
        self.silent = True

    def mute(self) -> None:
        """Requests of the present connections still arrive; their replies are lost. New connections work."""
        self.mute_below = self.connections

    async def _serve(self, reader, writer) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # close() ends it so
            await self._forward(reader, writer)

    async def _forward(self, reader, writer) -> None:
        number = self.connections
        self.connections += 1
        await asyncio.sleep(2 * self.one_way_s)  # the handshake's round trip
        if self.silent:
            await asyncio.sleep(3600)
        far_reader, far_writer = await asyncio.open_connection(self.host, self.target)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer, number))

    async def _pump(self, reader, writer, number: int | None = None) -> None:
        flying: asyncio.Queue = asyncio.Queue()

        async def land() -> None:
            while (item := await flying.get()) is not None:
                due, data = item
                await asyncio.sleep(max(0.0, due - self.loop.time()))
                if not (self.silent or (number is not None and number < self.mute_below)):
                    writer.write(data)
            if not self.silent:
                writer.close()

        landing = asyncio.create_task(land())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                flying.put_nowait((self.loop.time() + self.one_way_s, data))
        flying.put_nowait(None)
        with contextlib.suppress(ConnectionError):
            await landing

    def close(self) -> None:
        async def stop() -> None:
            self.server.close()
            tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._call(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()
