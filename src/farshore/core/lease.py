"""Watching a lease from another region, without trusting anybody's clock.

A renewal is seen as a changed renewal_seq, which never repeats. The watcher times how long it has not changed on
its own monotonic clock; a new process starts the wait again, because it cannot know when the last change was (H8).
A claim leaves renewal_seq as it is, so the wait that began with the last renewal goes on through the claim.
"""

from dataclasses import dataclass

from farshore.core.authority import Authority
from farshore.core.facts import Now


@dataclass(frozen=True, slots=True)
class Watch:
    """The last renewal seen and the monotonic instant, in ms, at which it was first seen."""

    renewal_seq: int
    since_mono_ms: int

    def unchanged_ms(self, now: Now) -> int:
        return now.mono_ms - self.since_mono_ms


def watch(before: Watch | None, record: Authority, read_finished: Now) -> Watch:
    """`read_finished` is taken after the read's reply: later than the truth, which only lengthens the wait."""
    if before is not None and before.renewal_seq == record.renewal_seq:
        return before
    return Watch(renewal_seq=record.renewal_seq, since_mono_ms=read_finished.mono_ms)
