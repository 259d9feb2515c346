"""Lambda handler: the monitor of this function's region."""

import functools
from typing import Any

from farshore.aws.alerts import LagAlerts
from farshore.aws.clients import client
from farshore.aws.lag_metric import LagMetricReader, every_ms
from farshore.core.lag import Limits
from farshore.lambdas import loop
from farshore.monitor import Monitor, Outlets
from farshore.settings import from_environment
from farshore.workshop import Workshop

SNS_TIMEOUT_MS = 3000


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


@functools.cache
def _alerts(topic_arn: str) -> LagAlerts:
    settings = _workshop().settings
    sns = client("sns", settings.region, timeout_ms=SNS_TIMEOUT_MS)
    return LagAlerts(sns, topic_arn, settings.region, settings.names.suffix)


def handler(event: Any, context: loop.LambdaContext) -> dict[str, object]:
    """A schedule's event starts the loop; any other is a person's question, answered by one look at the endpoints."""
    workshop = _workshop()
    settings = workshop.settings
    process = f"{settings.region}/monitor/{context.aws_request_id[:8]}"
    reader = _reader(workshop)
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
        limits=Limits(alert_ms=settings.lag_alert_ms),
        outlets=Outlets(reader.metric, workshop.publisher.lag, _alerts(_topic(workshop, context)).lag),
    )
    try:
        if not loop.starts(event):
            return _look(monitor, settings.region)
        ended = loop.run(
            kind="monitor",
            region=settings.region,
            process=process,
            context=context,
            journal=workshop.journal,
            clock=workshop.clock,
            tick=monitor.tick,
        )
        return {**ended, **monitor.counts()}
    finally:
        reader.stop()
        monitor.stop()


def _reader(workshop: Workshop) -> LagMetricReader:
    settings = workshop.settings
    cloudwatch = client("cloudwatch", settings.region, timeout_ms=settings.profile.unreachable_after_ms)
    cluster, source = settings.names.cluster(settings.region), settings.names.other(settings.region)
    return LagMetricReader(cloudwatch, cluster, source, every_ms(settings.profile), workshop.clock).start()


def _topic(workshop: Workshop, context: loop.LambdaContext) -> str:
    """This region's alert topic, in the function's own account."""
    partition, account = (context.invoked_function_arn.split(":")[at] for at in (1, 4))
    region = workshop.settings.region
    return f"arn:{partition}:sns:{region}:{account}:{workshop.settings.names.topic(region)}"


def _look(monitor: Monitor, region: str) -> dict[str, object]:
    endpoints, verdict = monitor.look()
    return {
        "monitor": region,
        "lag_ms": verdict.lag_ms,
        "lag_state": verdict.state,
        "lag_why": verdict.why,
        "silent_ms": {
            probed: {"writer": seen.writer_silent_ms, "reader": seen.reader_silent_ms}
            for probed, seen in endpoints.items()
        },
    }
