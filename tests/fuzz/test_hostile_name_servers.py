"""A name server may reply anything: it ends in an address or in "no answer", in time.

The server is a real one on loopback, over UDP and TCP, and the resolvers are the clients' own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from farshore.client.names import AsyncResolver, Found, NameLookupError, Resolver
from farshore.resolve import resolver

NAME = "db.farshore-x.internal"
WITHIN_S = 0.05
SLACK_S = 2.0
"""With the rest of dnspython before another try, on a busy computer."""
FEW = settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
RESPONSE, TRUNCATED, NXDOMAIN, YXDOMAIN = 0x8180, 0x8380, 0x8183, 0x8186
ASKED = b"\xc0\x0c"  # a pointer to the name in the question


class Liar:
    """Answers each question with the packets that `packets` makes of it; the first of them over TCP."""

    def __init__(self):
        self.packets = lambda _query: []
        self.over_tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.over_tcp.getsockname()[1]
        self.over_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.over_udp.bind(("127.0.0.1", self.port))
        self.threads = [threading.Thread(target=turn, daemon=True) for turn in (self._udp, self._tcp)]
        for thread in self.threads:
            thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _udp(self):
        while query := self.over_udp.recvfrom(65535):
            if query[0] == b"end":
                return
            with contextlib.suppress(OSError):
                for packet in self.packets(query[0]):
                    self.over_udp.sendto(packet, query[1])

    def _tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.over_tcp.accept()
                with connection, contextlib.suppress(OSError, StopIteration):
                    packet = next(iter(self.packets(connection.recv(65535)[2:])))
                    connection.sendall(struct.pack("!H", len(packet)) + packet)

    def close(self):
        self.over_tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", self.port))
        for thread in self.threads:
            thread.join(10)
        self.over_tcp.close()
        self.over_udp.close()


@pytest.fixture
def liar():
    running = Liar()
    yield running
    running.close()


def blocking(address, within_s):
    return Resolver((address,)).find(NAME, within_s)


def for_asyncio(address, within_s):
    return asyncio.run(AsyncResolver((address,)).find(NAME, within_s))


def timed(find, address, within_s=WITHIN_S):
    """What was found, or None; it took no longer than it may."""
    began = time.monotonic()
    try:
        found = find(address, within_s)
    except NameLookupError:
        found = None
    assert time.monotonic() - began < within_s + SLACK_S
    return found


def reply(query, *answers, flags=RESPONSE):
    """A reply to a query, its records as bytes."""
    question = query[12 : query.index(b"\0", 12) + 5]
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + question + b"".join(answers)


def record(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def label(number):
    text = str(number).encode()
    return bytes([len(text)]) + text + b"\0"


def a(number, owner=ASKED):
    return record(owner, 1, struct.pack("!I", number))


def other_id(query):
    return bytes([query[0] ^ 1]) + query[1:]


def itself(query):
    """A name that is a pointer to itself."""
    at = len(reply(query))
    return struct.pack("!H", 0xC000 | at)


HOSTILE = {
    "nothing": lambda _query: [b""],
    "its question": lambda query: [query],
    "half a header": lambda query: [query[:7]],
    "another's id": lambda query: [other_id(reply(query, a(1)))],
    "another question": lambda query: [reply(query.replace(b"db", b"dc"), a(1))],
    "cut short": lambda query: [reply(query, a(1))[:-3]],
    "truncated for ever": lambda query: [reply(query, flags=TRUNCATED)],
    "an address of three bytes": lambda query: [reply(query, record(ASKED, 1, b"123"))],
    "a name that points to itself": lambda query: [reply(query, a(1, itself(query)))],
    "an alias that points to itself": lambda query: [reply(query, record(ASKED, 5, itself(query)))],
    "an alias of itself": lambda query: [reply(query, record(ASKED, 5, ASKED))],
    "aliases in a ring": lambda query: [
        reply(query, record(ASKED, 5, label(1)), record(label(1), 5, label(2)), record(label(2), 5, label(1)))
    ],
    "a thousand aliases": lambda query: [
        reply(query, record(ASKED, 5, label(0)), *(record(label(n), 5, label(n + 1)) for n in range(1000)))
    ],
    "thousands of others' addresses": lambda query: [reply(query, *(a(n, label(n)) for n in range(2500)))],
    "no such name": lambda query: [reply(query, flags=NXDOMAIN)],
    "a code for updates": lambda query: [reply(query, flags=YXDOMAIN)],
}


@pytest.mark.parametrize("find", [blocking, for_asyncio])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_reply_is_no_answer(liar, find, what):
    liar.packets = HOSTILE[what]
    assert timed(find, liar.address) is None


@pytest.mark.parametrize("find", [blocking, for_asyncio])
def test_one_of_thousands_of_addresses_is_an_answer(liar, find):
    liar.packets = lambda query: [reply(query, *(a(n) for n in range(4000)))]
    assert isinstance(timed(find, liar.address, within_s=10), Found)


def by_operator(address, _within_s):
    try:
        return resolver(address)(NAME)
    except OSError as error:
        raise NameLookupError(str(error)) from error


@pytest.mark.parametrize("find", [blocking, for_asyncio, by_operator])
def test_a_flood_of_replies_ends_with_the_time_for_one(liar, find):
    """Each takes the client longer to read than it takes to send, so that there is always another one."""
    give_up = time.monotonic() + 2 * SLACK_S

    def flood(query):
        packet = other_id(reply(query, *(a(n) for n in range(4000))))
        while time.monotonic() < give_up:
            yield packet

    liar.packets = flood
    found = timed(find, liar.address)
    give_up = 0
    assert found is None


@pytest.mark.parametrize("find", [blocking, for_asyncio])
def test_any_reply_ends_in_an_address_or_none(liar, find):
    @FEW
    @given(st.lists(st.tuples(st.integers(2, 200), st.integers(0, 255)), max_size=4), st.integers(0, 60))
    @example([(3, 0x82)], 0)
    @example([(6, 255), (7, 255)], 0)
    def check(changes, cut):
        def packets(query):
            right = bytearray(reply(query, record(ASKED, 5, label(1)), a(7, label(1)))[: -cut or None])
            for at, octet in changes:
                right[at % len(right)] = octet
            return [bytes(right)]

        liar.packets = packets
        found = timed(find, liar.address)
        assert found is None or ip_address(found.address)

    check()


@pytest.mark.parametrize("find", [blocking, for_asyncio])
def test_a_right_reply_is_an_address(liar, find):
    liar.packets = lambda query: [reply(query, record(ASKED, 5, label(1)), a(7, label(1)))]
    assert timed(find, liar.address, within_s=10).address == "0.0.0.7"
