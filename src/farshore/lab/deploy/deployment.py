"""The stack of one lab: which program, what it is told, where it is remembered."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import farshore
from farshore.core.errors import UsageError
from farshore.lab.deploy import run
from farshore.lab.deploy.engine import Target, Tell
from farshore.lab.deploy.kinds import Clients
from farshore.lab.deploy.provisioners import FUNCTIONS, KINDS
from farshore.lab.deploy.warm import warm
from farshore.lab.ports import Spawn

PROJECT = "farshore"


@dataclass(frozen=True, slots=True)
class Deployment:
    """`config` is what `Pulumi.<stack>.yaml` would hold; `environ` says where the lab's AWS is, and nothing else."""

    stack: str
    config: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)
    directory: Path

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> "Deployment":
        """From what `described` gave to another process."""
        where = Path(described["directory"])
        return cls(described["stack"], described["config"], described["environ"], where)

    def described(self) -> dict[str, Any]:
        return {
            "stack": self.stack,
            "config": dict(self.config),
            "environ": dict(self.environ),
            "directory": str(self.directory),
        }

    def up(self, spawn: Spawn, tell: Tell, *, first_in: Iterable[str] = ()) -> run.Summary:
        """Run the program; errors as of `run.up`. `first_in`: regions whose services nobody has called yet."""
        target = self._target()
        threading.Thread(target=warm, args=(target.clients, first_in), name="warm", daemon=True).start()
        return run.up(target, run.Settings(self.config, self.environ), self.directory, spawn, tell)

    def destroy(self, tell: Tell) -> list[str]:
        """Delete what the program made; errors as of `run.destroy`."""
        return run.destroy(self._target(), self.directory, tell)

    def _target(self) -> Target:
        clients = Clients(self.environ)
        return Target(PROJECT, self.stack, program(), clients, KINDS, FUNCTIONS)


def program() -> Path:
    """The directory of `Pulumi.yaml` and `__main__.py`: the checkout's root, or the copy that a wheel carries."""
    package = Path(farshore.__file__).parent
    places = (package.parents[1], package / "infra" / "program")
    for place in places:
        if (place / "Pulumi.yaml").is_file():
            return place
    raise UsageError(
        f"the stack program is neither in {places[0]} nor in {places[1]}. Fix: install farshore again."
    )
