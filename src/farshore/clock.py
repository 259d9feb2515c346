"""The real clock behind the Clock port."""

import threading
import time

from farshore.core.facts import Now


class SystemClock:
    def __init__(self) -> None:
        self._never = threading.Event()

    def now(self) -> Now:
        return Now(wall_ms=time.time_ns() // 1_000_000, mono_ms=time.monotonic_ns() // 1_000_000)

    def sleep(self, milliseconds: int) -> None:
        self._never.wait(milliseconds / 1000)
