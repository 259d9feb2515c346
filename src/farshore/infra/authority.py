"""The authority table: who may write. Strongly consistent in both regions, with a witness in a third.

Encrypted with DynamoDB's own key: the record holds no secret, and deciding who may write must not wait for a customer
key of a region that may be the lost one.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.site import Site, tagged


@dataclass(frozen=True, slots=True)
class AuthorityArgs:
    home: Site
    standby: Site
    production: bool


class AuthorityTable(pulumi.ComponentResource):
    """Exactly one replica beside the home table, and the witness, which holds no readable copy."""

    def __init__(self, name: str, args: AuthorityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:AuthorityTable", name, None, opts)
        self._home = args.home.region
        names = args.home.names
        self.table = aws.dynamodb.Table(
            f"{name}-table",
            name=names.authority_table,
            billing_mode="PAY_PER_REQUEST",
            hash_key="global_cluster",
            range_key="entry_key",
            attributes=[{"name": "global_cluster", "type": "S"}, {"name": "entry_key", "type": "S"}],
            replicas=[
                {
                    "region_name": args.standby.region,
                    "consistency_mode": "STRONG",
                    "point_in_time_recovery": True,
                    "propagate_tags": True,
                    "deletion_protection_enabled": args.production,
                }
            ],
            global_table_witness={"region_name": names.witness_region},
            point_in_time_recovery={"enabled": True},
            deletion_protection_enabled=args.production,
            tags=tagged(names.authority_table),
            opts=args.home.options(self, protect=args.production),
        )
        self.register_outputs({"tableName": self.table.name})

    def arn(self, region: str) -> pulumi.Output[str]:
        """The replica's ARN differs in its region only."""
        return self.table.arn.apply(lambda arn: arn.replace(f":{self._home}:", f":{region}:"))
