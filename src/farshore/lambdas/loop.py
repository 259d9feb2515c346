"""A loop inside a Lambda invocation, overlapping with the next one on its one-minute schedule (H9).

EventBridge starts a schedule late at times, so an invocation goes on past the minute; it steps aside as soon as a
newer one of its kind is seen to be running, so that usually one loop per function is paid for. Running is what has
gone on beating while we watched: the last word of a loop that died stays in the table.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import Now
from farshore.log import log
from farshore.ports import Clock, Journal, Presence
from farshore.survive import log_unexpected

LOOP_MS = 150_000
LAST_MS = 5000
BEAT_MS = 2000
RETRY_MS = 50
UNEXPECTED_MS = 500


class LambdaContext(Protocol):
    aws_request_id: str
    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int: ...


STARTERS = ("aws.events", "aws.scheduler", "farshore")


def starts(event: object) -> bool:
    """Whether an event comes from a schedule, or from whoever stands in for its first minute."""
    return isinstance(event, dict) and event.get("source") in STARTERS


def run(
    *,
    kind: str,
    region: str,
    process: str,
    context: LambdaContext,
    journal: Journal,
    clock: Clock,
    tick: Callable[[], int],
) -> dict[str, object]:
    """Tick until the time is over or a newer loop has taken over; returns how it ended, for the log.

    The beat comes out of a tick's rest. One that takes longer delays the next tick, and no tick is made up for.

    An error that nobody expected ends no loop, which would silence the region until the next schedule; it is raised
    when the loop is over, so that the invocation counts as failed and the alarm on failures rings.
    """
    started, unexpected = clock.now(), None
    ticks, failures, beat = 0, 0, 0
    beaten_ms: int | None = None
    heard: dict[str, int] = {}
    why = "time"
    while _time_is_left(started, clock.now(), context):
        now = clock.now()
        try:
            rest_ms = tick()
            due_ms = clock.now().mono_ms + rest_ms
            ticks += 1
            if beaten_ms is None or now.mono_ms - beaten_ms >= BEAT_MS:
                beat, beaten_ms = beat + 1, now.mono_ms
                mine = Presence(kind, region, process, started.wall_ms, beat)
                if _newer_is_running(journal.read().presences, mine, heard):
                    why = "a newer loop runs"
                    break
                journal.put_presence(mine)
        except UnknownOutcomeError as error:
            failures, due_ms = failures + 1, clock.now().mono_ms + RETRY_MS
            log("tick-failed", kind=kind, region=region, process=process, error=str(error))
        except Exception as error:  # noqa: BLE001 - raised at the end
            failures, unexpected, due_ms = failures + 1, error, clock.now().mono_ms + UNEXPECTED_MS
            log_unexpected(f"{kind} {region} {process}", error)
        clock.sleep(max(0, due_ms - clock.now().mono_ms))
    if unexpected is not None:
        raise unexpected
    return {"ended": why, "ticks": ticks, "failures": failures}


def _time_is_left(started: Now, now: Now, context: LambdaContext) -> bool:
    return now.mono_ms - started.mono_ms < LOOP_MS and context.get_remaining_time_in_millis() >= LAST_MS


def _newer_is_running(presences: Iterable[Presence], mine: Presence, heard: dict[str, int]) -> bool:
    """Whether a newer loop has beaten since we last looked; `heard` keeps each one's last beat."""
    running = False
    for other in presences:
        same_kind = (other.kind, other.region) == (mine.kind, mine.region)
        if same_kind and (other.started_ms, other.process) > (mine.started_ms, mine.process):
            running = running or other.beat > heard.get(other.process, other.beat)
            heard[other.process] = other.beat
    return running
