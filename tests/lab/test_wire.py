"""The lab's HTTP: whole requests are answered, half ones are not."""

import socket

import pytest

from farshore.lab.cloud.wire import Answer, HttpServer
from farshore.lab.ports import Address


@pytest.fixture
def server():
    heard = []

    def respond(request):
        heard.append(request.body)
        return Answer(200, b"done")

    made = HttpServer(Address("127.0.0.1", 0), respond, "test")
    made.heard = heard
    yield made
    made.close()


def said(server, body, length):
    """What comes back when `length` bytes were promised, `body` was sent, and the speaker is gone."""
    with socket.create_connection((server.address.host, server.address.port), timeout=5) as line:
        line.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(4096), b""))


def test_a_whole_request_is_answered(server):
    assert said(server, b"hello", 5).endswith(b"done")
    assert server.heard == [b"hello"]


@pytest.mark.parametrize("body", [b"", b"hel"])
def test_half_a_request_is_none(server, body):
    assert said(server, body, 5) == b""
    assert server.heard == []
