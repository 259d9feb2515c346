"""HTTP/1.1 as the SDKs speak it: keep-alive, one thread per connection, and silence as a possible answer."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from farshore.lab.ports import Address

SILENCE_MAX_S = 60.0
IDLE_MAX_S = 75.0
_POLL_MS = 50


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as read from the socket; header names are lower case, `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Silence(Exception):  # noqa: N818 - not an error: the network swallowed the request or its answer
    """No answer will come.

    The connection stays open until `over()` (the network healed, so the old connection is reset), the client
    gave up, or a minute passed; then it is dropped without a byte.
    """

    def __init__(self, over: Callable[[], bool]) -> None:
        super().__init__("no answer")
        self.over = over


class HttpServer:
    """Serve one address with `respond` until `close`; every open connection ends with it.

    Port 0 takes a free one. A connection on which nothing was asked for `idle_s` is closed; None keeps it. With a
    `context` it speaks TLS.
    """

    def __init__(
        self,
        address: Address,
        respond: Callable[[HttpRequest], Answer],
        name: str,
        *,
        idle_s: float | None = IDLE_MAX_S,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = _Server((address.host, address.port), respond, idle_s, context)
        host, port = self._server.server_address[:2]
        self.address = Address(str(host), port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name=name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        respond: Callable[[HttpRequest], Answer],
        idle_s: float | None,
        context: ssl.SSLContext | None,
    ) -> None:
        self.respond = respond
        self._context = context
        self.idle_s = idle_s
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        """The handshake is left to the connection's own thread."""
        connection, client = super().get_request()
        if self._context is None:
            return connection, client
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), client

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object, **__: object) -> None:
        """A client that hangs up in mid-sentence is the client's affair."""

    def drop_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.idle_s)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            # Whoever asked died in mid-sentence: what was said so far is no request.
            self.close_connection = True
            return
        request = HttpRequest(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            answer = self.server.respond(request)
        except Silence as silence:
            self._stay_silent(silence.over)
            return
        self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815 - the base class's names

    def _stay_silent(self, over: Callable[[], bool]) -> None:
        self.close_connection = True
        poller = select.poll()
        poller.register(self.connection, select.POLLIN)
        give_up = time.monotonic() + SILENCE_MAX_S
        while not over() and not self.server.closing.is_set() and time.monotonic() < give_up:
            # A client that waits for an answer sends nothing: whatever arrives here is its goodbye.
            if poller.poll(_POLL_MS):
                return

    def _send(self, answer: Answer) -> None:
        head = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}", f"Date: {formatdate(usegmt=True)}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != HTTPStatus.NO_CONTENT:
            head.append(f"Content-Length: {len(answer.body)}")
        body = b"" if self.command == "HEAD" or answer.status == HTTPStatus.NO_CONTENT else answer.body
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)

    def log_message(self, *_: object, **__: object) -> None:
        """The lab's own log says what mattered; a line per request would drown it."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
