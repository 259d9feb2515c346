"""AWS's APIs inside a VPC that has no way out: without them, a function in it cannot call anything.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-endpoints.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.network import HTTPS, Network
from farshore.infra.site import Site, tagged

INTERFACES = ("rds", "monitoring", "sns", "secretsmanager", "events")
"""One network interface in each subnet, by the hour and zone; the regional name answers with their addresses.

None for logs: functions print, and Lambda itself, outside of the VPC, brings that to CloudWatch Logs.
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
"""


@dataclass(frozen=True, slots=True)
class EndpointsArgs:
    site: Site
    network: Network


class Endpoints(pulumi.ComponentResource):
    """DynamoDB by a gateway, which costs nothing: each function asks its own region's replica only, and a gateway
    does not cross peering.
    https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-ddb.html
    """

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Endpoints", name, None, opts)
        site, network, names = args.site, args.network, args.site.names
        self.interfaces = [
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=network.vpc.id,
                service_name=f"com.amazonaws.{site.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=[subnet.id for subnet in network.subnets],
                security_group_ids=[network.endpoint_group.id],
                private_dns_enabled=True,
                tags=tagged(names.endpoint(site.region, service)),
                opts=site.options(self),
            )
            for service in INTERFACES
        ]
        self.dynamodb = aws.ec2.VpcEndpoint(
            f"{name}-dynamodb",
            vpc_id=network.vpc.id,
            service_name=f"com.amazonaws.{site.region}.dynamodb",
            vpc_endpoint_type="Gateway",
            route_table_ids=[network.route_table.id],
            tags=tagged(names.endpoint(site.region, "dynamodb")),
            opts=site.options(self),
        )
        self.rule = aws.vpc.SecurityGroupEgressRule(
            f"{name}-lambda-to-dynamodb",
            security_group_id=network.function_group.id,
            description="HTTPS to DynamoDB",
            prefix_list_id=self.dynamodb.prefix_list_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=site.options(self),
        )
        self.register_outputs({"dynamodbEndpointId": self.dynamodb.id})

    @property
    def all(self) -> list[pulumi.Resource]:
        """What a function waits for before its first call."""
        return [*self.interfaces, self.dynamodb, self.rule]
