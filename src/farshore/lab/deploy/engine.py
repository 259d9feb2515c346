"""The engine: decides for each resource the program registers whether it is there, must be created, or cannot be.

A resource fails alone. What depends on it is not created and says because of what; everything else goes on. What
exists is never changed: a program that asks for something else than what was created fails with the properties that
differ, because updating and replacing are the real provider's business.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pulumi.runtime.proto import resource_pb2

from farshore.lab.deploy import changes, values
from farshore.lab.deploy.checkpoint import Checkpoint, Resource
from farshore.lab.deploy.errors import DeployError
from farshore.lab.deploy.kinds import Call, Clients, Function, Kind

STACK = "pulumi:pulumi:Stack"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how one stack is deployed; `root` is the program's directory."""

    project: str
    stack: str
    root: Path
    clients: Clients
    kinds: Mapping[str, Kind]
    functions: Mapping[str, Function]


@dataclass
class Progress:
    """What became of each custom resource so far."""

    created: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    asked: int = 0


class Engine:
    """One run of a program. Thread-safe: resources are created as they are registered, at the same time."""

    def __init__(self, target: Target, checkpoint: Checkpoint, tell: Tell) -> None:
        self.progress = Progress()
        self.outputs: dict[str, Any] = {}
        self.secret_outputs: frozenset[str] = frozenset()
        self._target = target
        self._checkpoint = checkpoint
        self._tell = tell
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._causes: dict[str, str] = {}

    def register(self, request: Any) -> Any:
        """Answer one RegisterResource call."""
        urn = self._urn(request)
        try:
            self._claim(urn, request)
            if not request.custom:
                return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
            resource = self._settle(urn, request)
        except _Skipped as skipped:
            self._report(self.progress.skipped, urn, skipped.cause, skipped.cause)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it went wrong with this resource
            self._report(self.progress.failed, urn, self._reason(request, error), urn)
        else:
            return self._answer(resource)
        return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.FAIL)

    def registered_outputs(self, request: Any) -> None:
        """Keep what the stack itself exports."""
        if _type_of(request.urn) != STACK:
            return
        found = values.read(request.outputs, self._target.root)
        if found.unknown and not self._causes:
            names = ", ".join(sorted(found.unknown))
            raise DeployError(f"the program exports {names}, made of an output that no resource here gives.")
        self.outputs, self.secret_outputs = found.values, found.secret

    def invoke(self, token: str, args: Any, provider: str) -> Any:
        """Answer a lookup."""
        function = self._target.functions.get(token)
        if function is None:
            raise DeployError(f"the program asks for {token}, which the lab's deployer does not have.")
        given = values.read(args, self._target.root)
        call = Call(token, self._region(given.values, provider), given.values, {}, self._target.clients)
        return values.write(function(call), ())

    def _urn(self, request: Any) -> str:
        kinds = _kinds_of(request.parent) if request.parent else ""
        chain = f"{kinds}${request.type}" if kinds not in {"", STACK} else request.type
        return f"urn:pulumi:{self._target.stack}::{self._target.project}::{chain}::{request.name}"

    def _claim(self, urn: str, request: Any) -> None:
        with self._lock:
            self.progress.asked += request.custom
            if urn in self._seen:
                raise DeployError(
                    "its name is taken: the program registers two resources of this type and name."
                )
            self._seen.add(urn)
        if request.remote or request.importId:
            raise DeployError("remote components and imports are for the real engine.")

    def _settle(self, urn: str, request: Any) -> Resource:
        needs = _needs(request)
        for need in needs:
            if cause := self._causes.get(need):
                raise _Skipped(cause)
        kind = self._target.kinds.get(request.type)
        if kind is None:
            raise DeployError("the lab's deployer has no provisioner for this type.")
        given = values.read(request.object, self._target.root)
        if given.unknown:
            raise DeployError(_missing(request, sorted(given.unknown)))
        if refused := kind.refused(given.values):
            raise DeployError(f"its provisioner does not pass on {', '.join(refused)}.")
        wanted = changes.stored(given.values)
        old = self._checkpoint.get(urn)
        if old is None:
            return self._create(urn, request, kind, given, wanted, needs)
        wanted = changes.ignoring(request.ignoreChanges, wanted, old.inputs)
        if differing := changes.between(old.inputs, wanted):
            raise DeployError(
                f"{', '.join(differing)} changed since it was created, and the lab's deployer changes nothing that "
                "exists: start a new lab."
            )
        options = {"needs": needs, "protect": request.protect, "retain": request.retainOnDelete}
        kept = replace(old, **options)
        if kept != old:
            self._checkpoint.add(kept)
        with self._lock:
            self.progress.unchanged.append(urn)
        return kept

    def _create(
        self,
        urn: str,
        request: Any,
        kind: Kind,
        given: values.Properties,
        wanted: dict[str, Any],
        needs: tuple[str, ...],
    ) -> Resource:
        tags = {**self._default_tags(request.provider), **given.values.get("tags", {})}
        region = self._region(given.values, request.provider)
        made = kind.create(Call(request.name, region, given.values, tags, self._target.clients))
        outputs = {name: value for name, value in made.outputs.items() if value is not None}
        resource = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            id=made.id,
            region=region,
            inputs=wanted,
            outputs={**outputs, "tagsAll": tags},
            secret=tuple(sorted({*given.secret, *kind.secret, *request.additionalSecretOutputs})),
            needs=needs,
            protect=request.protect,
            retain=request.retainOnDelete,
        )
        self._checkpoint.add(resource)
        with self._lock:
            self.progress.created.append(urn)
            done, asked = len(self.progress.created) + len(self.progress.unchanged), self.progress.asked
        where = f" in {region}" if region else ""
        self._tell(f"created {request.type} {request.name}{where}, {done} of {asked} asked for so far")
        return resource

    def _answer(self, resource: Resource) -> Any:
        """What it was asked to be, which differs from what the program asks now where changes are ignored, and what
        it became. `unknown`: properties that are missing here are unknown to the program, not null, so that whatever
        is made of them comes back as an error that names the resource."""
        return resource_pb2.RegisterResourceResponse(
            urn=resource.urn,
            id=resource.id,
            object=values.write({**changes.echoed(resource.inputs), **resource.outputs}, resource.secret),
            unknown=True,
        )

    def _report(self, book: dict[str, str], urn: str, text: str, cause: str) -> None:
        type_, name = _type_of(urn), _name_of(urn)
        with self._lock:
            # A second resource of the same name must not hide what became of the first.
            self._causes.setdefault(urn, cause)
            book[urn] = text
        if book is self.progress.skipped:
            self._tell(f"stopped: {type_} {name}, because {_name_of(cause)} failed")
        else:
            self._tell(f"FAILED: {type_} {name}: {text}")

    def _reason(self, request: Any, error: Exception) -> str:
        """What the person reads; boto3's own words may repeat a password, so secrets are taken out."""
        known = [resource.inputs.get(name) for resource in self._checkpoint.all() for name in resource.secret]
        with contextlib.suppress(OSError, ValueError):  # unreadable properties were never sent to anybody
            given = values.read(request.object, self._target.root)
            known += [given.values.get(name) for name in given.secret]
        words = str(error) if isinstance(error, DeployError) else f"{type(error).__name__}: {error}"
        return values.hide(words, known)

    def _provider(self, reference: str) -> Mapping[str, Any]:
        """A provider's settings; `reference` is its URN and its id."""
        found = self._checkpoint.get(reference.rpartition("::")[0])
        return found.inputs if found else {}

    def _default_tags(self, reference: str) -> dict[str, str]:
        given = self._provider(reference).get("defaultTags", {})
        tags: dict[str, str] = (json.loads(given) if isinstance(given, str) else given).get("tags", {})
        return tags

    def _region(self, inputs: Mapping[str, Any], provider: str) -> str:
        return str(inputs.get("region") or self._provider(provider).get("region", ""))


class _Skipped(Exception):  # noqa: N818 - not an error of its own: its cause is
    def __init__(self, cause: str) -> None:
        self.cause = cause


def _needs(request: Any) -> tuple[str, ...]:
    """Everything that must exist before it, as URNs."""
    found = {*request.dependencies}
    for dependencies in request.propertyDependencies.values():
        found.update(dependencies.urns)
    if request.provider:
        found.add(request.provider.rpartition("::")[0])
    if request.parent:
        found.add(request.parent)
    return tuple(sorted(found))


def _missing(request: Any, properties: list[str]) -> str:
    origins = {
        f"{_type_of(urn)} {_name_of(urn)}"
        for name in properties
        for urn in request.propertyDependencies[name].urns
    }
    return (
        f"{', '.join(properties)} cannot be known: made of an output that the lab's deployer does not give, of "
        f"{' or '.join(sorted(origins)) or 'some resource'}."
    )


def _kinds_of(urn: str) -> str:
    return urn.split("::")[2]


def _type_of(urn: str) -> str:
    return _kinds_of(urn).rpartition("$")[2]


def _name_of(urn: str) -> str:
    return urn.split("::", 3)[3]
