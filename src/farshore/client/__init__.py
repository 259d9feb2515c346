"""What applications import: transactions on the writer, wherever it is, that end ok, failed or unknown.

    from farshore.client import Client, Settings, Target

    client = Client(Settings(writer_name="db.example.internal", targets=(...), dbname=..., ...))
    outcome = client.transact(lambda connection: connection.execute(...), key=payment_id, deadline_s=3)

Both regional endpoints are known to the client, which is safe because the guard refuses a writer whose
lease has ended. `ok` means confirmed; `unknown` means: ask again with the same idempotency key.
"""

from farshore.client.names import NameLookupError
from farshore.client.session import DeadlineError, Session
from farshore.client.transact import Client
from farshore.client.types import AlreadyAppliedError, Outcome, Settings, Status, Target, WorkError

__all__ = [
    "AlreadyAppliedError",
    "Client",
    "DeadlineError",
    "NameLookupError",
    "Outcome",
    "Session",
    "Settings",
    "Status",
    "Target",
    "WorkError",
]
