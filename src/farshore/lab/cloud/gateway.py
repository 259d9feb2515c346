"""The lab's AWS: one gateway per calling view, in front of moto and the overlays that make parts of it real.

A view's gateway belongs to that view. A call to another region's API crosses the WAN there and back; whatever
meets a dead link gets no answer, whether it was applied or not.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from moto.core.base_backend import BackendDict

from farshore.lab.cloud import dynamodb, events, lambdas, secrets, ssm
from farshore.lab.cloud.dispatch import Call, Dispatcher
from farshore.lab.cloud.function_urls import FunctionUrls
from farshore.lab.cloud.iam import Authorizer
from farshore.lab.cloud.mishaps import Calls
from farshore.lab.cloud.refusals import not_in_the_lab, refusal
from farshore.lab.cloud.wire import Answer, HttpRequest, HttpServer, Silence
from farshore.lab.ports import OUTSIDE, Address, Links, Spawn
from farshore.names import Names

Overlay = Callable[[], None]
_log = logging.getLogger(__name__)


class Addresses(Protocol):
    """What the cloud needs to know of the lab's addresses."""

    gateway_port: int

    @property
    def runtime(self) -> str: ...

    def view(self, view: str) -> str: ...


class Cloud:
    """Every AWS service of one lab; moto keeps state per process, so a process has one Cloud at a time.

    `overlays` install what lives elsewhere (RDS, CloudWatch, Route 53): each swaps its service's url table, and all
    run once in `start`, before the first request. `cadence` is theirs; Lambda and EventBridge keep true time.
    `enforce_permissions`: calls of roles are denied unless their policies allow them.
    """

    def __init__(
        self,
        *,
        names: Names,
        addresses: Addresses,
        links: Links,
        spawn: Spawn,
        root: Path,
        cadence: int,
        overlays: Sequence[Overlay] = (),
        extra_environment: Callable[[str], Mapping[str, str]] = lambda _region: {},
        enforce_permissions: bool = False,
    ) -> None:
        self.cadence = cadence
        self._names = names
        self._addresses = addresses
        self._links = links
        self._overlays = tuple(overlays)
        self._dispatcher = Dispatcher()
        self.permissions = Authorizer(enforce=enforce_permissions)
        self.calls = Calls(self.permissions.who)
        self._gateways: dict[str, HttpServer] = {}
        self._losses = dict.fromkeys((*names.regions, names.witness_region), 0)
        self._lock = threading.Lock()
        self.lambdas = lambdas.Lambdas(
            spawn=spawn,
            root=root,
            runtime_host=addresses.runtime,
            endpoint=lambda region: f"http://{self.endpoint(region)}",
            extra_environment=extra_environment,
        )
        self.schedules = events.Schedules(self.lambdas, links)
        hosts = {region: addresses.view(region) for region in names.regions}
        self.urls = FunctionUrls(self.lambdas, links, hosts, root / "function-urls")
        self.automations = ssm.Automations(lambda region: f"http://{self.endpoint(region)}", links)

    def endpoint(self, view: str) -> Address:
        """Where a view's gateway listens."""
        return Address(self._addresses.view(view), self._addresses.gateway_port)

    def start(self) -> None:
        """Empty moto, install every overlay, and listen on each view's own loopback address."""
        BackendDict.reset()
        dynamodb.install(self._links)
        lambdas.install(self.lambdas)
        events.install(self.schedules)
        secrets.install(self.lambdas)
        ssm.install(self.automations)
        for overlay in self._overlays:
            overlay()
        self.schedules.start()
        for view in (*self._names.regions, OUTSIDE):
            respond = self._responder(view)
            self._gateways[view] = HttpServer(self.endpoint(view), respond, f"gateway-{view}")

    def region_lost(self, region: str) -> int:
        """Kill the region's Lambda processes; returns how many. The links decide who still gets answers."""
        with self._lock:
            self._losses[region] += 1
        return self.lambdas.region_lost(region)

    def region_back(self, region: str) -> None:
        self.lambdas.region_back(region)

    def close(self) -> None:
        for gateway in self._gateways.values():
            gateway.close()
        self._gateways.clear()
        self.urls.close()
        self.automations.close()
        self.schedules.close()
        self.lambdas.close()

    def _responder(self, view: str) -> Callable[[HttpRequest], Answer]:
        def respond(request: HttpRequest) -> Answer:
            return self._respond(view, request)

        return respond

    def _respond(self, view: str, request: HttpRequest) -> Answer:
        call = self._dispatcher.identify(request)
        if isinstance(call, Answer):
            return call
        if call.region not in self._losses:
            why = f"its regions are {', '.join(self._losses)}, not {call.region}."
            return not_in_the_lab(request, call.service, call.operation, why)

        def path_open() -> bool:
            return self._links.connected(view, call.region)

        losses = self._losses[call.region]
        self.calls.note(view, call)
        self._travel(view, call.region, path_open)
        answer = self.calls.befall(view, call, lambda: self._answer(call))
        self._travel(call.region, view, path_open)
        if losses != self._losses[call.region]:
            # The region was lost and came back meanwhile: whoever would have answered is dead.
            raise Silence(over=path_open)
        return answer

    def _travel(self, origin: str, target: str, path_open: Callable[[], bool]) -> None:
        """Spend the one-way delay; Silence when the path is cut before or during the journey."""
        if not path_open():
            raise Silence(over=path_open)
        if origin != target:
            time.sleep(self._links.one_way_s(origin, target))
            if not path_open():
                raise Silence(over=path_open)

    def _answer(self, call: Call) -> Answer:
        try:
            refused = self.permissions.refusal(call) if self._dispatcher.knows(call) else None
            return refused or self._dispatcher.answer(call)
        except Silence:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the lab must not look like a dead network
            _log.error("%s:%s failed\n%s", call.service, call.operation, traceback.format_exc())
            message = f"the lab failed in {call.service}:{call.operation}: {error!r}"
            return refusal(call.request, call.service, status=500, code="InternalFailure", message=message)
