"""One function per resource type, by service. The engine asks these tables, and nothing else creates anything."""

from collections.abc import Mapping

from farshore.lab.deploy.kinds import Function, Kind
from farshore.lab.deploy.provisioners import (
    database,
    dns,
    functions,
    identity,
    local,
    network,
    runbooks,
    store,
    watch,
)

KINDS: Mapping[str, Kind] = {
    **network.KINDS,
    **identity.KINDS,
    **database.KINDS,
    **store.KINDS,
    **functions.KINDS,
    **watch.KINDS,
    **dns.KINDS,
    **runbooks.KINDS,
    **local.KINDS,
}
FUNCTIONS: Mapping[str, Function] = {**local.FUNCTIONS, **database.FUNCTIONS}
