"""What a person sees while a drill runs: one line per event with the time since its start, and a live ticker."""

import sys
import threading
import time
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

_TICK_PLAIN_S = 2.0


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

    def say(self, words: str, *, style: str = "") -> None:
        """An event; `style` is one of rich's."""
        with self._lock:
            self._console.print(Text.assemble((self._elapsed(), "dim"), (words, style)))

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

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:6.1f}s  "
