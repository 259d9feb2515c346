"""The lines that preflight and verify print: what was asked, how it stands, what was seen."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import FarshoreError

NOT_HERE = frozenset({"NotInTheLab"})
UNSEEN = (BotoCoreError, ClientError, psycopg.Error, FarshoreError, OSError)


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """`seen` says what stood there, also when it is well; a skipped check says why nobody looked."""

    name: str
    state: State
    seen: str


@dataclass(frozen=True, slots=True)
class Report:
    checks: Sequence[Check]

    @property
    def exit_code(self) -> int:
        """1: something is wrong; 3: something could not be seen; 0: all that was looked at is well."""
        states = {check.state for check in self.checks}
        return 1 if State.FAILED in states else 3 if State.UNKNOWN in states else 0


Look = Callable[[], tuple[bool, str]]
"""Looks at one thing; raises one of UNSEEN when it cannot."""


def looked(name: str, look: Look) -> Check:
    """An answer that did not come is unknown; an API that this place does not have is skipped."""
    try:
        well, seen = look()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        words = error.response["Error"].get("Message") or code
        if code in NOT_HERE:
            return Check(name, State.SKIPPED, words.partition(": ")[0])
        return Check(name, State.UNKNOWN, words)
    except UNSEEN as error:
        return Check(name, State.UNKNOWN, " ".join(str(error).split()))
    return Check(name, State.OK if well else State.FAILED, seen)


def run(looks: Iterable[tuple[str, Look]]) -> Report:
    return Report([looked(name, look) for name, look in looks])


def pages(client: Any, operation: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page[key]
