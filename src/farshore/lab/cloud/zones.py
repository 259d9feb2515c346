"""What Route 53's data plane does: health evaluated in a thread, and every name answered from it.

Both read moto's records in this process, and go on whatever region is lost.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from moto.route53.models import FakeZone, RecordSet, route53_backends

from farshore.lab.cloud.checkers import Checkers
from farshore.lab.cloud.health import (
    HTTPS,
    NOTHING_KNOWN,
    Check,
    Endpoint,
    Health,
    Insufficient,
    Stream,
    choose_failover,
    evaluate,
)
from farshore.lab.dns import Answer, Record

_log = logging.getLogger(__name__)

EVALUATION_INTERVAL_S = 10.0
"""AWS publishes none for checks on alarms; 10 s is its fast interval for endpoints. News of endpoints come at once."""

_CNAME_CHAIN_MAX = 8

Resolve = Callable[[str, str], tuple[str, int] | None]
"""From a view and an AWS endpoint's name to its address and TTL in seconds."""


class HealthEvaluator:
    """Evaluates every health check `cadence` times as often as AWS would; any thread may ask."""

    def __init__(
        self,
        stream: Stream,
        cadence: int = 1,
        on_change: Callable[[str, bool, str], None] | None = None,
        checkers: Checkers | None = None,
    ) -> None:
        """`stream` is `AlarmEvaluator.stream`; `on_change` hears check id, new health and the reason; `checkers` ask
        endpoints, of which there are none by default."""
        self.checkers = checkers if checkers is not None else Checkers(lambda _host: None, cadence)
        self.checkers.on_change = self.tick
        self._stream, self._interval_s, self._on_change = stream, EVALUATION_INTERVAL_S / cadence, on_change
        self._lock = threading.Lock()
        self._health = NOTHING_KNOWN
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-checks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self.checkers.close()
        if self._thread.is_alive():
            self._thread.join(5)

    @property
    def health(self) -> Health:
        """The last evaluation; a check created since then is evaluated at the next."""
        return self._health

    def tick(self) -> Health:
        """Evaluate now, and say what changed."""
        with self._lock:
            checks = _checks()
            self.checkers.follow({name: check.endpoint for name, check in checks.items() if check.endpoint})
            before = self._health
            after = self._health = evaluate(checks, self._stream, before, self.checkers.verdict)
        for name, verdict in after.verdicts.items():
            known = before.verdicts.get(name)
            if self._on_change is not None and (known is None or known.healthy != verdict.healthy):
                self._on_change(name, verdict.healthy, verdict.why)
        return after

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - answers must go on, from the last evaluation
                _log.exception("health evaluation failed; it goes on with the next interval")


class Zones:
    """What every name is, seen from a view: hosted zones by health, AWS endpoint names by `resolve`."""

    def __init__(
        self, health: HealthEvaluator, resolve: Resolve, domains: Sequence[str] = ("rds.amazonaws.com",)
    ) -> None:
        """`domains` are those whose names `resolve` knows; everything else outside the zones is refused."""
        self._health, self._resolve, self._domains = health, resolve, tuple(domains)

    def answer(self, view: str, name: str, rdtype: str) -> Answer:
        """The records for a name, CNAMEs followed, as the VPC's resolver gives them."""
        chain: list[Record] = []
        for _ in range(_CNAME_CHAIN_MAX):
            step = self._look_up(view, name, rdtype)
            chain.extend(step.records)
            last = step.records[-1] if step.records else None
            if last is None or last.rdtype != "CNAME" or rdtype == "CNAME":
                # A target outside the zones is the asker's to follow; the part that is known is an answer.
                refused_target = bool(chain) and step.code == "REFUSED"
                return Answer("NOERROR" if refused_target else step.code, tuple(chain), step.soa)
            name = last.values[0].rstrip(".").lower()
        return Answer("SERVFAIL")

    def _look_up(self, view: str, name: str, rdtype: str) -> Answer:
        if any(name.endswith(f".{domain}") for domain in self._domains):
            found = self._resolve(view, name)
            if found is None:
                return Answer("NXDOMAIN")
            address, ttl = found
            return Answer(records=(Record(name, "A", ttl, (address,)),) if rdtype == "A" else ())
        zone = _zone_of(name)
        return Answer("REFUSED") if zone is None else self.in_zone(zone, name, rdtype)

    def in_zone(self, zone: FakeZone, name: str, rdtype: str) -> Answer:
        """One zone's own records for a name, by health; no CNAME is followed."""
        here = [record for record in tuple(zone.rrsets) if plain(record.name) == name]
        wanted = [record for record in here if record.type == rdtype] or [
            r for r in here if r.type == "CNAME"
        ]
        if wanted:
            chosen = self._choose(wanted)
            values = tuple(str(value) for value in chosen.records or ())
            return Answer(records=(Record(name, str(chosen.type), int(chosen.ttl or 0), values),))
        below = any(plain(record.name).endswith(f".{name}") for record in zone.rrsets)
        return Answer("NOERROR" if here or below else "NXDOMAIN", soa=_negative_soa(zone))

    def _choose(self, records: list[RecordSet]) -> RecordSet:
        by_role = {record.failover: record for record in records}
        health = self._health.health
        chosen = choose_failover(
            by_role.get("PRIMARY"),
            by_role.get("SECONDARY"),
            lambda record: health.healthy(record.health_check_id),
        )
        return chosen if chosen is not None else records[0]


def _backends() -> Iterator[Any]:
    for _, _, backend in list(route53_backends.iter_backends()):
        yield backend


def _checks() -> dict[str, Check]:
    return {
        check.id: _check(check.health_check_config)
        for backend in _backends()
        for check in tuple(backend.health_checks.values())
    }


def _check(config: dict[str, Any]) -> Check:
    alarm = config.get("AlarmIdentifier")
    return Check(
        kind=config["Type"],
        inverted=bool(config.get("Inverted")),
        disabled=bool(config.get("Disabled")),
        alarm=(alarm["Region"], alarm["Name"]) if alarm else None,
        insufficient=Insufficient(config.get("InsufficientDataHealthStatus") or Insufficient.LAST_KNOWN),
        children=tuple(config.get("ChildHealthChecks") or ()),
        threshold=int(config.get("HealthThreshold") or 0),
        endpoint=_endpoint(config) if config["Type"] == HTTPS else None,
    )


def _endpoint(config: dict[str, Any]) -> Endpoint:
    return Endpoint(
        host=config["FullyQualifiedDomainName"],
        path=config["ResourcePath"],
        interval_s=int(config["RequestInterval"]),
        failures=int(config["FailureThreshold"]),
    )


def _zone_of(name: str) -> FakeZone | None:
    """The most specific hosted zone that contains the name."""
    zones = [zone for backend in _backends() for zone in tuple(backend.zones.values())]
    holding = [zone for zone in zones if name == plain(zone.name) or name.endswith("." + plain(zone.name))]
    return max(holding, key=lambda zone: len(zone.name), default=None)


def _negative_soa(zone: FakeZone) -> Record | None:
    """The SOA with the TTL for which a resolver may remember a missing name (RFC 2308)."""
    for record in zone.rrsets:
        if record.type == "SOA":
            value = next(iter(record.resource_records or ({"Value": ""},)))["Value"]
            text = str(value["Value"] if isinstance(value, dict) else value)
            return Record(
                plain(zone.name), "SOA", min(int(record.ttl or 0), int(text.rsplit(maxsplit=1)[-1])), (text,)
            )
    return None


def plain(name: str) -> str:
    """A name as it is compared here: lower case, without the final dot."""
    return name.rstrip(".").lower()
