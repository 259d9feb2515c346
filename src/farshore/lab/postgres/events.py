"""RDS events by AWS's numbers, categories and words.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

CLUSTER, INSTANCE, SNAPSHOT = "db-cluster", "db-instance", "db-cluster-snapshot"

# number: (source type, categories, message)
_TABLE: dict[int, tuple[str, tuple[str, ...], str]] = {
    5: (INSTANCE, ("creation",), "DB instance created."),
    3: (INSTANCE, ("deletion",), "DB instance deleted."),
    6: (INSTANCE, ("availability",), "DB instance restarted."),
    71: (CLUSTER, ("failover",), "Completed failover to DB instance: {instance}."),
    73: (CLUSTER, ("failover",), "Started cross AZ failover to DB instance: {instance}."),
    69: (
        CLUSTER,
        ("failover",),
        "Cluster failover failed, check the health of your cluster instances and try again.",
    ),
    74: (SNAPSHOT, ("backup",), "Creating manual cluster snapshot."),
    75: (SNAPSHOT, ("backup",), "Manual cluster snapshot created."),
    168: (SNAPSHOT, ("backup",), "Creating automated cluster snapshot."),
    169: (SNAPSHOT, ("backup",), "Automated cluster snapshot created."),
    170: (CLUSTER, ("creation",), "DB cluster created."),
    171: (CLUSTER, ("deletion",), "DB cluster deleted."),
    181: (
        CLUSTER,
        ("global failover",),
        "Global switchover to DB cluster {cluster} in Region {region} started.",
    ),
    182: (
        CLUSTER,
        ("global failover",),
        "Old primary DB cluster {cluster} in Region {region} successfully shut down.",
    ),
    183: (
        CLUSTER,
        ("global failover",),
        (
            "Waiting for data synchronization across global cluster members. "
            "Current lags behind primary DB cluster: {reason}."
        ),
    ),
    184: (
        CLUSTER,
        ("global failover",),
        "New primary DB cluster {cluster} in Region {region} was successfully promoted.",
    ),
    185: (
        CLUSTER,
        ("global failover",),
        "Global switchover to DB cluster {cluster} in Region {region} finished.",
    ),
    186: (
        CLUSTER,
        ("global failover",),
        "Global switchover to DB cluster {cluster} in Region {region} is cancelled.",
    ),
    187: (
        CLUSTER,
        ("global failover",),
        "Global switchover to DB cluster {cluster} in Region {region} failed.",
    ),
    238: (
        CLUSTER,
        ("global failover",),
        "Global failover to DB cluster {cluster} in Region {region} completed.",
    ),
    239: (
        CLUSTER,
        ("global failover",),
        "Global failover to DB cluster {cluster} in Region {region} failed.",
    ),
    240: (
        CLUSTER,
        ("global failover",),
        "Started resynchronizing members of DB cluster {cluster} in Region {region} after global failover.",
    ),
    241: (
        CLUSTER,
        ("global failover",),
        "Finished resynchronizing members of DB cluster {cluster} in Region {region} after global failover.",
    ),
    390: (
        INSTANCE,
        ("notification", "global database"),
        "Attempt to block writes for DB cluster {cluster} in Region {region} succeeded.",
    ),
    391: (
        INSTANCE,
        ("notification", "global database"),
        "Attempt to block writes for DB cluster {cluster} in Region {region} timed out.",
    ),
    397: (
        CLUSTER,
        ("global failover",),
        "Aurora finished changing the DNS name that the global writer endpoint resolves to.",
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """`region` is where AWS records it; `source` names the cluster, instance or snapshot."""

    event_id: str
    region: str
    source_type: str
    source: str
    categories: tuple[str, ...]
    message: str
    at: dt.datetime


Listener = Callable[[Event], None]


def event(number: int, recorded_in: str, source: str, /, **words: str) -> Event:
    source_type, categories, message = _TABLE[number]
    return Event(
        event_id=f"RDS-EVENT-{number:04d}",
        region=recorded_in,
        source_type=source_type,
        source=source,
        categories=categories,
        message=message.format(**words),
        at=dt.datetime.now(dt.UTC),
    )
