import json

import pytest

from farshore.core.errors import UsageError
from farshore.settings import from_environment

ENDPOINTS = {r: {"writer": f"w.{r}", "reader": f"r.{r}"} for r in ("us-east-1", "us-west-2")}
GOOD = {
    "FARSHORE_SUFFIX": "dev",
    "AWS_REGION": "us-west-2",
    "FARSHORE_ENDPOINTS": json.dumps(ENDPOINTS),
    "FARSHORE_SSLROOTCERT": "/ca.pem",
}


def test_a_complete_environment():
    settings = from_environment(GOOD)
    assert settings.names.global_cluster == "aurora-global-dev"
    assert settings.endpoints["us-west-2"].writer == "w.us-west-2"
    assert (settings.mode, settings.profile.name) == ("approve", "aws")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"FARSHORE_SUFFIX": ""}, "FARSHORE_SUFFIX"),
        ({"FARSHORE_PROFILE": "faster"}, "FARSHORE_PROFILE = 'faster' is not one of"),
        ({"FARSHORE_MODE": "yes"}, "FARSHORE_MODE = 'yes'"),
        ({"FARSHORE_PORT": "70000"}, "FARSHORE_PORT = '70000'"),
        ({"FARSHORE_PORT": "x"}, "FARSHORE_PORT = 'x'"),
        ({"FARSHORE_TIMINGS": "{"}, "FARSHORE_TIMINGS"),
        ({"FARSHORE_TIMINGS": '{"lease": 1}'}, "FARSHORE_TIMINGS"),
        ({"FARSHORE_TIMINGS": '{"lease_ttl_ms": 1}'}, "lease_ttl_ms = 1"),
        ({"FARSHORE_ENDPOINTS": "{"}, "FARSHORE_ENDPOINTS"),
        ({"FARSHORE_ENDPOINTS": "{}"}, "FARSHORE_ENDPOINTS"),
    ],
)
def test_what_is_wrong_is_named(changes, named):
    with pytest.raises(UsageError, match=named):
        from_environment({**GOOD, **changes})


def test_timings_replace_numbers_of_the_profile():
    settings = from_environment({**GOOD, "FARSHORE_TIMINGS": '{"lease_ttl_ms": 30000}'})
    assert (settings.profile.name, settings.profile.lease_ttl_ms, settings.profile.renew_ms) == (
        "aws",
        30_000,
        5000,
    )
