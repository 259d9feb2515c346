"""Lambda handler behind a public URL: says whether authority is at home, and nothing else, to Route 53's checkers.

`/home` answers 200 while authority is at home, `/away` while it is in the standby region; otherwise 503, and 503 to
both when the table cannot be read with strong consistency. Whatever else is asked is not found, and not looked up. The
answer has no body. Nothing is remembered between two questions: a frozen environment would answer with old news.
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html (the event and the answer)
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

import functools
import os
from collections.abc import Mapping
from typing import Any

from farshore.aws.clients import client
from farshore.aws.documents import JournalDamagedError
from farshore.aws.journal import DynamoJournal
from farshore.core.errors import UnknownOutcomeError
from farshore.log import log
from farshore.names import Names
from farshore.ports import Journal

READ_MS = 1200
"""Route 53 waits two seconds for an answer once it is connected."""
PATHS = ("/home", "/away")
YES, NO, UNHEARD_OF = 200, 503, 404


def answer(path: str, *, is_home: bool | None) -> int:
    """The status for one of PATHS; `is_home` None: nobody knows."""
    return YES if is_home is (path == "/home") else NO


def asked(event: object) -> str | None:
    """The path of a checker's question; None: no checker asks that."""
    method, path = _part(event, "requestContext", "http", "method"), _part(event, "rawPath")
    return path if method == "GET" and path in PATHS else None


def _part(event: Any, *names: str) -> Any:
    for name in names:
        event = event.get(name) if isinstance(event, Mapping) else None
    return event


def is_home(journal: Journal, home_region: str) -> bool | None:
    """Where authority is, after a strongly consistent read; None when that failed or nobody ever held it."""
    try:
        record = journal.read().record
    except (UnknownOutcomeError, JournalDamagedError) as error:
        log("authority-not-read", error=str(error))
        return None
    return None if record is None else record.region_of_record == home_region


@functools.cache
def _journal() -> tuple[DynamoJournal, Names]:
    names = Names(
        suffix=os.environ["FARSHORE_SUFFIX"],
        home_region=os.environ["FARSHORE_HOME_REGION"],
        standby_region=os.environ["FARSHORE_STANDBY_REGION"],
    )
    dynamodb = client("dynamodb", os.environ["AWS_REGION"], timeout_ms=READ_MS)
    return DynamoJournal(dynamodb, names.authority_table, names.global_cluster), names


def handler(event: dict[str, Any], _context: object) -> dict[str, int]:
    path = asked(event)
    if path is None:
        return {"statusCode": UNHEARD_OF}
    journal, names = _journal()
    return {"statusCode": answer(path, is_home=is_home(journal, names.home_region))}
