"""Tunnels across the WAN: addresses in one view that lead to servers in another region through the relay process.

`python -m farshore.lab.wan SOCKET SEED` is the relay: it connects to the lab's Unix socket, obeys one JSON line
at a time, answers each with one, and ends when the lab does.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Self

from farshore.core.errors import FarshoreError
from farshore.lab.addresses import Addresses
from farshore.lab.links import LinkState, LinkTable
from farshore.lab.ports import Address, Process, Spawn
from farshore.lab.relay import Relay

_START_TIMEOUT_S = 20.0
_REPLY_TIMEOUT_S = 10.0
_LINE_LIMIT = 1 << 20


class Tunnels:
    """The lab's hold on its relay process. Every method may be called from any thread and is in force on return."""

    def __init__(
        self, *, spawn: Spawn, root: Path, addresses: Addresses, links: LinkTable, seed: int = 0
    ) -> None:
        """Start the relay and tie the links to it. `root` is the lab's directory, for the socket and the log."""
        self._addresses, self._links = addresses, links
        self._lock = threading.Lock()
        self._process, self._socket = _start(spawn, root, seed)
        self._replies = self._socket.makefile("r", encoding="utf-8")
        links.attach(self._push)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def open(self, view: str, region: str, target: Address) -> Address:
        """A fresh address from which `view` reaches the server at `target` in `region`, with the target's port."""
        host = self._addresses.mouth()
        try:
            self._ask("open", mouth=[host, target.port], view=view, region=region, target=[*_pair(target)])
        except FarshoreError:
            self._addresses.give_back(host)
            raise
        return Address(host, target.port)

    def close(self, mouth: Address) -> None:
        """End a tunnel and reset its connections."""
        self._ask("close", mouth=[*_pair(mouth)])
        self._addresses.give_back(mouth.host)

    def retarget(self, mouth: Address, target: Address) -> None:
        """Lead new connections elsewhere; open ones stay where they are."""
        self._ask("retarget", mouth=[*_pair(mouth)], target=[*_pair(target)])

    def stats(self) -> dict[str, int]:
        """tunnels, connections, silent (now), silenced (ever), bytes_under_way."""
        return {name: int(value) for name, value in self._ask("stats").items()}

    @property
    def silenced(self) -> int:
        """Connections that fell silent by region losses since the start."""
        return self.stats()["silenced"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def shutdown(self) -> None:
        self._links.detach()
        with self._lock:
            self._replies.close()
            self._socket.close()
        if self._process.wait(2.0) is None:
            self._process.kill()

    def _push(self, state: LinkState) -> int:
        return int(self._ask("links", state=state.as_json())["silenced"])

    def _ask(self, what: str, **details: Any) -> dict[str, Any]:
        line = json.dumps({"do": what, **details}) + "\n"
        with self._lock:
            try:
                self._socket.sendall(line.encode())
                answer = self._replies.readline()
            except (OSError, ValueError) as error:
                raise FarshoreError(
                    f"the WAN relay did not obey `{what}`: {error}. Restart the lab."
                ) from error
        if not answer:
            raise FarshoreError(f"the WAN relay ended before `{what}`; its log is wan.log. Restart the lab.")
        reply: dict[str, Any] = json.loads(answer)
        if "error" in reply:
            raise FarshoreError(f"the WAN relay refused `{what}`: {reply['error']}")
        return reply


def _pair(address: Address) -> tuple[str, int]:
    return address.host, address.port


def _start(spawn: Spawn, root: Path, seed: int) -> tuple[Process, socket.socket]:
    """Returns the process and the control connection; the socket's name is gone again by then."""
    path = root / "wan.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(path))
        path.chmod(0o600)
        door.listen(1)
        door.settimeout(_START_TIMEOUT_S)
        process = spawn(
            [sys.executable, "-m", "farshore.lab.wan", path.name, str(seed)],
            env={
                name: os.environ[name]
                for name in ("PATH", "PYTHONPATH", "HOME", "LANG")
                if name in os.environ
            },
            cwd=root,
            log=root / "wan.log",
        )
        try:
            control, _ = door.accept()
        except TimeoutError as error:
            process.kill()
            raise FarshoreError(f"the WAN relay did not start; see {root / 'wan.log'}") from error
        finally:
            path.unlink(missing_ok=True)
    control.settimeout(_REPLY_TIMEOUT_S)
    return process, control


async def _serve(path: str, seed: int) -> None:
    reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_LIMIT)
    relay = Relay(seed)
    gc.freeze()
    while line := await reader.readline():
        try:
            reply = _obey(relay, json.loads(line))
        except (OSError, KeyError, ValueError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply).encode() + b"\n")


def _obey(relay: Relay, order: dict[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "links":
            return {"silenced": relay.set_links(LinkState.from_json(order["state"]))}
        case "open":
            relay.open(Address(*order["mouth"]), order["view"], order["region"], Address(*order["target"]))
        case "close":
            relay.close(Address(*order["mouth"]))
        case "retarget":
            relay.tunnels[Address(*order["mouth"])].target = Address(*order["target"])
        case "stats":
            return dict(relay.stats())
        case unknown:
            raise ValueError(f"unknown order {unknown}")
    return {}


def main() -> None:
    """The relay process; ends when the lab closes the control connection, not by a Ctrl-C that the lab handles too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))


if __name__ == "__main__":
    main()
