"""What nobody expected must end no loop: a thread that dies is a region that neither sees nor speaks."""

import threading
import time
import traceback
from collections.abc import Callable

from farshore.log import log

REST_S = 1.0


def survive(where: str, turn: Callable[[], None]) -> bool:
    """Take one turn; an error that it lets out is logged with where it came from, and the answer is False."""
    try:
        turn()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next turn may go well
        log_unexpected(where, error)
        return False
    return True


def log_unexpected(where: str, error: Exception) -> None:
    log("unexpected", where=where, error="".join(traceback.format_exception(error)).strip())


def endless(name: str, turn: Callable[[], None]) -> None:
    """Start a daemon thread that takes one turn after another, with a rest after one that went wrong."""

    def run() -> None:
        while True:
            if not survive(name, turn):
                time.sleep(REST_S)

    threading.Thread(target=run, name=name, daemon=True).start()
