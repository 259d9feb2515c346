"""A changed record gets its version; a change that people want to read about gets a line of history too."""

from dataclasses import fields, replace

from farshore.core.authority import Authority, Event
from farshore.core.facts import Now
from farshore.core.invariants import check

_UNTOLD = ("version", "renewal_seq", "renewed_at_ms", "lag_ms", "writes_per_s", "quiet")
"""What changes at every renewal, and bookkeeping."""
_TOLD = tuple(f.name for f in fields(Authority) if f.name not in _UNTOLD)


def stamped(
    before: Authority,
    after: Authority,
    now: Now,
    *,
    action: str,
    reason: str,
    by: str,
    detected_at_ms: int | None = None,
    ticket: str | None = None,
) -> Authority:
    """Raises InvariantError when the change would break a promise."""
    version = before.version + 1
    if all(getattr(before, name) == getattr(after, name) for name in _TOLD):
        stamped_after = replace(after, version=version)
    else:
        event = Event(
            version=version,
            at_ms=now.wall_ms,
            epoch=after.epoch,
            phase=after.phase,
            holder=after.holder,
            action=action,
            reason=reason,
            by=by,
            detected_at_ms=detected_at_ms,
            ticket=ticket,
        )
        stamped_after = replace(after, version=version, last_event=event)
    check(before, stamped_after)
    return stamped_after
