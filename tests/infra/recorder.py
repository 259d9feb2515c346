"""Runs the real program against a monitor that only writes down what is asked of it, with AWS-like outputs."""

import asyncio
import contextvars
import json
import runpy
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc, set_all_config, settings
from pulumi.runtime.stack import run_pulumi_func

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
NEWEST = {"us-east-1": "15.19", "us-west-2": "15.18"}
SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"
CERTIFICATES = Path(__file__).parent / "certificates.pem"
CONFIG = {
    "farshore:suffix": "demo",
    "farshore:createdAt": "2026-11-22T17:00:00Z",
    "farshore:rdsCaFile": str(CERTIFICATES),
}


@dataclass(frozen=True)
class Resource:
    """One registration: `inputs` as the program gave them, secrets unwrapped and listed in `secrets`."""

    urn: str
    token: str
    name: str
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    parent: str
    provider: str
    region: str
    dependencies: frozenset[str]
    ignored: tuple[str, ...]
    protected: bool
    create_timeout: str
    custom: bool

    def document(self, key: str = "policy") -> dict[str, Any]:
        return dict(json.loads(self.inputs[key]))


@dataclass
class Recording:
    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)
    invokes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    archive: Path = Path()

    def of(self, token: str) -> list[Resource]:
        """All of one type, by the end of its token: `rds/cluster:Cluster` or `Cluster`."""
        return [found for found in self.resources if found.token.endswith((f"/{token}", f":{token}"))]

    def one(self, token: str, name: str = "") -> Resource:
        found = [resource for resource in self.of(token) if name in resource.name]
        assert len(found) == 1, (token, name, [resource.name for resource in found])
        return found[0]

    def counts(self) -> Counter[str]:
        return Counter(resource.token for resource in self.resources if resource.custom)


class Monitor(mocks.MockMonitor):
    def __init__(self, recording: Recording) -> None:
        super().__init__(_Answers(recording))
        self.recording = recording
        self.regions: dict[str, str] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        answer = super().RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return answer
        raw = rpc.deserialize_properties(request.object)
        inputs, secrets = _plain(raw)
        provider = request.provider.rpartition("::")[0]
        if isinstance(inputs.get("code"), pulumi.FileArchive):
            self.recording.archive = Path(inputs["code"].path)
        if request.type == "pulumi:providers:aws":
            self.regions[answer.urn] = inputs["region"]
        self.recording.resources.append(
            Resource(
                urn=answer.urn,
                token=request.type,
                name=request.name,
                inputs=inputs,
                secrets=secrets,
                parent=request.parent,
                provider=provider,
                region=self.regions.get(provider, ""),
                dependencies=frozenset(request.dependencies),
                ignored=tuple(request.ignoreChanges),
                protected=request.protect,
                create_timeout=request.customTimeouts.create,
                custom=request.custom,
            )
        )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        if "pulumi:pulumi:Stack" in request.urn:
            raw = rpc.deserialize_properties(request.outputs)
            outputs, secrets = _plain(raw)
            self.recording.outputs.update(outputs)
            self.recording.secret_outputs.update(secrets)
        return super().RegisterResourceOutputs(request)


class _Answers(mocks.Mocks):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs, _ = _plain(args.inputs)
        kind = args.typ.rpartition(":")[2]
        named = str(
            inputs.get("name")
            or inputs.get("clusterIdentifier")
            or inputs.get("identifier")
            or inputs.get("globalClusterIdentifier")
            or args.name
        )
        region = "us-west-2" if "secondary" in f"{args.name} {args.provider}" else "us-east-1"
        made = {
            **args.inputs,
            "arn": _arn(kind, region, named),
            "name": named,
            "keyId": f"key-{named}",
            "functionUrl": f"https://{inputs.get('functionName')}.lambda-url.{region}.on.aws/",
            "zoneId": "Z0123456789",
            "prefixListId": "pl-02cd2c6b",
            "endpoint": f"{named}.cluster-abc.{region}.rds.amazonaws.com",
            "readerEndpoint": f"{named}.cluster-ro-abc.{region}.rds.amazonaws.com",
        }
        return _id(kind, named, args.name), made

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        self._recording.invokes.append((args.token, dict(args.args)))
        if args.token == "aws:index/getCallerIdentity:getCallerIdentity":
            return {
                "accountId": ACCOUNT,
                "arn": "arn:aws:iam::123456789012:user/u",
                "id": ACCOUNT,
                "userId": "u",
            }
        if args.token == "aws:rds/getOrderableDbInstance:getOrderableDbInstance":
            region = "us-west-2" if "secondary" in (args.provider or "") else "us-east-1"
            return {
                "engineVersion": NEWEST[region],
                "instanceClass": args.args["preferredInstanceClasses"][0],
            }
        raise AssertionError(f"the program asks for {args.token}")


