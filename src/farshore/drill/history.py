"""Writing a client's history so that nothing acknowledged is lost, and reading histories, also while they grow."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from farshore.drill.events import (
    Clock,
    Event,
    History,
    HistoryLineError,
    Invoke,
    Meta,
    Outcome,
    Return,
    Tag,
    dump_line,
    parse_history,
    parse_line,
)
from farshore.drill.ledger import Transfer, Write

SUFFIX = ".history.jsonl"


class HistoryWriter:
    """One client's file. Each line is one write() to the kernel, so SIGKILL tears at most the last one."""

    def __init__(self, directory: Path, meta: Meta) -> None:
        path = directory / f"{meta.client}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._write(meta)
        self._write(Clock(unix_ns=time.time_ns(), t=time.monotonic_ns()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def invoke(self, item: Transfer | Write) -> None:
        """Before anything is sent."""
        t = time.monotonic_ns()
        if isinstance(item, Write):
            self._write(Invoke(item.key, t))
        else:
            self._write(Invoke(item.key, t, item.amount, item.source, item.target))

    def returned(
        self,
        key: str,
        outcome: Outcome,
        tag: Tag,
        *,
        attempt: int,
        region: str | None = None,
        epoch: int | None = None,
        error: str | None = None,
    ) -> None:
        """After the reply; the time is taken here."""
        self._write(Return(key, time.monotonic_ns(), outcome, tag, region, epoch, error, attempt))

    def _write(self, event: Event) -> None:
        os.write(self._file, dump_line(event).encode() + b"\n")


class HistoryTail:
    """Follows a growing history: `poll` returns the records written since the last poll."""

    def __init__(self, path: Path) -> None:
        self.meta: Meta | None = None
        self._path = path
        self._offset = 0

    def poll(self) -> list[Invoke | Return]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []  # its client has not begun
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        events: list[Invoke | Return] = []
        for line in whole.decode(errors="replace").splitlines():
            try:
                event = parse_line(line)
            except HistoryLineError:
                continue  # the checker reads the file again and calls it damage
            if isinstance(event, Meta):
                self.meta = event
            elif isinstance(event, Invoke | Return):
                events.append(event)
        return events


def read_histories(directory: Path) -> Sequence[History]:
    """Every history in the directory, by name."""
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    return [
        parse_history(path.name.removesuffix(SUFFIX), path.read_bytes().decode(errors="replace"))
        for path in paths
    ]
