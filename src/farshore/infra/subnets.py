"""Which subnets a VPC has: three private ones, in three availability zones."""

from collections.abc import Sequence
from ipaddress import IPv4Network

SUBNETS = 3
_ADDED_BITS = 8
_LONGEST_PREFIX = 28


def subnet_networks(network: IPv4Network, given: Sequence[str] = ()) -> list[IPv4Network]:
    """The given ones, or the seed's pattern: 10.0.0.0/16 has 10.0.1.0/24, 10.0.2.0/24 and 10.0.3.0/24."""
    if given:
        return [IPv4Network(text) for text in given]
    prefix = min(network.prefixlen + _ADDED_BITS, _LONGEST_PREFIX)
    parts = network.subnets(new_prefix=prefix)
    next(parts)
    return [next(parts) for _ in range(SUBNETS)]