def _id(kind: str, named: str, logical: str) -> str:
    prefixes = {
        "Vpc": "vpc-",
        "Subnet": "subnet-",
        "SecurityGroup": "sg-",
        "RouteTable": "rtb-",
        "VpcEndpoint": "vpce-",
        "VpcPeeringConnection": "pcx-",
        "HealthCheck": "",
    }
    if kind not in prefixes:
        return named
    return prefixes[kind] + sha256(logical.encode()).hexdigest()[:17]


def _arn(kind: str, region: str, named: str) -> str:
    """As AWS writes it, so that IAM documents can be judged by their resources."""
    shapes = {
        "GlobalCluster": f"rds::{ACCOUNT}:global-cluster:{named}",
        "Cluster": f"rds:{region}:{ACCOUNT}:cluster:{named}",
        "ClusterInstance": f"rds:{region}:{ACCOUNT}:db:{named}",
        "Table": f"dynamodb:{region}:{ACCOUNT}:table/{named}",
        "Secret": f"secretsmanager:{region}:{ACCOUNT}:secret:{named}-AbCdEf",
        "Key": f"kms:{region}:{ACCOUNT}:key/{named}",
        "Queue": f"sqs:{region}:{ACCOUNT}:{named}",
        "Topic": f"sns:{region}:{ACCOUNT}:{named}",
        "Function": f"lambda:{region}:{ACCOUNT}:function:{named}",
        "LogGroup": f"logs:{region}:{ACCOUNT}:log-group:{named}",
        "Role": f"iam::{ACCOUNT}:role/{named}",
        "MetricAlarm": f"cloudwatch:{region}:{ACCOUNT}:alarm:{named}",
        "EventRule": f"events:{region}:{ACCOUNT}:rule/{named}",
    }
    return f"arn:aws:{shapes.get(kind, f'{kind.lower()}:{region}:{ACCOUNT}:{named}')}"


def _plain(value: Any) -> tuple[Any, frozenset[str]]:
    """Secrets unwrapped, and the top-level keys that held one."""
    secrets = {key for key, inner in value.items() if rpc.is_rpc_secret(inner) or _is_secret(inner)}
    return _unwrapped(value), frozenset(secrets)


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and SECRET_SIGNATURE in value


def _unwrapped(value: Any) -> Any:
    if _is_secret(value):
        return _unwrapped(value["value"])
    if isinstance(value, Mapping):
        return {key: _unwrapped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unwrapped(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


EVERYTHING = (
    ("environment", "production"),
    ("flowLogs", "true"),
    ("engineVersion", "15.10"),
    ("globalRpoSeconds", "30"),
    ("leaseTtlMs", "30000"),
    ("lossBudgetMs", "60000"),
    ("alertEmails", '["ops@example.com"]'),
    ("trustedAccounts", '["210987654321"]'),
)
"""Production with every option on that adds no public door."""
WITH_ENDPOINTS = (*EVERYTHING, ("dnsTrigger", "https"))
"""And with the public endpoints that Route 53 asks."""


@cache
def recorded(*changes: tuple[str, str]) -> Recording:
    """What `__main__.py` registers with CONFIG and these changes to it."""
    recording = Recording()
    config = {**CONFIG, **{f"farshore:{key}": value for key, value in changes}}
    contextvars.Context().run(lambda: asyncio.run(_run(recording, config)))
    recording.resources.sort(key=lambda resource: resource.urn)
    return recording


async def _run(recording: Recording, config: dict[str, str]) -> None:
    monitor = Monitor(recording)
    pulumi.runtime.set_mocks(monitor.mocks, project="farshore", stack="test", monitor=monitor)
    set_all_config(config)

    def program() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of classes that pulumi_aws imports unasked
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    await run_pulumi_func(program)
    root = settings.get_root_resource()
    assert root is not None
    for key, value in root.outputs.items():
        output = pulumi.Output.from_input(value)
        recording.outputs[key] = await output.future()
        if await output.is_secret():
            recording.secret_outputs.add(key)
