"""What an operator sees at one look."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

from farshore.core.authority import Authority, Phase
from farshore.core.errors import UnknownOutcomeError
from farshore.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Status:
    """`record_age_ms` compares this computer's wall clock with the controller's: a hint, never a decision."""

    record: Authority | None
    renewed_ms_ago: int | None
    next_step: str

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def status(workshop: Workshop) -> Status:
    try:
        record = workshop.journal.read().record
    except UnknownOutcomeError as error:
        raise UnknownOutcomeError(
            f"{error}. State: unknown from here. Next: repeat from a place that reaches a surviving region "
            "(set AWS_REGION to it)."
        ) from error
    if record is None:
        return Status(
            None, None, "no authority yet: see that the controllers run and `farshore guard install` was done"
        )
    age_ms = time.time_ns() // 1_000_000 - record.renewed_at_ms
    return Status(record, age_ms, _next_step(record, age_ms))


def _next_step(record: Authority, age_ms: int) -> str:
    if record.phase is not Phase.HELD:
        return f"a move is under way ({record.last_event.reason}): watch `farshore history --follow`"
    if record.degraded:
        return "run with one region: `farshore orphans` lists what the lost region had acknowledged"
    if age_ms > 60_000:  # noqa: PLR2004 - a minute without a renewal is wrong in every profile
        return "the lease is not being renewed: see the controllers' logs"
    return "nothing to do"
