"""Asks every service for something cheap, before the program asks for anything.

The first call to a service loads its model twice, in boto3 and in the lab's AWS, and makes each region's store: some
seconds of work that would otherwise stand in the way of the first resources, while the program is still importing
its provider on another core.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from farshore.lab.deploy.kinds import Clients

FIRST_CALLS = {
    "ec2": "describe_vpcs",
    "iam": "list_roles",
    "rds": "describe_global_clusters",
    "kms": "list_aliases",
    "cloudwatch": "describe_alarms",
    "lambda": "list_functions",
    "events": "list_rules",
    "route53": "list_hosted_zones",
    "dynamodb": "list_tables",
    "logs": "describe_log_groups",
    "secretsmanager": "list_secrets",
    "sns": "list_topics",
    "sqs": "list_queues",
    "sts": "get_caller_identity",
    "ssm": "list_documents",
}
_AT_ONCE = 3
_log = logging.getLogger(__name__)


def warm(clients: Clients, regions: Iterable[str]) -> None:
    """Returns when every service was asked in every region; a refusal is for the resources to meet."""

    def ask(service: str, region: str) -> None:
        try:
            getattr(clients(service, region), FIRST_CALLS[service])()
        except (BotoCoreError, ClientError) as error:
            _log.debug("%s in %s: %s", service, region, error)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="warm") as pool:
        for region in regions:
            for service in FIRST_CALLS:
                pool.submit(ask, service, region)
