"""What may never be registered, whatever else changes: encryption, no public door, tags, least privilege, retention.

Each rule is a function from a recording to violations, and is shown a resource that breaks it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from farshore.infra.permissions import ANY_RESOURCE
from farshore.infra.tags import TAGS
from infra.recorder import EVERYTHING, WITH_ENDPOINTS, Recording, Resource, recorded

CONDITION_KEYS = {
    "aws:SourceAccount",
    "aws:SourceArn",
    "cloudwatch:namespace",
    "iam:PassedToService",
    "kms:EncryptionContext:aws:logs:arn",
    "kms:ViaService",
    "route53:ChangeResourceRecordSetsNormalizedRecordNames",
    "sts:ExternalId",
}
ENDPOINTS = {f"{side}-authority-function-demo" for side in ("primary", "secondary")}
"""The functions that may be public, when the https trigger is chosen: infra/beacon.py."""
SECRET_WORDS = ("password", "secretstring", "secretbinary")


@pytest.fixture(scope="module", params=[(), EVERYTHING, WITH_ENDPOINTS], ids=["test", "production", "https"])
def recording(request) -> Recording:
    return recorded(*request.param)


def encryption(recording: Recording) -> Iterator[str]:
    demands = {
        "rds/globalCluster:GlobalCluster": "storageEncrypted",
        "rds/cluster:Cluster": "kmsKeyId",
        "rds/clusterInstance:ClusterInstance": "performanceInsightsKmsKeyId",
        "secretsmanager/secret:Secret": "kmsKeyId",
        "sns/topic:Topic": "kmsMasterKeyId",
        "sqs/queue:Queue": "sqsManagedSseEnabled",
        "cloudwatch/logGroup:LogGroup": "kmsKeyId",
    }
    for token, key in demands.items():
        yield from (f"{r.name} has no {key}" for r in recording.of(token) if not r.inputs.get(key))
    for cluster in recording.of("rds/cluster:Cluster"):
        if cluster.inputs.get("storageEncrypted") is not True:
            yield f"{cluster.name} is not encrypted"
    for key in recording.of("kms/key:Key"):
        if key.inputs.get("enableKeyRotation") is not True or key.inputs.get("deletionWindowInDays") != 7:
            yield f"{key.name} does not rotate, or is gone too soon"
    for resource in recording.resources:
        named = [v for k, v in resource.inputs.items() if k.lower().endswith(("kmskeyid", "kmsmasterkeyid"))]
        yield from (
            f"{resource.name}: {arn} is of another region"
            for arn in named
            if f":{resource.region}:" not in arn
        )


def public_doors(recording: Recording) -> Iterator[str]:
    for resource in recording.resources:
        everything = json.dumps(resource.inputs, default=str)
        if "0.0.0.0/0" in everything or "::/0" in everything:
            yield f"{resource.name} opens to the world"
        if resource.inputs.get("publiclyAccessible") or resource.inputs.get("mapPublicIpOnLaunch"):
            yield f"{resource.name} is public"
        if resource.token.endswith(("InternetGateway", "NatGateway", "Eip")):
            yield f"{resource.name} is a way out"
    for zone in recording.of("Zone"):
        if not zone.inputs.get("vpcs"):
            yield f"{zone.name} is public"


def public_functions(recording: Recording) -> Iterator[str]:
    for url in recording.of("FunctionUrl"):
        if url.inputs["functionName"] not in ENDPOINTS:
            yield f"{url.name} opens a function"
    for permission in recording.of("Permission"):
        by_url = permission.inputs.get("functionUrlAuthType") or permission.inputs.get(
            "invokedViaFunctionUrl"
        )
        may_be_open = permission.inputs["function"] in ENDPOINTS and by_url
        if permission.inputs["principal"] == "*" and not may_be_open:
            yield f"{permission.name} lets anybody in"


def missing_tags(recording: Recording) -> Iterator[str]:
    """Every resource is made by a region's own provider, which brings the seven tags."""
    providers = {r.urn: r.inputs for r in recording.resources if r.token == "pulumi:providers:aws"}
    for resource in recording.resources:
        if not resource.token.startswith("aws:"):
            continue
        if resource.provider not in providers:
            yield f"{resource.name} has no explicit provider"
            continue
        tags = json.loads(providers[resource.provider]["defaultTags"])["tags"]
        role = {"us-east-1": "primary", "us-west-2": "secondary"}[resource.region]
        if set(tags) != set(TAGS) or tags["DR-Role"] != role or not all(tags.values()):
            yield f"{resource.name} is not tagged: {tags}"


def excess_privilege(recording: Recording) -> Iterator[str]:
    for policy in recording.of("RolePolicy"):
        sids = [statement["Sid"] for statement in policy.document()["Statement"]]
        if len(set(sids)) != len(sids):
            yield f"{policy.name} repeats a Sid"
        for statement in policy.document()["Statement"]:
            yield from _excess(policy, statement)


