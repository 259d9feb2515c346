"""On request, one region's public word on where authority is: a small function behind an HTTPS URL of its own.

Outside of the VPC, because Route 53's checkers come from the internet; it may read the authority table, and that is
all. Whoever floods it silences it, and a silent endpoint moves nothing (docs/dns.md).
https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document, trust
from farshore.infra.functions import RUNTIME
from farshore.infra.keys import Keys
from farshore.infra.site import Site, tagged

KIND = "authority"
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


class Beacon(pulumi.ComponentResource):
    """`host` is the name in the URL, which Route 53 looks up."""

    def __init__(self, name: str, args: BeaconArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Beacon", name, None, opts)
        self._name, self._args = name, args
        self._function_name = args.site.names.authority_function(args.site.region)
        log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=args.site.names.function_log_group(self._function_name),
            retention_in_days=args.log_retention_days,
            kms_key_id=args.keys.data.arn,
            tags=tagged(args.site.names.function_log_group(self._function_name)),
            opts=args.site.options(self),
        )
        role, policy = self._role(log)
        self.function = self._function(role, [log, policy])
        url = aws.lambda_.FunctionUrl(
            f"{name}-url",
            function_name=self.function.name,
            authorization_type="NONE",
            opts=args.site.options(self),
        )
        self._open_to_all()
        self.host: pulumi.Output[str] = url.function_url.apply(_host)
        self.register_outputs({"host": self.host})

    def _role(self, log: aws.cloudwatch.LogGroup) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args, role_name = self._args, self._args.site.names.function_role(self._args.site.region, KIND)
        role = aws.iam.Role(
            f"{self._name}-role",
            name=role_name,
            description=f"What the public authority endpoint of {args.site.region} may do",
            assume_role_policy=trust("lambda.amazonaws.com"),
            tags=tagged(role_name),
            opts=args.site.options(self),
        )
        streams = pulumi.Output.concat(log.arn, ":log-stream:*")
        policy = aws.iam.RolePolicy(
            f"{self._name}-policy",
            name=role_name,
            role=role.id,
            policy=document(
                Statement("Authority", ["dynamodb:Query"], [args.table_arn]),
                Statement("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [streams]),
            ),
            opts=args.site.options(self),
        )
        return role, policy

    def _function(self, role: aws.iam.Role, after: list[pulumi.Resource]) -> aws.lambda_.Function:
        args = self._args
        return aws.lambda_.Function(
            f"{self._name}-function",
            name=self._function_name,
            description=f"Says in {args.site.region} whether authority is at home",
            runtime=RUNTIME,
            architectures=["x86_64"],
            handler=f"farshore.lambdas.{KIND}.handler",
            role=role.arn,
            code=args.code,
            timeout=TIMEOUT_S,
            memory_size=MEMORY_MB,
            reserved_concurrent_executions=CONCURRENCY,
            logging_config={"log_format": "JSON", "system_log_level": "WARN"},
            environment={"variables": _variables(args.site)},
            tags=tagged(self._function_name),
            opts=args.site.options(self, depends_on=after),
        )

    def _open_to_all(self) -> None:
        """Both are needed since October 2025; the second one only for calls that come by the URL."""
        aws.lambda_.Permission(
            f"{self._name}-by-url",
            statement_id="public-url",
            action="lambda:InvokeFunctionUrl",
            function=self.function.name,
            principal="*",
            function_url_auth_type="NONE",
            opts=self._args.site.options(self),
        )
        aws.lambda_.Permission(
            f"{self._name}-invoke",
            statement_id="public-url-invoke",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal="*",
            invoked_via_function_url=True,
            opts=self._args.site.options(self),
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
