"""One region's network: a VPC with three private subnets and no way to the internet, and who may talk to whom.

Functions reach the database on its port and AWS by endpoints; the database accepts its port from both VPCs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from farshore.infra.site import Site, tagged
from farshore.infra.subnets import subnet_networks

HTTPS = 443


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """`peers`: the CIDRs of both VPCs, this one first. `subnets`: three networks, or none for the seed's."""

    site: Site
    peers: tuple[str, str]
    zones: Sequence[str]
    port: int
    subnets: Sequence[str] = ()


class Network(pulumi.ComponentResource):
    """https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html"""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Network", name, None, opts)
        self._name, self._args = name, args
        site, names, region = args.site, args.site.names, args.site.region
        self.vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.peers[0],
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=tagged(names.vpc(region)),
            opts=site.options(self),
        )
        self.route_table = aws.ec2.RouteTable(
            f"{name}-routes",
            vpc_id=self.vpc.id,
            tags=tagged(names.route_table(region)),
            opts=site.options(self),
        )
        self.subnets = self._subnets()
        self.database_group = self._group("aurora", "Aurora: its port from both VPCs")
        self.function_group = self._group("lambda", "Functions: to the databases and the endpoints")
        self.endpoint_group = self._group("endpoint", "Interface endpoints: HTTPS from the functions")
        self.rules = [*self._database_rules(), *self._endpoint_rules()]
        self.subnet_group = aws.rds.SubnetGroup(
            f"{name}-database-subnets",
            name=names.subnet_group(region),
            description="Private subnets for Aurora",
            subnet_ids=[subnet.id for subnet in self.subnets],
            tags=tagged(names.subnet_group(region)),
            opts=site.options(self),
        )
        self.register_outputs({"vpcId": self.vpc.id, "subnetIds": [subnet.id for subnet in self.subnets]})

    def _subnets(self) -> list[aws.ec2.Subnet]:
        args, site, names = self._args, self._args.site, self._args.site.names
        made = []
        networks = subnet_networks(IPv4Network(args.peers[0]), args.subnets)
        for number, (network, zone) in enumerate(zip(networks, args.zones, strict=True), start=1):
            subnet = aws.ec2.Subnet(
                f"{self._name}-subnet-{number}",
                vpc_id=self.vpc.id,
                cidr_block=str(network),
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags=tagged(names.subnet(site.region, number)),
                opts=site.options(self),
            )
            aws.ec2.RouteTableAssociation(
                f"{self._name}-subnet-{number}-routes",
                route_table_id=self.route_table.id,
                subnet_id=subnet.id,
                opts=site.options(self),
            )
            made.append(subnet)
        return made

    def _group(self, what: str, description: str) -> aws.ec2.SecurityGroup:
        """Without inline rules, so that no rule of its own can fight the separate ones."""
        site = self._args.site
        group_name = site.names.security_group(site.region, what)
        return aws.ec2.SecurityGroup(
            f"{self._name}-{what}-group",
            name=group_name,
            vpc_id=self.vpc.id,
            description=description,
            tags=tagged(group_name),
            opts=site.options(self),
        )

    def _database_rules(self) -> list[pulumi.Resource]:
        args = self._args
        rules: list[pulumi.Resource] = []
        for where, cidr in zip(("own", "peer"), args.peers, strict=True):
            rules.append(
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-aurora-from-{where}",
                    security_group_id=self.database_group.id,
                    description=f"PostgreSQL from {cidr}",
                    cidr_ipv4=cidr,
                    ip_protocol="tcp",
                    from_port=args.port,
                    to_port=args.port,
                    opts=args.site.options(self),
                )
            )
            rules.append(
                aws.vpc.SecurityGroupEgressRule(
                    f"{self._name}-lambda-to-{where}",
                    security_group_id=self.function_group.id,
                    description=f"PostgreSQL in {cidr}",
                    cidr_ipv4=cidr,
                    ip_protocol="tcp",
                    from_port=args.port,
                    to_port=args.port,
                    opts=args.site.options(self),
                )
            )
        return rules

    def _endpoint_rules(self) -> list[pulumi.Resource]:
        options = self._args.site.options(self)
        into = aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoint-from-lambda",
            security_group_id=self.endpoint_group.id,
            description="HTTPS from the functions",
            referenced_security_group_id=self.function_group.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=options,
        )
        out = aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-lambda-to-endpoint",
            security_group_id=self.function_group.id,
            description="HTTPS to the endpoints",
            referenced_security_group_id=self.endpoint_group.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=options,
        )
        return [into, out]
