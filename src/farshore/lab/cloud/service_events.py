"""What AWS's own services put on every default bus: RDS as things happen, AWS Health when a fault is ordered.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-cloudwatch-events.sample.html,
https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html and
https://docs.aws.amazon.com/health/latest/ug/choosing-a-region.html (the backup region)
"""

import time
import uuid
from typing import Any, cast

from moto.events.models import events_backends

from farshore.lab.cloud.callers import administrator
from farshore.lab.postgres.events import Event

_KINDS = {
    "db-cluster": ("RDS DB Cluster Event", "CLUSTER", "cluster"),
    "db-instance": ("RDS DB Instance Event", "DB_INSTANCE", "db"),
    "db-cluster-snapshot": ("RDS DB Cluster Snapshot Event", "CLUSTER_SNAPSHOT", "cluster-snapshot"),
}
BACKUP_REGION, BACKUP_OF_BACKUP = "us-west-2", "us-east-1"


def rds_event(event: Event, account: str) -> dict[str, Any]:
    detail_type, source_type, resource = _KINDS[event.source_type]
    arn = f"arn:aws:rds:{event.region}:{account}:{resource}:{event.source}"
    detail = {
        "EventCategories": list(event.categories),
        "SourceType": source_type,
        "SourceArn": arn,
        "Date": event.at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "Message": event.message,
        "SourceIdentifier": event.source,
        "EventID": event.event_id,
    }
    return _event("aws.rds", detail_type, event.region, account, event.at.timestamp(), [arn], detail)


def health_event(region: str, account: str) -> dict[str, Any]:
    """A public issue of RDS in a region, as it has just been opened."""
    arn = f"arn:aws:health:{region}::event/RDS/AWS_RDS_OPERATIONAL_ISSUE/lab-{uuid.uuid4().hex[:12]}"
    detail = {
        "eventArn": arn,
        "service": "RDS",
        "eventTypeCode": "AWS_RDS_OPERATIONAL_ISSUE",
        "eventTypeCategory": "issue",
        "eventScopeCode": "PUBLIC",
        "communicationId": uuid.uuid4().hex,
        "statusCode": "open",
        "eventRegion": region,
        "eventDescription": [{"language": "en_US", "latestDescription": "Ordered by a fault of this lab."}],
    }
    return _event("aws.health", "AWS Health Event", region, account, time.time(), [], detail)


def backup_of(region: str) -> str:
    """Where AWS Health also sends a region's public events."""
    return BACKUP_OF_BACKUP if region == BACKUP_REGION else BACKUP_REGION


def hear_rds(event: Event) -> None:
    """A listener for the fleet's events."""
    publish(event.region, rds_event(event, administrator().account))


def publish_health(region: str) -> list[str]:
    """An issue of RDS in a region; returns the regions in which it is heard."""
    event = health_event(region, administrator().account)
    heard_in = [region, backup_of(region)]
    for one in heard_in:
        publish(one, event)
    return heard_in


def publish(region: str, event: dict[str, Any]) -> None:
    """Put an event before every rule of the region's default bus; `region` is where it is heard."""
    backend = events_backends[event["account"]][region]
    for rule in list(backend.event_buses["default"].rules.values()):
        rule.send_to_targets(cast("Any", event))


def _event(
    source: str,
    detail_type: str,
    region: str,
    account: str,
    at_unix_s: float,
    resources: list[str],
    detail: dict[str, Any],
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": at_unix_s,
        "region": region,
        "resources": resources,
        "detail": detail,
    }
