"""A drill as a command: from options to an exit code, with everything it started ended, also by Ctrl-C."""

import signal
import sys
import threading
from contextlib import ExitStack

import psycopg

from farshore.drill import report, scenarios
from farshore.drill.course import Course
from farshore.drill.errors import DrillUsageError
from farshore.drill.options import DrillOptions
from farshore.drill.product import CommandError
from farshore.drill.progress import Progress

EXIT_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
_USAGE = 2


def run_drill(options: DrillOptions) -> int:
    """Run it, show it, write the report; returns the exit code. DrillUsageError for what cannot be run."""
    scenario, pace = scenarios.find(options.scenario), scenarios.pace_of(options.profile)
    report.prepare(options.report)
    progress = Progress(sys.stderr if options.as_json or options.quiet else sys.stdout)
    ended = signal.signal(signal.SIGTERM, as_interrupt) if in_main_thread() else None
    try:
        with ExitStack() as closing:
            closing.callback(progress.close)
            course = Course(options, scenario, pace, progress, closing)
            try:
                return EXIT_CODES[course.run()]
            finally:
                _deafen()
    except (psycopg.Error, OSError) as error:
        progress.say(f"nothing is known: {error}", style="bold red")
        return EXIT_CODES["unknown"]
    except CommandError as error:
        if error.exit_code == _USAGE:
            raise DrillUsageError(
                "the lab's set-up", "refused", error.line.removeprefix("farshore: ")
            ) from error
        progress.say(f"nothing is known: {error}", style="bold red")
        return EXIT_CODES["unknown"]
    finally:
        if ended is not None:
            signal.signal(signal.SIGTERM, ended)
            signal.signal(signal.SIGINT, signal.default_int_handler)


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def as_interrupt(_signal: int, _frame: object) -> None:
    """A handler that ends things as Ctrl-C does."""
    raise KeyboardInterrupt


def _deafen() -> None:
    """While things are put away, a second Ctrl-C must not leave half of them behind."""
    if in_main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
