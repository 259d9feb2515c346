"""What a person sees while a drill runs: one line per event with the time since its start, and a live ticker."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TextIO, TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

T = TypeVar("T")
_TICK_PLAIN_S = 2.0
_POLL_S = 0.1


class Progress:
    """Writes to `stream`; on a terminal the last line is live, elsewhere the ticker is printed now and then."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._ticked = 0.0
        if self._console.is_terminal:
            self._live = Live(Text(""), console=self._console, transient=True, auto_refresh=False)
            self._live.start()

    def say(self, words: str, *, style: str = "", at: float | None = None) -> None:
        """An event; `style` is one of rich's, `at` the time.monotonic() second it happened, if it is not now."""
        with self._lock:
            self._console.print(Text.assemble((self._elapsed(at), "dim"), (words, style)))

    def tick(self, words: str) -> None:
        """The present state, replacing the one before."""
        with self._lock:
            if self._live is not None:
                self._live.update(Text(f"{self._elapsed()}{words}", style="cyan"), refresh=True)
            elif time.monotonic() - self._ticked >= _TICK_PLAIN_S:
                self._ticked = time.monotonic()
                self._console.print(Text(f"{self._elapsed()}  {words}"))

    def close(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def until(self, reached: Callable[[], bool], within_s: float, state: Callable[[], str]) -> bool:
        """Show `state` until something is so, or the time is over; returns whether it is so."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if reached():
                return True
            self.tick(state())
            time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))
        return reached()

    def during(self, call: Callable[[], T], state: Callable[[], str]) -> T:
        """Show `state` while `call` runs in another thread; its result or its exception."""
        future: Future[T] = Future()
        threading.Thread(target=_resolve, args=(future, call), daemon=True).start()
        self.until(future.done, float("inf"), state)
        return future.result()

    def _elapsed(self, at: float | None = None) -> str:
        return f"{(at or time.monotonic()) - self._started:6.1f}s  "


def _resolve(future: "Future[T]", call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is asked for
        future.set_exception(error)
