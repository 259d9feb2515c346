"""What exists, one JSON line per event: a resource as created, or a tombstone. Secret properties are sealed.

A line is written as soon as its resource exists, so a run that was killed leaves at most the resources it was just
then creating unknown. The key that seals is a file beside it: it keeps secrets out of whatever copies or prints the
checkpoint, not from somebody who may read this directory.
"""

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from cryptography.fernet import Fernet

from farshore.core.errors import RefusedError

FILE = "checkpoint.jsonl"
KEY = "checkpoint.key"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that exists. `region` is where its calls go; `secret` names properties that hold secrets."""

    urn: str
    type: str
    name: str
    id: str
    region: str
    inputs: dict[str, Any] = field(repr=False)
    outputs: dict[str, Any] = field(repr=False)
    secret: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    protect: bool = False
    retain: bool = False


class Checkpoint:
    """The resources of one stack, in memory and on disk; thread-safe."""

    def __init__(self, journal: IO[str], seal: Fernet) -> None:
        self._journal = journal
        self._seal = seal
        self._lock = threading.Lock()
        self._resources: dict[str, Resource] = {}
        whole, _, torn = journal.read().rpartition("\n")
        journal.seek(journal.tell() - len(torn.encode()))
        journal.truncate()
        for line in whole.splitlines():
            self._replay(json.loads(line))

    @classmethod
    @contextmanager
    def opened(cls, directory: Path) -> Iterator["Checkpoint"]:
        """RefusedError while another deployment of this stack runs."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE
        path.touch(mode=0o600)
        with path.open("r+") as journal:
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(
                    f"another deployment of the stack in {directory} is running.", "wait for it to end."
                ) from error
            yield cls(journal, Fernet(_key(directory / KEY)))

    def get(self, urn: str) -> Resource | None:
        return self._resources.get(urn)

    def all(self) -> list[Resource]:
        with self._lock:
            return list(self._resources.values())

    def add(self, resource: Resource) -> None:
        with self._lock:
            self._resources[resource.urn] = resource
            self._append(asdict(self._sealed(resource)))

    def observe(self, urn: str, inputs: dict[str, Any]) -> None:
        """Take what AWS says for what was asked, in memory only: the difference is for the run to judge."""
        with self._lock:
            old = self._resources[urn]
            kept = {**old.inputs, **inputs}
            found = {name: value for name, value in kept.items() if value is not None}
            self._resources[urn] = replace(old, inputs=found)

    def remove(self, urn: str) -> None:
        with self._lock:
            del self._resources[urn]
            self._append({"removed": urn})

    def _append(self, line: dict[str, Any]) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _replay(self, line: dict[str, Any]) -> None:
        if "removed" in line:
            self._resources.pop(line["removed"], None)
            return
        line["secret"], line["needs"] = tuple(line["secret"]), tuple(line["needs"])
        resource = Resource(**line)
        for values in (resource.inputs, resource.outputs):
            for name in resource.secret:
                if name in values:
                    values[name] = json.loads(self._seal.decrypt(values[name]["sealed"].encode()))
        self._resources[resource.urn] = resource

    def _sealed(self, resource: Resource) -> Resource:
        def seal(values: dict[str, Any]) -> dict[str, Any]:
            return {
                name: {"sealed": self._seal.encrypt(json.dumps(value).encode()).decode()}
                if name in resource.secret
                else value
                for name, value in values.items()
            }

        return replace(resource, inputs=seal(resource.inputs), outputs=seal(resource.outputs))


def _key(path: Path) -> bytes:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(Fernet.generate_key())
    return path.read_bytes()
