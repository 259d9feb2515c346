"""What a drill client writes down: one JSON object a line, and the frozen records they stand for.

The history is the checker's only witness, so reading it never guesses: a line that cannot be understood is
kept as damage, not skipped. A torn last line (no newline at the end) is what SIGKILL leaves and is no damage.
Times `t` are CLOCK_MONOTONIC nanoseconds, comparable between processes of one machine; a clock line
relates them to the wall clock.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

Kind = Literal["plain", "aware"]
Outcome = Literal["ok", "failed", "unknown"]
Tag = Literal["confirmed", "bare"]
Part = Literal["usual", "pinned", "long", "straggler"]
"""usual: what outages are measured by. pinned: it knows one region's endpoint and nothing else. long: it holds its
transactions open. straggler: so too, with the commit's checks done beforehand."""


@dataclass(frozen=True, slots=True)
class Meta:
    """Who writes this file: a client of `kind` working in `view` (a region or `outside`)."""

    client: str
    kind: Kind
    view: str
    pid: int
    seed: int
    part: Part = "usual"


@dataclass(frozen=True, slots=True)
class Clock:
    """The same instant on both clocks, in nanoseconds."""

    unix_ns: int
    t: int


@dataclass(frozen=True, slots=True)
class Invoke:
    """An attempt begins: move `amount` (cents, above 0) from account `source` to account `target`.

    All three are None for a write of a workload other than the ledger.
    """

    op: str
    t: int
    amount: int | None = None
    source: int | None = None
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """An attempt ends. `ok` is an acknowledgement by `region`; `epoch` is what confirm() said."""

    op: str
    t: int
    outcome: Outcome
    tag: Tag
    region: str | None
    epoch: int | None
    error: str | None
    attempt: int


Event = Meta | Clock | Invoke | Return


@dataclass(frozen=True, slots=True)
class History:
    """One client's file: its records in the order written, and what could not be read."""

    name: str
    meta: Meta | None
    clocks: tuple[Clock, ...]
    events: tuple[Invoke | Return, ...]
    damage: tuple[str, ...] = ()
    torn: bool = False


class HistoryLineError(ValueError):
    """A line is no record of the history format; the message says why."""


def dump_line(event: Event) -> str:
    """The record as one JSON line, without the newline."""
    document: dict[str, Any]
    match event:
        case Meta():
            document = {"type": "meta", "client": event.client, "kind": event.kind, "view": event.view}
            document |= {"pid": event.pid, "seed": event.seed, "part": event.part}
        case Clock():
            document = {"type": "clock", "unix_ns": event.unix_ns, "t": event.t}
        case Invoke():
            document = {"type": "invoke", "op": event.op, "t": event.t, "amount": event.amount}
            document |= {"from": event.source, "to": event.target}
        case Return():
            document = {"type": "return", "op": event.op, "t": event.t, "outcome": event.outcome}
            document |= {"tag": event.tag, "region": event.region, "epoch": event.epoch}
            document |= {"error": event.error, "attempt": event.attempt}
    return json.dumps(document, separators=(",", ":"))


def parse_line(line: str) -> Event:
    """The record a line stands for; HistoryLineError when it is none."""
    try:
        document = json.loads(line)
    except ValueError as error:
        raise HistoryLineError(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise HistoryLineError("no JSON object")
    read = _Reader(document)
    match document.get("type"):
        case "meta":
            return Meta(
                client=read.text("client"),
                kind=cast("Kind", read.one_of("kind", get_args(Kind))),
                view=read.text("view"),
                pid=read.number("pid"),
                seed=read.number("seed"),
                part=cast("Part", read.one_of("part", get_args(Part), missing="usual")),
            )
        case "clock":
            return Clock(unix_ns=read.number("unix_ns"), t=read.number("t"))
        case "invoke":
            return Invoke(
                op=read.text("op"),
                t=read.number("t"),
                amount=read.nullable_number("amount"),
                source=read.nullable_number("from"),
                target=read.nullable_number("to"),
            )
        case "return":
            return Return(
                op=read.text("op"),
                t=read.number("t"),
                outcome=cast("Outcome", read.one_of("outcome", get_args(Outcome))),
                tag=cast("Tag", read.one_of("tag", get_args(Tag))),
                region=read.optional_text("region"),
                epoch=read.optional_number("epoch"),
                error=read.optional_text("error"),
                attempt=read.number("attempt"),
            )
    raise HistoryLineError(f"unknown type {document.get('type')!r}")


def parse_history(name: str, text: str) -> History:
    """A client's file as read; never raises, what is wrong with it stands in `damage`."""
    lines = text.split("\n")
    torn = lines[-1] != ""
    metas: list[Meta] = []
    clocks: list[Clock] = []
    events: list[Invoke | Return] = []
    damage: list[str] = []
    for number, line in enumerate(lines if torn else lines[:-1], start=1):
        try:
            event = parse_line(line)
        except HistoryLineError as error:
            if not (torn and number == len(lines)):
                damage.append(f"{name} line {number}: {error}")
            continue
        match event:
            case Meta():
                metas.append(event)
            case Clock():
                clocks.append(event)
            case Invoke() | Return():
                events.append(event)
    if len(metas) != 1:
        damage.append(f"{name}: {len(metas)} meta lines, wanted 1")
    return History(
        name=name,
        meta=metas[0] if metas else None,
        clocks=tuple(clocks),
        events=tuple(events),
        damage=tuple(damage),
        torn=torn,
    )


class _Reader:
    """Fields of one JSON object, each checked for its type when read."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def text(self, key: str) -> str:
        value = self._document.get(key)
        if isinstance(value, str):
            return value
        raise HistoryLineError(f"{key} is {value!r}, wanted text")

    def number(self, key: str) -> int:
        value = self._document.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise HistoryLineError(f"{key} is {value!r}, wanted a whole number")

    def nullable_number(self, key: str) -> int | None:
        """A whole number, or a null that stands there; one that is missing is damage."""
        if key not in self._document:
            raise HistoryLineError(f"{key} is missing")
        return self.optional_number(key)

    def one_of(self, key: str, words: tuple[str, ...], missing: str | None = None) -> str:
        value = self._document.get(key, missing)
        if value in words:
            return cast("str", value)
        raise HistoryLineError(f"{key} is {value!r}, wanted one of {', '.join(words)}")

    def optional_text(self, key: str) -> str | None:
        return None if self._document.get(key) is None else self.text(key)

    def optional_number(self, key: str) -> int | None:
        return None if self._document.get(key) is None else self.number(key)
