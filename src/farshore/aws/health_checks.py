"""Whether Route 53 calls a health check healthy, worked out from its leaves.

AWS does not tell the status of a CALCULATED check, so its children are asked and its rule is applied to them. Of an
account it takes four questions for a status at once and then one a second, of any other ten a second.
https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetHealthCheckStatus.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/throttling-api-requests.html
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

HEALTHY_ABOVE_PERCENT = 18
STATUS_GAP_S = 1.5
DEFINITIONS_S = 30.0
_STATES = {True: "healthy", False: "unhealthy", None: "unknown"}


class HealthChecks:
    """`route53`: a client. Definitions are read again now and then, because people invert and disable checks."""

    def __init__(self, route53: Any, gap_s: float = STATUS_GAP_S) -> None:
        self._route53, self._gap_s = route53, gap_s
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._defined_s = time.monotonic()
        self._reports: dict[str, bool | None] = {}

    def words(self, checks: Mapping[str, str]) -> dict[str, str]:
        """By name whether each check is healthy, and of what: each leaf is asked once, however many rest on it."""
        if time.monotonic() - self._defined_s > DEFINITIONS_S:
            self._definitions, self._defined_s = {}, time.monotonic()
        self._reports = {}
        return {
            name: f"{_STATES[self._healthy(check)]} ({self._why(check)})" for name, check in checks.items()
        }

    def _healthy(self, check: str) -> bool | None:
        """What counts for DNS; None: not known. A disabled check is healthy, and inversion comes last."""
        config = self._definition(check)
        healthy: bool | None = True
        if not config.get("Disabled"):
            healthy = self._calculated(config) if config["Type"] == "CALCULATED" else self._reported(check)
        return None if healthy is None else healthy is not bool(config.get("Inverted"))

    def _calculated(self, config: Mapping[str, Any]) -> bool | None:
        """Known as soon as the children that are not known could no longer change it."""
        children, needed = self._children(config), config["HealthThreshold"]
        if children.count(True) >= needed:
            return True
        return None if children.count(True) + children.count(None) >= needed else False

    def _children(self, config: Mapping[str, Any]) -> list[bool | None]:
        return [self._healthy(child) for child in config["ChildHealthChecks"]]

    def _why(self, check: str) -> str:
        config = self._definition(check)
        inverted = ", inverted" if config.get("Inverted") else ""
        if config.get("Disabled"):
            return f"disabled{inverted}"
        if config["Type"] != "CALCULATED":
            return f"by its checkers{inverted}"
        children = self._children(config)
        unknown = f", {children.count(None)} unknown" if None in children else ""
        shown = f"{children.count(True)} of {len(children)} children{unknown}"
        return f"{shown}, needs {config['HealthThreshold']}{inverted}"

    def _reported(self, check: str) -> bool | None:
        if check not in self._reports:
            if self._reports:
                time.sleep(self._gap_s)
            answer = self._route53.get_health_check_status(HealthCheckId=check)
            self._reports[check] = _judged(answer["HealthCheckObservations"])
        return self._reports[check]

    def _definition(self, check: str) -> Mapping[str, Any]:
        if check not in self._definitions:
            found = self._route53.get_health_check(HealthCheckId=check)["HealthCheck"]
            self._definitions[check] = found["HealthCheckConfig"]
        return self._definitions[check]


def _judged(observations: Sequence[Mapping[str, Any]]) -> bool | None:
    """What the checkers see, before inversion; None when none of them has reported."""
    words = [one["StatusReport"]["Status"].partition(":")[0] for one in observations]
    well, ill = words.count("Success"), words.count("Failure")
    return 100 * well > HEALTHY_ABOVE_PERCENT * (well + ill) if well + ill else None
