"""The relay process: carries every TCP byte that crosses regions, late, and loses it when the link does.

A connection is two flows, one per direction. A flow is a queue of what was sent and has not arrived: the
connection request, bytes, end of stream, reset; each with the time it is due. Order is kept, as TCP keeps it.
What a link does to packets is decided when they are due, not when they are sent: a stall or a cut holds them,
a lost region destroys them.

A lost region is a black hole: its connections fall silent with no FIN and no RST, and the accept queue of a
listener that leads there is kept full, so that the kernel drops the SYN and connecting hangs. The kernel still
acknowledges bytes and keepalives of the silent connections, which only a packet filter could prevent.
"""

import asyncio
import contextlib
import enum
import math
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from farshore.lab.links import LinkState, Way
from farshore.lab.ports import Address

WINDOW_BYTES = 4 << 20
"""A sender is paused when this much is under way, as by a receive window."""

_BACKLOG = 128
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Mark(enum.Enum):
    """What a flow carries besides bytes."""

    CONNECT = enum.auto()
    CONNECTED = enum.auto()
    END = enum.auto()
    RESET = enum.auto()


Item = bytes | Mark


class Relay:
    """All tunnels of one lab, and the present state of its links."""

    def __init__(self, seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.dice = random.Random(f"relay {seed}")
        self.links = LinkState()
        self.free_at: dict[Way, float] = {}
        self.tunnels: dict[Address, Tunnel] = {}
        self.silenced = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def open(self, mouth: Address, view: str, region: str, target: Address) -> None:
        self.tunnels[mouth] = Tunnel(self, mouth, view, region, target)

    def close(self, mouth: Address) -> None:
        tunnel = self.tunnels.pop(mouth, None)
        if tunnel is not None:
            tunnel.close()

    def set_links(self, links: LinkState) -> int:
        """Bring a state into force; returns how many connections fell silent by it."""
        self.links = links
        silenced = sum(tunnel.links_changed() for tunnel in self.tunnels.values())
        self.silenced += silenced
        return silenced

    def keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it as a task; the loop itself holds tasks only weakly."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stats(self) -> dict[str, int]:
        connections = [c for tunnel in self.tunnels.values() for c in tunnel.connections]
        return {
            "tunnels": len(self.tunnels),
            "connections": len(connections),
            "silent": sum(c.silent for c in connections),
            "silenced": self.silenced,
            "bytes_under_way": sum(c.out.size + c.back.size for c in connections),
        }


class Tunnel:
    """A listener in one view that leads to a server in a region."""

    def __init__(self, relay: Relay, mouth: Address, view: str, region: str, target: Address) -> None:
        self.relay, self.view, self.region, self.target = relay, view, region, target
        self.connections: set[Connection] = set()
        self._mouth = mouth
        self._stopper: socket.socket | None = None
        self._stoppers_name: object = None
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        try:
            self._listener.bind((mouth.host, mouth.port))
            self._listener.listen(_BACKLOG)
        except OSError:
            self._listener.close()
            raise
        relay.loop.add_reader(self._listener, self._accept)
        self.links_changed()

    @property
    def dark(self) -> bool:
        return self.relay.links.dark(self.view, self.region)

    def links_changed(self) -> int:
        """Silence, reset or go on, as the links now want; returns how many fell silent."""
        dark = self.dark
        if dark != (self._stopper is not None):
            self._stop_accepting() if dark else self._accept_again()
        return sum([connection.links_changed(dark) for connection in tuple(self.connections)])

    def close(self) -> None:
        self.relay.loop.remove_reader(self._listener)
        self._listener.close()
        if self._stopper is not None:
            self._stopper.close()
        for connection in tuple(self.connections):
            connection.abort()

    def _accept(self) -> None:
        loop = self.relay.loop
        try:
            client, name = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # out of descriptors: the queue stays readable, so look again a little later
            loop.remove_reader(self._listener)
            loop.call_later(0.1, self._accept_again)
            return
        if name == self._stoppers_name:
            client.close()
            return
        client.setblocking(False)
        connection = Connection(self)
        self.connections.add(connection)
        self.relay.keep(loop.connect_accepted_socket(lambda: connection.near, client))

    def _stop_accepting(self) -> None:
        """One connection in an accept queue of length 0 makes the kernel drop every further SYN."""
        self.relay.loop.remove_reader(self._listener)
        self._listener.listen(0)
        self._stopper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._stopper.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._stopper.connect((self._mouth.host, self._mouth.port))
        self._stoppers_name = self._stopper.getsockname()

    def _accept_again(self) -> None:
        if self._listener.fileno() == -1:
            return
        if self._stopper is not None:
            self._stopper.close()
            self._stopper = None
        self._listener.listen(_BACKLOG)
        self.relay.loop.add_reader(self._listener, self._accept)


class Connection:
    """A client in a view (near), a server in a region (far), and the bytes between them."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.silent = False
        self.near, self.far = Side(self, "near"), Side(self, "far")
        self.out = Flow(tunnel.relay, (tunnel.view, tunnel.region), self.near, self._arrive_far)
        self.back = Flow(tunnel.relay, (tunnel.region, tunnel.view), self.far, self._arrive_near)
        self._connecting: asyncio.Task[None] | None = None

    def side_opened(self, side: "Side") -> None:
        """The client waits for its handshake, so nothing is read from it before the server has answered."""
        if side.closed:
            side.reset()
        elif side is self.near:
            side.pause()
            if self.tunnel.dark:
                self.links_changed(dark=True)
            else:
                self.out.put(Mark.CONNECT)

    def sent(self, side: "Side", item: Item) -> None:
        if not self.silent:
            (self.out if side is self.near else self.back).put(item)

    def writable(self, side: "Side", yes: bool) -> None:
        (self.back if side is self.near else self.out).gate(shut=not yes)

    def links_changed(self, dark: bool) -> bool:
        """Returns whether the connection fell silent now."""
        if dark and not self.silent:
            self.silent = True
            self._stop_connecting()
            self.out.drop()
            self.back.drop()
            self.near.pause()
            self.far.pause()
            return True
        if self.silent and not dark:
            self.abort()
        elif not dark:
            self.out.pump()
            self.back.pump()
        return False

    def abort(self) -> None:
        """Reset both sides at once."""
        self._stop_connecting()
        self.out.drop()
        self.back.drop()
        self.near.reset()
        self.far.reset()
        self.tunnel.connections.discard(self)

    def side_closed(self) -> None:
        if self.near.closed and self.far.closed:
            self.tunnel.connections.discard(self)

    def _arrive_far(self, item: Item) -> None:
        if item is Mark.CONNECT:
            self.out.gate(shut=True)
            self._connecting = self.tunnel.relay.keep(self._connect())
        else:
            self.far.write(item)

    def _arrive_near(self, item: Item) -> None:
        if item is Mark.CONNECTED:
            self.near.resume()
        else:
            self.near.write(item)

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        target = self.tunnel.target
        try:
            await self.tunnel.relay.loop.create_connection(lambda: self.far, target.host, target.port)
        except OSError:
            self.far.closed = True
            self.back.put(Mark.RESET)
            return
        self.back.put(Mark.CONNECTED)
        self.out.gate(shut=False)


class Flow:
    """One direction of one connection: what was sent and has not arrived; the first in the queue holds up the rest."""

    def __init__(self, relay: Relay, way: Way, source: "Side", arrive: Callable[[Item], None]) -> None:
        self._relay, self._way, self._source, self._arrive = relay, way, source, arrive
        self._queue: deque[tuple[float, Item]] = deque()
        self._shut = False
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0

    def put(self, item: Item) -> None:
        relay, size = self._relay, len(item) if isinstance(item, bytes) else 0
        delay = relay.links.delay(*self._way)
        sent = relay.loop.time()
        if delay.bytes_per_s:
            sent = max(sent, relay.free_at.get(self._way, 0.0)) + size / delay.bytes_per_s
            relay.free_at[self._way] = sent
        self._queue.append((sent + delay.draw(relay.dice), item))
        self.size += size
        if self.size > WINDOW_BYTES:
            self._source.pause()
        if self._timer is None:
            self.pump()

    def gate(self, *, shut: bool) -> None:
        """Hold everything while the receiving host cannot take more."""
        self._shut = shut
        if not shut:
            self.pump()

    def pump(self) -> None:
        """Deliver what is due, and come back when the next is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = self._relay.loop
        was_full = self.size > WINDOW_BYTES // 2
        opens_at = self._relay.links.opens_at(*self._way)
        now = loop.time()
        while self._queue and not self._shut and max(self._queue[0][0], opens_at) <= now:
            self._deliver(now)
        if was_full and self.size <= WINDOW_BYTES // 2:
            self._source.resume()
        if self._queue and not self._shut and opens_at != math.inf:
            self._timer = loop.call_at(max(self._queue[0][0], opens_at), self.pump)

    def drop(self) -> None:
        """Everything under way dies."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self.size = 0

    def _deliver(self, now: float) -> None:
        """One mark, or all bytes due together in one write."""
        item = self._queue.popleft()[1]
        if isinstance(item, Mark):
            self._arrive(item)
            return
        parts = [item]
        while self._queue and self._queue[0][0] <= now and isinstance(self._queue[0][1], bytes):
            parts.append(self._queue.popleft()[1])  # type: ignore[arg-type]  # just seen to be bytes
        data = item if len(parts) == 1 else b"".join(parts)
        self.size -= len(data)
        self._arrive(data)


class Side(asyncio.Protocol):
    """One real socket of a connection."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard_end = self._said_end = False
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        self._connection.side_opened(self)

    def data_received(self, data: bytes) -> None:
        self._connection.sent(self, data)

    def eof_received(self) -> bool:
        self._heard_end = True
        self._connection.sent(self, Mark.END)
        self._close_if_done()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if exc is not None:
            self._connection.sent(self, Mark.RESET)
        self._connection.side_closed()

    def pause_writing(self) -> None:
        self._connection.writable(self, False)

    def resume_writing(self) -> None:
        self._connection.writable(self, True)

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._heard_end and not self._connection.silent:
            self._transport.resume_reading()

    def write(self, item: Item) -> None:
        """Bytes, END or RESET as they arrive at this host."""
        if self._transport is None or self.closed:
            return
        if isinstance(item, bytes):
            self._transport.write(item)
        elif item is Mark.END:
            self._said_end = True
            if self._transport.can_write_eof() and not self._transport.is_closing():
                with contextlib.suppress(OSError):  # the peer has just reset it
                    self._transport.write_eof()
            self._close_if_done()
        else:
            self.reset()

    def reset(self) -> None:
        """Close with a TCP RST, not a FIN."""
        self.closed = True
        if self._transport is None:
            return
        with contextlib.suppress(OSError):
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _close_if_done(self) -> None:
        if self._heard_end and self._said_end and self._transport is not None:
            self._transport.close()
