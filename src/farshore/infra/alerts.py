"""One region's alert topic, encrypted with a key that CloudWatch may use, and open to this account's alarms only.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/US_SetupSNS.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document
from farshore.infra.keys import Keys
from farshore.infra.site import Site, tagged


@dataclass(frozen=True, slots=True)
class AlertsArgs:
    site: Site
    keys: Keys
    emails: Sequence[str] = ()


class Alerts(pulumi.ComponentResource):
    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Alerts", name, None, opts)
        site = args.site
        topic_name = site.names.topic(site.region)
        self.topic = aws.sns.Topic(
            f"{name}-topic",
            name=topic_name,
            kms_master_key_id=args.keys.alerts.arn,
            tags=tagged(topic_name),
            opts=site.options(self),
        )
        alarms = Statement(
            "Alarms",
            ["sns:Publish"],
            [self.topic.arn],
            principal={"Service": "cloudwatch.amazonaws.com"},
            conditions={
                "StringEquals": {"aws:SourceAccount": site.account},
                "ArnLike": {"aws:SourceArn": site.arn("cloudwatch", f"alarm:*-{site.names.suffix}")},
            },
        )
        aws.sns.TopicPolicy(
            f"{name}-policy", arn=self.topic.arn, policy=document(alarms), opts=site.options(self)
        )
        for number, address in enumerate(args.emails, start=1):
            aws.sns.TopicSubscription(
                f"{name}-email-{number}",
                topic=self.topic.arn,
                protocol="email",
                endpoint=address,
                opts=site.options(self),
            )
        self.register_outputs({"topicArn": self.topic.arn})
