"""Lambda handler: rotates the database's logins at the writer that authority names, in whichever region it is."""

import functools
from typing import Any

from farshore.aws.clients import client
from farshore.aws.rotation import Rotation
from farshore.core.authority import Phase
from farshore.postgres import admin
from farshore.postgres.logins import WritersLogins
from farshore.settings import from_environment
from farshore.workshop import SECRETS_TIMEOUT_MS, Workshop


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


def handler(event: dict[str, Any], _context: Any) -> None:
    """Secrets Manager's event: Step, SecretId, ClientRequestToken. It calls again after any error."""
    workshop = _workshop()
    settings = workshop.settings

    def writer() -> str | None:
        record = workshop.journal.read().record
        if record is None or record.phase is not Phase.HELD or record.holder is None:
            return None
        return settings.endpoints[record.holder].writer

    logins = WritersLogins(writer, lambda host, login: admin.connect(settings, host, login))
    manager = client("secretsmanager", settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
    Rotation(manager, logins).run(event["Step"], event["SecretId"], event["ClientRequestToken"])
