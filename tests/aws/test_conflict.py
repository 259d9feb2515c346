"""H16: what a table with strong consistency answers to writers that meet (no lab makes two regions collide on demand).

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from farshore.aws.journal import DynamoJournal
from farshore.core.authority import Authority, Event, Phase
from farshore.core.errors import UnknownOutcomeError

EVENT = Event(1, 1, 1, Phase.HELD, "us-east-1", "first-boot", "a test", "p")
RECORD = Authority(1, 1, Phase.HELD, "us-east-1", 1, 1, None, "auto", False, False, None, EVENT)


class Table:
    def __init__(self, error):
        self.error = error

    def put_item(self, **_request):
        raise self.error


def journal(error) -> DynamoJournal:
    return DynamoJournal(Table(error), "authority", "cluster")


@pytest.mark.parametrize("code", ["ReplicatedWriteConflictException", "ConditionalCheckFailedException"])
def test_a_write_that_met_another_regions_has_lost(code):
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "PutItem")
    assert journal(error).compare_and_set(None, RECORD) is False


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, "PutItem"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "PutItem"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
    ids=["5xx", "throttled", "timeout"],
)
def test_any_other_trouble_leaves_the_outcome_unknown(error):
    with pytest.raises(UnknownOutcomeError):
        journal(error).compare_and_set(None, RECORD)
