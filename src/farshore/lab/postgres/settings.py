"""The configuration of the lab's servers: what all share, and what changes while they run."""

from dataclasses import dataclass
from pathlib import Path

from farshore.lab.ports import Address
from farshore.lab.postgres.binaries import Binaries
from farshore.lab.postgres.tls import ServerFiles
from farshore.lab.postgres.volume import SUPERUSER

REPLICATION_USER = "rdsrepladmin"
APPLICATION_NAME_MAX = 63  # longer names are cut by PostgreSQL, and a cut name matches no synchronous standby
WAL_KEPT_MB = 256
RESERVED_CONNECTIONS_MAJOR = 16

SHARED: dict[str, str | int | bool] = {
    "max_connections": 150,
    "superuser_reserved_connections": 5,
    "shared_buffers": "48MB",
    "dynamic_shared_memory_type": "mmap",  # files in the volume: a killed server leaves nothing in /dev/shm
    "max_wal_senders": 12,
    "max_worker_processes": 8,  # a standby may not have fewer than initdb wrote down
    "max_parallel_workers": 0,
    "max_logical_replication_workers": 0,
    "max_prepared_transactions": 0,
    "wal_level": "replica",
    "wal_log_hints": True,
    "wal_keep_size": f"{WAL_KEPT_MB}MB",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
    "track_commit_timestamp": True,
    "restart_after_crash": False,  # what follows a crash is the cluster's to decide, as in Aurora: it fails over
    "synchronous_commit": True,
    "hot_standby": True,
    "hot_standby_feedback": True,
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "wal_retrieve_retry_interval": "200ms",
    "recovery_target_timeline": "latest",
    "max_standby_streaming_delay": "5s",
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": "15s",
    "idle_in_transaction_session_timeout": "5s",  # as the stack's parameter group has it
    "ssl": True,
    "ssl_min_protocol_version": "TLSv1.2",
    "password_encryption": "scram-sha-256",
    "jit": False,
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": False,
    "timezone": "UTC",
    "log_timezone": "UTC",
}

ACCESS = f"""\
# The lab's own user comes by the socket only, in a directory that nobody else may enter.
local   all          {SUPERUSER}                      trust
hostssl replication  {REPLICATION_USER}   all     scram-sha-256
hostssl all          {SUPERUSER}       all     reject
hostssl all          {REPLICATION_USER}   all     reject
hostssl all          all            all     scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a standby streams from: dialled at `address`, proved by the certificate for `name`."""

    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Live:
    """What a running server takes up on a reload."""

    upstream: Upstream | None = None
    sync_standby: str | None = None
    writer_region: str = ""
    fsync: bool = True


@dataclass(frozen=True, slots=True)
class Fixed:
    """What stays as long as the server lives."""

    region: str
    application_name: str
    address: Address
    socket_dir: Path
    tls: ServerFiles
    replication_password: str


def main_file(fixed: Fixed, binaries: Binaries) -> str:
    own: dict[str, str | int | bool] = {
        "listen_addresses": fixed.address.host,
        "port": fixed.address.port,
        "unix_socket_directories": str(fixed.socket_dir),
        "unix_socket_permissions": "0700",
        "cluster_name": fixed.application_name[:APPLICATION_NAME_MAX],
        "ssl_cert_file": str(fixed.tls.certificate),
        "ssl_key_file": str(fixed.tls.key),
        "farshore_lab.region": fixed.region,
    }
    if binaries.major >= RESERVED_CONNECTIONS_MAJOR:
        own["reserved_connections"] = 5
    return _lines(SHARED | own) + "include 'live.conf'\n"


def live_file(live: Live, fixed: Fixed) -> str:
    sync = f'"{live.sync_standby}"' if live.sync_standby else ""
    return _lines(
        {
            "primary_conninfo": conninfo(live.upstream, fixed) if live.upstream else "",
            "synchronous_standby_names": sync,
            "farshore_lab.writer_region": live.writer_region,
            "fsync": live.fsync,
        }
    )


def conninfo(upstream: Upstream, fixed: Fixed) -> str:
    """A connection string for replication; short timeouts, so that a healed link is used at once."""
    words = {
        "host": upstream.name,
        "hostaddr": upstream.address.host,
        "port": upstream.address.port,
        "user": REPLICATION_USER,
        "password": fixed.replication_password,
        "application_name": fixed.application_name,
        "sslmode": "verify-full",
        "sslrootcert": fixed.tls.ca,
        "gssencmode": "disable",
        "connect_timeout": 3,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": 5000,
    }
    return " ".join(f"{key}='{value}'" for key, value in words.items())


def _lines(values: dict[str, str | int | bool]) -> str:
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
