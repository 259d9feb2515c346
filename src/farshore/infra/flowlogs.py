"""Flow logs of one VPC, on request: every connection and refusal, in CloudWatch Logs.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document, trust
from farshore.infra.keys import Keys
from farshore.infra.network import Network
from farshore.infra.site import Site, tagged


@dataclass(frozen=True, slots=True)
class FlowLogsArgs:
    site: Site
    network: Network
    keys: Keys
    retention_days: int


class FlowLogs(pulumi.ComponentResource):
    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:FlowLogs", name, None, opts)
        site, names, region = args.site, args.site.names, args.site.region
        group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=names.flow_log_group(region),
            retention_in_days=args.retention_days,
            kms_key_id=args.keys.data.arn,
            tags=tagged(names.flow_log_group(region)),
            opts=site.options(self),
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=names.flow_log_role(region),
            assume_role_policy=trust(
                "vpc-flow-logs.amazonaws.com", {"StringEquals": {"aws:SourceAccount": site.account}}
            ),
            tags=tagged(names.flow_log_role(region)),
            opts=site.options(self),
        )
        streams = pulumi.Output.concat(group.arn, ":log-stream:*")
        policy = aws.iam.RolePolicy(
            f"{name}-policy",
            name=names.flow_log_role(region),
            role=role.id,
            policy=document(
                Statement("Streams", ["logs:CreateLogStream", "logs:PutLogEvents"], [streams]),
                Statement("Group", ["logs:CreateLogGroup", "logs:DescribeLogStreams"], [group.arn]),
                Statement("DescribeGroups", ["logs:DescribeLogGroups"], [site.arn("logs", "log-group:*")]),
            ),
            opts=site.options(self),
        )
        aws.ec2.FlowLog(
            f"{name}-flow",
            vpc_id=args.network.vpc.id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=tagged(names.flow_log_group(region)),
            opts=site.options(self, depends_on=[policy]),
        )
        self.register_outputs({"logGroup": group.name})
