"""Route 53: the private zone, its health checks and its records."""

import secrets
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old


def _zone(call: Call) -> Made:
    """With its first VPC; a zone without one would be public."""
    route53 = call.client("route53")
    first, *others = [{"VPCRegion": vpc["vpcRegion"], "VPCId": vpc["vpcId"]} for vpc in call.inputs["vpcs"]]
    made = route53.create_hosted_zone(
        Name=call.inputs["name"],
        CallerReference=f"{call.name}-{secrets.token_hex(6)}",
        VPC=first,
        HostedZoneConfig={
            "PrivateZone": True,
            "Comment": call.inputs.get("comment") or "Managed by Pulumi",
        },
    )
    identifier = made["HostedZone"]["Id"].rpartition("/")[2]
    for vpc in others:
        route53.associate_vpc_with_hosted_zone(HostedZoneId=identifier, VPC=vpc)
    _tag(call, "hostedzone", identifier)
    return Made(identifier, {"zoneId": identifier, "arn": f"arn:aws:route53:::hostedzone/{identifier}"})


def _delete_zone(old: Old) -> None:
    old.client("route53").delete_hosted_zone(Id=old.id)


def _observe_zone(old: Old) -> dict[str, Any]:
    """Associations made elsewhere show up in the zone, as with the provider."""
    found = old.client("route53").get_hosted_zone(Id=old.id)["VPCs"]
    return {"vpcs": [{"vpcId": vpc["VPCId"], "vpcRegion": vpc["VPCRegion"]} for vpc in found]}


def _association(call: Call) -> Made:
    zone = call.inputs["zoneId"]
    call.client("route53").associate_vpc_with_hosted_zone(
        HostedZoneId=zone, VPC=_vpc(call.inputs, call.region)
    )
    return Made(f"{zone}:{call.inputs['vpcId']}")


def _delete_association(old: Old) -> None:
    inputs = old.resource.inputs
    old.client("route53").disassociate_vpc_from_hosted_zone(
        HostedZoneId=inputs["zoneId"], VPC=_vpc(inputs, old.resource.region)
    )


def _vpc(inputs: Any, region: str) -> dict[str, str]:
    return {"VPCRegion": inputs.get("vpcRegion") or region, "VPCId": inputs["vpcId"]}


def _check(call: Call) -> Made:
    config = call.given(
        "type insufficientDataHealthStatus disabled port resourcePath requestInterval failureThreshold",
        fqdn="FullyQualifiedDomainName",
        enableSni="EnableSNI",
        invertHealthcheck="Inverted",
        childHealthchecks="ChildHealthChecks",
        childHealthThreshold="HealthThreshold",
    )
    if "cloudwatchAlarmName" in call.inputs:
        config["AlarmIdentifier"] = {
            "Region": call.inputs["cloudwatchAlarmRegion"],
            "Name": call.inputs["cloudwatchAlarmName"],
        }
    reference = f"{call.inputs.get('referenceName') or call.name}-{secrets.token_hex(6)}"
    made = call.client("route53").create_health_check(CallerReference=reference, HealthCheckConfig=config)
    identifier = made["HealthCheck"]["Id"]
    _tag(call, "healthcheck", identifier)
    return Made(identifier, {"arn": f"arn:aws:route53:::healthcheck/{identifier}"})


def _delete_check(old: Old) -> None:
    old.client("route53").delete_health_check(HealthCheckId=old.id)


def _record(call: Call) -> Made:
    _change(call.client("route53"), "UPSERT" if call.inputs.get("allowOverwrite") else "CREATE", call.inputs)
    parts = [call.inputs[name] for name in ("zoneId", "name", "type")]
    identifier = "_".join(
        [*parts, *([call.inputs["setIdentifier"]] if "setIdentifier" in call.inputs else [])]
    )
    return Made(identifier, {"fqdn": call.inputs["name"]})


def _delete_record(old: Old) -> None:
    _change(old.client("route53"), "DELETE", old.resource.inputs)


def _change(route53: Any, action: str, inputs: Any) -> None:
    record = {
        "Name": inputs["name"],
        "Type": inputs["type"],
        "TTL": inputs["ttl"],
        "ResourceRecords": [{"Value": value} for value in inputs["records"]],
    }
    if "setIdentifier" in inputs:
        record["SetIdentifier"] = inputs["setIdentifier"]
    if "healthCheckId" in inputs:
        record["HealthCheckId"] = inputs["healthCheckId"]
    for policy in inputs.get("failoverRoutingPolicies", []):
        record["Failover"] = policy["type"]
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=inputs["zoneId"], ChangeBatch=batch)


def _tag(call: Call, what: str, identifier: str) -> None:
    if call.tags:
        call.client("route53").change_tags_for_resource(
            ResourceType=what, ResourceId=identifier, AddTags=call.tag_list()
        )


KINDS = {
    "aws:route53/zone:Zone": Kind("name comment vpcs forceDestroy", _zone, _delete_zone, _observe_zone),
    "aws:route53/zoneAssociation:ZoneAssociation": Kind(
        "zoneId vpcId vpcRegion", _association, _delete_association
    ),
    "aws:route53/healthCheck:HealthCheck": Kind(
        "type insufficientDataHealthStatus disabled invertHealthcheck childHealthchecks childHealthThreshold "
        "cloudwatchAlarmName cloudwatchAlarmRegion referenceName triggers fqdn port resourcePath enableSni "
        "requestInterval failureThreshold",
        _check,
        _delete_check,
    ),
    "aws:route53/record:Record": Kind(
        "zoneId name type ttl records setIdentifier failoverRoutingPolicies healthCheckId allowOverwrite",
        _record,
        _delete_record,
    ),
}
