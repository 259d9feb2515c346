"""boto3 clients with deadlines of our own and no hidden retries: the loop is the retry (H6)."""

from typing import Any

import boto3
from botocore.config import Config


def client(service: str, region: str, *, timeout_ms: int, connect_ms: int | None = None) -> Any:
    """A client of one service in one region; STS and all others use regional endpoints."""
    config = Config(
        connect_timeout=(connect_ms or timeout_ms) / 1000,
        read_timeout=timeout_ms / 1000,
        retries={"total_max_attempts": 1},
        max_pool_connections=4,
        tcp_keepalive=True,
    )
    return boto3.client(service, region_name=region, config=config)
