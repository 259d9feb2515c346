"""Lambda handler: rotates the database's logins at the writer that authority names, in whichever region it is."""

import functools
from collections.abc import Mapping
from typing import Any

from farshore.aws.clients import client
from farshore.aws.rotation import Rotation
from farshore.core.authority import Phase
from farshore.core.errors import UsageError
from farshore.postgres import admin
from farshore.postgres.logins import WritersLogins
from farshore.settings import from_environment
from farshore.workshop import SECRETS_TIMEOUT_MS, Workshop

ASKED = ("Step", "SecretId", "ClientRequestToken")


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


def parse(event: object) -> tuple[str, str, str]:
    """Step, secret and version of Secrets Manager's event; UsageError naming what is wrong with another one.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
    """
    parts = [event.get(name) for name in ASKED] if isinstance(event, Mapping) else []
    said = [part for part in parts if isinstance(part, str) and part]
    if len(said) != len(ASKED):
        raise UsageError(
            f"an event of a rotation has {', '.join(ASKED)}, each a text; this one is {event!r}."
        )
    step, secret, version = said
    return step, secret, version


def handler(event: Any, _context: Any) -> None:
    """Secrets Manager calls again after any error."""
    step, secret, version = parse(event)
    workshop = _workshop()
    settings = workshop.settings

    def writer() -> str | None:
        record = workshop.journal.read().record
        if record is None or record.phase is not Phase.HELD or record.holder is None:
            return None
        return settings.endpoints[record.holder].writer

    logins = WritersLogins(writer, lambda host, login: admin.connect(settings, host, login))
    manager = client("secretsmanager", settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
    Rotation(manager, logins).run(step, secret, version)
