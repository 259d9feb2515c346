"""Builds the adapters that handlers and operator verbs work with, from the environment's settings."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from farshore.aws.clients import client
from farshore.aws.events import TransitionEvents, topic_arn
from farshore.aws.global_cluster import AuroraGlobalCluster
from farshore.aws.journal import DynamoJournal
from farshore.aws.metrics import MetricPublisher
from farshore.clock import SystemClock
from farshore.controller import World
from farshore.log import log
from farshore.postgres import admin
from farshore.postgres.guarded import GuardedDatabase
from farshore.postgres.session import Login, LoopThread, Session
from farshore.resolve import resolver
from farshore.settings import Settings

SECRETS_TIMEOUT_MS = 5000
TELLING_TIMEOUT_MS = 3000
PROMOTION_REPLY_MS = 10_000
SECRET_AGE_MIN_S = 10.0


class Secret:
    """The controllers' own login to the databases, fetched again when a server has refused it."""

    def __init__(self, fetch: Callable[[], dict[str, Any]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._fetched_at = time.monotonic()
        self.content = fetch()

    def newest(self) -> dict[str, Any]:
        """At most one question in ten seconds; what is known while there is no answer."""
        with self._lock:
            if time.monotonic() - self._fetched_at >= SECRET_AGE_MIN_S:
                self._fetched_at = time.monotonic()
                try:
                    self.content = self._fetch()
                except (BotoCoreError, ClientError) as error:
                    log("secret-not-fetched", error=str(error))
        return self.content


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
    def secret(self) -> Secret:
        return Secret(lambda: self._secret_of(self.settings.names.controller_secret))

    @property
    def credentials(self) -> dict[str, Any]:
        return self.secret.content

    @cached_property
    def master_credentials(self) -> dict[str, Any]:
        """The database's master user; the operator's verbs need it, the handlers never do."""
        return self._secret_of(self.settings.names.master_secret)

    def _secret_of(self, name: str) -> dict[str, Any]:
        secrets = client("secretsmanager", self.settings.region, timeout_ms=SECRETS_TIMEOUT_MS)
        return dict(json.loads(secrets.get_secret_value(SecretId=name)["SecretString"]))

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
        return Session(login, self.loop, self._renewed)

    def _renewed(self, refused: Login) -> Login:
        newest = self.secret.newest()
        return replace(refused, user=newest["username"], password=newest["password"])

    @cached_property
    def world(self) -> World:
        databases = {
            region: GuardedDatabase(region, self.session(endpoints.writer))
            for region, endpoints in self.settings.endpoints.items()
        }
        return World(self.journal, databases, self.cloud, self.publisher, self.clock)

    def teller(self, function_arn: str) -> TransitionEvents:
        """For a function of this region: it tells what its controllers write."""
        names, region = self.settings.names, self.settings.region
        return TransitionEvents(
            sns=client("sns", region, timeout_ms=TELLING_TIMEOUT_MS),
            bus=client("events", region, timeout_ms=TELLING_TIMEOUT_MS),
            told=self.journal,
            topic=topic_arn(names, region, function_arn),
            names=names,
            region=region,
        )
