"""What applications import: transactions on the writer, wherever it is, that end ok, failed or unknown.

    from farshore.client import Client, Key, Settings, Target

    client = Client(Settings(writer_name="db.example.internal", targets=(...), dbname=..., ...))
    outcome = client.transact(
        lambda session: session.execute("INSERT INTO ledger.payment ...", ...),
        key=Key("ledger.payment", {"id": payment_id}),
        deadline_s=3,
    )

`AsyncClient` is the same for asyncio. Both regional endpoints are known to the client, which is safe because
the guard refuses a writer whose lease has ended. `ok` means confirmed; `unknown` means: ask again with the
same idempotency key. docs/clients.md has the rest, and the recipes for pools and ORMs.
"""

from farshore.client.aio import AsyncClient
from farshore.client.blocking import Client
from farshore.client.decide import CommitReply
from farshore.client.names import NameLookupError
from farshore.client.session import Session
from farshore.client.session_async import AsyncSession
from farshore.client.types import AlreadyAppliedError, Key, Outcome, Settings, Status, Target, WorkError
from farshore.client.wire import DeadlineError
from farshore.client.writers import AsyncWriterConnection, UnknownOutcomeError, WriterConnection

__all__ = [
    "AlreadyAppliedError",
    "AsyncClient",
    "AsyncSession",
    "AsyncWriterConnection",
    "Client",
    "CommitReply",
    "DeadlineError",
    "Key",
    "NameLookupError",
    "Outcome",
    "Session",
    "Settings",
    "Status",
    "Target",
    "UnknownOutcomeError",
    "WorkError",
    "WriterConnection",
]