def excess_trust(recording: Recording) -> Iterator[str]:
    for role in recording.of("Role"):
        if "managedPolicyArns" in role.inputs:
            yield f"{role.name} takes a managed policy"
        for statement in role.document("assumeRolePolicy")["Statement"]:
            principal, condition = statement["Principal"], json.dumps(statement.get("Condition"))
            if "*" in json.dumps(principal) or ("AWS" in principal and "sts:ExternalId" not in condition):
                yield f"{role.name} trusts too many"
    if recording.of("RolePolicyAttachment"):
        yield "a managed policy is attached"
    for policy in recording.of("TopicPolicy"):
        for statement in policy.document()["Statement"]:
            if "AWS" in statement["Principal"] or not statement.get("Condition"):
                yield f"{policy.name} lets others publish"


def _excess(policy: Resource, statement: dict) -> Iterator[str]:
    where = f"{policy.name}/{statement['Sid']}"
    if any("*" in action for action in statement["Action"]):
        yield f"{where}: a wildcard action"
    if "NotAction" in statement or "NotResource" in statement:
        yield f"{where}: grants all but some"
    for resource in statement["Resource"]:
        if resource == "*" and statement["Sid"] not in ANY_RESOURCE:
            yield f"{where}: any resource without a reason"
        if resource != "*" and not resource.startswith("arn:aws:"):
            yield f"{where}: {resource} is no ARN"
    for condition in statement.get("Condition", {}).values():
        yield from (f"{where}: unknown {key}" for key in condition if key not in CONDITION_KEYS)


def foreign_regions(recording: Recording) -> Iterator[str]:
    """A function's role ends at its region's border; a switchover alone names the cluster on the other side."""
    for policy in recording.of("RolePolicy"):
        if "operations" in policy.name:
            continue
        other = "us-west-2" if policy.region == "us-east-1" else "us-east-1"
        for statement in policy.document()["Statement"]:
            actions = statement["Action"]
            planned = actions in ("rds:SwitchoverGlobalCluster", ["rds:SwitchoverGlobalCluster"])
            if not planned and f":{other}:" in json.dumps(statement["Resource"]):
                yield f"{policy.name} reaches into {other}"


def forgotten_retention(recording: Recording) -> Iterator[str]:
    for group in recording.of("LogGroup"):
        if not group.inputs.get("retentionInDays"):
            yield f"{group.name} keeps its events for ever"
    for cluster in recording.of("rds/cluster:Cluster"):
        if cluster.inputs.get("backupRetentionPeriod", 0) < 7:
            yield f"{cluster.name} forgets its backups"
    logged = {group.inputs["name"] for group in recording.of("LogGroup")}
    for function in recording.of("Function"):
        if f"/aws/lambda/{function.inputs['name']}" not in logged:
            yield f"{function.name} would make a log group of its own"
    for cluster in recording.of("rds/cluster:Cluster"):
        if f"/aws/rds/cluster/{cluster.inputs['clusterIdentifier']}/postgresql" not in logged:
            yield f"{cluster.name} would make a log group of its own"


def told_secrets(recording: Recording) -> Iterator[str]:
    """A password is secret wherever it is an input, no output, and nowhere else."""
    passwords = {
        json.loads(version.inputs["secretString"])["password"] for version in recording.of("SecretVersion")
    }
    for resource in recording.resources:
        for key, value in resource.inputs.items():
            said = any(password in json.dumps(value, default=str) for password in passwords)
            is_secret_key = any(word in key.lower() for word in SECRET_WORDS) and not key.endswith("Version")
            if said and not (is_secret_key and key in resource.secrets):
                yield f"{resource.name}.{key} tells a password"
    if any(password in json.dumps(recording.outputs, default=str) for password in passwords):
        yield "an output tells a password"
    if recording.secret_outputs:
        yield f"outputs {recording.secret_outputs} are secret"


def idle_functions(recording: Recording) -> Iterator[str]:
    for function in recording.of("Function"):
        is_alone = not function.inputs.get("deadLetterConfig") or not function.inputs.get("vpcConfig")
        if is_alone and function.inputs["name"] not in ENDPOINTS:
            yield f"{function.name} has no dead-letter queue, or no VPC"
        if function.inputs.get("reservedConcurrentExecutions", -1) < 1:
            yield f"{function.name} has no concurrency of its own"


