"""Route 53's control plane: an overlay over moto that keeps health checks whole and answers from their evaluation.

It is an API in us-east-1, which the gateway cuts off with that region; `zones` is the data plane, which goes on.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import moto.route53.urls
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53.exceptions import InvalidInput, NoSuchHealthCheck, Route53ClientError
from moto.route53.models import RecordSet
from moto.route53.responses import Route53

from farshore.lab.cloud.health import CALCULATED, CLOUDWATCH_METRIC, HTTPS, Insufficient
from farshore.lab.cloud.zones import HealthEvaluator, Zones, plain
from farshore.lab.ports import OUTSIDE

__all__ = ["HealthEvaluator", "LabRoute53", "StoredCheck", "Zones", "install"]

_CHILDREN_MAX = 255
_FAILURES_MAX = 10
_STANDARD_S = 60
_NOT_IN_THE_LAB = (
    "Weight",
    "Region",
    "GeoLocation",
    "GeoProximityLocation",
    "CidrRoutingConfig",
    "MultiValueAnswer",
)


def install(health: HealthEvaluator, zones: Zones) -> None:
    """Put the overlay in moto's place; before the first request."""
    paths = moto.route53.urls.url_paths

    class Served(LabRoute53):
        pass

    Served.health, Served.zones = health, zones
    test_answer = r"{0}/(?P<api_version>[\d_-]+)/testdnsanswer$"
    moto.route53.urls.url_paths = dict.fromkeys([*paths, test_answer], Served.dispatch)


@dataclass(slots=True)
class StoredCheck:
    """A health check as given, in place of moto's, which forgets half of it; the API shows these attributes."""

    id: str
    caller_reference: str
    health_check_config: dict[str, Any]
    health_check_version: int = 1

    @property
    def type_(self) -> str:
        """Moto's name for it."""
        return str(self.health_check_config["Type"])


class LabRoute53(Route53):
    """The operations whose answers moto makes up or gets wrong."""

    health: HealthEvaluator
    zones: Zones

    def create_health_check(self) -> ActionResult:
        config = dict(self._get_param("HealthCheckConfig"))
        reference = self._get_param("CallerReference")
        _with_defaults(config)
        self._refuse_impossible(config)
        checks: dict[str, Any] = self.backend.health_checks
        for check in checks.values():
            if check.caller_reference == reference:
                if check.health_check_config == config:
                    return ActionResult({"HealthCheck": check, "Location": _location(check.id)})
                message = f"a health check with the caller reference {reference} exists, with other settings"
                raise Route53ClientError("HealthCheckAlreadyExists", message)
        made = StoredCheck(str(uuid4()), reference, config)
        checks[made.id] = made
        self.health.tick()
        return ActionResult({"HealthCheck": made, "Location": _location(made.id)})

    def update_health_check(self) -> ActionResult:
        """Only what the request names changes, from the next evaluation on; ChildHealthChecks replaces the list."""
        check: Any = self.backend.get_health_check(self._get_param("HealthCheckId"))
        version = self._get_param("HealthCheckVersion")
        if version is not None and int(version) != check.health_check_version:
            message = f"the health check is at version {check.health_check_version}, not {version}"
            raise Route53ClientError("HealthCheckVersionMismatch", message)
        config = dict(check.health_check_config)
        for name in _UPDATABLE:
            value = self._get_param(name)
            if value is not None:
                config[name] = value
        for name in self._get_param("ResetElements", []):
            config.pop(name, None)
        self._refuse_impossible(config)
        check.health_check_config = config
        check.health_check_version += 1
        return ActionResult({"HealthCheck": check})

    def get_health_check_status(self) -> ActionResult:
        """What each checker of an endpoint saw last, or an alarm's data stream says, before inversion.

        Of CALCULATED checks the verdict: AWS does not offer it, but the lab's operators have no console.
        """
        check_id = self._get_param("HealthCheckId")
        check: Any = self.backend.get_health_check(check_id)
        reports = self.health.checkers.reports(check_id)
        if not reports:
            verdict = self.health.health.verdicts[check_id]
            inverted = check.type_ != CALCULATED and check.health_check_config["Inverted"]
            status = f"{'Failure' if verdict.healthy is inverted else 'Success'}: {verdict.why}"
            return ActionResult({"HealthCheckObservations": [_observed("us-east-1", status)]})
        seen = [_observed(report.region, report.words) for report in reports]
        return ActionResult({"HealthCheckObservations": seen})

    def change_resource_record_sets(self) -> ActionResult:
        for change in self._get_param("ChangeBatch.Changes"):
            wanted = change["ResourceRecordSet"]
            policy = next((key for key in _NOT_IN_THE_LAB if wanted.get(key) is not None), None)
            if policy or wanted.get("AliasTarget"):
                raise InvalidInput(
                    f"{policy or 'AliasTarget'} is not in the lab: simple and failover records are"
                )
            check = wanted.get("HealthCheckId")
            if check and change["Action"] != "DELETE" and check not in self.backend.health_checks:
                raise NoSuchHealthCheck(check)
        spared = self._namesakes()
        answer = super().change_resource_record_sets()
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        zone.rrsets.extend(record for record in spared if record not in zone.rrsets)
        return answer

    def _namesakes(self) -> list[RecordSet]:
        """Records of other names that moto would delete too, because it goes by the SetIdentifier alone."""
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        deleted = [
            change["ResourceRecordSet"]
            for change in self._get_param("ChangeBatch.Changes")
            if change["Action"] == "DELETE" and change["ResourceRecordSet"].get("SetIdentifier")
        ]
        return [
            record
            for record in zone.rrsets
            if any(record.set_identifier == gone["SetIdentifier"] for gone in deleted)
            and not any(
                (plain(record.name), record.type, record.set_identifier)
                == (plain(gone["Name"]), gone["Type"], gone["SetIdentifier"])
                for gone in deleted
            )
        ]

    def test_dns_answer(self) -> ActionResult:
        """AWS offers this for public zones only; in the lab it answers for the private one, as seen from outside."""
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        name, rdtype = self._get_param("RecordName"), self._get_param("RecordType")
        answer = self.zones.in_zone(zone, plain(name), rdtype)
        return ActionResult(
            {
                "Nameserver": f"lab.{OUTSIDE}",
                "RecordName": name,
                "RecordType": rdtype,
                "RecordData": [value for record in answer.records for value in record.values],
                "ResponseCode": answer.code,
                "Protocol": "UDP",
            }
        )

    def _refuse_impossible(self, config: dict[str, Any]) -> None:
        """What AWS refuses, and the endpoint checks that the lab does not have."""
        match config["Type"]:
            case "CLOUDWATCH_METRIC":
                alarm = config.get("AlarmIdentifier") or {}
                if not alarm.get("Name") or not alarm.get("Region"):
                    raise InvalidInput("a CLOUDWATCH_METRIC health check needs an AlarmIdentifier")
                account = cloudwatch_backends[self.backend.account_id]
                _refuse_alarm(account[alarm["Region"]].alarms.get(alarm["Name"]))
            case "CALCULATED":
                children = config.get("ChildHealthChecks") or []
                known = self.backend.health_checks
                if len(children) > _CHILDREN_MAX:
                    raise InvalidInput(f"a CALCULATED health check has at most {_CHILDREN_MAX} children")
                if any(child not in known for child in children):
                    raise InvalidInput("a child health check does not exist")
                if any(known[child].type_ == CALCULATED for child in children):
                    raise InvalidInput("a CALCULATED health check cannot have CALCULATED children")
            case "HTTPS":
                _refuse_endpoint(config)
            case kind:
                raise InvalidInput(
                    f"{kind} health checks are not in the lab: CLOUDWATCH_METRIC, CALCULATED and HTTPS are"
                )


