"""What AWS's services do or check in a role's name before they answer, as far as farshore's roles are asked for it.

Lambda: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html (it must be able to assume the
role), https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions and
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html (dead letters).
Secrets Manager: https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html (who reads a
secret under a customer key needs that key).
Systems Manager: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-setup-iam.html (whoever starts
a runbook must be allowed to pass its role, and the role must trust Systems Manager).
"""

from collections.abc import Mapping
from typing import Protocol

from farshore.lab.cloud import policy, stored
from farshore.lab.cloud.asked import Asked
from farshore.lab.cloud.callers import Caller
from farshore.lab.cloud.conditions import Context
from farshore.lab.cloud.dispatch import Call

LAMBDA = "lambda.amazonaws.com"
NETWORK = (
    ("CreateNetworkInterface", "network-interface/*"),
    ("DescribeNetworkInterfaces", None),
    ("DescribeSubnets", None),
    ("DeleteNetworkInterface", "network-interface/*"),
    ("AssignPrivateIpAddresses", "network-interface/*"),
    ("UnassignPrivateIpAddresses", "network-interface/*"),
)


SYSTEMS_MANAGER = "ssm.amazonaws.com"


class RoleNotEnoughError(Exception):
    """The service cannot do its work in this role's name, in AWS's words."""

    def __init__(self, message: str, code: str = "InvalidParameterValueException") -> None:
        super().__init__(message)
        self.code = code


class Judge(Protocol):
    def demand(self, caller: Caller, action: str, resource: str, context: Context) -> None: ...

    def may(
        self, role: str, action: str, resource: str, keys: Mapping[str, str] | None = None
    ) -> policy.Verdict: ...

    def may_assume(self, role: str, service: str, keys: Mapping[str, str] | None = None) -> bool: ...


def check(judge: Judge, caller: Caller, call: Call, asked: Asked) -> None:
    """Raises what the service would answer."""
    if call.service == "lambda" and call.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
        _check_function(judge, asked)
    if call.service == "secretsmanager" and call.operation == "GetSecretValue" and caller.role is not None:
        _check_secret_key(judge, caller, asked)
    if call.service == "sns" and call.operation in ("Publish", "PublishBatch") and caller.role is not None:
        _check_topic_key(judge, caller, asked)
    if call.service == "ssm" and call.operation == "StartAutomationExecution":
        _check_runbook(judge, caller, asked)


def _check_function(judge: Judge, asked: Asked) -> None:
    role = asked.one("Role")
    if role is None:
        return
    if not judge.may_assume(role, LAMBDA):
        raise RoleNotEnoughError("The role defined for the function cannot be assumed by Lambda.")
    if asked.document("VpcConfig").get("SubnetIds"):
        for action, resource in NETWORK:
            where = f"arn:aws:ec2:{asked.region}:{asked.account}:{resource}" if resource else "*"
            if not judge.may(role, f"ec2:{action}", where).allowed:
                raise _lacking(action, "EC2")
    target = asked.document("DeadLetterConfig").get("TargetArn")
    if target:
        service, action = ("SNS", "Publish") if ":sns:" in target else ("SQS", "SendMessage")
        if not judge.may(role, f"{service.lower()}:{action}", target).allowed:
            raise _lacking(action, service)


def _lacking(action: str, service: str) -> RoleNotEnoughError:
    return RoleNotEnoughError(
        f"The provided execution role does not have permissions to call {action} on {service}"
    )


def _check_secret_key(judge: Judge, caller: Caller, asked: Asked) -> None:
    secret = stored.secret(caller.account, asked.region, asked.one("SecretId") or "")
    if secret is None or secret.key is None:
        return
    keys = {
        "kms:viaservice": (f"secretsmanager.{asked.region}.amazonaws.com",),
        "kms:calleraccount": (caller.account,),
    }
    judge.demand(caller, "kms:Decrypt", secret.key, keys.get)


def _check_topic_key(judge: Judge, caller: Caller, asked: Asked) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#permissions-for-sns-encryption"""
    arn = asked.one("TopicArn") or asked.one("TargetArn") or ""
    key = stored.topic_key(caller.account, asked.region, arn)
    if key is None:
        return
    keys = {
        "kms:viaservice": (f"sns.{asked.region}.amazonaws.com",),
        "kms:calleraccount": (caller.account,),
    }
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        judge.demand(caller, action, key, keys.get)


def _check_runbook(judge: Judge, caller: Caller, asked: Asked) -> None:
    name = (asked.one("DocumentName") or "").rpartition("/")[2]
    role = stored.runbook_role(asked.account, asked.region, name)
    if role is None:
        return
    if caller.role is not None:
        judge.demand(caller, "iam:PassRole", role, {"iam:passedtoservice": (SYSTEMS_MANAGER,)}.get)
    source = {
        "aws:sourceaccount": asked.account,
        "aws:sourcearn": f"arn:aws:ssm:{asked.region}:{asked.account}:automation-execution/new",
    }
    if not judge.may_assume(role, SYSTEMS_MANAGER, source):
        raise RoleNotEnoughError(
            "The defined assume role is unable to be assumed.",
            "InvalidAutomationExecutionParametersException",
        )
