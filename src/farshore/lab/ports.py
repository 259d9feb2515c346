"""What the lab's parts need from each other: the seams between network, servers and cloud.

A *view* is a place from which a name is resolved or a call is made: one of the two regions, or `outside`
(the operator's laptop, which reaches every region that is not lost).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 loopback host and a TCP or UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Links(Protocol):
    """The three WAN links' present state; cheap enough to ask on every packet."""

    def lost(self, region: str) -> bool:
        """Whether the whole region is gone: its processes dead, its links a black hole."""

    def connected(self, a: str, b: str) -> bool:
        """Whether packets pass between two places now; a place is always connected to itself unless lost."""

    def one_way_s(self, a: str, b: str) -> float:
        """Seconds a packet sent now takes one way, jitter and a present stall included."""


class Process(Protocol):
    """A child that dies with the lab."""

    pid: int

    def alive(self) -> bool: ...

    def kill(self) -> None:
        """SIGKILL to the process and all its descendants; returns when they are gone."""

    def signal_tree(self, signum: int) -> None:
        """Send a signal (SIGSTOP, SIGCONT) to the process and all its descendants."""

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or None when it still runs after the timeout."""


class Spawn(Protocol):
    """Start a child that the kernel kills when the lab dies, however it dies."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        as_server_user: bool = False,
    ) -> Process: ...
