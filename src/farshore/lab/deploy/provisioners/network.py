"""VPCs and what lies in them."""

from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old, capital


def _tagged(call: Call, what: str) -> dict[str, Any]:
    if not call.tags:
        return {}
    return {"TagSpecifications": [{"ResourceType": what, "Tags": call.tag_list()}]}


def _account(call: Call) -> str:
    return str(call.client("sts").get_caller_identity()["Account"])


def _vpc(call: Call) -> Made:
    ec2 = call.client("ec2")
    vpc = ec2.create_vpc(**call.given("cidrBlock instanceTenancy"), **_tagged(call, "vpc"))["Vpc"]
    for name in ("enableDnsSupport", "enableDnsHostnames"):
        if name in call.inputs:
            ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **{capital(name): {"Value": call.inputs[name]}})
    found = {"Filters": [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]}
    group = ec2.describe_security_groups(**found)["SecurityGroups"][0]["GroupId"]
    table = ec2.describe_route_tables(**found)["RouteTables"][0]["RouteTableId"]
    arn = f"arn:aws:ec2:{call.region}:{_account(call)}:vpc/{vpc['VpcId']}"
    return Made(
        vpc["VpcId"],
        {
            "arn": arn,
            "defaultSecurityGroupId": group,
            "mainRouteTableId": table,
            "defaultRouteTableId": table,
        },
    )


def _delete_vpc(old: Old) -> None:
    old.client("ec2").delete_vpc(VpcId=old.id)


def _subnet(call: Call) -> Made:
    wanted = call.given("vpcId cidrBlock availabilityZone")
    ec2 = call.client("ec2")
    subnet = ec2.create_subnet(**wanted, **_tagged(call, "subnet"))["Subnet"]
    public = {"Value": bool(call.inputs.get("mapPublicIpOnLaunch"))}
    ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch=public)
    return Made(subnet["SubnetId"], {"arn": subnet["SubnetArn"]})


def _delete_subnet(old: Old) -> None:
    old.client("ec2").delete_subnet(SubnetId=old.id)


def _route_table(call: Call) -> Made:
    table = call.client("ec2").create_route_table(**call.given("vpcId"), **_tagged(call, "route-table"))
    return Made(table["RouteTable"]["RouteTableId"])


def _delete_route_table(old: Old) -> None:
    old.client("ec2").delete_route_table(RouteTableId=old.id)


def _association(call: Call) -> Made:
    made = call.client("ec2").associate_route_table(**call.given("routeTableId subnetId"))
    return Made(made["AssociationId"])


def _delete_association(old: Old) -> None:
    old.client("ec2").disassociate_route_table(AssociationId=old.id)


def _route(call: Call) -> Made:
    wanted = call.given("routeTableId destinationCidrBlock vpcPeeringConnectionId")
    call.client("ec2").create_route(**wanted)
    return Made(f"r-{call.inputs['routeTableId']}-{call.inputs['destinationCidrBlock']}")


def _delete_route(old: Old) -> None:
    table, block = old["routeTableId"], old["destinationCidrBlock"]
    old.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=block)


def _group(call: Call) -> Made:
    """Without AWS's own egress rule, which the provider takes away too."""
    ec2 = call.client("ec2")
    name = call.inputs.get("name") or call.auto_name()
    description = call.inputs.get("description") or "Managed by Pulumi"
    wanted = {"GroupName": name, "Description": description, **call.given("vpcId")}
    group = ec2.create_security_group(**wanted, **_tagged(call, "security-group"))["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    arn = f"arn:aws:ec2:{call.region}:{_account(call)}:security-group/{group}"
    return Made(group, {"arn": arn, "name": name})


def _delete_group(old: Old) -> None:
    old.client("ec2").delete_security_group(GroupId=old.id)


def _rule(call: Call) -> dict[str, Any]:
    note = call.given("description")
    rule = call.given("ipProtocol fromPort toPort")
    if "cidrIpv4" in call.inputs:
        rule["IpRanges"] = [{"CidrIp": call.inputs["cidrIpv4"], **note}]
    if "referencedSecurityGroupId" in call.inputs:
        rule["UserIdGroupPairs"] = [{"GroupId": call.inputs["referencedSecurityGroupId"], **note}]
    if "prefixListId" in call.inputs:
        rule["PrefixListIds"] = [{"PrefixListId": call.inputs["prefixListId"], **note}]
    return {"GroupId": call.inputs["securityGroupId"], "IpPermissions": [rule]}


def _ingress(call: Call) -> Made:
    ec2 = call.client("ec2")
    made = ec2.authorize_security_group_ingress(**_rule(call), **_tagged(call, "security-group-rule"))
    return Made(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def _delete_ingress(old: Old) -> None:
    rules = [old.id]
    old.client("ec2").revoke_security_group_ingress(
        GroupId=old["securityGroupId"], SecurityGroupRuleIds=rules
    )


def _egress(call: Call) -> Made:
    ec2 = call.client("ec2")
    made = ec2.authorize_security_group_egress(**_rule(call), **_tagged(call, "security-group-rule"))
    return Made(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def _delete_egress(old: Old) -> None:
    rules = [old.id]
    old.client("ec2").revoke_security_group_egress(GroupId=old["securityGroupId"], SecurityGroupRuleIds=rules)


def _endpoint(call: Call) -> Made:
    wanted = call.given(
        "vpcId serviceName vpcEndpointType subnetIds securityGroupIds routeTableIds privateDnsEnabled",
        policy="PolicyDocument",
    )
    ec2 = call.client("ec2")
    made = ec2.create_vpc_endpoint(**wanted, **_tagged(call, "vpc-endpoint"))["VpcEndpoint"]
    lists = {}
    if call.inputs.get("vpcEndpointType") == "Gateway":
        named = [{"Name": "prefix-list-name", "Values": [call.inputs["serviceName"]]}]
        (found,) = ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"]
        lists = {"prefixListId": found["PrefixListId"]}
    arn = f"arn:aws:ec2:{call.region}:{_account(call)}:vpc-endpoint/{made['VpcEndpointId']}"
    return Made(made["VpcEndpointId"], {"arn": arn, "state": made["State"], **lists})


def _delete_endpoint(old: Old) -> None:
    old.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[old.id])


def _peering(call: Call) -> Made:
    ec2 = call.client("ec2")
    wanted = call.given("vpcId peerVpcId peerRegion peerOwnerId")
    made = ec2.create_vpc_peering_connection(**wanted, **_tagged(call, "vpc-peering-connection"))
    connection = made["VpcPeeringConnection"]
    return Made(connection["VpcPeeringConnectionId"], {"acceptStatus": connection["Status"]["Code"]})


def _delete_peering(old: Old) -> None:
    old.client("ec2").delete_vpc_peering_connection(VpcPeeringConnectionId=old.id)


def _accepter(call: Call) -> Made:
    """Accepts when told to; deleting it forgets it, as with the provider."""
    ec2, identifier = call.client("ec2"), call.inputs["vpcPeeringConnectionId"]
    if call.inputs.get("autoAccept"):
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=identifier)
    if call.tags:
        ec2.create_tags(Resources=[identifier], Tags=call.tag_list())
    found = ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[identifier])
    return Made(identifier, {"acceptStatus": found["VpcPeeringConnections"][0]["Status"]["Code"]})


