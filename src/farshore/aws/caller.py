"""Who is asking, as AWS knows them. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import RefusedError


def arn(sts: Any) -> str:
    """The caller's ARN from the regional STS endpoint; a move without a name is refused."""
    try:
        return str(sts.get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(
            f"AWS does not say who is asking ({error}), and the journal keeps the caller's name.",
            "check the credentials and that AWS_REGION is a surviving region.",
        ) from error
