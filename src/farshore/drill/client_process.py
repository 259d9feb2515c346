"""One region's clients in one process: `python -m farshore.drill.client_process CONFIG`.

It ends on SIGTERM after the attempts under way, and at once when its standard input closes, because then the
drill is gone.
"""

import json
import logging
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from farshore.drill import workload
from farshore.drill.clients import Access, AwareClient, LedgerClient, PlainClient, Watchdog, work
from farshore.drill.events import Kind, Meta
from farshore.drill.history import HistoryWriter

_ABANDONED = 4


@dataclass(frozen=True, slots=True)
class Config:
    """`clients` is a name and a kind each; times in seconds; `per_second` is each client's pace."""

    view: str
    seed: int
    accounts: int
    directory: str
    clients: tuple[tuple[str, Kind], ...]
    access: Access
    per_second: float
    deadline_s: float
    attempt_s: float

    def save(self, path: Path) -> None:
        """For this user's eyes only: it holds the ledger user's password."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: Path) -> "Config":
        document: dict[str, Any] = json.loads(path.read_text())
        document["access"] = Access(**document["access"])
        document["clients"] = tuple((name, kind) for name, kind in document["clients"])
        return cls(**document)


def main(argv: list[str]) -> int:
    config = Config.load(Path(argv[0]))
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # a connection cut in a pipeline is no news here
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_drill, daemon=True).start()
    watchdog = Watchdog()
    workers = [
        threading.Thread(target=_run, args=(config, name, kind, watchdog, stop))
        for name, kind in config.clients
    ]
    for worker in workers:
        worker.start()
    stop.wait()
    for worker in workers:
        worker.join()
    watchdog.close()
    return 0


def _run(config: Config, name: str, kind: Kind, watchdog: Watchdog, stop: threading.Event) -> None:
    client: LedgerClient
    if kind == "aware":
        client = AwareClient(name, config.access, deadline_s=config.deadline_s, attempt_s=config.attempt_s)
    else:
        client = PlainClient(name, config.access, watchdog, deadline_s=config.deadline_s)
    meta = Meta(name, kind, config.view, os.getpid(), config.seed)
    with HistoryWriter(Path(config.directory), meta) as history:
        stream = workload.transfers(config.seed, name, config.accounts)
        work(client, stream, history, per_second=config.per_second, stop=stop)
    client.close()


def _end_with_the_drill() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(_ABANDONED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
