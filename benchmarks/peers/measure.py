"""What one measurement says, from the clients' history and the rows on the surviving writer alone. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

BEFORE_NS = 2_000_000_000
"""The rate is that of the two seconds before the fault."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row's one attempt; `outcome` is ack, no or unknown, times are CLOCK_MONOTONIC nanoseconds."""

    begun: int
    ended: int
    outcome: str
    row: int
    server: str


@dataclass(frozen=True, slots=True)
class Course:
    """What happened: `fault` began, `promoted` was first seen (None: never), `over` is when clients stopped.

    `old` is the server that had been the writer.
    """

    fault: int
    promoted: int | None
    over: int
    old: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, in seconds; `outage_s` is the longest stretch without an acknowledgement that ends after the fault.

    recovered     a write that was begun after the fault was acknowledged, and the last stretch was not the longest
    lost          acknowledged rows that the surviving writer does not have
    landed        of `unknown` attempts, those whose row is there
    zombie        rows that the old writer acknowledged although they were begun after the promotion was seen
    promoted_s    from the fault to the promotion
    """

    outage_s: float
    recovered: bool
    acked: int
    lost: int
    unknown: int
    landed: int
    zombie: int
    rate: float
    promoted_s: float | None


def read(lines: Iterable[str]) -> list[Attempt]:
    """The history, in the order of its ends; a last line cut short by a kill is left out."""
    found = []
    for line in lines:
        words = line.split()
        if not line.endswith("\n") or len(words) != 5:  # noqa: PLR2004 - the five fields of a line
            continue
        begun, ended, outcome, row, server = words
        found.append(Attempt(int(begun), int(ended), outcome, int(row), server))
    return sorted(found, key=lambda each: each.ended)


def judge(history: Sequence[Attempt], course: Course, survived: Collection[int]) -> Measured:
    """`survived` are the rows on the surviving writer once the old one has rejoined."""
    acks = [each for each in history if each.outcome == "ack"]
    unknown = [each for each in history if each.outcome == "unknown"]
    rows = survived if isinstance(survived, (set, frozenset)) else set(survived)
    longest, at_the_end = _outage([each.ended for each in acks], course)
    before = [each for each in acks if course.fault - BEFORE_NS <= each.ended < course.fault]
    return Measured(
        outage_s=longest / 1e9,
        recovered=not at_the_end and any(each.begun > course.fault for each in acks),
        acked=len(acks),
        lost=sum(each.row not in rows for each in acks),
        unknown=len(unknown),
        landed=sum(each.row in rows for each in unknown),
        zombie=_zombie(acks, course),
        rate=len(before) / (BEFORE_NS / 1e9),
        promoted_s=None if course.promoted is None else (course.promoted - course.fault) / 1e9,
    )


def _outage(ends: Sequence[int], course: Course) -> tuple[int, bool]:
    """The longest gap that reaches beyond the fault, and whether it was still open at the end."""
    last_before = max((end for end in ends if end <= course.fault), default=course.fault)
    since = [last_before, *(end for end in ends if course.fault < end <= course.over)]
    open_ns = max(0, course.over - since[-1])
    longest = max((b - a for a, b in pairwise(since)), default=0)
    return max(longest, open_ns), open_ns >= longest


def _zombie(acks: Sequence[Attempt], course: Course) -> int:
    """Begun after the promotion was *seen*, so that what was under way is not counted."""
    if course.promoted is None:
        return 0
    return sum(each.server == course.old and each.begun > course.promoted for each in acks)
