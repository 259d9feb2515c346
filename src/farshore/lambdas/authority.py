"""Lambda handler behind a public URL: says whether authority is at home, and nothing else, to Route 53's checkers.

`/home` answers 200 while authority is at home, `/away` while it is in the standby region; otherwise 503, and 503 to
both when the table cannot be read with strong consistency. The answer has no body. Nothing is remembered between two
questions: a frozen environment would answer with old news.
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

import functools
import os
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
YES, NO, UNHEARD_OF = 200, 503, 404


def answer(path: str, *, is_home: bool | None) -> int:
    """The status for a path; `is_home` None: nobody knows."""
    if path not in ("/home", "/away"):
        return UNHEARD_OF
    return YES if is_home is (path == "/home") else NO


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
    journal, names = _journal()
    return {"statusCode": answer(str(event.get("rawPath")), is_home=is_home(journal, names.home_region))}
