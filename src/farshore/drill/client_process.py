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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from farshore.drill.clients import Access, AwareClient, LedgerClient, Manner, PlainClient, Watchdog, work
from farshore.drill.events import Kind, Meta, Part
from farshore.drill.history import HistoryWriter
from farshore.drill.ledger import LEDGER
from farshore.drill.workloads import Workload, load

_ABANDONED = 4
_STRAGGLERS_DEADLINE_S = 30.0  # so that the reply to a commit that froze for long is heard


@dataclass(frozen=True, slots=True)
class Spec:
    """One client. `per_second` is its pace; `endpoint`: the one name it knows, None for those of `access`."""

    name: str
    kind: Kind
    per_second: float
    part: Part = "usual"
    hold_s: float = 0.0
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What one region's process needs to know; times in seconds."""

    view: str
    seed: int
    accounts: int
    directory: str
    clients: tuple[Spec, ...]
    access: Access
    deadline_s: float
    attempt_s: float
    workload: str = LEDGER

    def save(self, path: Path) -> None:
        """For this user's eyes only: it holds the ledger user's password."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: Path) -> "Config":
        document: dict[str, Any] = json.loads(path.read_text())
        document["access"] = Access(**document["access"])
        document["clients"] = tuple(Spec(**spec) for spec in document["clients"])
        return cls(**document)


def main(argv: list[str]) -> int:
    config = Config.load(Path(argv[0]))
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # a connection cut in a pipeline is no news here
    workload = load(config.workload, accounts=config.accounts)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_drill, daemon=True).start()
    watchdog = Watchdog()
    workers = [
        threading.Thread(target=_run, args=(config, spec, workload, watchdog, stop))
        for spec in config.clients
    ]
    for worker in workers:
        worker.start()
    stop.wait()
    for worker in workers:
        worker.join()
    watchdog.close()
    return 0


def _run(
    config: Config, spec: Spec, workload: Workload[Any], watchdog: Watchdog, stop: threading.Event
) -> None:
    client: LedgerClient
    name, manner = spec.name, Manner(spec.part, spec.hold_s)
    deadline_s = config.deadline_s if spec.part != "straggler" else _STRAGGLERS_DEADLINE_S
    access = config.access
    if spec.endpoint is not None:
        access = replace(access, writer_name=spec.endpoint)
    if spec.kind == "aware":
        client = AwareClient(
            name,
            access,
            deadline_s=deadline_s,
            attempt_s=config.attempt_s,
            manner=manner,
            workload=workload,
        )
    else:
        client = PlainClient(name, access, watchdog, deadline_s=deadline_s, manner=manner, workload=workload)
    meta = Meta(name, spec.kind, config.view, os.getpid(), config.seed, spec.part)
    with HistoryWriter(Path(config.directory), meta) as history:
        work(client, workload.writes(config.seed, name), history, per_second=spec.per_second, stop=stop)
    client.close()


def _end_with_the_drill() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(_ABANDONED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
