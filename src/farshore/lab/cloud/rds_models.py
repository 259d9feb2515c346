"""moto's RDS records, showing what the real servers are and do.

A record is made by moto and then given one of these classes, so that every operation, overlaid or moto's own,
answers with the same live values.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from moto.rds.models import DBCluster, DBClusterSnapshot, DBInstanceClustered, GlobalCluster

from farshore.lab.cloud.rds_rules import Member
from farshore.lab.postgres.cluster import Cluster, Role
from farshore.lab.postgres.endpoints import ENDPOINT_WORD
from farshore.lab.postgres.fleet import Fleet

Record = TypeVar("Record", bound="Live")


class Live:
    """What a record needs to show live values."""

    fleet: Fleet
    region: str
    account_id: str
    partition: str

    def _running(self, identifier: str) -> Cluster | None:
        """The regional cluster with this name; None for a restored one."""
        cluster = self.fleet.clusters.get(self.region)
        return cluster if cluster is not None and cluster.identifier == identifier else None


def enliven(record: Any, kind: Callable[..., Record], fleet: Fleet) -> Record:
    """`kind` is one of the classes below; mypy takes moto's events mixin for abstract, hence the Callable."""
    record.__class__ = kind
    live: Record = record
    live.fleet = fleet
    return live


class LiveGlobalCluster(Live, GlobalCluster):
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_GlobalCluster.html."""

    engine_lifecycle_support = "open-source-rds-extended-support"

    @property
    def status(self) -> str:
        change = self.fleet.change()
        return change.status if change and change.status != "pending" else "available"

    @status.setter
    def status(self, _: str) -> None:
        """moto sets what it thinks; the servers know better."""

    @property
    def failover_state(self) -> dict[str, Any] | None:
        change = self.fleet.change()
        if change is None:
            return None
        return {
            "Status": change.status,
            "FromDbClusterArn": self._arn_of(change.source.identifier),
            "ToDbClusterArn": self._arn_of(change.target.identifier),
            "IsDataLossAllowed": change.data_loss,
        }

    def _arn_of(self, identifier: str) -> str | None:
        return next((member.arn for member in self.facts() if member.identifier == identifier), None)

    def facts(self) -> list[Member]:
        return [_member(cast("LiveCluster", cluster)) for cluster in self.members]

    @property
    def global_cluster_members(self) -> list[dict[str, Any]]:
        facts = self.facts()
        return [
            {
                "DBClusterArn": member.arn,
                "IsWriter": member.is_writer,
                "Readers": [other.arn for other in facts if not other.is_writer] if member.is_writer else [],
                "SynchronizationStatus": "connected" if member.connected else "pending-resync",
                **({} if member.is_writer else {"GlobalWriteForwardingStatus": "disabled"}),
            }
            for member in facts
        ]


class LiveCluster(Live, DBCluster):
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBCluster.html.

    `lab_volume` is what a restored cluster's instance starts from; None on the global database's members.
    """

    lab_volume: Path | None = None

    @property
    def status(self) -> str:
        change = self.fleet.change()
        running = self._running(self.db_cluster_identifier)
        moving = change is not None and running in (change.source, change.target)
        return "failing-over" if moving else "available"

    @status.setter
    def status(self, _: str) -> None:
        """moto sets what it thinks; the servers know better."""

    @property
    def replication_source_identifier(self) -> str | None:
        running, writer = self._running(self.db_cluster_identifier), self.fleet.writer
        if running is None or writer is None or writer is running or running.role is not Role.SECONDARY:
            return None
        return f"arn:{self.partition}:rds:{writer.region}:{self.account_id}:cluster:{writer.identifier}"

    @replication_source_identifier.setter
    def replication_source_identifier(self, _: str | None) -> None:
        """As for `status`."""


class LiveInstance(Live, DBInstanceClustered):
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html."""

    @property
    def address(self) -> str:
        return self.fleet.instance_endpoint(self.region, self.db_instance_identifier)

    @property
    def is_cluster_writer(self) -> bool:
        running = self._running(self.db_cluster_identifier)
        if running is None:
            return True  # the only instance of a restored cluster
        leads = running.leader is not None and running.leader.identifier == self.db_instance_identifier
        return leads and running.role is Role.WRITER

    @is_cluster_writer.setter
    def is_cluster_writer(self, _: bool) -> None:
        """As for a cluster's `status`."""


class LiveSnapshot(Live, DBClusterSnapshot):
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBClusterSnapshot.html."""

    lab_volume: Path


def _member(record: LiveCluster) -> Member:
    cluster = record._running(record.db_cluster_identifier)  # noqa: SLF001  # the records of one file
    fleet = record.fleet
    return Member(
        identifier=record.db_cluster_identifier,
        arn=record.db_cluster_arn,
        region=record.region,
        is_writer=cluster is not None and cluster is fleet.writer,
        connected=cluster is not None and fleet.connected(cluster),
        instances=len(cluster.members) if cluster else 0,
        alive=not fleet.links.lost(record.region),
    )


def endpoint_words(cluster: Any, port: int) -> None:
    """Names that the lab's resolvers know, and the port its servers listen on."""
    cluster.url_identifier = ENDPOINT_WORD
    cluster.port = port
