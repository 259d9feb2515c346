"""Units of the core: whole milliseconds, so that no two clocks are compared as floats."""

from typing import NewType

Millis = NewType("Millis", int)


def drifted_up(interval_ms: int, drift_ppm: int) -> int:
    """The longest an interval of another clock may last on ours; rounded up."""
    return interval_ms + -(-interval_ms * drift_ppm // 1_000_000)
