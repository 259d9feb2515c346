"""When a transition is told, and by whom: its writer, or whoever sees it if the writer has died.

Told rather twice than never. A teller waits before it looks whether another one was faster, so that usually one tells.
"""

from typing import Any

from farshore.core.authority import Authority, Event

SCHEMA = "farshore.transition/1"
WRITER_WAIT_MS = 1000
"""Also the writer waits: what follows a transition within a second is more urgent than telling of it."""
LEADER_WAIT_MS = 3000
NEIGHBOUR_WAIT_MS = 8000


def wait_ms(record: Authority, region: str, process: str) -> int:
    """How long `process` of a region's controller waits before it tells of the record's last event.

    What a person has written has no controller for its writer: that of the region of record tells it.
    """
    if record.last_event.by == process:
        return WRITER_WAIT_MS
    return LEADER_WAIT_MS if record.region_of_record == region else NEIGHBOUR_WAIT_MS


def document(event: Event, cluster: str, at: str) -> dict[str, Any]:
    """docs/events.md; `at` is the event's time in ISO 8601. The same whoever tells it."""
    return {
        "schema": SCHEMA,
        "version": event.version,
        "at": at,
        "epoch": event.epoch,
        "phase": event.phase.value,
        "holder": event.holder,
        "action": event.action,
        "reason": event.reason,
        "by": event.by,
        "ticket": event.ticket,
        "cluster": cluster,
    }


def headline(event: Event, deployment: str, length_max: int) -> str:
    """One line of printable ASCII, as a mail's subject must be."""
    text = f"farshore {deployment}: {event.action}, epoch {event.epoch}, {event.holder or 'nobody'} may write"
    return text.encode("ascii", "replace").decode()[:length_max]
