"""RDS events: what the fleet told of, as DescribeEvents shows it."""

import datetime as dt
from typing import Any

from moto.core.responses import ActionResult

from farshore.lab.cloud.rds_calls import RdsCalls
from farshore.lab.cloud.rds_rules import Fault
from farshore.lab.postgres.events import Event

EVENTS_DEFAULT_MINUTES = 60


class EventCalls(RdsCalls):
    def describe_events(self) -> ActionResult:
        """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html."""
        source, kind = self.params.get("SourceIdentifier"), self.params.get("SourceType")
        if source and not kind:
            raise Fault("InvalidParameterCombination", "Cannot specify source identifier without source type")
        since, until = self._window()
        wanted = set(self.params.get("EventCategories") or ())
        events = [
            self._shown(event)
            for event in list(self.heard)
            if event.region == self.region
            and since <= event.at <= until
            and (not kind or event.source_type == kind)
            and (not source or event.source == str(source).lower())
            and (not wanted or wanted & set(event.categories))
        ]
        return ActionResult({"Events": events})

    def _window(self) -> tuple[dt.datetime, dt.datetime]:
        now = dt.datetime.now(dt.UTC)
        minutes = int(self.params.get("Duration") or EVENTS_DEFAULT_MINUTES)
        since = self.params.get("StartTime") or now - dt.timedelta(minutes=minutes)
        until = self.params.get("EndTime") or now
        return _aware(since), _aware(until)

    def _shown(self, event: Event) -> dict[str, Any]:
        kind = {"db-cluster": "cluster", "db-instance": "db", "db-cluster-snapshot": "cluster-snapshot"}
        scope = f"{event.region}:{self.current_account}:{kind[event.source_type]}"
        return {
            "SourceIdentifier": event.source,
            "SourceType": event.source_type,
            "SourceArn": f"arn:{self.backend.partition}:rds:{scope}:{event.source}",
            "Message": event.message,
            "EventCategories": list(event.categories),
            "Date": event.at,
        }


def _aware(moment: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
