"""The Aurora global cluster's control plane behind the Cloud port, called in one region only.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverGlobalCluster.html
"""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from farshore.core.errors import MoveRefusedError, MoveTooLateError, UnknownOutcomeError
from farshore.core.facts import GlobalCluster
from farshore.ports import InTime

_REFUSALS, _FAILURES = 400, 500


def region_of(arn: str) -> str:
    """arn:aws:rds:<region>:<account>:cluster:<name>"""
    return arn.split(":")[3]


class AuroraGlobalCluster:
    """`reader` has a short deadline, `mover` a long one: a reply to a promotion is worth waiting for."""

    def __init__(self, reader: Any, mover: Any, identifier: str) -> None:
        self._reader = reader
        self._mover = mover
        self._identifier = identifier
        self._arns: dict[str, str] = {}
        self._asked = threading.local()
        if mover is not None:
            mover.meta.events.register("before-send.rds", self._look_last)

    def describe(self) -> GlobalCluster | None:
        try:
            answer = self._reader.describe_global_clusters(GlobalClusterIdentifier=self._identifier)
        except (BotoCoreError, ClientError):
            return None
        clusters = answer["GlobalClusters"]
        if not clusters:
            return None
        members = clusters[0]["GlobalClusterMembers"]
        self._arns = {region_of(m["DBClusterArn"]): m["DBClusterArn"] for m in members}
        writers = [region_of(m["DBClusterArn"]) for m in members if m["IsWriter"]]
        readers = [m for m in members if not m["IsWriter"]]
        state = clusters[0].get("FailoverState") or {}
        return GlobalCluster(
            writer_region=writers[0] if len(writers) == 1 else None,
            moving=state.get("Status"),
            synchronized=bool(readers)
            and all(m.get("SynchronizationStatus") == "connected" for m in readers),
        )

    def promote(self, region: str, in_time: InTime) -> None:
        self._move(self._mover.failover_global_cluster, region, in_time, AllowDataLoss=True)

    def switch(self, region: str, in_time: InTime) -> None:
        self._move(self._mover.switchover_global_cluster, region, in_time)

    def _look_last(self, **_: Any) -> None:
        """Dated and signed, not yet sent. Whoever is frozen from here on sends what AWS takes for five minutes only.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
        """
        if not self._asked.in_time():
            raise MoveTooLateError("the request to move the writer was not sent: its time has passed.")

    def _move(self, request: Callable[..., Any], region: str, in_time: InTime, **more: Any) -> None:
        if region not in self._arns:
            self.describe()
        if region not in self._arns:
            raise MoveRefusedError(
                f"{region} is not known to be a member of {self._identifier}: nothing was sent."
            )
        self._asked.in_time = in_time
        try:
            request(
                GlobalClusterIdentifier=self._identifier, TargetDbClusterIdentifier=self._arns[region], **more
            )
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if _REFUSALS <= status < _FAILURES:
                raise MoveRefusedError(f"AWS refused to move the writer to {region}: {error}") from error
            raise UnknownOutcomeError(f"moving the writer to {region}: {error!r}") from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise MoveRefusedError(f"the request to move the writer was never sent: {error}") from error
        except BotoCoreError as error:
            raise UnknownOutcomeError(f"moving the writer to {region}: {error!r}") from error
