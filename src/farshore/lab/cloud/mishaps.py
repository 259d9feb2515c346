"""What can happen to an API call, done on purpose; and the list of calls that were made.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from farshore.lab.cloud.dispatch import Call
from farshore.lab.cloud.refusals import refusal
from farshore.lab.cloud.wire import Answer, Silence

CALLS_MAX = 200_000


class Kind(StrEnum):
    THROTTLE = "throttle"  # refused before anything was done
    ERROR = "error"  # 5xx; nothing was done, which nobody can know
    REQUEST_LOST = "request-lost"  # no answer, nothing was done
    REPLY_LOST = "reply-lost"  # done, and no answer
    SLOW = "slow"  # done, `delay_ms` late


@dataclass
class Mishap:
    """What befalls the next `times` calls of `operation`, made from `view` (None: from anywhere).

    `*` is any service or operation; `times` None: until it is ended; `every` n: the first call that a view makes of
    an operation, and each n-th after it. Several kinds befall an operation in turn. `befallen` counts by
    `service:operation`.
    """

    service: str
    operation: str
    kind: Kind | tuple[Kind, ...]
    times: int | None
    view: str | None = None
    every: int = 1
    delay_ms: int = 0
    befallen: Counter[str] = field(default_factory=Counter)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def befalls(self, view: str, call: Call) -> Kind | None:
        """What happens to a call, which is counted by this question."""
        same = self.service in ("*", call.service) and self.operation in ("*", call.operation)
        if self.spent or not same or self.view not in (None, view):
            return None
        name = f"{call.service}:{call.operation}"
        before, self.seen[view, name] = self.seen[view, name], self.seen[view, name] + 1
        if before % self.every:
            return None
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        taken = kinds[self.befallen[name] % len(kinds)]
        self.befallen[name] += 1
        return taken

    @property
    def spent(self) -> bool:
        return self.over.is_set() or (self.times is not None and self.befallen.total() >= self.times)


@dataclass(frozen=True, slots=True)
class Made:
    """One call: from where, to which service in which region, and who made it (a role's or user's ARN)."""

    at_unix_ms: int
    view: str
    caller: str
    service: str
    operation: str
    region: str


class Calls:
    """The newest calls of a lab, and what shall befall the next ones."""

    def __init__(self, caller: Callable[[Call], str]) -> None:
        self._caller = caller
        self._made: list[Made] = []
        self._mishaps: list[Mishap] = []
        self._lock = threading.Lock()

    def arrange(self, mishap: Mishap) -> None:
        with self._lock:
            self._mishaps.append(mishap)

    def befall(self, view: str, call: Call, answer: Callable[[], Answer]) -> Answer:
        """The call's answer, or what has been arranged in its place."""
        mishap, kind = self._taken(view, call)
        if kind is Kind.SLOW and mishap is not None:
            time.sleep(mishap.delay_ms / 1000)
        if kind in (None, Kind.REPLY_LOST, Kind.SLOW):
            given = answer()
        elif kind is Kind.REQUEST_LOST:
            given = None
        else:
            given = _failed(call, throttled=kind is Kind.THROTTLE)
        if given is None or kind is Kind.REPLY_LOST:
            raise Silence(over=mishap.over.is_set if mishap else lambda: False)
        return given

    def end(self, mishap: Mishap) -> None:
        """It befalls no further call; who waits for a lost answer loses the connection."""
        mishap.over.set()

    def since(self, unix_ms: int) -> list[Made]:
        with self._lock:
            return [made for made in self._made if made.at_unix_ms >= unix_ms]

    def _taken(self, view: str, call: Call) -> tuple[Mishap | None, Kind | None]:
        with self._lock:
            self._mishaps = [mishap for mishap in self._mishaps if not mishap.spent]
            for mishap in self._mishaps:
                kind = mishap.befalls(view, call)
                if kind is not None:
                    return mishap, kind
        return None, None

    def note(self, view: str, call: Call) -> None:
        """Asked, whether or not it arrives."""
        made = Made(
            at_unix_ms=time.time_ns() // 1_000_000,
            view=view,
            caller=self._caller(call),
            service=call.service,
            operation=call.operation,
            region=call.region,
        )
        with self._lock:
            self._made.append(made)
            if len(self._made) > CALLS_MAX:
                del self._made[: CALLS_MAX // 2]


def _failed(call: Call, *, throttled: bool) -> Answer:
    if throttled:
        code = "ThrottlingException" if call.service == "dynamodb" else "Throttling"
        return refusal(call.request, call.service, status=400, code=code, message="Rate exceeded")
    message = "The request processing has failed because of an unknown error, exception or failure."
    return refusal(call.request, call.service, status=500, code="InternalFailure", message=message)
