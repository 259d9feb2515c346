"""Names to addresses through a given nameserver, for places whose own resolver cannot see the private zone."""

from collections.abc import Callable

import dns.exception
import dns.resolver


def resolver(nameserver: str | None) -> Callable[[str], str | None]:
    """A function from name to address, OSError when there is none; None means: leave it to the system's resolver."""
    if nameserver is None:
        return lambda _name: None
    host, _, port = nameserver.rpartition(":")
    asked = dns.resolver.Resolver(configure=False)
    asked.nameservers = [host]
    asked.port = int(port)
    asked.lifetime = asked.timeout = 0.5

    def resolve(name: str) -> str | None:
        try:
            return str(asked.resolve(name, "A")[0])
        except dns.exception.DNSException as error:
            raise OSError(f"{name} has no address at {nameserver}: {error}") from error

    return resolve
