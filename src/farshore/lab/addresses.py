"""A lab's own loopback subnet: one 127.A.B.0/24 and ports that are free on all of its addresses.

Last octets: .1 .2 .3 gateway and DNS of the views home, standby and outside; .4 the Lambda runtime API; .11 .12
the home region's instances; .21 .22 the standby region's; .31 and up restored snapshots; .100 and up
tunnel mouths.
The claim is a file lock, so the kernel releases it however the lab dies; other users' labs
are seen by binding.
"""

import errno
import fcntl
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from farshore.core.errors import UsageError
from farshore.lab.ports import OUTSIDE

POSTGRES_PORT = 5432
GATEWAY_PORT = 4566
DNS_PORT = 5353
RUNTIME_PORT = 9001

_FIRST_MOUTH, _LAST_MOUTH = 100, 250
_FIRST_RESTORED, _LAST_RESTORED = 31, 60
_SERVER_OCTETS = (11, 12, 21, 22, *range(_FIRST_RESTORED, _LAST_RESTORED + 1))
_PORTS_TO_TRY = 200


class Addresses:
    """The addresses of one lab, held until `release` or the end of the process."""

    def __init__(self, subnet: str, claim: IO[str], regions: tuple[str, str]) -> None:
        self.subnet = subnet
        self._claim = claim
        self._views = {regions[0]: 1, regions[1]: 2, OUTSIDE: 3}
        self._instances = {regions[0]: 10, regions[1]: 20}
        self._lock = threading.Lock()
        self._mouths = list(range(_LAST_MOUTH, _FIRST_MOUTH - 1, -1))
        servers = [self._host(octet) for octet in _SERVER_OCTETS]
        mouths = [self._host(octet) for octet in self._mouths]
        views = [self._host(octet) for octet in self._views.values()]
        # Mouths carry the port of what they lead to, so both of these ports are checked there too.
        self.pg_port = _free_port(POSTGRES_PORT, tcp=servers + mouths)
        self.gateway_port = _free_port(GATEWAY_PORT, tcp=views + mouths)
        self.dns_port = _free_port(DNS_PORT, tcp=views, udp=views)
        self.runtime_port = _free_port(RUNTIME_PORT, tcp=[self.runtime])

    @classmethod
    def claim(cls, lab_dir: Path, regions: tuple[str, str] = ("us-east-1", "us-west-2")) -> "Addresses":
        """Take the first subnet nobody holds; `regions` are home and standby. UsageError: none is left."""
        for subnet in _candidates():
            claim = _lock(subnet, lab_dir)
            if claim is None:
                continue
            if _somebody_listens(subnet):
                claim.close()
                continue
            return cls(subnet, claim, regions)
        raise UsageError("no free 127.x.y.0/24 is left for a lab; stop one (`farshore lab down --lab NAME`)")

    def view(self, view: str) -> str:
        """The host of a view's gateway and DNS server."""
        return self._host(self._views[view])

    @property
    def runtime(self) -> str:
        """The host of the Lambda runtime API."""
        return self._host(4)

    def instance(self, region: str, number: int) -> str:
        """The host of a region's database instance; numbers start at 1."""
        if not 1 <= number <= 9:  # noqa: PLR2004 - one decade of addresses per region
            raise ValueError(f"instance number {number} is not in 1..9")
        return self._host(self._instances[region] + number)

    def restored(self, number: int) -> str:
        """The host of the n-th restored snapshot; numbers start at 1."""
        if not 1 <= number <= _LAST_RESTORED - _FIRST_RESTORED + 1:
            raise ValueError(f"restored server number {number} is out of range")
        return self._host(_FIRST_RESTORED - 1 + number)

    def mouth(self) -> str:
        """A host no open tunnel uses."""
        with self._lock:
            if not self._mouths:
                raise UsageError(f"all {_LAST_MOUTH - _FIRST_MOUTH + 1} tunnel mouths of this lab are in use")
            return self._host(self._mouths.pop())

    def give_back(self, mouth: str) -> None:
        """Return a host taken by `mouth`; it is handed out again after all others."""
        with self._lock:
            self._mouths.insert(0, int(mouth.rsplit(".", 1)[1]))

    def release(self) -> None:
        Path(self._claim.name).unlink(missing_ok=True)
        self._claim.close()

    def _host(self, octet: int) -> str:
        return f"{self.subnet}.{octet}"


def _candidates() -> Iterator[str]:
    """127.64.1 and up; each user starts elsewhere, so that labs of two users rarely meet."""
    first = os.getuid() % 64
    for block in range(64):
        for third in range(1, 255):
            yield f"127.{64 + (first + block) % 64}.{third}"


def _lock(subnet: str, lab_dir: Path) -> IO[str] | None:
    """The locked claim file, or None when another lab of this user holds it."""
    directory = Path(f"/tmp/farshore-{os.getuid()}-claims")  # noqa: S108 - per user, mode 0700, ownership checked
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.getuid():
        raise UsageError(f"{directory} belongs to somebody else; remove it")
    claim = (directory / subnet).open("a+")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claim.close()
        return None
    if not _still_named(claim):
        claim.close()
        return _lock(subnet, lab_dir)
    claim.truncate(0)
    claim.write(f"{os.getpid()} {lab_dir}\n")
    claim.flush()
    return claim


def _still_named(claim: IO[str]) -> bool:
    """False when a lab that just ended removed the file between our opening and our locking it."""
    try:
        return os.path.samestat(os.fstat(claim.fileno()), Path(claim.name).stat())
    except FileNotFoundError:
        return False


def _somebody_listens(subnet: str) -> bool:
    """Whether a port is taken on this very subnet, as by another user's lab, rather than on all addresses."""
    probe, elsewhere = f"{subnet}.1", "127.63.255.1"
    return any(
        not _free(port, [probe], []) and _free(port, [elsewhere], []) for port in (GATEWAY_PORT, DNS_PORT)
    )


def _free_port(preferred: int, *, tcp: Sequence[str], udp: Sequence[str] = ()) -> int:
    for port in range(preferred, preferred + _PORTS_TO_TRY):
        if _free(port, tcp, udp):
            return port
    raise UsageError(f"no port of {preferred}..{preferred + _PORTS_TO_TRY - 1} is free on {tcp[0]}")


def _free(port: int, tcp: Sequence[str], udp: Sequence[str]) -> bool:
    """Whether servers can listen there now: really bound, all at once, as PostgreSQL would (SO_REUSEADDR)."""
    with ExitStack() as held:
        try:
            for host in tcp:
                stream = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stream.bind((host, port))
                stream.listen(1)
            for host in udp:
                held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True
