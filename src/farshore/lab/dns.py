"""A DNS server per view, over real UDP and TCP: wire format in and out, the answers come from a callable.

It plays the VPC's resolver: recursion is offered, names outside its zones are refused, and a lost region's resolver
keeps silent. Answers too long for UDP are truncated, and TCP gives them whole (RFC 1035, RFC 7766).
"""

import contextlib
import logging
import selectors
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from farshore.lab.ports import Address

_log = logging.getLogger(__name__)

_UDP_PLAIN_MAX, _UDP_EDNS_MAX = 512, 4096
_HEADER_LENGTH = 12
_IS_RESPONSE = 0x80
_TCP_IDLE_S = 10.0
_TCP_CONNECTIONS_MAX = 64
_KNOWN_MAX = 512


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record set; names are absolute without the final dot, values in presentation format."""

    name: str
    rdtype: str
    ttl: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name is: a DNS response code by name, the records in order, and the zone's SOA when there are none."""

    code: str = "NOERROR"
    records: tuple[Record, ...] = ()
    soa: Record | None = None


Mode = Literal["answers", "silent", "stale"]
"""`silent`: a black hole. `stale`: what it has answered before, whatever is true now."""

Answers = Callable[[str, str, str], Answer]
"""From a view, a lower-case name without final dot, and a record type."""


class DnsServer:
    """Serves one view's resolver until closed.

    `counts` has queries, tcp, unanswered, malformed, outdated and each code; `mode` may be set at any time.
    """

    def __init__(
        self, address: Address, view: str, answers: Answers, silent: Callable[[], bool] = lambda: False
    ) -> None:
        """Bind and start at once; `silent` says whether the resolver's region is lost."""
        self.address, self.view = address, view
        self.counts: Counter[str] = Counter()
        self.mode: Mode = "answers"
        self._known: dict[tuple[str, str], Answer] = {}
        self._answers, self._silent = answers, silent
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._udp.bind((address.host, address.port))
            self._tcp.bind((address.host, address.port))
            self._tcp.listen(64)
        except OSError:
            self._udp.close()
            self._tcp.close()
            raise
        self._udp.setblocking(False)
        self._tcp.setblocking(False)
        self._wake, self._waker = socket.socketpair()
        self._slots = threading.BoundedSemaphore(_TCP_CONNECTIONS_MAX)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, name=f"dns-{view}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._waker.close()
        self._thread.join(5)
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for held in (self._udp, self._tcp, self._wake):
            held.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            for source in (self._udp, self._tcp, self._wake):
                ready.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self._wake:
                        return
                    if key.fileobj is self._udp:
                        self._datagrams()
                    else:
                        self._accept()

    def _datagrams(self) -> None:
        """Everything that waits, so that a burst costs one wake-up."""
        while True:
            try:
                wire, sender = self._udp.recvfrom(65535)
            except OSError:
                return
            reply = self._reply(wire, over_tcp=False)
            if reply is not None:
                with contextlib.suppress(OSError):
                    self._udp.sendto(reply, sender)

    def _accept(self) -> None:
        try:
            connection, _ = self._tcp.accept()
        except OSError:
            return
        if not self._slots.acquire(blocking=False):
            connection.close()
            return
        self._open.add(connection)
        threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(_TCP_IDLE_S)
            with connection, connection.makefile("rb") as incoming:
                while len(prefix := incoming.read(2)) == 2:  # noqa: PLR2004 - RFC 1035: two octets of length
                    wire = incoming.read(struct.unpack("!H", prefix)[0])
                    self.counts["tcp"] += 1
                    reply = self._reply(wire, over_tcp=True)
                    if reply is not None:
                        connection.sendall(struct.pack("!H", len(reply)) + reply)
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            self._slots.release()

    def _reply(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """The response on the wire, or None where a server keeps silent. Never raises."""
        self.counts["queries"] += 1
        if self._silent() or self.mode == "silent":
            self.counts["unanswered"] += 1
            return None
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError, struct.error):
            self.counts["malformed"] += 1
            return _bare_error(wire, dns.rcode.FORMERR)
        if query.flags & dns.flags.QR:
            return None
        try:
            return self._respond(query, over_tcp=over_tcp)
        except Exception:  # noqa: BLE001 - one query must never end the server
            _log.exception("a DNS query failed")
            self.counts["SERVFAIL"] += 1
            return _bare_error(wire, dns.rcode.SERVFAIL)

    def _respond(self, query: dns.message.Message, *, over_tcp: bool) -> bytes:
        response = dns.message.make_response(query, recursion_available=True, our_payload=_UDP_EDNS_MAX)
        response.set_rcode(self._fill(query, response))
        self.counts[dns.rcode.to_text(response.rcode())] += 1
        if over_tcp:
            return response.to_wire(max_size=65535)
        limit = max(_UDP_PLAIN_MAX, min(query.payload, _UDP_EDNS_MAX)) if query.edns >= 0 else _UDP_PLAIN_MAX
        return response.to_wire(max_size=limit, prefer_truncation=True)

    def _fill(self, query: dns.message.Message, response: dns.message.Message) -> dns.rcode.Rcode:
        if query.opcode() != dns.opcode.QUERY:
            return dns.rcode.NOTIMP
        if len(query.question) != 1:
            return dns.rcode.FORMERR
        question = query.question[0]
        if question.rdclass != dns.rdataclass.IN:
            return dns.rcode.REFUSED
        name = question.name.to_text(omit_final_dot=True).lower()
        answer = self._answer(name, dns.rdatatype.to_text(question.rdtype))
        response.answer = [_rrset(record) for record in answer.records]
        if answer.soa is not None:
            response.authority = [_rrset(answer.soa)]
        return dns.rcode.from_text(answer.code)

    def _answer(self, name: str, rdtype: str) -> Answer:
        true = self._answers(self.view, name, rdtype)
        known = self._known.get((name, rdtype))
        if self.mode != "stale" or known is None:
            if known is not None or len(self._known) < _KNOWN_MAX:
                self._known[name, rdtype] = true
            return true
        self.counts["outdated"] += int(known != true)
        return known


@lru_cache(maxsize=512)
def _rrset(record: Record) -> dns.rrset.RRset:
    """Names in values are absolute even without the final dot, as Route 53 takes them."""
    return dns.rrset.from_text_list(
        f"{record.name}.",
        record.ttl,
        "IN",
        record.rdtype,
        record.values,
        origin=dns.name.root,
        relativize=False,
    )


def _bare_error(wire: bytes, code: int) -> bytes | None:
    """A bare header that echoes the query's id; None when there is no query to answer."""
    if len(wire) < _HEADER_LENGTH or wire[2] & _IS_RESPONSE:
        return None
    return wire[:2] + bytes([_IS_RESPONSE | (wire[2] & 0x79), code]) + bytes(8)
