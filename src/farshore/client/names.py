"""DNS as seen by one client: answers are kept for their TTL, counted from the question, and never longer."""

import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.nameserver
import dns.resolver

_RETRY_S = 0.5


class NameLookupError(OSError):
    """A name could not be resolved in time; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """The end of the CNAME chain and one of its addresses; `expires` is a time.monotonic() second."""

    canonical: str
    address: str
    expires: float


class Resolver:
    """Resolves IPv4 addresses by explicit nameservers ("address:port"), or by the system's configuration."""

    def __init__(self, nameservers: tuple[str, ...] = ()) -> None:
        self._resolver = dns.resolver.Resolver(configure=not nameservers)
        self._resolver.cache = None
        self._resolver.timeout = _RETRY_S
        if nameservers:
            self._resolver.nameservers = [_nameserver(text) for text in nameservers]
        self._kept: dict[str, Found] = {}
        self._lock = threading.Lock()

    def find(self, name: str, within_s: float) -> Found:
        """The address of `name` now; NameLookupError when no answer came within `within_s` seconds."""
        if _is_address(name):
            return Found(name, name, float("inf"))
        asked = time.monotonic()
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and asked < kept.expires:
            return kept
        try:
            answer = self._resolver.resolve(name, "A", lifetime=max(within_s, 0.001), search=False)
        except dns.exception.DNSException as error:
            raise NameLookupError(f"{name}: {error}") from error
        chain = answer.chaining_result
        found = Found(
            canonical=chain.canonical_name.to_text(omit_final_dot=True).lower(),
            address=answer[0].to_text(),
            expires=asked + chain.minimum_ttl,
        )
        with self._lock:
            self._kept[name] = found
        return found


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host, int(port))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
