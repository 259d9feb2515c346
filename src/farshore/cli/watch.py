"""farshore watch: one live screen, or a stream of lines for programs."""

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from farshore.cli.output import reported
from farshore.cli.status import ends_words, sources
from farshore.core.scene import Grade, Scene, span
from farshore.core.told import document
from farshore.operate import watch as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop

FRAME_S = 0.5
BEGIN_S = 3.0
_COLOURS = {Grade.WRONG: "bold red", Grade.UNKNOWN: "yellow", Grade.NOTE: "cyan"}


def watch(
    *,
    resolver: Annotated[
        list[str] | None, typer.Option("--resolver", help="Another nameserver to ask, as address:port.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", help="End after so many seconds; without it, at Ctrl-C.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per transition and per changed state.")
    ] = False,
) -> None:
    """Watch who may write, lease, lag, health checks, DNS, alarms and every transition, until Ctrl-C."""
    with reported():
        watcher = operate.Watcher(Workshop(from_environment()), resolver or ())
        if as_json:
            _stream(watcher, End(seconds))
        else:
            _live(watcher, End(seconds), Console(highlight=False, emoji=False))
    _leave()


class End:
    """The time is up, or Ctrl-C came: kept as a mark, because an exception can fall into a callback that drops it."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds
        self._interrupted = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _signal: int, _frame: object) -> None:
        self._interrupted = True

    @property
    def has_come(self) -> bool:
        return self._interrupted or (self._at is not None and time.monotonic() >= self._at)


def _leave() -> NoReturn:
    """At once: the threads still ask, one of them perhaps a dark region, and have nothing to tidy."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def _frames(watcher: operate.Watcher, end: End) -> Iterator[operate.Snapshot]:
    begin = time.monotonic() + BEGIN_S
    while not (watcher.has_begun or end.has_come) and time.monotonic() < begin:
        time.sleep(0.05)
    yield watcher.snapshot()
    while not end.has_come:
        time.sleep(FRAME_S)
        yield watcher.snapshot()


def _live(watcher: operate.Watcher, end: End, console: Console) -> None:
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        for snapshot in _frames(watcher, end):
            live.update(fitted(snapshot, console) if console.is_terminal else screen(snapshot), refresh=True)


def _stream(watcher: operate.Watcher, end: End) -> None:
    """First what is, then what changes. Of old transitions the last alone: `farshore history` has them all."""
    known: dict[str, Any] = {}
    told: set[int] | None = None
    for snapshot in _frames(watcher, end):
        if told is None and snapshot.events:
            told = {event.version for event in snapshot.events[:-1]}
        for event in snapshot.events:
            if told is not None and event.version not in told:
                told.add(event.version)
                cluster = snapshot.scene.global_cluster
                _print({"kind": "transition", **document(event, cluster, _iso(event.at_ms))})
        now = operate.state(snapshot)
        for what, before, after in operate.changes(known, now):
            at = _iso(snapshot.scene.now_ms)
            _print({"kind": "state", "at": at, "what": what, "before": before, "now": after})
        known = now


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


FOLDS = ("doubts", "sources", "endpoints", "alarms", "checks", "dns")
"""What is left out of a screen that is too low, in this order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How much is shown. `folds`: how many of FOLDS are not; `wraps`: transitions with all of their reason."""

    folds: int = 0
    events: int = 6
    wraps: bool = True
    findings: int = 4

    def has(self, part: str) -> bool:
        return part not in FOLDS[: self.folds]


_LAYOUTS = (
    Layout(),
    Layout(wraps=False),
    *(Layout(folds, events, wraps=False) for folds, events in ((1, 6), (1, 3), (2, 3), (3, 3), (4, 2))),
    *(Layout(folds, events, wraps=False) for folds, events in ((5, 2), (6, 1), (6, 0))),
    *(Layout(6, 0, findings=findings) for findings in (3, 2, 1)),
)
"""From all to the least: who may write, the worst trouble, the next step and its command."""


