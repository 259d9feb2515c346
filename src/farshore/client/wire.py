"""What both kinds of session send and how they read the answers: connecting, committing, giving up."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGcancelConn, PGconn, PGresult

from farshore.client.decide import CommitReply
from farshore.client.types import Key, Settings, Target

COMMIT = b"COMMIT; SELECT farshore.confirm()"
CONFIRM = "SELECT farshore.confirm()"
_LANDED = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {}), farshore.confirm()")
# After these the server may have committed before it told us otherwise.
_DOUBTFUL_CLASSES = ("08", "57", "58", "XX")
_STATEMENT_COMPLETION_UNKNOWN = "40003"


def leave_by_sync(pipeline: Any) -> None:
    """Call at the end of a psycopg pipeline's block: it must send nothing behind the Sync that ends it.

    psycopg sends a Flush there. PostgreSQL stops its idle-in-transaction timer at any message and starts it at a Sync
    alone (tcop/postgres.c, PostgresMain), so a client that freezes then keeps its row locks for ever, and one that is
    cut off until keepalives give it up. A psycopg without this method keeps its own way.
    """
    fetch = getattr(pipeline, "_fetch_gen", None)
    if fetch is not None and pipeline.level == 1:
        pipeline._fetch_gen = lambda **given: fetch(**given | {"flush": False})  # noqa: SLF001 - psycopg has no option


class DeadlineError(psycopg.OperationalError):
    """The deadline passed while waiting for the server; the connection is closed."""


class Line(psycopg.BaseConnection[tuple[Any, ...]]):
    """What a session knows of itself, whichever way it waits.

    `deadline` is a time.monotonic() second at which every wait ends, `address` where it was connected to, `used`
    when it was last given back; `abandon` is handed the cancel request of a statement nobody waits for now.
    """

    deadline: float = float("inf")
    address: str = ""
    used: float = 0.0
    abandon: Callable[[PGcancelConn], None] | None = None
    _committing: bool = False

    @property
    def resting(self) -> bool:
        """Whether it is open and in no transaction."""
        return not self.closed and self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def hang_up(self) -> None:
        """Close at once, without a word; a statement still running there is cancelled, best effort.

        A COMMIT is never cancelled: one that waits for its synchronous standby would end the wait, be visible,
        and be lost with the writer, after others had read it.
        https://www.postgresql.org/docs/15/warm-standby.html#SYNCHRONOUS-REPLICATION-HA
        """
        cancel = None if self._committing or self.abandon is None else _cancel_request(self.pgconn)
        self.pgconn.finish()
        if cancel is not None and self.abandon is not None:
            self.abandon(cancel)


def conninfo(
    settings: Settings, target: Target, address: str, *, user: str | None = None, password: str | None = None
) -> str:
    """The connection string for `target` at `address`; the server must prove that it is `target.host`."""
    return make_conninfo(
        "",
        host=target.host,
        hostaddr=address,
        port=target.port,
        dbname=settings.dbname,
        user=user or settings.user,
        password=password or _password(settings, target),
        sslmode="verify-full",
        sslrootcert=settings.sslrootcert,
        gssencmode="disable",
        application_name=settings.application_name,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )


def key_question(key: Key) -> tuple[sql.Composed, tuple[object, ...]]:
    """Whether the key's row is there, and in which epoch this server may say so.

    The snapshot is taken before confirm() runs, so a row that was seen is a row of the confirmed writer.
    """
    match = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key.columns)
    table = sql.Identifier(*key.table.split("."))
    return _LANDED.format(table, match), tuple(key.columns.values())


def no_reply(error: psycopg.Error) -> CommitReply:
    """COMMIT was sent, and the connection failed before its reply came."""
    return CommitReply("unknown", sqlstate=error.sqlstate, text=str(error).partition("\n")[0])


def judge(results: list[PGresult]) -> CommitReply:
    """What the replies to `COMMIT` say."""
    commit = results[0]
    if commit.status == pq.ExecStatus.FATAL_ERROR:
        sqlstate, text = _field(commit, pq.DiagnosticField.SQLSTATE), commit.get_error_message()
        return CommitReply("refused" if _certain(commit) else "unknown", None, sqlstate, text)
    if commit.command_status == b"ROLLBACK":
        return CommitReply("refused", None, "25P02", "the transaction had failed; COMMIT rolled it back")
    confirmation = results[1] if len(results) > 1 else None
    if confirmation is None or confirmation.status != pq.ExecStatus.TUPLES_OK:
        text = "no reply to confirm()" if confirmation is None else confirmation.get_error_message()
        return CommitReply("committed", None, None, text)
    value = confirmation.get_value(0, 0)
    return CommitReply("committed", None if value is None else int(value))


def _password(settings: Settings, target: Target) -> str:
    if isinstance(settings.password, str):
        return settings.password
    try:
        return settings.password(target)
    except Exception as error:  # whoever keeps secrets may fail in any way; it is a failure to connect
        raise psycopg.OperationalError(f"no password for {target.host}: {error}") from error


def _cancel_request(pgconn: PGconn) -> PGcancelConn | None:
    """A request to cancel what runs on a connection, encrypted like it; None when nothing runs, or before libpq 17.

    https://www.postgresql.org/docs/17/libpq-cancel.html
    """
    if pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
        return None
    try:
        return pgconn.cancel_conn()
    except psycopg.Error:
        return None


def _certain(failure: PGresult) -> bool:
    """Whether a failed COMMIT certainly left nothing behind: an ordinary error, not the end of the session."""
    sqlstate = _field(failure, pq.DiagnosticField.SQLSTATE)
    severity = _field(failure, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    if sqlstate is None or severity != "ERROR":
        return False
    return not sqlstate.startswith(_DOUBTFUL_CLASSES) and sqlstate != _STATEMENT_COMPLETION_UNKNOWN


def _field(result: PGresult, field: pq.DiagnosticField) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode(errors="replace")
