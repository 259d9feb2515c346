"""Lambda handler: the monitor of this function's region."""

import functools
from typing import Any

from farshore.lambdas import loop
from farshore.monitor import Monitor
from farshore.settings import from_environment
from farshore.workshop import Workshop


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


def handler(event: Any, context: loop.LambdaContext) -> dict[str, object]:
    """A schedule's event starts the loop; any other is a person's question, answered by one look at the endpoints."""
    workshop = _workshop()
    settings = workshop.settings
    process = f"{settings.region}/monitor/{context.aws_request_id[:8]}"
    monitor = Monitor(
        region=settings.region,
        process=process,
        sessions={
            region: (workshop.session(endpoints.writer), workshop.session(endpoints.reader))
            for region, endpoints in settings.endpoints.items()
        },
        profile=settings.profile,
        journal=workshop.journal,
        clock=workshop.clock,
        tell_lag=workshop.publisher.replication_lag,
    )
    try:
        if not loop.starts(event):
            return _look(monitor, settings.region)
        return loop.run(
            kind="monitor",
            region=settings.region,
            process=process,
            context=context,
            journal=workshop.journal,
            clock=workshop.clock,
            tick=monitor.tick,
        )
    finally:
        monitor.stop()


def _look(monitor: Monitor, region: str) -> dict[str, object]:
    endpoints, lag_ms = monitor.look()
    return {
        "monitor": region,
        "lag_ms": lag_ms,
        "silent_ms": {
            probed: {"writer": seen.writer_silent_ms, "reader": seen.reader_silent_ms}
            for probed, seen in endpoints.items()
        },
    }
