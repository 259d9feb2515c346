"""RDS: moto keeps the records, `Fleet` runs the servers, and AWS's rules stand between the two.

Instances, snapshots and changes of writer take their time in threads of their own; Describe shows how far they are.
"""

import moto.rds.urls

from farshore.lab.cloud import overlay, rds_snapshots
from farshore.lab.cloud.rds_clusters import ClusterCalls
from farshore.lab.cloud.rds_events import EventCalls
from farshore.lab.cloud.rds_global import GlobalClusterCalls
from farshore.lab.cloud.rds_instances import InstanceCalls
from farshore.lab.cloud.rds_snapshots import SnapshotCalls
from farshore.lab.postgres.fleet import Fleet


class LabRds(GlobalClusterCalls, ClusterCalls, InstanceCalls, SnapshotCalls, EventCalls):
    """Every call that the lab answers otherwise than moto does."""


def install(fleet: Fleet) -> None:
    """Put the overlay into moto's url table; a later fleet takes an earlier one's place."""
    LabRds.fleet = fleet
    LabRds.heard = []
    fleet.on_event.append(LabRds.heard.append)
    fleet.changes.on_saved = lambda saved: rds_snapshots.keep(fleet, saved)
    overlay.swap(moto.rds.urls, LabRds)
