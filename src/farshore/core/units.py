"""Units of the core: whole milliseconds, so that no two clocks are compared as floats."""

from typing import NewType

Millis = NewType("Millis", int)


_DIGITS_MAX = 15


def whole_number(text: str) -> int | None:
    """The number that is written in ASCII digits and nothing else, or None.

    str.isdigit() says yes to \N{SUPERSCRIPT TWO}, of which int() makes no number.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_number else None


def drifted_up(interval_ms: int, drift_ppm: int) -> int:
    """The longest an interval of another clock may last on ours; rounded up."""
    return interval_ms + -(-interval_ms * drift_ppm // 1_000_000)
