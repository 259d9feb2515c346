"""On request, one region's public word on where authority is: a small function behind an HTTPS URL of its own.

Outside of the VPC, because Route 53's checkers come from the internet; it may read the authority table, and that is
all. Whoever floods it silences it, and a silent endpoint moves nothing (docs/dns.md).
https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.functions import OwnFunction, Shape
from farshore.infra.keys import Keys
from farshore.infra.permissions import answering
from farshore.infra.site import Site

MEMORY_MB = 128
TIMEOUT_S = 5
CONCURRENCY = 10


@dataclass(frozen=True, slots=True)
class BeaconArgs:
    site: Site
    keys: Keys
    code: pulumi.Archive
    table_arn: pulumi.Input[str]
    log_retention_days: int


class Beacon(OwnFunction):
    """`host` is the name in the URL, which Route 53 looks up."""

    def __init__(self, name: str, args: BeaconArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        shape = Shape(
            site=args.site,
            kind="authority",
            keys=args.keys,
            code=args.code,
            environment=_variables(args.site),
            log_retention_days=args.log_retention_days,
            statements=lambda log_group: answering(args.table_arn, log_group),
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            concurrency=CONCURRENCY,
            others={"logging_config": {"log_format": "JSON", "system_log_level": "WARN"}},
        )
        super().__init__("farshore:infra:Beacon", name, shape, opts)
        url = aws.lambda_.FunctionUrl(
            f"{name}-url",
            function_name=self.function.name,
            authorization_type="NONE",
            opts=args.site.options(self),
        )
        self._open_to_all()
        self.host: pulumi.Output[str] = url.function_url.apply(_host)
        self.register_outputs({"host": self.host})

    def _open_to_all(self) -> None:
        """Both are needed since October 2025; the second one only for calls that come by the URL."""
        aws.lambda_.Permission(
            f"{self._name}-by-url",
            statement_id="public-url",
            action="lambda:InvokeFunctionUrl",
            function=self.function.name,
            principal="*",
            function_url_auth_type="NONE",
            opts=self._site.options(self),
        )
        aws.lambda_.Permission(
            f"{self._name}-invoke",
            statement_id="public-url-invoke",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal="*",
            invoked_via_function_url=True,
            opts=self._site.options(self),
        )


def _variables(site: Site) -> Mapping[str, str]:
    names = site.names
    return {
        "FARSHORE_SUFFIX": names.suffix,
        "FARSHORE_HOME_REGION": names.home_region,
        "FARSHORE_STANDBY_REGION": names.standby_region,
    }


def _host(url: str) -> str:
    return url.removeprefix("https://").rstrip("/")
