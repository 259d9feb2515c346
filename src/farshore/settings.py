"""What a running part of farshore is told by its environment: in Lambda, at a terminal, in the lab alike."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import cast, get_args

from farshore.core.errors import UsageError
from farshore.core.profile import LONGEST_MS, PROFILES, Mode, Profile
from farshore.core.units import whole_number
from farshore.names import Names

_HOST = "[A-Za-z0-9._-]{1,253}"


@dataclass(frozen=True, slots=True)
class RegionEndpoints:
    writer: str
    reader: str

    def __post_init__(self) -> None:
        for host in (self.writer, self.reader):
            if not isinstance(host, str) or not re.fullmatch(_HOST, host):
                raise ValueError(f"{host!r} is no host's name")


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


_REGION = ("[a-z]{2,}(-[a-z]+)+-[0-9]+", "no region; use one such as us-east-1")
_SUFFIX = ("[a-z0-9][a-z0-9-]{0,39}", "no suffix; use up to 40 lower case letters, digits and hyphens")
_ZONE = ("[A-Za-z0-9_/-]{1,64}", "no hosted zone's id; use the stack's output zoneId")
_HIGHEST_PORT = 65535


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises UsageError naming the variable that is missing or wrong, and what it should be."""
    names = _names(environ)
    profile = _profile(environ)
    mine = "FARSHORE_REGION" if environ.get("FARSHORE_REGION") else "AWS_REGION"
    zone_id = environ.get("FARSHORE_ZONE_ID") or None
    return Settings(
        region=_formed(mine, _needed(environ, mine), _REGION),
        names=names,
        profile=profile,
        mode=_mode(environ, profile),
        endpoints=_endpoints(environ, names),
        port=_number("FARSHORE_PORT", environ.get("FARSHORE_PORT", "5432"), _HIGHEST_PORT, "no port"),
        dbname=_printable("FARSHORE_DBNAME", environ.get("FARSHORE_DBNAME") or "postgres"),
        sslrootcert=_printable("FARSHORE_SSLROOTCERT", _needed(environ, "FARSHORE_SSLROOTCERT")),
        nameserver=_nameserver(environ),
        two_person=_one_of(environ, "FARSHORE_TWO_PERSON", ("no", "yes"), "no") == "yes",
        zone_id=zone_id and _formed("FARSHORE_ZONE_ID", zone_id, _ZONE),
        lag_alert_ms=_number(
            "FARSHORE_LAG_ALERT_MS",
            environ.get("FARSHORE_LAG_ALERT_MS", "5000"),
            LONGEST_MS,
            "no time in milliseconds",
        ),
    )


def _names(environ: Mapping[str, str]) -> Names:
    regions: dict[str, str] = {}
    for variable, default in (
        ("FARSHORE_HOME_REGION", "us-east-1"),
        ("FARSHORE_STANDBY_REGION", "us-west-2"),
        ("FARSHORE_WITNESS_REGION", "us-east-2"),
    ):
        region = _formed(variable, environ.get(variable, default), _REGION)
        if region in regions:
            raise UsageError(f"{variable} = {region!r} is {regions[region]} too; use three regions.")
        regions[region] = variable
    return Names(_formed("FARSHORE_SUFFIX", _needed(environ, "FARSHORE_SUFFIX"), _SUFFIX), *regions)


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


def _formed(variable: str, value: str, form: tuple[str, str]) -> str:
    pattern, otherwise = form
    if not re.fullmatch(pattern, value):
        raise UsageError(f"{variable} = {value!r} is {otherwise}.")
    return value


def _printable(variable: str, value: str) -> str:
    if not value.isprintable():
        raise UsageError(f"{variable} = {value!r} has characters that cannot be printed; leave them out.")
    return value


def _number(variable: str, text: str, most: int, otherwise: str) -> int:
    number = whole_number(text)
    if number is None or not 0 < number <= most:
        raise UsageError(f"{variable} = {text!r} is {otherwise}; use a number from 1 to {most}.")
    return number


def _profile(environ: Mapping[str, str]) -> Profile:
    """The named profile; FARSHORE_TIMINGS, a JSON object of its fields, replaces some of its numbers."""
    name = _one_of(environ, "FARSHORE_PROFILE", tuple(PROFILES), "aws")
    text = environ.get("FARSHORE_TIMINGS") or "{}"
    try:
        return replace(PROFILES[name], **json.loads(text), name=name)
    except UsageError as error:
        raise UsageError(f"FARSHORE_TIMINGS = {text!r}: {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f'FARSHORE_TIMINGS = {text!r} is not a JSON object of timings, such as {{"renew_ms": 300}}: {error}.'
        ) from error


def _mode(environ: Mapping[str, str], profile: Profile) -> Mode:
    mode = cast("Mode", _one_of(environ, "FARSHORE_MODE", get_args(Mode), "approve"))
    try:
        profile.check_mode(mode)
    except UsageError as error:
        raise UsageError(f"FARSHORE_MODE = {mode!r}: {error}") from error
    return mode


def _nameserver(environ: Mapping[str, str]) -> str | None:
    text = environ.get("FARSHORE_NAMESERVER", "")
    host, _, port = text.rpartition(":")
    if text and not (_is_address(host) and 0 < (whole_number(port) or 0) <= _HIGHEST_PORT):
        raise UsageError(
            f"FARSHORE_NAMESERVER = {text!r} is no address and port; use one such as 10.0.0.2:53."
        )
    return text or None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _endpoints(environ: Mapping[str, str], names: Names) -> dict[str, RegionEndpoints]:
    text = _needed(environ, "FARSHORE_ENDPOINTS")
    try:
        given = json.loads(text)
        found = {region: RegionEndpoints(**given[region]) for region in names.regions}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        shape = '{"<region>": {"writer": "<name>", "reader": "<name>"}, ...}'
        regions = " and ".join(names.regions)
        raise UsageError(f"FARSHORE_ENDPOINTS = {text!r} is not {shape} for {regions}: {error!r}.") from error
    return found
