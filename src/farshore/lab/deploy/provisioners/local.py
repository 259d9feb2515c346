"""What no AWS service keeps: providers and random values. And the lookups a program may do."""

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


def _provider(call: Call) -> Made:
    """An explicit provider: a region and default tags. A wrong account is refused, as by the real one."""
    allowed = call.inputs.get("allowedAccountIds")
    accounts = json.loads(allowed) if isinstance(allowed, str) else allowed
    if accounts:
        account = call.clients("sts", call.inputs["region"]).get_caller_identity()["Account"]
        if account not in accounts:
            raise ValueError(f"AWS account {account} is not one of the allowed {', '.join(accounts)}")
    return Made(secrets.token_hex(16))


def _password(call: Call) -> Made:
    """https://www.pulumi.com/registry/packages/random/api-docs/randompassword/."""
    inputs = call.inputs
    sets = [
        (inputs.get("lower", True), string.ascii_lowercase, inputs.get("minLower", 0)),
        (inputs.get("upper", True), string.ascii_uppercase, inputs.get("minUpper", 0)),
        (inputs.get("numeric", True), string.digits, inputs.get("minNumeric", 0)),
        (inputs.get("special", True), inputs.get("overrideSpecial", _SPECIAL), inputs.get("minSpecial", 0)),
    ]
    drawn = [secrets.choice(letters) for wanted, letters, least in sets if wanted for _ in range(least)]
    alphabet = "".join(letters for wanted, letters, _ in sets if wanted)
    drawn += [secrets.choice(alphabet) for _ in range(inputs["length"] - len(drawn))]
    secrets.SystemRandom().shuffle(drawn)
    return Made("none", {"result": "".join(drawn)})


def _caller(call: Call) -> Mapping[str, Any]:
    found = call.clients("sts", call.region or "us-east-1").get_caller_identity()
    return {
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
        "id": found["Account"],
    }


def _region(call: Call) -> Mapping[str, Any]:
    return {"region": call.region, "name": call.region, "id": call.region}


def _partition(_: Call) -> Mapping[str, Any]:
    return {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "id": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    }


KINDS = {
    "pulumi:providers:aws": Kind(
        "region defaultTags allowedAccountIds skipCredentialsValidation skipRegionValidation", _provider
    ),
    "random:index/randomPassword:RandomPassword": Kind(
        "length lower upper numeric special overrideSpecial minLower minUpper minNumeric minSpecial keepers",
        _password,
        secret=("result", "bcryptHash"),
    ),
}

FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
}
