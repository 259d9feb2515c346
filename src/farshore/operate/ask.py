"""Asking several places at once and waiting for none beyond a deadline: a dark region hangs, it does not refuse."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import FarshoreError

T = TypeVar("T")
FAILURES = (BotoCoreError, ClientError, FarshoreError, OSError)


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """`silent`: why nothing came, by the name of who was asked."""

    heard: Mapping[str, T] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)


def ask(questions: Mapping[str, Callable[[], T]], within_s: float) -> Answers[T]:
    """All answers that came within the deadline. Who is silent then is left alone: its thread ends with the process."""
    came: queue.SimpleQueue[tuple[str, list[T], str]] = queue.SimpleQueue()

    def run(name: str, question: Callable[[], T]) -> None:
        try:
            came.put((name, [question()], ""))
        except FAILURES as error:
            came.put((name, [], reason(error)))

    for name, question in questions.items():
        threading.Thread(target=run, args=(name, question), name=f"ask {name}", daemon=True).start()
    give_up = time.monotonic() + within_s
    heard: dict[str, T] = {}
    failed: dict[str, str] = {}
    while len(heard) + len(failed) < len(questions):
        try:
            name, answer, why = came.get(timeout=max(0.0, give_up - time.monotonic()))
        except queue.Empty:
            break
        if answer:
            heard[name] = answer[0]
        else:
            failed[name] = why
    silent = {name: failed.get(name, f"no answer within {within_s:g} s") for name in questions}
    return Answers(heard, {name: why for name, why in silent.items() if name not in heard})


def reason(error: BaseException) -> str:
    """The cause in one short line: botocore's own words name URLs that help nobody at night."""
    cause = error.__cause__ or error
    if isinstance(cause, ClientError):
        told = cause.response.get("Error", {})
        return f"{told.get('Code', 'refused')}: {told.get('Message', '')}".strip(": ")
    if "Timeout" in type(cause).__name__:
        return "no answer"
    return " ".join(str(cause).split())[:160]
