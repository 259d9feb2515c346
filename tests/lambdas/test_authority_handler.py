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
    told = {path: authority.handler(question("GET", path), None) for path in ("/home", "/away")}
    assert told == {"/home": {"statusCode": home}, "/away": {"statusCode": away}}


def question(method, path):
    return {"version": "2.0", "rawPath": path, "requestContext": {"http": {"method": method, "path": path}}}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"rawPath": "/home"},
        *[question("GET", path) for path in ("/", "/home/", "/home/../secret", "/HOME", "//home", "/status")],
        *[question(method, "/home") for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get")],
    ],
    ids=str,
)
def test_whatever_else_is_asked_is_not_found_and_reads_nothing(monkeypatch, event):
    def read():
        raise AssertionError("the table was read")

    monkeypatch.setattr(authority, "_journal", read)
    assert authority.handler(event, None) == {"statusCode": 404}
