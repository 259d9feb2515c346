"""Asking the product for a move as an operator does: again while it refuses for now, and following it to its end."""

import time
from collections.abc import Callable
from typing import Literal

from farshore.drill.product import Answer, LabInfo
from farshore.drill.requests import REFUSED, Request
from farshore.drill.terms import Fault

_AGAIN_S = 0.5
Say = Callable[[str], None]
Verb = Literal["switchover", "failback"]


def move(
    lab: LabInfo, verb: Verb, source: str, target: str, *, accept_s: float, end_s: float, say: Say
) -> Fault:
    """Move the writer from `source` to `target` by `switchover` or `failback`; CommandError when it does not end well.

    A refusal changes nothing, and the product says what would help: so it is asked again, for `accept_s`.
    """
    to = ("--to", target) if verb == "switchover" else ()
    deadline = time.monotonic() + accept_s
    while True:
        answer = lab.ask(verb, *to, "--json", timeout_s=end_s)
        if answer.exit_code == 0:
            ended_at = time.monotonic_ns()
            return Fault(verb, source, at=answer.asked_at, healed_at=ended_at, bit={"writers": 1})
        if not _refused(answer) or time.monotonic() > deadline:
            raise answer.error()
        say(f"{verb} is refused for now: {answer.reason}")
        time.sleep(_AGAIN_S)


def refused(lab: LabInfo, verb: str, *, naming: str, within_s: float, end_s: float, say: Say) -> Request:
    """Ask for what must be refused, until the refusal names `naming` or it is carried out or the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        answer = lab.ask(verb, "--json", timeout_s=end_s)
        as_wanted = _refused(answer) and naming in answer.reason
        if as_wanted or not _refused(answer) or time.monotonic() > deadline:
            exit_code = -1 if answer.exit_code is None else answer.exit_code
            return Request(f"farshore {verb}", answer.asked_at, exit_code, answer.reason, naming)
        say(f"{verb} is refused, for another reason: {answer.reason}")
        time.sleep(_AGAIN_S)


def _refused(answer: Answer) -> bool:
    """It ended badly before it had begun: a move that has begun prints its first line."""
    return answer.exit_code == REFUSED and not answer.output.strip()
