"""What a provisioner is given and gives back, and how it speaks to AWS."""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from farshore.core.errors import UsageError
from farshore.lab.deploy.checkpoint import Resource

_ANSWER_TIMEOUT_S = 30
_AT_ONCE_MAX = 64


class Clients:
    """boto3 clients for one endpoint and one pair of keys. Without an endpoint it would call AWS itself, so it
    refuses to be made."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.endpoint = environ.get("AWS_ENDPOINT_URL", "")
        if not self.endpoint:
            raise UsageError("AWS_ENDPOINT_URL is not set: the lab's deployer creates nothing outside a lab.")
        self._session = boto3.Session(
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            botocore_session=botocore.session.Session(),
        )
        self._config = Config(
            connect_timeout=5,
            read_timeout=_ANSWER_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            max_pool_connections=_AT_ONCE_MAX,
        )
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = self._session.client(
                    service, region_name=region, endpoint_url=self.endpoint, config=self._config
                )
            return self._made[service, region]


@dataclass(frozen=True, slots=True)
class Call:
    """One resource to create. `tags` are its own over the provider's defaults."""

    name: str
    region: str
    inputs: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str]
    clients: Clients = field(repr=False)

    def client(self, service: str) -> Any:
        return self.clients(service, self.region)

    def given(self, names: str, **renamed: str) -> dict[str, Any]:
        """Inputs as keyword arguments of a boto3 call: `names` with a capital, others under their own names."""
        pairs = {name: capital(name) for name in names.split()} | renamed
        return {parameter: self.inputs[name] for name, parameter in pairs.items() if name in self.inputs}

    def auto_name(self) -> str:
        """As the provider names what the program leaves nameless."""
        return f"{self.name}-{secrets.token_hex(4)[:7]}"

    def tag_list(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        return [{key: name, value: text} for name, text in sorted(self.tags.items())]


@dataclass(frozen=True, slots=True)
class Made:
    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Old:
    """One resource that exists, to delete or to look at."""

    resource: Resource
    clients: Clients = field(repr=False)

    @property
    def id(self) -> str:
        return self.resource.id

    def client(self, service: str) -> Any:
        return self.clients(service, self.resource.region)

    def __getitem__(self, name: str) -> Any:
        """What the program asked for, or else what creating it gave."""
        return self.resource.inputs.get(name, self.resource.outputs.get(name))


def nothing(_: Old) -> None:
    """Deleting something that goes with what it belongs to."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type. `inputs` are the ones that `create` passes on, or that only steer the provider's own updates
    and deletions: the deployer refuses all others, so that nothing the program asks for is dropped in silence.

    `observe` reads what others may change after creation, in the form of inputs (None: not set).
    """

    inputs: str
    create: Callable[[Call], Made]
    delete: Callable[[Old], None] = nothing
    observe: Callable[[Old], dict[str, Any]] | None = None
    secret: tuple[str, ...] = ()

    def refused(self, inputs: Mapping[str, Any]) -> list[str]:
        return sorted(inputs.keys() - set(self.inputs.split()) - {"tags", "region"})


Function = Callable[[Call], Mapping[str, Any]]
"""A lookup the program asks for while it runs."""


def capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def capitals(value: Any) -> Any:
    """Every key of a nested value with a capital, as boto3 spells it."""
    if isinstance(value, Mapping):
        return {capital(name): capitals(part) for name, part in value.items()}
    if isinstance(value, list):
        return [capitals(part) for part in value]
    return value
