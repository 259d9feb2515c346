"""AWS's rules for calls on global clusters: which are refused, with which error code. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverGlobalCluster.html
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_SwitchoverGlobalCluster.html
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

from moto.core.exceptions import ServiceException


class Fault(ServiceException):
    """An error answer with AWS's code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster of the global database, as the call finds it.

    `connected`: its SynchronizationStatus; `instances`: how many it has; `alive`: its region can be worked with.
    """

    identifier: str
    arn: str
    region: str
    is_writer: bool
    connected: bool
    instances: int
    alive: bool


def target_of(members: Sequence[Member], wanted: str) -> Member:
    """AWS asks for the ARN; the bare name, which names but one member, is taken too."""
    for member in members:
        if wanted in (member.arn, member.identifier):
            return member
    raise Fault("DBClusterNotFoundFault", f"DBCluster {wanted} not found.")


def check_failover(target: Member, *, called_in: str, changing: bool) -> None:
    """With AllowDataLoss: the call is made in the region of the cluster to promote, and needs no other region."""
    _check_target(target, changing=changing)
    if called_in != target.region:
        raise Fault(
            "DBClusterNotFoundFault",
            f"DBCluster {target.identifier} not found in {called_in}: a failover is called in the target's Region, "
            f"{target.region}.",
        )
    if not target.connected:
        raise Fault(
            "InvalidDBClusterStateFault", f"DBCluster {target.identifier} is still being resynchronized."
        )


def check_switchover(
    members: Sequence[Member], target: Member, *, called_in: str, changing: bool, linked: bool
) -> None:
    """Only on a healthy global database, called in the region of the present writer."""
    _check_target(target, changing=changing)
    writer = next((member for member in members if member.is_writer), None)
    if writer is None:
        raise Fault("InvalidGlobalClusterStateFault", "The global cluster has no primary DB cluster.")
    if called_in != writer.region:
        raise Fault(
            "DBClusterNotFoundFault",
            f"The primary DB cluster is not in {called_in}: a switchover is called in its Region, {writer.region}.",
        )
    unwell = [member.identifier for member in members if not (member.alive and member.connected)]
    if unwell or not linked:
        raise Fault(
            "InvalidGlobalClusterStateFault",
            f"A switchover needs a healthy global cluster; not in sync: {', '.join(unwell) or target.identifier}.",
        )


def _check_target(target: Member, *, changing: bool) -> None:
    if changing:
        raise Fault(
            "InvalidGlobalClusterStateFault", "A switchover or failover of the global cluster is in progress."
        )
    if target.is_writer:
        raise Fault(
            "InvalidDBClusterStateFault", f"DBCluster {target.identifier} is already the primary DB cluster."
        )
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attach.console.headless.html
    if target.instances == 0:
        raise Fault("InvalidDBClusterStateFault", f"DBCluster {target.identifier} has no DB instances.")


def check_remove(members: Sequence[Member], target: Member, *, changing: bool) -> None:
    """The primary leaves last.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-detaching.html
    """
    if changing:
        raise Fault(
            "InvalidGlobalClusterStateFault", "A switchover or failover of the global cluster is in progress."
        )
    if target.is_writer and len(members) > 1:
        raise Fault(
            "InvalidGlobalClusterStateFault",
            f"DBCluster {target.identifier} is the primary; remove its secondary DB clusters first.",
        )


def check_secondary_parameters(given: Sequence[str]) -> None:
    """A secondary takes its users, passwords and databases from the primary.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attach.html
    """
    if given:
        raise Fault(
            "InvalidParameterCombination",
            f"Cannot specify {', '.join(given)} when creating a secondary DB cluster of a global cluster.",
        )
