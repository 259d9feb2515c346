"""After a deployment: the seed's six integration checks, against AWS or the lab, each with what was seen."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import dns.resolver

from farshore.aws.clients import client
from farshore.names import ALARMS
from farshore.operate.checks import Look, Report, pages, run
from farshore.requester import controllers
from farshore.resolve import resolver
from farshore.workshop import Workshop

CALL_MS = 10_000
LOOK_MS = 30_000
BEATS_WITHIN_MS = 12_000


def verify(workshop: Workshop, *, publish: bool = True) -> Report:
    """`publish` sends one message to each alert topic: whoever subscribed gets it."""
    return run(_looks(workshop, publish=publish))


def _looks(workshop: Workshop, *, publish: bool) -> Iterator[tuple[str, Look]]:
    names = workshop.settings.names
    yield "global database: one writer, the other in sync", partial(_global, workshop)
    for region in names.regions:
        yield f"{region}: cluster and instances available", partial(_cluster, workshop, region)
    for region in names.regions:
        yield f"{region}: monitor answers when invoked", partial(_monitor, workshop, region)
    yield "controllers run in both regions", partial(_controllers, workshop)
    yield "VPC peering is active", partial(_peering, workshop)
    yield "the writer's name leads to the writer", partial(_dns, workshop)
    for region in names.regions:
        yield f"{region}: alarms are in OK", partial(_alarms, workshop, region)
    for region in names.regions:
        yield (
            f"{region}: alert topic takes messages",
            partial(_topic, workshop, region, publish=publish),
        )


def _global(workshop: Workshop) -> tuple[bool, str]:
    names = workshop.settings.names
    rds = client("rds", workshop.settings.region, timeout_ms=CALL_MS)
    answer = rds.describe_global_clusters(GlobalClusterIdentifier=names.global_cluster)
    found = answer["GlobalClusters"][0]
    members = found["GlobalClusterMembers"]
    writers = [member["DBClusterArn"] for member in members if member["IsWriter"]]
    words = [
        f"{member['DBClusterArn'].split(':')[3]} "
        f"{'writes' if member['IsWriter'] else 'reads'} ({member.get('SynchronizationStatus', 'no status')})"
        for member in members
    ]
    in_sync = all(member.get("SynchronizationStatus") == "connected" for member in members)
    both = {arn["DBClusterArn"].split(":")[3] for arn in members} == set(names.regions)
    return len(writers) == 1 and in_sync and both and found["Status"] == "available", ", ".join(words)


def _cluster(workshop: Workshop, region: str) -> tuple[bool, str]:
    rds = client("rds", region, timeout_ms=CALL_MS)
    identifier = workshop.settings.names.cluster(region)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    states = {
        member["DBInstanceIdentifier"]: rds.describe_db_instances(
            DBInstanceIdentifier=member["DBInstanceIdentifier"]
        )["DBInstances"][0]["DBInstanceStatus"]
        for member in cluster["DBClusterMembers"]
    }
    well = cluster["Status"] == "available" and bool(states) and set(states.values()) == {"available"}
    instances = ", ".join(f"{name} {state}" for name, state in states.items()) or "no instances"
    return well, f"{identifier} {cluster['Status']}; {instances}"


def _monitor(workshop: Workshop, region: str) -> tuple[bool, str]:
    functions = client("lambda", region, timeout_ms=LOOK_MS)
    name = workshop.settings.names.monitor_function(region)
    answer = functions.invoke(FunctionName=name, Payload=b"{}")
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        return False, f"{name} failed: {json.dumps(body)[:200]}"
    deadline = workshop.settings.profile.unreachable_after_ms
    silent = {
        f"{probed} {endpoint}": ms
        for probed, endpoints in body["silent_ms"].items()
        for endpoint, ms in endpoints.items()
    }
    dead = [place for place, ms in silent.items() if ms is None or ms >= deadline]
    lag = "unknown" if body["lag_ms"] is None else f"{body['lag_ms']} ms"
    if dead:
        return False, f"{name} hears nothing from {', '.join(dead)}; lag {lag}"
    return True, f"{name} reaches {len(silent)} endpoints; lag {lag}"


def _controllers(workshop: Workshop) -> tuple[bool, str]:
    names = workshop.settings.names
    running = controllers(workshop.journal, workshop.clock, names.regions, BEATS_WITHIN_MS)
    record = workshop.journal.read().record
    holder = record.holder if record else None
    words = ", ".join(f"{region} {'beats' if region in running else 'is silent'}" for region in names.regions)
    return running >= set(names.regions), f"{words}; {holder or 'nobody'} holds authority"


def _peering(workshop: Workshop) -> tuple[bool, str]:
    names = workshop.settings.names
    ec2 = client("ec2", workshop.settings.region, timeout_ms=CALL_MS)
    found = ec2.describe_vpc_peering_connections(Filters=[{"Name": "tag:Name", "Values": [names.peering]}])[
        "VpcPeeringConnections"
    ]
    states = [(one["VpcPeeringConnectionId"], one["Status"]["Code"]) for one in found]
    well = [state for _, state in states if state not in ("deleted", "deleting")] == ["active"]
    return well, ", ".join(f"{identifier} {state}" for identifier, state in states) or f"no {names.peering}"


def _dns(workshop: Workshop) -> tuple[bool, str]:
    """From here: outside the VPC, and without a nameserver in it, the private name has no address."""
    settings = workshop.settings
    record = workshop.journal.read().record
    if record is None or record.holder is None:
        return False, "nobody holds authority, so the name has nowhere to lead"
    resolve = resolver(settings.nameserver or _system_nameserver())
    endpoint = settings.endpoints[record.holder].writer
    given, wanted = resolve(settings.names.writer_name), resolve(endpoint)
    return (
        given == wanted,
        f"{settings.names.writer_name} is {given}; the writer in {record.holder} is {wanted}",
    )


def _system_nameserver() -> str:
    return f"{dns.resolver.get_default_resolver().nameservers[0]}:53"


def _alarms(workshop: Workshop, region: str) -> tuple[bool, str]:
    """An alarm that has just started, or has no data, tells nothing: it is counted, and fails nothing by itself."""
    cloudwatch = client("cloudwatch", region, timeout_ms=CALL_MS)
    names = workshop.settings.names
    # By name: whoever may look at this deployment's alarms may not list everybody's.
    wanted = [names.authority_alarm(region), *(names.alarm(region, what) for what in ALARMS)]
    found = list(pages(cloudwatch, "describe_alarms", "MetricAlarms", AlarmNames=wanted))
    gone = sorted(set(wanted) - {alarm["AlarmName"] for alarm in found})
    states = {
        state: [a["AlarmName"] for a in found if a["StateValue"] == state]
        for state in ("OK", "ALARM", "INSUFFICIENT_DATA")
    }
    # The authority alarm's ALARM state is how DNS learns where authority is, not a complaint.
    wrong = [name for name in states["ALARM"] if name != names.authority_alarm(region)]
    seen = f"{len(states['OK'])} OK, {len(states['INSUFFICIENT_DATA'])} without enough data yet"
    missing = f"; not there: {', '.join(gone)}" if gone else ""
    return not wrong and not gone, f"{seen}, in ALARM: {', '.join(wrong) or 'none'}{missing}"


def _topic(workshop: Workshop, region: str, *, publish: bool) -> tuple[bool, str]:
    sns = client("sns", region, timeout_ms=CALL_MS)
    wanted = workshop.settings.names.topic(region)
    arns = [one["TopicArn"] for one in pages(sns, "list_topics", "Topics")]
    arn = next((arn for arn in arns if arn.rpartition(":")[2] == wanted), None)
    if arn is None:
        return False, f"no topic {wanted}"
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    seen = f"{wanted} with {attributes.get('SubscriptionsConfirmed', '0')} subscriptions"
    if not publish:
        return True, f"{seen}; nothing was sent"
    sent: dict[str, Any] = sns.publish(
        TopicArn=arn, Subject="farshore verify", Message=f"farshore verify reaches {wanted}; nothing to do."
    )
    return True, f"{seen} took message {sent['MessageId']}"