def _peering_options(call: Call) -> Made:
    allow = "allowRemoteVpcDnsResolution"
    options = {
        f"{capital(side)}PeeringConnectionOptions": {
            "AllowDnsResolutionFromRemoteVpc": call.inputs[side][allow]
        }
        for side in ("accepter", "requester")
        if side in call.inputs
    }
    identifier = call.inputs["vpcPeeringConnectionId"]
    call.client("ec2").modify_vpc_peering_connection_options(VpcPeeringConnectionId=identifier, **options)
    return Made(identifier)


def _flow_log(call: Call) -> Made:
    wanted = call.given(
        "trafficType logDestinationType logDestination logFormat maxAggregationInterval",
        iamRoleArn="DeliverLogsPermissionArn",
    )
    made = call.client("ec2").create_flow_logs(
        ResourceIds=[call.inputs["vpcId"]],
        ResourceType="VPC",
        **wanted,
        **_tagged(call, "vpc-flow-log"),
    )
    if refused := made.get("Unsuccessful"):
        raise ValueError(refused[0]["Error"]["Message"])
    return Made(made["FlowLogIds"][0])


def _delete_flow_log(old: Old) -> None:
    old.client("ec2").delete_flow_logs(FlowLogIds=[old.id])


_RULE = (
    "securityGroupId ipProtocol fromPort toPort cidrIpv4 referencedSecurityGroupId prefixListId description"
)

KINDS = {
    "aws:ec2/vpc:Vpc": Kind(
        "cidrBlock instanceTenancy enableDnsSupport enableDnsHostnames", _vpc, _delete_vpc
    ),
    "aws:ec2/subnet:Subnet": Kind(
        "vpcId cidrBlock availabilityZone mapPublicIpOnLaunch", _subnet, _delete_subnet
    ),
    "aws:ec2/routeTable:RouteTable": Kind("vpcId", _route_table, _delete_route_table),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Kind(
        "routeTableId subnetId", _association, _delete_association
    ),
    "aws:ec2/route:Route": Kind(
        "routeTableId destinationCidrBlock vpcPeeringConnectionId", _route, _delete_route
    ),
    "aws:ec2/securityGroup:SecurityGroup": Kind("vpcId name description", _group, _delete_group),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Kind(_RULE, _ingress, _delete_ingress),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Kind(_RULE, _egress, _delete_egress),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Kind(
        "vpcId serviceName vpcEndpointType subnetIds securityGroupIds routeTableIds privateDnsEnabled policy",
        _endpoint,
        _delete_endpoint,
    ),
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection": Kind(
        "vpcId peerVpcId peerRegion peerOwnerId autoAccept", _peering, _delete_peering
    ),
    "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter": Kind(
        "vpcPeeringConnectionId autoAccept", _accepter
    ),
    "aws:ec2/peeringConnectionOptions:PeeringConnectionOptions": Kind(
        "vpcPeeringConnectionId accepter requester", _peering_options
    ),
    "aws:ec2/flowLog:FlowLog": Kind(
        "vpcId trafficType logDestinationType logDestination logFormat maxAggregationInterval iamRoleArn",
        _flow_log,
        _delete_flow_log,
    ),
}
