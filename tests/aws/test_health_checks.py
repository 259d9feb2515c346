"""What is made of health checks when AWS refuses to tell the status of a calculated one, as it does."""

import pytest
from botocore.exceptions import ClientError

from farshore.aws import health_checks
from farshore.aws.health_checks import HealthChecks
from operate.aws_stub import Aws, refused

RECORDS = {"primary": "p", "secondary": "s"}
CHILDREN = [f"{region}-{kind}" for region in ("east", "west") for kind in ("home", "away", "last")]
METRIC, ENDPOINT = {"Type": "CLOUDWATCH_METRIC"}, {"Type": "HTTPS"}
AWAY = {**ENDPOINT, "Inverted": True}
BY_METRIC = dict.fromkeys(CHILDREN, METRIC)
BY_HTTPS = {
    child: {"home": ENDPOINT, "away": AWAY, "last": METRIC}[child.partition("-")[2]] for child in CHILDREN
}


class Route53(Aws):
    """`said`: by child how many of its checkers see success, and how many there are; (0, 0) for none yet."""

    def __init__(self, said, children=BY_METRIC, **changed):
        parent = {"Type": "CALCULATED", "ChildHealthChecks": [*children], "HealthThreshold": 4}
        self.checks = {**children, "p": parent, "s": {**parent, "Inverted": True}, **changed}
        self.said = dict(zip(CHILDREN, said, strict=True))
        operations = {"get_health_check": self._get, "get_health_check_status": self._status}
        super().__init__({("route53", "us-east-1", name): call for name, call in operations.items()})

    def _get(self, parameters):
        return {"HealthCheck": {"HealthCheckConfig": self.checks[parameters["HealthCheckId"]]}}

    def _status(self, parameters):
        check = parameters["HealthCheckId"]
        if self.checks[check]["Type"] == "CALCULATED":
            raise refused("InvalidInput", "calculated")
        well, of = self.said[check]
        words = ["Success: HTTP Status Code 200, OK"] * well + ["Failure: timed out"] * (of - well)
        return {"HealthCheckObservations": [{"StatusReport": {"Status": word}} for word in words]}

    def asks(self, operation):
        return [asked[3]["HealthCheckId"] for asked in self.asked if asked[2] == operation]


def made(route53):
    return HealthChecks(route53.client("route53", "us-east-1"), gap_s=0)


def words(said, children=BY_METRIC, **changed):
    return made(Route53(said, children, **changed)).words(RECORDS)


WELL, ILL, NEW = (16, 16), (0, 16), (0, 0)


def test_the_stub_refuses_as_aws_does():
    with pytest.raises(ClientError):
        Route53([WELL] * 6).client("route53", "us-east-1").get_health_check_status(HealthCheckId="p")


@pytest.mark.parametrize(
    ("said", "primary", "secondary"),
    [
        ([WELL] * 6, "healthy (6 of 6 children, needs 4)", "unhealthy (6 of 6 children, needs 4, inverted)"),
        ([WELL] * 4 + [ILL] * 2, "healthy (4 of 6", "unhealthy (4 of 6"),
        ([WELL] * 3 + [ILL] * 3, "unhealthy (3 of 6", "healthy (3 of 6"),
        ([ILL] * 6, "unhealthy (0 of 6", "healthy (0 of 6"),
        # Nothing is made of what no checker has reported, until it cannot matter any more.
        ([NEW] * 6, "unknown (0 of 6 children, 6 unknown, needs 4)", "unknown (0 of 6"),
        ([WELL] * 3 + [NEW] + [ILL] * 2, "unknown (3 of 6 children, 1 unknown", "unknown (3 of 6"),
        ([WELL] * 4 + [NEW] * 2, "healthy (4 of 6 children, 2 unknown", "unhealthy (4 of 6"),
        ([NEW] * 3 + [ILL] * 3, "unhealthy (0 of 6 children, 3 unknown", "healthy (0 of 6"),
        # More than 18 % of the checkers: 3 of 16, and 2 of 16 are too few.
        ([(3, 16)] * 6, "healthy (6 of 6", "unhealthy (6 of 6"),
        ([(2, 16)] * 6, "unhealthy (0 of 6", "healthy (0 of 6"),
        ([(18, 100)] * 6, "unhealthy (0 of 6", "healthy (0 of 6"),
    ],
)
def test_a_calculated_check_is_worked_out_from_its_children(said, primary, secondary):
    found = words(said)
    assert found["primary"].startswith(primary)
    assert found["secondary"].startswith(secondary)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            [WELL, ILL, WELL] * 2,
            "healthy (6 of 6",
        ),  # /home answers 200 and /away does not: authority is at home
        ([ILL, WELL, ILL] * 2, "unhealthy (0 of 6"),
        ([ILL, ILL, WELL] * 2, "healthy (4 of 6"),  # silent endpoints: one fails and the inverted one passes
        ([ILL, NEW, WELL] * 2, "unknown (2 of 6 children, 2 unknown"),
    ],
)
def test_checkers_report_what_they_see_before_a_check_of_an_endpoint_is_inverted(said, shown):
    assert words(said, BY_HTTPS)["primary"].startswith(shown)


def test_people_invert_and_disable_checks():
    said, parent = [WELL] * 6, Route53([WELL] * 6).checks["p"]
    inverted = words(said, p={**parent, "Inverted": True})["primary"]
    assert inverted == "unhealthy (6 of 6 children, needs 4, inverted)"
    assert words([ILL] * 6, p={**parent, "Disabled": True})["primary"] == "healthy (disabled)"
    disabled = {"Disabled": True, **METRIC}
    assert words([ILL] * 6, BY_METRIC | dict.fromkeys(CHILDREN[:4], disabled))["primary"].startswith(
        "healthy (4 of 6"
    )


def test_a_round_asks_each_child_once_and_keeps_what_a_check_is_made_of(monkeypatch):
    route53 = Route53([WELL] * 6)
    checks = made(route53)
    checks.words(RECORDS)
    checks.words(RECORDS)
    assert route53.asks("get_health_check_status") == CHILDREN * 2
    assert sorted(route53.asks("get_health_check")) == sorted([*CHILDREN, "p", "s"])
    route53.checks["p"] = {**route53.checks["p"], "Inverted": True}
    monkeypatch.setattr(health_checks, "DEFINITIONS_S", -1.0)
    assert checks.words(RECORDS)["primary"].startswith("unhealthy (6 of 6")


def test_a_round_takes_its_time(monkeypatch):
    """AWS takes four questions for a status at once, and then one a second of an account."""
    rests = []
    monkeypatch.setattr(health_checks.time, "sleep", rests.append)
    checks = HealthChecks(Route53([WELL] * 6).client("route53", "us-east-1"))
    checks.words(RECORDS)
    assert len(rests) == len(CHILDREN) - 1
    assert min(rests) > 1
