"""A lab: both regions on this computer. Assembles network, servers, DNS and cloud, and takes orders."""

import dataclasses
import datetime as dt
import itertools
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import boto3

from farshore.core.errors import FarshoreError, RefusedError, UnknownOutcomeError, UsageError
from farshore.lab import control, environment, setup
from farshore.lab.addresses import Addresses
from farshore.lab.cloud import cloudwatch, mishaps, rds, route53, service_events, sns
from farshore.lab.cloud.aurora_metrics import AuroraMetrics
from farshore.lab.cloud.checkers import Checkers
from farshore.lab.cloud.gateway import Cloud
from farshore.lab.cloud.mailbox import Mailbox
from farshore.lab.cloud.service_metrics import QueueMetrics
from farshore.lab.cloud.services import SERVICES
from farshore.lab.cloud.zones import HealthEvaluator, Zones
from farshore.lab.directory import LabDirectory
from farshore.lab.dns import DnsServer
from farshore.lab.harms import Harms
from farshore.lab.links import LinkTable
from farshore.lab.options import Options
from farshore.lab.ports import OUTSIDE, Address
from farshore.lab.postgres import binaries
from farshore.lab.postgres.fleet import Fleet
from farshore.lab.processes import Spawner
from farshore.lab.residents import Residents
from farshore.lab.wan import Tunnels
from farshore.names import Names
from farshore.operate import guard
from farshore.settings import from_environment
from farshore.workshop import Workshop

Tell = Callable[[str], None]
KEPT_TIMEOUT_S = 60.0
TOLD_OF = ("aws:rds/cluster:Cluster", "aws:rds/clusterInstance:ClusterInstance")