def fitted(snapshot: operate.Snapshot, console: Console) -> Group:
    """As much as the terminal has room for; what does not fit would be cut off at the bottom."""
    for layout in _LAYOUTS:
        made = screen(snapshot, layout)
        if len(console.render_lines(made)) <= console.size.height:
            return made
    return made


def screen(snapshot: operate.Snapshot, layout: Layout = _LAYOUTS[0]) -> Group:
    """Fits 80 columns: long words wrap inside their own column."""
    scene, story = snapshot.scene, snapshot.story
    epoch = f", epoch {scene.record.epoch}, {scene.record.phase}" if scene.record else ""
    who = (
        f"{story.writer} may write"
        if story.writer
        else "nobody may write"
        if story.known
        else "not known from here"
    )
    style = "bold green" if story.writer else "bold red"
    head = Text.assemble((f"{who}{epoch}", style), f"   {_iso(scene.now_ms)[:19]}Z")
    return Group(
        head,
        _grid(_troubles(snapshot, layout.findings)),
        Rule(_folded(layout), style="dim"),
        _grid(_facts(snapshot, layout)),
        Rule(style="dim"),
        _grid(_story(snapshot, layout)),
    )


def _folded(layout: Layout) -> Text:
    folded = ", ".join(FOLDS[: layout.folds])
    return Text(f"not shown: {folded}" if folded else "", "dim")


Row = tuple[str | Text, str | Text]


def _grid(rows: Iterator[Row]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=9, no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for title, text in rows:
        grid.add_row(title, text)
    return grid


def _troubles(snapshot: operate.Snapshot, shown: int) -> Iterator[Row]:
    story = snapshot.story
    for finding in story.findings[:shown]:
        yield Text(finding.grade, _COLOURS[finding.grade]), finding.words
    more = len(story.findings) - shown
    if more > 0:
        yield "", f"and {more} more: `farshore status`"
    yield "next", story.next_step
    if story.command:
        yield "run", Text(story.command, "bold")


def _facts(snapshot: operate.Snapshot, layout: Layout) -> Iterator[Row]:
    scene, record = snapshot.scene, snapshot.scene.record
    mode = f"   mode {record.mode}{', paused' if record.paused else ''}" if record else ""
    yield "lease", f"{snapshot.story.lease}{mode}"
    yield from _lag(scene, layout)
    if layout.has("endpoints"):
        yield from _endpoints(scene)
    for title, told in (("checks", snapshot.checks), ("dns", snapshot.dns), ("alarms", snapshot.alarms)):
        if layout.has(title):
            yield title, "\n".join(f"{name}: {words}" for name, words in told.items())


def _lag(scene: Scene, layout: Layout) -> Iterator[Row]:
    title = "lag"
    for by, seen in sorted(scene.monitors.items()):
        shown = "unknown" if seen.lag_ms is None else f"{seen.lag_ms} ms"
        yield title, f"{by}: {shown}, {seen.lag_state or 'not judged yet'}, {span(seen.age_ms)} ago"
        if seen.lag_readings and layout.has("sources"):
            yield "", f"  {sources(seen)}"
        for doubt in seen.lag_doubts if layout.has("doubts") else ():
            yield "", Text(f"  {doubt}", "dim")
        title = ""


def _endpoints(scene: Scene) -> Iterator[Row]:
    for region in scene.regions:
        title = region
        for by, seen in sorted(scene.monitors.items()):
            if region in seen.endpoints:
                yield title, f"{ends_words(seen.endpoints[region], scene)} (by {by}, {span(seen.age_ms)} ago)"
                title = ""


def _story(snapshot: operate.Snapshot, layout: Layout) -> Iterator[Row]:
    for event in [*reversed(snapshot.events)][: layout.events]:
        words = f"{event.epoch} {event.phase} {event.holder or '-'}: {event.reason}"
        yield (
            _iso(event.at_ms)[11:19],
            words if layout.wraps else Text(words, no_wrap=True, overflow="ellipsis"),
        )


def _iso(at_ms: int) -> str:
    text = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
