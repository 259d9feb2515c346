"""The two VPCs see each other: peering with its accepter, routes both ways, names resolved across it.

https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-dns.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.network import Network
from farshore.infra.site import Site, tagged


@dataclass(frozen=True, slots=True)
class PeerSide:
    site: Site
    network: Network
    cidr: str


@dataclass(frozen=True, slots=True)
class PeeringArgs:
    home: PeerSide
    standby: PeerSide


class Peering(pulumi.ComponentResource):
    """Across regions a request is never accepted by itself, and each side sets its own options once it is active."""

    def __init__(self, name: str, args: PeeringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Peering", name, None, opts)
        home, standby = args.home, args.standby
        tags = tagged(home.site.names.peering)
        self.connection = aws.ec2.VpcPeeringConnection(
            f"{name}-connection",
            vpc_id=home.network.vpc.id,
            peer_vpc_id=standby.network.vpc.id,
            peer_region=standby.site.region,
            auto_accept=False,
            tags=tags,
            opts=home.site.options(self),
        )
        self.accepter = aws.ec2.VpcPeeringConnectionAccepter(
            f"{name}-accepter",
            vpc_peering_connection_id=self.connection.id,
            auto_accept=True,
            tags=tags,
            opts=standby.site.options(self),
        )
        aws.ec2.PeeringConnectionOptions(
            f"{name}-home-names",
            vpc_peering_connection_id=self.accepter.vpc_peering_connection_id,
            requester={"allow_remote_vpc_dns_resolution": True},
            opts=home.site.options(self, depends_on=[self.accepter]),
        )
        aws.ec2.PeeringConnectionOptions(
            f"{name}-standby-names",
            vpc_peering_connection_id=self.accepter.vpc_peering_connection_id,
            accepter={"allow_remote_vpc_dns_resolution": True},
            opts=standby.site.options(self, depends_on=[self.accepter]),
        )
        self.routes = [
            aws.ec2.Route(
                f"{name}-{label}-route",
                route_table_id=here.network.route_table.id,
                destination_cidr_block=there.cidr,
                vpc_peering_connection_id=self.accepter.vpc_peering_connection_id,
                opts=here.site.options(self, depends_on=[self.accepter]),
            )
            for label, here, there in (("home", home, standby), ("standby", standby, home))
        ]
        self.register_outputs({"peeringConnectionId": self.connection.id})