class Lab:
    """Assembled by the constructor, filled and started by `boot`; `close` leaves nothing behind."""

    master_password: str
    zone_id = ""

    def __init__(self, options: Options, tell: Tell) -> None:
        self.options = options
        self.stopped = threading.Event()
        self._tell = tell
        self._started = time.monotonic()
        self.created_at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.app_password = setup.password()
        self._closing = ExitStack()
        try:
            self._assemble()
        except BaseException:
            self.close()
            raise

    def _assemble(self) -> None:
        options, closing = self.options, self._closing
        self.names = Names(suffix=options.name)
        self.binaries = binaries.find(options.postgres)
        self.directory = LabDirectory.take(options.name)
        closing.callback(self.directory.remove)
        root = self.directory.path
        logging.basicConfig(
            filename=root / "lab.log",
            level=logging.INFO,
            format="%(asctime)s %(name)s %(levelname)s %(message)s",
        )
        self.addresses = Addresses.claim(root, self.names.regions)
        closing.callback(self.addresses.release)
        self.residents = Residents()
        closing.callback(self.residents.kill_all)
        self.spawn = Spawner()
        closing.callback(self.spawn.close)
        self.links = LinkTable(
            (*self.names.regions, self.names.witness_region),
            seed=options.seed,
            one_way_ms=options.one_way_ms,
            jitter_ms=options.jitter_ms,
        )
        self.tunnels = Tunnels(
            spawn=self.spawn, root=root, addresses=self.addresses, links=self.links, seed=options.seed
        )
        closing.callback(self.tunnels.shutdown)
        self.fleet = Fleet(
            root=root,
            spawn=self.spawn,
            binaries=self.binaries,
            names=self.names,
            addresses=self.addresses,
            links=self.links,
            tunnels=self.tunnels,
        )
        closing.callback(self.fleet.close)
        self._assemble_cloud()

    def _assemble_cloud(self) -> None:
        closing, cadence = self._closing, self.options.cadence
        self.alarms = cloudwatch.AlarmEvaluator(cadence, lost=self.links.lost)
        checkers = Checkers(self._function_url, cadence, self.links.lost)
        self.health = HealthEvaluator(self.alarms.stream, cadence, checkers=checkers)
        self.zones = Zones(self.health, self.fleet.resolve)
        self.mail = Mailbox(self.directory.path / "mailbox")
        deliveries = sns.Deliveries(host=self.addresses.runtime, mailbox=self.mail, lost=self.links.lost)
        closing.callback(deliveries.close)
        aurora = AuroraMetrics(lambda: self.fleet.clusters, self.links.lost, cadence)
        self.cloud = Cloud(
            names=self.names,
            addresses=self.addresses,
            links=self.links,
            spawn=self.spawn,
            root=self.directory.path,
            cadence=cadence,
            extra_environment=lambda region: environment.vpc_variables(self, region),
            overlays=(
                lambda: rds.install(self.fleet),
                lambda: cloudwatch.install(self.alarms),
                lambda: sns.install(deliveries),
                lambda: route53.install(self.health, self.zones),
            ),
            enforce_permissions=True,
        )
        self.cloud.start()
        closing.callback(self.cloud.close)
        self.fleet.on_event.append(service_events.hear_rds)
        queues = QueueMetrics(self.links.lost, cadence)
        for evaluator in (self.alarms, self.health, aurora, queues):
            evaluator.start()
            closing.callback(evaluator.close)
        self.dns: dict[str, DnsServer] = {}
        for view in (*self.names.regions, OUTSIDE):
            address = Address(self.addresses.view(view), self.addresses.dns_port)
            self.dns[view] = DnsServer(address, view, self.zones.answer, self._silence_of(view))
            closing.callback(self.dns[view].close)
        self.harms = Harms(self)

    def _function_url(self, host: str) -> Address | None:
        return self.cloud.urls.find(host)

    def _silence_of(self, view: str) -> Callable[[], bool]:
        return lambda: self.links.lost(view)

    def boot(self) -> None:
        """Create the resources, install the guard, start monitors and controllers, await a kept lease."""
        self._tell(
            f"PostgreSQL {self.binaries.version} ({self.binaries.source}) on {self.addresses.subnet}.0/24, "
            f"port {self.addresses.pg_port}; profile {self.options.profile}, cadence {self.options.cadence}"
        )
        os.environ.update(environment.variables(self, OUTSIDE))
        self._deploy()
        workshop = Workshop(from_environment())
        self.master_password = str(workshop.master_credentials["password"])
        guard.install(workshop, self.names.home_region, ())
        with workshop.admin(environment.endpoints(self)[self.names.home_region]["writer"]) as admin:
            setup.create_application_role(admin, environment.APP_USER, self.app_password)
        setup.start_functions(self.names, _client)
        self._await_kept_lease(workshop)
        guard.set_enforcing(workshop, self.names.home_region, enforcing=True)
        self.health.checkers.begin()
        self._control = control.serve(self.directory.path, self.obey)
        self._closing.callback(self._control.server_close)
        self._closing.callback(self._control.shutdown)
        self._tell(f"ready after {time.monotonic() - self._started:.1f} s: the guard enforces")

    def _deploy(self) -> None:
        """Run the stack program; of its many resources the slow ones are told of, and what went wrong."""

        def tell(text: str) -> None:
            if not text.startswith("created ") or text.split()[1] in TOLD_OF:
                self._tell(text)

        deployment = environment.deployment(self)
        done = deployment.up(self.spawn, tell, first_in=self.names.regions)
        self.zone_id = str(done.outputs["zoneId"])
        self._tell(f"the stack program created {len(done.created)} resources in {done.seconds:.1f} s")

    def _await_kept_lease(self, workshop: Workshop) -> None:
        give_up = time.monotonic() + KEPT_TIMEOUT_S
        while time.monotonic() < give_up:
            try:
                record = workshop.journal.read().record
            except UnknownOutcomeError:
                continue
            if record is not None and record.renewals >= guard.RENEWALS_BEFORE_ENFORCING:
                self._tell(f"{record.holder} holds epoch {record.epoch} and keeps its lease")
                return
            time.sleep(0.2)
        raise FarshoreError(
            f"no controller kept a lease within {KEPT_TIMEOUT_S:.0f} s. State: the lab is taken down. "
            f"Next: read {self.directory.path}/logs of a lab started with `farshore lab up`."
        )

    def obey(self, order: control.Order) -> control.Order:
        """Carry out one order from the control socket."""
        match order:
            case {"order": "env"}:
                return environment.described(self)
            case {"order": "status"}:
                return self._status()
            case {"order": "permissions"}:
                return self._permissions()
            case {"order": "resident", "region": region, "pid": int(pid)}:
                self.residents.add(self._region(region), pid)
                return {}
            case {"order": "fault", **fault}:
                return self._befall(fault)
            case {"order": "volume", "region": region}:
                return self._open_volume(self._region(region))
            case {"order": "calls", "since_unix_ms": int(since)}:
                return {"calls": [dataclasses.asdict(made) for made in self.cloud.calls.since(since)]}
            case {"order": "stop"}:
                self.stopped.set()
                return {"stopping": True}
        raise UsageError(f"the lab knows no such order: {order}.")

    def _befall(self, fault: Mapping[str, Any]) -> control.Order:
        match fault:
            case {"fault": "region-loss" | "heal" | "health" as what, "region": region}:
                befall = {"region-loss": self._lose, "heal": self._heal, "health": self._say_ill}[what]
                return befall(self._region(region))
            case {"fault": "harm" | "mend" as what, "kinds": str(kinds), "region": region}:
                return self._harm(what, kinds, region)
            case {"fault": "stall", "seconds": float(seconds)}:
                return self._stall(seconds)
            case {"fault": "cut" | "join" as what, "places": [str(a), str(b)]}:
                return self._partition(what, a, b)
            case {"fault": "api", "service": str(service), "operation": str(operation), **more}:
                return self._mishap(service, operation, more)
        raise UsageError(f"the lab knows no such fault: {fault}.")

    def _region(self, region: str) -> str:
        if region not in self.names.regions:
            raise UsageError(
                f"{region!r} is not a region of this lab; use {' or '.join(self.names.regions)}."
            )
        return region

    def _lose(self, region: str) -> control.Order:
        """The links go dark first: nothing of what the dying processes say gets out."""
        connections = self.links.lose(region)
        at_unix_ns, at_monotonic_ns = time.time_ns(), time.monotonic_ns()
        residents = self.residents.kill(region)
        servers = self.fleet.region_lost(region)
        lambdas = self.cloud.region_lost(region)
        return {
            "fault": "region-loss",
            "region": region,
            "at_unix_ns": at_unix_ns,
            "at_monotonic_ns": at_monotonic_ns,
            "bit": {
                "servers": servers,
                "lambdas": lambdas,
                "residents": residents,
                "connections": connections,
            },
        }

    def _say_ill(self, region: str) -> control.Order:
        """AWS Health speaks of an issue in a region, whatever is true."""
        heard_in = service_events.publish_health(region)
        return {"fault": "health", "region": region, "heard_in": heard_in, "at_unix_ns": time.time_ns()}

    def _stall(self, seconds: float) -> control.Order:
        """Nothing is delivered on any WAN link for a while; what was sent arrives afterwards."""
        places = (*self.names.regions, self.names.witness_region)
        for a, b in itertools.combinations(places, 2):
            self.links.stall(a, b, seconds)
        return {"fault": "stall", "seconds": seconds, "at_unix_ns": time.time_ns()}

    def _partition(self, what: str, a: str, b: str) -> control.Order:
        places = (*self.names.regions, self.names.witness_region)
        if a == b or not {a, b} <= set(places):
            raise UsageError(
                f"{a!r} and {b!r} are not two places joined by a WAN link; use {', '.join(places)}."
            )
        (self.links.cut if what == "cut" else self.links.join)(a, b)
        return {"fault": what, "places": [a, b], "at_unix_ns": time.time_ns()}

    def _harm(self, what: str, kinds: str, where: str) -> control.Order:
        """`at` is read before a harm, which may take effect at once, and after a mending; `begun` before both,
        `ended` after both."""
        at_unix_ns, begun_ns = time.time_ns(), time.monotonic_ns()
        at_monotonic_ns = begun_ns
        hit: Counter[str] = Counter()
        for region in [self._region(region) for region in where.split(",")]:
            hit.update((self.harms.do if what == "harm" else self.harms.undo)(kinds, region))
        if what == "mend":
            at_unix_ns, at_monotonic_ns = time.time_ns(), time.monotonic_ns()
        times = {
            "at_unix_ns": at_unix_ns,
            "at_monotonic_ns": at_monotonic_ns,
            "begun_monotonic_ns": begun_ns,
            "ended_monotonic_ns": time.monotonic_ns(),
        }
        return {"fault": what, "kinds": kinds, "region": where, **times, "bit": dict(hit)}

    def _mishap(self, service: str, operation: str, more: Mapping[str, Any]) -> control.Order:
        kinds = [kind.value for kind in mishaps.Kind]
        if more["kind"] not in kinds:
            raise UsageError(f"{more['kind']!r} befalls no API call in the lab; use {', '.join(kinds)}.")
        if service not in SERVICES or operation not in SERVICES[service].operations:
            raise UsageError(
                f"{service}:{operation} is not in the lab; `farshore lab calls` shows what is asked."
            )
        kind, times = mishaps.Kind(more["kind"]), int(more["times"])
        self.cloud.calls.arrange(mishaps.Mishap(service, operation, kind, times, more.get("view")))
        return {"fault": "api", "service": service, "operation": operation, "kind": kind, "times": times}

    def _heal(self, region: str) -> control.Order:
        self.links.heal(region)
        self.cloud.region_back(region)
        self.fleet.region_back(region)
        return {
            "fault": "heal",
            "region": region,
            "at_unix_ns": time.time_ns(),
            "at_monotonic_ns": time.monotonic_ns(),
        }

    def _status(self) -> dict[str, Any]:
        return {
            "name": self.options.name,
            "dir": str(self.directory.path),
            "up_seconds": round(time.monotonic() - self._started),
            "profile": self.options.profile,
            "cadence": self.options.cadence,
            "subnet": f"{self.addresses.subnet}.0/24",
            "postgres_version": self.binaries.version,
            "lost": [region for region in self.names.regions if self.links.lost(region)],
        }

    def _permissions(self) -> control.Order:
        """Each statement of each role with what it has decided since the lab began, and what was denied."""
        return {
            "statements": [dataclasses.asdict(use) for use in self.cloud.permissions.uses()],
            "denials": self.cloud.permissions.denials(),
        }

    def _open_volume(self, region: str) -> control.Order:
        """A server of its own on a copy of the newest volume saved of a lost region; it ends with the lab."""
        saved = self.fleet.changes.saved.get(region)
        if saved is None:
            raise RefusedError(
                f"no volume of {region} was saved.",
                f"lose {region}, let the other region take over, then `farshore lab fault heal {region}`.",
            )
        cluster = f"saved-{secrets.token_hex(4)}"
        self.fleet.restore(region, cluster, f"{cluster}-1", saved.path)
        endpoint = self.fleet.cluster_endpoint(region, cluster)
        return {"region": region, "saved": saved.identifier, "endpoint": endpoint}

    def close(self) -> None:
        self._closing.close()


def _client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)
