"""AWS's list prices in US dollars, the same in us-east-1 and us-west-2: each with its unit, page and date.

`read_on` is the month in which the figure was checked, or the plain year from which it is remembered and not checked
again since. Prices change: read the page before you rely on one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    usd: float
    unit: str
    source: str
    read_on: str = "2025"


_CHECKED = "2026-11"

_AURORA = "https://aws.amazon.com/rds/aurora/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_ROUTE53 = "https://aws.amazon.com/route53/pricing/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
_SNS = "https://aws.amazon.com/sns/pricing/"

R5_LARGE = Rate(0.29, "instance-hour", _AURORA, _CHECKED)
SERVERLESS_V2 = Rate(0.12, "ACU-hour", _AURORA)
STORAGE = Rate(0.10, "GB-month", _AURORA, _CHECKED)
IO = Rate(0.20, "million requests", _AURORA, _CHECKED)
REPLICATED_WRITE = Rate(0.20, "million replicated write I/Os", _AURORA, _CHECKED)
BACKUP = Rate(0.021, "GB-month", _AURORA)
INTER_REGION = Rate(0.02, "GB", "https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer")
LAMBDA_SECONDS = Rate(0.0000166667, "GB-second", _LAMBDA)
LAMBDA_REQUESTS = Rate(0.20, "million requests", _LAMBDA)
DYNAMODB_WRITE = Rate(0.625, "million replicated write units", _DYNAMODB)
DYNAMODB_READ = Rate(0.125, "million read units", _DYNAMODB)
HOSTED_ZONE = Rate(0.50, "zone-month", _ROUTE53)
HEALTH_CHECK = Rate(0.50, "check-month", _ROUTE53)
HTTPS_CHECK_OPTION = Rate(1.00, "check-month", _ROUTE53)
FAST_CHECK_OPTION = Rate(1.00, "check-month", _ROUTE53)
ALARM = Rate(0.10, "alarm-month", _CLOUDWATCH)
METRIC = Rate(0.30, "metric-month", _CLOUDWATCH)
METRIC_CALLS = Rate(0.01, "thousand requests", _CLOUDWATCH)
METRICS_READ = Rate(0.01, "thousand metrics", _CLOUDWATCH)
DASHBOARD = Rate(3.00, "dashboard-month", _CLOUDWATCH)
LOGS_IN = Rate(0.50, "GB", _CLOUDWATCH)
KEY = Rate(1.00, "key-month", "https://aws.amazon.com/kms/pricing/")
SECRET = Rate(0.40, "secret-month", _SECRETS)
INTERFACE_ENDPOINT = Rate(
    0.01, "endpoint-hour and zone", "https://aws.amazon.com/privatelink/pricing/", _CHECKED
)
MAIL = Rate(2.00, "hundred thousand mails", _SNS)
PEERING = Rate(0.0, "peering-month", "https://aws.amazon.com/vpc/pricing/")
SCHEDULE = Rate(0.0, "rule-month", "https://aws.amazon.com/eventbridge/pricing/")
