"""The public endpoint says home or away by a consistent read, or neither; and nothing else."""

import pytest

from farshore.aws.journal import JournalDamagedError
from farshore.core.errors import UnknownOutcomeError
from farshore.lambdas import authority
from farshore.names import Names
from farshore.ports import Page

HOME, STANDBY = "us-east-1", "us-west-2"


class Record:
    def __init__(self, region):
        self.region_of_record = region


class Table:
    def __init__(self, found):
        self.found = found

    def read(self):
        if isinstance(self.found, Exception):
            raise self.found
        return Page(self.found, {}, [])


@pytest.mark.parametrize(
    ("found", "home", "away"),
    [
        (Record(HOME), 200, 503),
        (Record(STANDBY), 503, 200),
        (None, 503, 503),
        (UnknownOutcomeError("no reply"), 503, 503),
        (JournalDamagedError("of another version"), 503, 503),
    ],
    ids=["home", "away", "first boot", "no reply", "unreadable"],
)
def test_what_the_checkers_are_told(monkeypatch, found, home, away):
    monkeypatch.setattr(authority, "_journal", lambda: (Table(found), Names("t")))
    told = {
        path: authority.handler({"rawPath": path}, None)
        for path in ("/home", "/away", "/", "/home/../secret")
    }
    assert told == {
        "/home": {"statusCode": home},
        "/away": {"statusCode": away},
        "/": {"statusCode": 404},
        "/home/../secret": {"statusCode": 404},
    }


def test_an_odd_event_is_answered():
    assert authority.answer(str({}.get("rawPath")), is_home=True) == 404
