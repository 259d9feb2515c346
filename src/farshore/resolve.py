"""Names to addresses through a given nameserver, for places whose own resolver cannot see the private zone."""

import socket
import time
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.message
import dns.nameserver
import dns.query
import dns.resolver


class Nameserver(dns.nameserver.Do53Nameserver):
    """dnspython looks at the clock only while nothing is there to read: a flood of replies would hold it for ever."""

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        if max_size:  # over TCP, where an answer has an end
            return super().query(
                request, timeout, source, source_port, max_size, one_rr_per_rrset, ignore_trailing
            )
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with _Timed(family, time.monotonic() + timeout) as within:
            return dns.query.udp(
                request,
                self.address,
                timeout,
                self.port,
                ignore_unexpected=True,
                raise_on_truncation=True,
                sock=within,
                ignore_errors=True,
            )


class _Timed(socket.socket):
    """A datagram socket from which nothing is read after a time."""

    def __init__(self, family: socket.AddressFamily, until: float) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        self.setblocking(False)
        self._until = until

    def recvfrom(self, *how: Any) -> Any:
        if time.monotonic() >= self._until:
            raise dns.exception.Timeout
        return super().recvfrom(*how)


def resolver(nameserver: str | None) -> Callable[[str], str | None]:
    """A function from name to address, OSError when there is none; None means: leave it to the system's resolver."""
    if nameserver is None:
        return lambda _name: None
    host, _, port = nameserver.rpartition(":")
    asked = dns.resolver.Resolver(configure=False)
    asked.nameservers = [Nameserver(host, int(port))]
    asked.lifetime = asked.timeout = 0.5

    def resolve(name: str) -> str | None:
        try:
            return str(asked.resolve(name, "A")[0])
        except dns.exception.DNSException as error:
            raise OSError(f"{name} has no address at {nameserver}: {error}") from error

    return resolve
