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


def handler(_event: Any, context: loop.LambdaContext) -> dict[str, object]:
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
