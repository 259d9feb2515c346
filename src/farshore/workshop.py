"""Builds the adapters that handlers and operator verbs work with, from the environment's settings."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

from farshore.aws.clients import client
from farshore.aws.global_cluster import AuroraGlobalCluster
from farshore.aws.journal import DynamoJournal
from farshore.aws.metrics import MetricPublisher
from farshore.clock import SystemClock
from farshore.controller import World
from farshore.postgres import admin
from farshore.postgres.guarded import GuardedDatabase
from farshore.postgres.session import Login, LoopThread, Session
from farshore.resolve import resolver
from farshore.settings import Settings

SECRETS_TIMEOUT_MS = 5000
PROMOTION_REPLY_MS = 10_000


@dataclass
class Workshop:
    """Adapters made on first use and kept while the process lives."""

    settings: Settings

    @cached_property
    def clock(self) -> SystemClock:
        return SystemClock()

    @cached_property
    def loop(self) -> LoopThread:
        return LoopThread()

    @cached_property
    def credentials(self) -> dict[str, Any]:
        secrets = client("secretsmanager", self.settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
        answer = secrets.get_secret_value(SecretId=self.settings.names.controller_secret)
        return dict(json.loads(answer["SecretString"]))

    @cached_property
    def master_credentials(self) -> dict[str, Any]:
        """The database's master user; the operator's verbs need it, the handlers never do."""
        secrets = client("secretsmanager", self.settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
        answer = secrets.get_secret_value(SecretId=self.settings.names.master_secret)
        return dict(json.loads(answer["SecretString"]))

    def admin(self, host: str) -> psycopg.Connection[dict[str, Any]]:
        return admin.connect(self.settings, host, self.master_credentials)

    def rds(self, region: str) -> Any:
        return client(
            "rds", region, timeout_ms=PROMOTION_REPLY_MS, connect_ms=self.settings.profile.table_timeout_ms
        )

    @cached_property
    def journal(self) -> DynamoJournal:
        names, profile = self.settings.names, self.settings.profile
        dynamodb = client("dynamodb", self.settings.region, timeout_ms=profile.table_timeout_ms)
        return DynamoJournal(dynamodb, names.authority_table, names.global_cluster)

    @cached_property
    def publisher(self) -> MetricPublisher:
        cloudwatch = client("cloudwatch", self.settings.region, timeout_ms=self.settings.profile.metric_ms)
        return MetricPublisher(cloudwatch, self.settings.names.metric_namespace, self.settings.region)

    @cached_property
    def cloud(self) -> AuroraGlobalCluster:
        region, profile = self.settings.region, self.settings.profile
        reader = client("rds", region, timeout_ms=profile.table_timeout_ms)
        mover = client("rds", region, timeout_ms=PROMOTION_REPLY_MS, connect_ms=profile.table_timeout_ms)
        return AuroraGlobalCluster(reader, mover, self.settings.names.global_cluster)

    def session(self, endpoint: str) -> Session:
        settings = self.settings
        login = Login(
            host=endpoint,
            port=settings.port,
            dbname=settings.dbname,
            user=self.credentials["username"],
            password=self.credentials["password"],
            sslrootcert=settings.sslrootcert,
            resolve=resolver(settings.nameserver),
        )
        return Session(login, self.loop)

    @cached_property
    def world(self) -> World:
        databases = {
            region: GuardedDatabase(region, self.session(endpoints.writer))
            for region, endpoints in self.settings.endpoints.items()
        }
        return World(self.journal, databases, self.cloud, self.publisher, self.clock)
