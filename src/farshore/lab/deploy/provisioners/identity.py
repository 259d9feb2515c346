"""Roles, policies and keys."""

from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made, Old


def _role(call: Call) -> Made:
    iam, name = call.client("iam"), call.inputs.get("name") or call.auto_name()
    wanted = call.given(
        "path description maxSessionDuration permissionsBoundary",
        assumeRolePolicy="AssumeRolePolicyDocument",
    )
    made = iam.create_role(RoleName=name, **wanted, Tags=call.tag_list())["Role"]
    return Made(name, {"name": name, "arn": made["Arn"], "uniqueId": made["RoleId"]})


def _delete_role(old: Old) -> None:
    old.client("iam").delete_role(RoleName=old.id)


def _role_policy(call: Call) -> Made:
    name = call.inputs.get("name") or call.auto_name()
    role = call.inputs["role"]
    call.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=call.inputs["policy"])
    return Made(f"{role}:{name}", {"name": name})


def _delete_role_policy(old: Old) -> None:
    old.client("iam").delete_role_policy(RoleName=old["role"], PolicyName=old["name"])


def _key(call: Call) -> Made:
    kms = call.client("kms")
    wanted = call.given(
        "description policy keyUsage multiRegion",
        customerMasterKeySpec="KeySpec",
        bypassPolicyLockoutSafetyCheck="BypassPolicyLockoutSafetyCheck",
    )
    made = kms.create_key(**wanted, Tags=call.tag_list("TagKey", "TagValue"))["KeyMetadata"]
    if call.inputs.get("enableKeyRotation"):
        period: dict[str, Any] = call.given("rotationPeriodInDays")
        kms.enable_key_rotation(KeyId=made["KeyId"], **period)
    return Made(made["KeyId"], {"keyId": made["KeyId"], "arn": made["Arn"]})


def _delete_key(old: Old) -> None:
    """It goes when its window ends; until then it can be kept, which is what the window is for."""
    days = old["deletionWindowInDays"] or 30
    old.client("kms").schedule_key_deletion(KeyId=old.id, PendingWindowInDays=days)


def _alias(call: Call) -> Made:
    name = call.inputs["name"]
    call.client("kms").create_alias(AliasName=name, **call.given("targetKeyId"))
    target = call.client("kms").describe_key(KeyId=name)["KeyMetadata"]["Arn"]
    return Made(name, {"arn": f"{target.rpartition(':')[0]}:{name}", "targetKeyArn": target})


def _delete_alias(old: Old) -> None:
    old.client("kms").delete_alias(AliasName=old.id)


KINDS = {
    "aws:iam/role:Role": Kind(
        "name path description assumeRolePolicy maxSessionDuration permissionsBoundary forceDetachPolicies",
        _role,
        _delete_role,
    ),
    "aws:iam/rolePolicy:RolePolicy": Kind("name role policy", _role_policy, _delete_role_policy),
    "aws:kms/key:Key": Kind(
        "description policy keyUsage multiRegion customerMasterKeySpec bypassPolicyLockoutSafetyCheck "
        "enableKeyRotation rotationPeriodInDays deletionWindowInDays",
        _key,
        _delete_key,
    ),
    "aws:kms/alias:Alias": Kind("name targetKeyId", _alias, _delete_alias),
}
