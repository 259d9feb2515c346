"""DNS as seen by one client: answers are kept for their TTL, counted from the question, and never longer."""

import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

import dns.asyncresolver
import dns.exception
import dns.resolver

from farshore.resolve import Nameserver

_RETRY_S = 0.5
R = TypeVar("R", bound=dns.resolver.BaseResolver)


class NameLookupError(OSError):
    """A name could not be resolved in time; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """The end of the CNAME chain and one of its addresses; `expires` is a time.monotonic() second.

    `names` holds every name of the chain, the one asked for and the canonical one included: on Aurora a
    cluster's endpoint is an alias itself, so that the chain goes on behind it.
    """

    canonical: str
    address: str
    expires: float
    names: frozenset[str] = frozenset()


class Answers:
    """The answers of one client, each until it expires."""

    def __init__(self) -> None:
        self._kept: dict[str, Found] = {}
        self._lock = threading.Lock()

    def get(self, name: str, now: float) -> Found | None:
        if _is_address(name):
            return Found(name, name, float("inf"), frozenset({name}))
        with self._lock:
            kept = self._kept.get(name)
        return kept if kept is not None and now < kept.expires else None

    def keep(self, name: str, answer: dns.resolver.Answer, asked: float) -> Found:
        chain = answer.chaining_result
        canonical = _text(chain.canonical_name)
        found = Found(
            canonical=canonical,
            address=answer[0].to_text(),
            expires=asked + chain.minimum_ttl,
            names=frozenset({name.lower(), canonical, *(_text(each.name) for each in chain.cnames)}),
        )
        with self._lock:
            self._kept[name] = found
        return found


class Resolver:
    """Resolves IPv4 addresses by explicit nameservers ("address:port"), or by the system's configuration."""

    def __init__(self, nameservers: tuple[str, ...] = ()) -> None:
        self._resolver = _configured(dns.resolver.Resolver(configure=not nameservers), nameservers)
        self._answers = Answers()

    def find(self, name: str, within_s: float) -> Found:
        """The address of `name` now; NameLookupError when no answer came within `within_s` seconds."""
        asked = time.monotonic()
        if (kept := self._answers.get(name, asked)) is not None:
            return kept
        try:
            answer = self._resolver.resolve(name, "A", lifetime=max(within_s, 0.001), search=False)
        except dns.exception.DNSException as error:
            raise NameLookupError(f"{name}: {error}") from error
        return self._answers.keep(name, answer, asked)


class AsyncResolver:
    """The same for asyncio."""

    def __init__(self, nameservers: tuple[str, ...] = ()) -> None:
        self._resolver = _configured(dns.asyncresolver.Resolver(configure=not nameservers), nameservers)
        self._answers = Answers()

    async def find(self, name: str, within_s: float) -> Found:
        """The address of `name` now; NameLookupError when no answer came within `within_s` seconds."""
        asked = time.monotonic()
        if (kept := self._answers.get(name, asked)) is not None:
            return kept
        try:
            answer = await self._resolver.resolve(name, "A", lifetime=max(within_s, 0.001), search=False)
        except dns.exception.DNSException as error:
            raise NameLookupError(f"{name}: {error}") from error
        return self._answers.keep(name, answer, asked)


def _configured(resolver: R, nameservers: tuple[str, ...]) -> R:
    resolver.cache = None
    resolver.timeout = _RETRY_S
    texts = nameservers or tuple(f"{address}:{resolver.port}" for address in resolver.nameservers)
    resolver.nameservers = [_nameserver(text) for text in texts]
    return resolver


def _nameserver(text: str) -> Nameserver:
    host, _, port = text.rpartition(":")
    return Nameserver(host, int(port))


def _text(name: "dns.name.Name") -> str:
    return str(name.to_text(omit_final_dot=True)).lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
