"""Histories folded into operations: every attempt of a transfer, paired with its return, and its fate.

An operation is one transfer with one idempotency key. It is *acknowledged* when any attempt returned `ok`,
*refused* when every attempt returned `failed`, and otherwise open: it may have landed or not.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from farshore.drill.events import History, Invoke, Kind, Meta, Return
from farshore.drill.findings import Doubt, Finding


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try; without a return (`returned` None) the client died or never wrote the reply down."""

    client: str
    kind: Kind
    view: str
    invoke: Invoke
    returned: Return | None

    @property
    def acked(self) -> bool:
        return self.returned is not None and self.returned.outcome == "ok"

    @property
    def refused(self) -> bool:
        return self.returned is not None and self.returned.outcome == "failed"


@dataclass(frozen=True, slots=True)
class Ack:
    """An attempt that returned `ok`: acknowledged by `region` somewhere in [invoked, returned] ns."""

    op: str
    client: str
    kind: Kind
    view: str
    region: str
    epoch: int | None
    confirmed: bool
    amount: int | None
    invoked: int
    returned: int


@dataclass(frozen=True, slots=True)
class Operation:
    """All attempts of one transfer, in the order they were invoked."""

    op: str
    attempts: tuple[Attempt, ...]
    acks: tuple[Ack, ...]

    @property
    def content(self) -> tuple[int, int, int] | None:
        """Source account, target account, cents; None for a write of another workload."""
        invoke = self.attempts[0].invoke
        if invoke.source is None or invoke.target is None or invoke.amount is None:
            return None
        return (invoke.source, invoke.target, invoke.amount)

    @property
    def refused(self) -> bool:
        return all(attempt.refused for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Operations:
    """Every operation of a drill by key, what is wrong with the histories, and who the clients were."""

    by_key: dict[str, Operation]
    doubts: tuple[Finding, ...]
    metas: tuple[Meta, ...]

    def usual(self, kind: Kind, away: Collection[str] = ()) -> list[str]:
        """The clients of a kind by whom outages are measured, but those in the views that are `away`."""
        return [
            meta.client
            for meta in self.metas
            if meta.kind == kind and meta.part == "usual" and meta.view not in away
        ]

    def acks(self) -> list[Ack]:
        """Every acknowledgement, ordered by its return."""
        return sorted(
            (ack for operation in self.by_key.values() for ack in operation.acks),
            key=lambda ack: ack.returned,
        )

    def attempts(self) -> Iterator[Attempt]:
        return (attempt for operation in self.by_key.values() for attempt in operation.attempts)


def fold(histories: Sequence[History]) -> Operations:
    """Pair invokes with returns and group them by key; what does not fit becomes a doubt, never a guess."""
    doubts = [Finding(Doubt.HISTORY_DAMAGED, damage) for history in histories for damage in history.damage]
    doubts += _clients_twice(histories)
    attempts: dict[str, list[Attempt]] = {}
    metas: list[Meta] = []
    for history in histories:
        if history.meta is None:
            continue
        metas.append(history.meta)
        paired, malformed = _pair(history.meta, history)
        doubts += malformed
        for attempt in paired:
            attempts.setdefault(attempt.invoke.op, []).append(attempt)
    by_key: dict[str, Operation] = {}
    for op, tried in attempts.items():
        tried.sort(key=lambda attempt: attempt.invoke.t)
        by_key[op] = Operation(op=op, attempts=tuple(tried), acks=tuple(_acks(tried)))
        doubts += _contradictions(op, tried)
    return Operations(by_key=by_key, doubts=tuple(doubts), metas=tuple(metas))


def _clients_twice(histories: Sequence[History]) -> list[Finding]:
    names = [history.meta.client for history in histories if history.meta is not None]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [Finding(Doubt.HISTORY_MALFORMED, f"client {name} wrote more than one history") for name in twice]


def _pair(meta: Meta, history: History) -> tuple[list[Attempt], list[Finding]]:
    attempts: list[Attempt] = []
    malformed: list[Finding] = []
    open_invokes: dict[str, Invoke] = {}
    latest = 0

    def close(invoke: Invoke, returned: Return | None) -> None:
        attempts.append(Attempt(meta.client, meta.kind, meta.view, invoke, returned))

    for event in history.events:
        if event.t < latest:
            malformed.append(Finding(Doubt.CLOCK_BACKWARDS, f"{meta.client}: time runs backwards", event.op))
        latest = max(latest, event.t)
        if isinstance(event, Invoke):
            abandoned = open_invokes.pop(event.op, None)
            if abandoned is not None:
                close(abandoned, None)
            open_invokes[event.op] = event
            continue
        invoke = open_invokes.pop(event.op, None)
        if invoke is None:
            malformed.append(
                Finding(Doubt.HISTORY_MALFORMED, f"{meta.client}: return without invoke", event.op)
            )
            continue
        close(invoke, event)
        malformed += _incomplete_ack(meta, event)
    for invoke in open_invokes.values():
        close(invoke, None)
    return attempts, malformed


def _incomplete_ack(meta: Meta, returned: Return) -> list[Finding]:
    if returned.outcome != "ok":
        return []
    if returned.region is None:
        what = "an acknowledgement without a region"
    elif returned.tag == "confirmed" and returned.epoch is None:
        what = "a confirmed acknowledgement without an epoch"
    else:
        return []
    return [Finding(Doubt.HISTORY_MALFORMED, f"{meta.client}: {what}", returned.op)]


def _acks(attempts: Iterable[Attempt]) -> Iterator[Ack]:
    for attempt in attempts:
        returned = attempt.returned
        if returned is None or returned.outcome != "ok":
            continue
        yield Ack(
            op=attempt.invoke.op,
            client=attempt.client,
            kind=attempt.kind,
            view=attempt.view,
            region=returned.region or "?",
            epoch=returned.epoch,
            confirmed=returned.tag == "confirmed" and returned.epoch is not None,
            amount=attempt.invoke.amount,
            invoked=attempt.invoke.t,
            returned=returned.t,
        )


def _contradictions(op: str, attempts: Sequence[Attempt]) -> list[Finding]:
    contents = {(tried.invoke.source, tried.invoke.target, tried.invoke.amount) for tried in attempts}
    if len(contents) == 1:
        return []
    return [Finding(Doubt.HISTORY_MALFORMED, f"one key, {len(contents)} different transfers", op)]
