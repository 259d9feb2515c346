"""A region's runbooks for Systems Manager Automation: switchover, failover, failback.

They bypass nothing: each asks the region's failover function, which puts the request into the journal, and waits until
the journal says that it is over. The seed's runbook called FailoverGlobalCluster itself, behind farshore's back and,
without AllowDataLoss, as a switchover that needs the region which is lost.
https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from farshore.infra.documents import Statement, document, trust
from farshore.infra.site import Site, tagged
from farshore.names import Names

MOVES = ("switchover", "failover", "failback")
OVER_S = 1800
LOOKS = 20
WORDS = {
    "switchover": "Planned: moves the writer to the target region and loses nothing.",
    "failover": "The writer's region is lost: promotes the target region, within the loss that is accepted.",
    "failback": "Planned: moves the writer back to the home region, once what it lost is accounted for.",
}


@dataclass(frozen=True, slots=True)
class RunbooksArgs:
    site: Site
    function: aws.lambda_.Function
    table_arn: pulumi.Input[str]
    global_cluster_arn: pulumi.Input[str]


class Runbooks(pulumi.ComponentResource):
    """`made`: the documents by move."""

    def __init__(self, name: str, args: RunbooksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("farshore:infra:Runbooks", name, None, opts)
        self._name, self._args = name, args
        self.role, policy = self._role()
        self.made = {move: self._runbook(move, policy) for move in MOVES}
        self.register_outputs({"runbooks": [made.name for made in self.made.values()]})

    def _role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-setup-iam.html."""
        args, site = self._args, self._args.site
        role_name = site.names.function_role(site.region, "automation")
        role = aws.iam.Role(
            f"{self._name}-role",
            name=role_name,
            description=f"What the runbooks of {site.region} may do",
            assume_role_policy=trust(
                "ssm.amazonaws.com",
                {
                    "StringEquals": {"aws:SourceAccount": site.account},
                    "ArnLike": {"aws:SourceArn": site.arn("ssm", "automation-execution/*")},
                },
            ),
            tags=tagged(role_name),
            opts=site.options(self),
        )
        policy = aws.iam.RolePolicy(
            f"{self._name}-policy",
            name=role_name,
            role=role.id,
            policy=document(
                Statement("Ask", ["lambda:InvokeFunction"], [args.function.arn]),
                Statement("Follow", ["dynamodb:GetItem"], [args.table_arn]),
                Statement("Describe", ["rds:DescribeGlobalClusters"], [args.global_cluster_arn]),
            ),
            opts=site.options(self),
        )
        return role, policy

    def _runbook(self, move: str, policy: aws.iam.RolePolicy) -> aws.ssm.Document:
        site = self._args.site
        name = site.names.runbook(move)
        return aws.ssm.Document(
            f"{self._name}-{move}",
            name=name,
            document_type="Automation",
            document_format="JSON",
            content=pulumi.Output.json_dumps(
                runbook(move, site.names, site.region, self.role.arn, self._args.function.name)
            ),
            tags=tagged(name),
            opts=site.options(self, depends_on=[policy]),
        )


def runbook(
    move: str, names: Names, region: str, role: pulumi.Input[str], function: pulumi.Input[str]
) -> dict[str, Any]:
    """Schema 0.3. A refusal ends in failure, with the reason in the output `AskFarshore.Payload`, unless the target
    writes already."""
    return {
        "schemaVersion": "0.3",
        "description": f"{WORDS[move]} Stopping this runbook stops the waiting, not the move: `farshore abort` does.",
        "assumeRole": role,
        "parameters": _parameters(move, names, region),
        "mainSteps": _steps(move, names, function),
        "outputs": ["AskFarshore.Payload", "ShowTheWriter.Members"],
    }


def _parameters(move: str, names: Names, region: str) -> dict[str, Any]:
    targets = {
        "switchover": region,
        "failover": region,
        "failback": names.home_region,
    }
    given: dict[str, Any] = {
        "TargetRegion": {
            "type": "String",
            "description": "The region that is to write",
            "allowedValues": [names.home_region] if move == "failback" else list(names.regions),
            "default": targets[move],
        },
        "Ticket": {
            "type": "String",
            "description": "Where it is written down why the writer moves",
            "allowedPattern": "^[A-Za-z0-9][A-Za-z0-9 ._:/#-]{0,99}$",
        },
    }
    if move == "failover":
        given["AcceptLossMilliseconds"] = {
            "type": "String",
            "description": "What may be lost at most; 'unknown' accepts a loss that nobody can bound. "
            "Without it the runbook is refused and says what may be lost",
            "allowedPattern": "^([0-9]{0,9}|unknown)$",
            "default": "",
        }
    return given


def _steps(move: str, names: Names, function: pulumi.Input[str]) -> list[dict[str, Any]]:
    request = {
        "move": move,
        "target": "{{ TargetRegion }}",
        "ticket": "{{ Ticket }}",
        "requested_by": "runbook {{ automation:EXECUTION_ID }} in {{ global:REGION }}",
        **({"accept_loss_ms": "{{ AcceptLossMilliseconds }}"} if move == "failover" else {}),
    }
    accepted = [
        {"Variable": "{{ AskFarshore.Payload }}", "Contains": f'"accepted":{space}true'}
        for space in ("", " ")
    ]
    return [
        _step("AskFarshore", "invokeLambdaFunction", FunctionName=function, InputPayload=request),
        _step(
            "WasItAccepted",
            "branch",
            Choices=[{"Or": accepted, "NextStep": "WaitUntilItIsOver"}],
            Default="WritesThereAlready",
        ),
        {
            **_step(
                "WaitUntilItIsOver",
                "waitForAwsResourceProperty",
                **_authority(names, "$.Item.phase.S", "HELD"),
            ),
            "timeoutSeconds": OVER_S,
            "maxAttempts": LOOKS,
        },
        _step(
            "WritesThereAlready",
            "assertAwsResourceProperty",
            **_authority(names, "$.Item.holder.S", "{{ TargetRegion }}"),
        ),
        {
            **_step(
                "ShowTheWriter",
                "executeAwsApi",
                Service="rds",
                Api="DescribeGlobalClusters",
                GlobalClusterIdentifier=names.global_cluster,
            ),
            "outputs": [
                {"Name": "Members", "Selector": "$.GlobalClusters[0].GlobalClusterMembers", "Type": "MapList"}
            ],
        },
    ]


def _step(name: str, action: str, **inputs: Any) -> dict[str, Any]:
    return {"name": name, "action": f"aws:{action}", "inputs": inputs}


def _authority(names: Names, selector: str, wanted: str) -> Mapping[str, Any]:
    """The record of who may write, read with strong consistency in this region."""
    return {
        "Service": "dynamodb",
        "Api": "GetItem",
        "TableName": names.authority_table,
        "Key": {"global_cluster": {"S": names.global_cluster}, "entry_key": {"S": "authority"}},
        "ConsistentRead": True,
        "PropertySelector": selector,
        "DesiredValues": [wanted],
    }
