"""The metrics that AWS's services publish of themselves, every minute, in every region that is not lost."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.sqs.models import sqs_backends

INTERVAL_S = 60.0
_log = logging.getLogger(__name__)


class ServiceMetrics:
    """Publishes every `INTERVAL_S / cadence`."""

    def __init__(self, lost: Callable[[str], bool], cadence: int = 1) -> None:
        self._lost, self._interval_s = lost, INTERVAL_S / cadence
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def tick(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a server in mid-change must not end the metrics
                _log.exception("%s: nothing was published; the next interval is", type(self).__name__)


class QueueMetrics(ServiceMetrics):
    """How many messages wait in each queue. Here all queues are active ones, those that nobody has used for six hours
    too; on AWS one that wakes from that may be silent for 15 minutes.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html
    """

    def tick(self) -> None:
        backends: list[tuple[str, str, Any]] = list(sqs_backends.iter_backends())
        for account, region, backend in backends:
            if self._lost(region):
                continue
            for queue in tuple(backend.queues.values()):
                waiting = {"ApproximateNumberOfMessagesVisible": float(queue.approximate_number_of_messages)}
                put(account, region, "AWS/SQS", {"QueueName": queue.name}, "Count", waiting)


def put(
    account: str,
    region: str,
    namespace: str,
    dimensions: Mapping[str, str],
    unit: str,
    values: Mapping[str, float],
) -> None:
    """As the service itself does: by no caller, with no permission."""
    at = datetime.now(UTC).replace(tzinfo=None)  # moto compares times without zones
    common = {"Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()], "Unit": unit}
    data = [{"MetricName": name, "Value": value, "Timestamp": at, **common} for name, value in values.items()]
    cloudwatch_backends[account][region].put_metric_data(namespace, data)
