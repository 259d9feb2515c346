"""What a running part of farshore is told by its environment: in Lambda, at a terminal, in the lab alike."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

from farshore.core.errors import UsageError
from farshore.core.profile import PROFILES, Mode, Profile
from farshore.names import Names


@dataclass(frozen=True, slots=True)
class RegionEndpoints:
    writer: str
    reader: str


@dataclass(frozen=True, slots=True)
class Settings:
    """`nameserver` (host:port) replaces the system's resolver where that one cannot see the private zone.

    `zone_id`: the private zone, for who may not list zones; the stack's output `zoneId`.
    `lag_alert_ms`: the replication lag above which people are told.
    `two_person` puts a failover that a person wants before a second one.
    """

    region: str
    names: Names
    profile: Profile
    mode: Mode
    endpoints: Mapping[str, RegionEndpoints]
    port: int
    dbname: str
    sslrootcert: str
    nameserver: str | None
    lag_alert_ms: int = 5000
    two_person: bool = False
    zone_id: str | None = None


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises UsageError naming the variable that is missing or wrong, and what it should be."""
    names = Names(
        suffix=_needed(environ, "FARSHORE_SUFFIX"),
        home_region=environ.get("FARSHORE_HOME_REGION", "us-east-1"),
        standby_region=environ.get("FARSHORE_STANDBY_REGION", "us-west-2"),
        witness_region=environ.get("FARSHORE_WITNESS_REGION", "us-east-2"),
    )
    profile = _profile(environ)
    mode = cast("Mode", _one_of(environ, "FARSHORE_MODE", get_args(Mode), "approve"))
    profile.check_mode(mode)
    return Settings(
        region=environ.get("FARSHORE_REGION") or _needed(environ, "AWS_REGION"),
        names=names,
        profile=profile,
        mode=mode,
        endpoints=_endpoints(environ, names),
        port=_port(environ.get("FARSHORE_PORT", "5432")),
        dbname=environ.get("FARSHORE_DBNAME", "postgres"),
        sslrootcert=_needed(environ, "FARSHORE_SSLROOTCERT"),
        nameserver=environ.get("FARSHORE_NAMESERVER") or None,
        two_person=_one_of(environ, "FARSHORE_TWO_PERSON", ("no", "yes"), "no") == "yes",
        zone_id=environ.get("FARSHORE_ZONE_ID") or None,
        lag_alert_ms=_lag_alert(environ.get("FARSHORE_LAG_ALERT_MS", "5000")),
    )


def _needed(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable, "")
    if not value:
        raise UsageError(
            f"{variable} is not set; `farshore lab env` prints it for a lab, "
            "`pulumi stack output operatorEnvironment` for a deployment (docs/aws.md)."
        )
    return value


def _one_of(environ: Mapping[str, str], variable: str, allowed: tuple[str, ...], default: str) -> str:
    value = environ.get(variable, default)
    if value not in allowed:
        raise UsageError(f"{variable} = {value!r} is not one of {', '.join(allowed)}.")
    return value


def _profile(environ: Mapping[str, str]) -> Profile:
    """The named profile; FARSHORE_TIMINGS, a JSON object of its fields, replaces some of its numbers."""
    profile = PROFILES[_one_of(environ, "FARSHORE_PROFILE", tuple(PROFILES), "aws")]
    text = environ.get("FARSHORE_TIMINGS") or "{}"
    try:
        return replace(profile, **json.loads(text))
    except (ValueError, TypeError) as error:
        raise UsageError(f"FARSHORE_TIMINGS = {text!r} is not a JSON object of timings: {error}.") from error


def _port(text: str) -> int:
    highest = 65535
    if not text.isdigit() or not 0 < int(text) <= highest:
        raise UsageError(f"FARSHORE_PORT = {text!r} is not a port; use a number from 1 to 65535.")
    return int(text)


def _lag_alert(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"FARSHORE_LAG_ALERT_MS = {text!r} is no time; use milliseconds, 1 or more.")
    return int(text)


def _endpoints(environ: Mapping[str, str], names: Names) -> dict[str, RegionEndpoints]:
    text = _needed(environ, "FARSHORE_ENDPOINTS")
    try:
        given = json.loads(text)
        return {region: RegionEndpoints(**given[region]) for region in names.regions}
    except (ValueError, KeyError, TypeError) as error:
        shape = '{"<region>": {"writer": "<name>", "reader": "<name>"}, ...}'
        raise UsageError(f"FARSHORE_ENDPOINTS is not {shape} for {names.regions}: {error!r}") from error
