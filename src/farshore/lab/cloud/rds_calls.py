"""What every RDS call of the lab stands on: the fleet, moto's records, and work that outlives the call."""

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, cast

from moto.rds.responses import RDSResponse

from farshore.core.errors import FarshoreError
from farshore.lab.cloud.rds_models import LiveCluster, LiveGlobalCluster, endpoint_words, enliven
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.postgres.events import Event
from farshore.lab.postgres.fleet import Fleet

ENGINE = "aurora-postgresql"
log = logging.getLogger(__name__)


class RdsCalls(RDSResponse):
    """One call. `region` is that of the caller's signature: the region that answers."""

    fleet: ClassVar[Fleet]
    heard: ClassVar[list[Event]]

    def _global(self) -> LiveGlobalCluster:
        wanted = str(self.params["GlobalClusterIdentifier"]).lower()
        found = self.global_backend.global_clusters.get(wanted)
        if found is None:
            raise Fault("GlobalClusterNotFoundFault", f"Global cluster {wanted} not found.")
        return cast("LiveGlobalCluster", found)

    def _cluster_record(self, identifier: Any) -> LiveCluster:
        return cast("LiveCluster", self.backend.describe_db_clusters(str(identifier).lower())[0])

    def _new_cluster_identifier(self) -> str:
        identifier = str(self.params["DBClusterIdentifier"]).lower()
        if identifier in self.backend.clusters:
            raise Fault("DBClusterAlreadyExistsFault", f"DB cluster {identifier} already exists.")
        self.params["DBClusterIdentifier"] = identifier
        return identifier

    def _record_cluster(self) -> LiveCluster:
        before = set(self.backend.cluster_snapshots)
        made = self.backend.create_db_cluster(self.params)
        for name in set(self.backend.cluster_snapshots) - before:
            del self.backend.cluster_snapshots[
                name
            ]  # moto's first automated snapshot has no volume behind it
        endpoint_words(made, self.fleet.port)
        return enliven(made, LiveCluster, self.fleet)

    def _given(self) -> set[str]:
        return set(self.params.original_dict())

    def _later(self, work: Callable[[], object], record: Any = None) -> None:
        """Do the work in a thread; the record is `available` afterwards, or `failed`."""

        def run() -> None:
            try:
                work()
            except FarshoreError:
                log.exception("RDS work failed")
                outcome = "failed"
            else:
                outcome = "available"
            if record is not None:
                record.status = outcome

        threading.Thread(target=run, name=f"rds-{self.region}", daemon=True).start()