def _refuse_alarm(alarm: Any) -> None:
    """What health checks do not support of an alarm; one that is not there yet is not judged.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
    """
    if alarm is None:
        return
    points = int(alarm.evaluation_periods or 1)
    unsupported = {
        "alarms without a metric of their own": not alarm.metric_name or bool(alarm.metric_data_queries),
        "high-resolution metrics": int(alarm.period or _STANDARD_S) < _STANDARD_S,
        "extended statistics": bool(alarm.extended_statistic),
        '"M out of N" alarms': int(alarm.datapoints_to_alarm or points) != points,
    }
    found = [what for what, is_so in unsupported.items() if is_so]
    if found:
        raise InvalidInput(f"{alarm.name}: Route 53 does not support {' or '.join(found)}")


def _refuse_endpoint(config: dict[str, Any]) -> None:
    """What AWS refuses of an endpoint, and what the lab's checkers do not do."""
    unheard = [name for name in ("IPAddress", "Regions", "MeasureLatency") if config.get(name)]
    if unheard or not config.get("FullyQualifiedDomainName"):
        raise InvalidInput(
            f"{unheard or 'an endpoint without a name'}: the lab's checkers ask a name, by HTTPS"
        )
    if int(config["RequestInterval"]) not in (10, 30):
        raise InvalidInput("RequestInterval is 10 or 30")
    if not 1 <= int(config["FailureThreshold"]) <= _FAILURES_MAX:
        raise InvalidInput(f"FailureThreshold is 1 to {_FAILURES_MAX}")
    if not str(config["ResourcePath"]).startswith("/"):
        raise InvalidInput("ResourcePath begins with /")


def _observed(region: str, status: str) -> dict[str, Any]:
    return {"Region": region, "StatusReport": {"Status": status, "CheckedTime": utcnow()}}


_UPDATABLE = (
    "FullyQualifiedDomainName",
    "ResourcePath",
    "Port",
    "FailureThreshold",
    "Inverted",
    "Disabled",
    "HealthThreshold",
    "ChildHealthChecks",
    "AlarmIdentifier",
    "InsufficientDataHealthStatus",
)


def _with_defaults(config: dict[str, Any]) -> None:
    """As AWS shows them for a check that was created without."""
    config.setdefault("Inverted", False)
    config.setdefault("Disabled", False)
    if config["Type"] == CLOUDWATCH_METRIC:
        config.setdefault("InsufficientDataHealthStatus", Insufficient.LAST_KNOWN.value)
    if config["Type"] == HTTPS:
        endpoint = {"Port": 443, "ResourcePath": "/", "RequestInterval": 30, "FailureThreshold": 3}
        for name, value in {**endpoint, "EnableSNI": True}.items():
            config.setdefault(name, value)


def _location(check_id: str) -> str:
    return f"https://route53.amazonaws.com/2013-04-01/healthcheck/{check_id}"