RULES = (
    encryption,
    public_doors,
    public_functions,
    missing_tags,
    excess_privilege,
    excess_trust,
    foreign_regions,
    forgotten_retention,
    told_secrets,
    idle_functions,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_program_passes(recording, rule):
    assert list(rule(recording)) == []


def spoilt(
    token: str, which: str = "", variant: tuple[tuple[str, str], ...] = (), /, **changes: object
) -> Recording:
    """The program's recording with one resource changed."""
    good = recorded(*variant)
    victim = good.one(token, which)
    inputs = {key: value for key, value in {**victim.inputs, **changes}.items() if value is not None}
    changed = replace(victim, inputs=inputs)
    resources = [changed if resource is victim else resource for resource in good.resources]
    return Recording(resources, dict(good.outputs), set(good.secret_outputs), good.invokes)


def policy_with(**changes: object) -> Recording:
    good = recorded().one("RolePolicy", "primary-watch-controller")
    document = good.document()
    document["Statement"][0] |= changes
    return spoilt("RolePolicy", "primary-watch-controller", policy=json.dumps(document))


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (encryption, lambda: spoilt("GlobalCluster", storageEncrypted=False)),
        (encryption, lambda: spoilt("rds/cluster:Cluster", "home", storageEncrypted=False)),
        (encryption, lambda: spoilt("rds/cluster:Cluster", "home", kmsKeyId="arn:aws:kms:us-west-2:1:key/k")),
        (encryption, lambda: spoilt("kms/key:Key", "primary-keys-data", enableKeyRotation=False)),
        (encryption, lambda: spoilt("Topic", "primary", kmsMasterKeyId=None)),
        (encryption, lambda: spoilt("Queue", "primary", sqsManagedSseEnabled=False)),
        (
            public_doors,
            lambda: spoilt(
                "SecurityGroupIngressRule", "primary-network-aurora-from-own", cidrIpv4="0.0.0.0/0"
            ),
        ),
        (public_doors, lambda: spoilt("ClusterInstance", "home-instance-1", publiclyAccessible=True)),
        (public_doors, lambda: spoilt("Subnet", "primary-network-subnet-1", mapPublicIpOnLaunch=True)),
        (public_doors, lambda: spoilt("Zone", vpcs=None)),
        (
            public_functions,
            lambda: spoilt(
                "FunctionUrl", "primary", WITH_ENDPOINTS, functionName="primary-monitor-function-demo"
            ),
        ),
        (public_functions, lambda: spoilt("Permission", "primary-watch-monitor", principal="*")),
        (
            public_functions,
            lambda: spoilt("Permission", "primary-beacon-invoke", WITH_ENDPOINTS, invokedViaFunctionUrl=None),
        ),
        (excess_privilege, lambda: policy_with(Action=["dynamodb:*"])),
        (excess_privilege, lambda: policy_with(Resource=["*"])),
        (excess_privilege, lambda: policy_with(Resource=["farshore-authority-demo"])),
        (excess_privilege, lambda: policy_with(Sid="Metrics")),
        (excess_privilege, lambda: policy_with(Condition={"StringEquals": {"dynamodb:Nonsense": "x"}})),
        (
            excess_trust,
            lambda: spoilt(
                "Role",
                "operations",
                assumeRolePolicy=json.dumps({"Statement": [{"Principal": {"AWS": "arn:aws:iam::1:root"}}]}),
            ),
        ),
        (
            excess_trust,
            lambda: spoilt(
                "TopicPolicy", "primary", policy=json.dumps({"Statement": [{"Principal": {"AWS": "*"}}]})
            ),
        ),
        (foreign_regions, lambda: policy_with(Resource=["arn:aws:dynamodb:us-west-2:1:table/t"])),
        (forgotten_retention, lambda: spoilt("LogGroup", "primary-watch-monitor", retentionInDays=None)),
        (forgotten_retention, lambda: spoilt("LogGroup", "primary-watch-monitor", name="/aws/lambda/other")),
        (forgotten_retention, lambda: spoilt("LogGroup", "database-home", name="/aws/rds/other")),
        (forgotten_retention, lambda: spoilt("rds/cluster:Cluster", "home", backupRetentionPeriod=1)),
        (idle_functions, lambda: spoilt("Function", "primary-watch-monitor", deadLetterConfig=None)),
        (
            idle_functions,
            lambda: spoilt("Function", "primary-watch-monitor", reservedConcurrentExecutions=None),
        ),
        (
            idle_functions,
            lambda: spoilt("Function", "primary-beacon", WITH_ENDPOINTS, reservedConcurrentExecutions=None),
        ),
        (encryption, lambda: spoilt("LogGroup", "primary-beacon", WITH_ENDPOINTS, kmsKeyId=None)),
        (
            forgotten_retention,
            lambda: spoilt("LogGroup", "primary-beacon", WITH_ENDPOINTS, retentionInDays=None),
        ),
    ],
)
def test_each_rule_bites(rule, broken):
    assert list(rule(broken()))


def test_a_told_password_is_found():
    good = recorded()
    password = good.one("rds/cluster:Cluster", "home").inputs["masterPasswordWo"]
    assert list(told_secrets(spoilt("Function", "primary-watch-monitor", environment={"P": password})))
    said = Recording(good.resources, {**good.outputs, "password": password}, set(), good.invokes)
    assert list(told_secrets(said)) == ["an output tells a password"]


def test_an_untagged_resource_is_found():
    good = recorded()
    vpc = good.one("Vpc", "primary")
    resources = [replace(r, provider="") if r is vpc else r for r in good.resources]
    assert list(missing_tags(Recording(resources))) == [
        "farshore-primary-network-vpc has no explicit provider"
    ]
