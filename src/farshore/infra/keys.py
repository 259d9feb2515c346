"""One region's customer keys: one for data, one for alerts. Rotating, with the seed's seven days to think again.

An alert key apart lets CloudWatch publish to an encrypted topic without a word about the ledger's key; AWS's own key
for SNS would block it. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document
from farshore.infra.site import Site, tagged

DELETION_WINDOW_DAYS = 7


@dataclass(frozen=True, slots=True)
class KeysArgs:
    """`protect`: the keys outlive a careless destroy, because their loss is the loss of every snapshot."""

    site: Site
    protect: bool


class Keys(pulumi.ComponentResource):
    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Keys", name, None, opts)
        self._name, self._args = name, args
        self.data = self._key("data", "Aurora, secrets and logs", self._logs())
        self.alerts = self._key("alerts", "Alert topics", self._alarms())
        self.register_outputs({"dataKeyArn": self.data.arn, "alertsKeyArn": self.alerts.arn})

    def _key(self, what: str, description: str, service: Statement) -> aws.kms.Key:
        site = self._args.site
        alias = site.names.key_alias(site.region, what)
        key = aws.kms.Key(
            f"{self._name}-{what}",
            description=f"{description} of farshore {site.names.suffix} in {site.region}",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            policy=document(self._owner(), service),
            tags=tagged(alias.removeprefix("alias/")),
            opts=site.options(self, protect=self._args.protect),
        )
        aws.kms.Alias(
            f"{self._name}-{what}-alias", name=alias, target_key_id=key.key_id, opts=site.options(self)
        )
        return key

    def _owner(self) -> Statement:
        """A key policy's `*` is the key itself; without this statement IAM policies could not grant its use.

        https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
        """
        root = pulumi.Output.format("arn:aws:iam::{0}:root", self._args.site.account)
        return Statement("Account", ["kms:*"], ["*"], principal={"AWS": root})

    def _logs(self) -> Statement:
        """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""
        site = self._args.site
        return Statement(
            "Logs",
            ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            ["*"],
            principal={"Service": f"logs.{site.region}.amazonaws.com"},
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": site.arn("logs", "log-group:*")}},
        )

    def _alarms(self) -> Statement:
        """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services"""
        return Statement(
            "Alarms",
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            ["*"],
            principal={"Service": "cloudwatch.amazonaws.com"},
            conditions={"StringEquals": {"aws:SourceAccount": self._args.site.account}},
        )
