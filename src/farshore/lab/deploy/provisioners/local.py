"""What no AWS service keeps: providers. And the lookups a program may do."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from farshore.lab.deploy.kinds import Call, Kind, Made


def _provider(call: Call) -> Made:
    """An explicit provider: a region and default tags. A wrong account is refused, as by the real one."""
    allowed = call.inputs.get("allowedAccountIds")
    accounts = json.loads(allowed) if isinstance(allowed, str) else allowed
    if accounts:
        account = call.clients("sts", call.inputs["region"]).get_caller_identity()["Account"]
        if account not in accounts:
            raise ValueError(f"AWS account {account} is not one of the allowed {', '.join(accounts)}")
    return Made(secrets.token_hex(16))


def _caller(call: Call) -> Mapping[str, Any]:
    found = call.clients("sts", call.region or "us-east-1").get_caller_identity()
    return {
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
        "id": found["Account"],
    }


KINDS = {
    "pulumi:providers:aws": Kind(
        "region defaultTags allowedAccountIds skipCredentialsValidation skipRegionValidation", _provider
    ),
}

FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
}
