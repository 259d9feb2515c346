"""A region's failover function, and the rules that bring it what AWS says of regions and databases.

An event is one opinion and moves nothing: the function writes it down, and AWS's word about a region also starts a
loop of the controller at once, which decides on its own evidence. Planned moves make events too; they are no opinion.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html (categories) and
https://docs.aws.amazon.com/health/latest/ug/choosing-a-region.html (a region's events also reach its backup region:
us-west-2 for all others, us-east-1 for us-west-2; the rules name both regions)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from farshore.infra.functions import EVENT_AGE_S, FunctionArgs, RegionFunction
from farshore.infra.site import tagged

CATEGORIES = ("failover", "failure")
CONCURRENCY = 2
"""One for the runbook that asks while another one hears."""
WAKE = json.dumps({"source": "farshore"})


@dataclass(frozen=True, slots=True)
class OpinionArgs:
    """`function` as for a loop; its kind and concurrency are set here. `instances`: how many each cluster has."""

    function: FunctionArgs
    controller: aws.lambda_.Function
    instances: int


class Opinion(RegionFunction):
    def __init__(self, name: str, args: OpinionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        function = replace(args.function, kind="failover", concurrency=CONCURRENCY)
        super().__init__("farshore:infra:Opinion", name, function, opts)
        self._site = args.function.site
        names = self._site.names
        aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-invocation",
            function_name=self.function.name,
            maximum_event_age_in_seconds=EVENT_AGE_S,
            maximum_retry_attempts=0,
            opts=self._site.options(self),
        )
        health = self._rule("health", names.failover_rule, self._health_pattern())
        self._target("health", health, "opinion", self.function)
        self._target("health", health, "wake", args.controller, WAKE)
        database = self._rule("database", names.database_rule, self._database_pattern(args.instances))
        self._target("database", database, "opinion", self.function)
        self.register_outputs({"functionName": self.function.name})

    def _health_pattern(self) -> Mapping[str, Any]:
        """The seed's pattern, for this deployment's regions."""
        return {
            "source": ["aws.health"],
            "detail-type": ["AWS Health Event"],
            "detail": {
                "service": ["RDS"],
                "eventTypeCategory": ["issue"],
                "eventRegion": list(self._site.names.regions),
            },
        }

    def _database_pattern(self, instances: int) -> Mapping[str, Any]:
        names, region = self._site.names, self._site.region
        own: Sequence[str] = [
            names.cluster(region),
            *(names.instance(region, number) for number in range(1, instances + 1)),
        ]
        return {
            "source": ["aws.rds"],
            "detail-type": ["RDS DB Cluster Event", "RDS DB Instance Event"],
            "detail": {"EventCategories": list(CATEGORIES), "SourceIdentifier": list(own)},
        }

    def _rule(self, what: str, rule_name: str, pattern: Mapping[str, Any]) -> aws.cloudwatch.EventRule:
        return aws.cloudwatch.EventRule(
            f"{self._name}-{what}",
            name=rule_name,
            description=f"An opinion for {self.function_name}; it moves nothing by itself",
            event_pattern=json.dumps(pattern),
            state="ENABLED",
            tags=tagged(rule_name),
            opts=self._site.options(self),
        )

    def _target(
        self,
        what: str,
        rule: aws.cloudwatch.EventRule,
        role: str,
        function: aws.lambda_.Function,
        event: str | None = None,
    ) -> None:
        """`event` replaces what happened, for a function that is only to be started."""
        permission = aws.lambda_.Permission(
            f"{self._name}-{what}-{role}-permission",
            statement_id=what,
            action="lambda:InvokeFunction",
            function=function.name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=self._site.options(self),
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-{what}-{role}",
            rule=rule.name,
            target_id=role,
            arn=function.arn,
            input=event,
            opts=self._site.options(self, depends_on=[permission]),
        )
