"""What a request's resources are called, looked up in moto's records: ARNs behind names, keys behind secrets, tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.rds.models import rds_backends
from moto.secretsmanager.models import ReplicaSecret, secretsmanager_backends
from moto.sns.models import sns_backends
from moto.ssm.models import ssm_backends
from werkzeug.exceptions import HTTPException

_KMS_DEFAULT = "alias/aws/secretsmanager"
_NOT_FOUND = (HTTPException, ServiceException, KeyError)


@dataclass(frozen=True, slots=True)
class Secret:
    """`key`: the customer key that encrypts it, or None when AWS's own does."""

    arn: str
    key: str | None


def role(account: str, arn: str) -> Any | None:
    """moto's role of an ARN, or None."""
    name = arn.rpartition("/")[2]
    roles = list(iam_backends[account]["aws"].roles.values())
    return next((r for r in roles if r.name == name and r.arn == arn), None)


def global_member(account: str, global_cluster: str, wanted: str) -> str | None:
    """The ARN of a global cluster's member, which is given by its ARN or its bare name."""
    known = rds_backends[account]["us-east-1"].global_clusters.get(global_cluster.lower())
    arns = [str(member.db_cluster_arn) for member in known.members] if known else []
    return next((arn for arn in arns if wanted in (arn, arn.rpartition(":")[2])), None)


def hash_key(account: str, region: str, table: str) -> str | None:
    try:
        return str(dynamodb_backends[account][region].get_table(table.rpartition("/")[2]).hash_key_attr)
    except _NOT_FOUND:
        return None


def secret(account: str, region: str, wanted: str) -> Secret | None:
    """A secret of this region, its replicas included, by name, ARN or ARN without the last six characters."""
    try:
        found = secretsmanager_backends[account][region].secrets[wanted]
    except _NOT_FOUND:
        return None
    if found is None:
        return None
    key = found.config["KmsKeyId"] if isinstance(found, ReplicaSecret) else found.kms_key_id
    return Secret(str(found.arn), None if key in (None, _KMS_DEFAULT) else key_arn(account, region, key))


def runbook_role(account: str, region: str, document: str) -> str | None:
    """The role that a runbook is carried out with; None: there is no such runbook, or it has none."""
    known = ssm_backends[account][region]._documents.get(document)  # noqa: SLF001 - no other way
    role = known.get_default_version().content_json.get("assumeRole") if known else None
    return str(role) if role else None


def topic_key(account: str, region: str, arn: str) -> str | None:
    """The customer key that encrypts a topic, or None when none does."""
    topic = sns_backends[account][region].topics.get(arn)
    key = topic.kms_master_key_id if topic is not None else None
    return None if key in (None, "", "alias/aws/sns") else key_arn(account, region, str(key))


def key_arn(account: str, region: str, wanted: str) -> str:
    """The ARN of a key given by id, ARN, alias or alias ARN."""
    backend = kms_backends[account][region]
    try:
        return str(backend.keys[backend.any_id_to_key_id(wanted)].arn)
    except _NOT_FOUND:
        return wanted if wanted.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{wanted}"


def tags(account: str, arn: str) -> Mapping[str, str] | None:
    """The tags of a resource, where this lab can tell; None where it cannot."""
    _, _, service, region, _, resource = arn.split(":", 5)
    if service == "rds":
        return _rds_tags(account, region, resource)
    if service == "dynamodb":
        backend = dynamodb_backends[account][region]
        return {tag["Key"]: tag["Value"] for tag in backend.list_tags_of_resource(arn)}
    if service == "secretsmanager":
        found = secretsmanager_backends[account][region].secrets.get(arn)
        return {tag["Key"]: tag["Value"] for tag in (found.tags or []) if found} if found else {}
    if service == "iam":
        known = role(account, arn)
        return {tag["Key"]: tag["Value"] for tag in _listed(known.tags)} if known else {}
    return None


def _rds_tags(account: str, region: str, resource: str) -> Mapping[str, str] | None:
    kind, _, name = resource.partition(":")
    backend = rds_backends[account][region or "us-east-1"]
    stores: dict[str, Mapping[str, Any]] = {
        "cluster": backend.clusters,
        "db": backend.databases,
        "cluster-snapshot": backend.cluster_snapshots,
        "global-cluster": backend.global_clusters,
    }
    if kind not in stores:
        return None
    found = stores[kind].get(name)
    return {tag["Key"]: tag["Value"] for tag in (found.tags if found else [])}


def _listed(given: Any) -> list[dict[str, str]]:
    return list(given.values()) if isinstance(given, dict) else list(given or [])
