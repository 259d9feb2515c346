"""What a budget is made of: a profile, a stack's configuration, and what one drill measured in the lab.

`lab_measured.json` beside this file is made from a drill's report.json by
`python -m farshore.operate.budget drill-report/report.json`; it names the drill. `lab_dns.json` holds the table of
docs/dns.md, measured by benchmarks/dns_follow.py: what no drill tells apart, how long DNS takes after the grant.
"""

import json
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from farshore.core.budget import DnsTrigger, Lab, Settings
from farshore.core.errors import UsageError
from farshore.core.profile import PROFILES, Mode, Profile

MEASURED = "lab_measured.json"
DNS_MEASURED = "lab_dns.json"
STAGES = ("detect", "decide", "fence", "promote", "route", "reconnect")
NUMBER_MAX, SHOWN_MAX = 1e9, 80
DRILL = ("scenario", "command", "started_at", "profile", "cadence", "ttl_s", "platform", "postgres_version")


@dataclass(frozen=True, slots=True)
class DnsFollowed:
    """Seconds from the grant: until the last resolver answered with the new region, and the longest until a client's
    old answer had run out too. Cadence 1: at AWS's own intervals."""

    trigger: DnsTrigger
    cadence: int
    ttl_s: int
    resolvers_s: float
    clients_s: float

    @property
    def words(self) -> str:
        return (
            f"trigger {self.trigger}, cadence {self.cadence}: every resolver followed within {self.resolvers_s:g} s of "
            f"the grant, with TTL {self.ttl_s} s every client within {self.clients_s:g} s"
        )


def dns_measured(trigger: DnsTrigger) -> list[DnsFollowed]:
    kept = json.loads(resources.files("farshore.operate").joinpath(DNS_MEASURED).read_text())
    return [found for found in (DnsFollowed(**row) for row in kept) if found.trigger == trigger]


@dataclass(frozen=True, slots=True)
class Measured:
    """One drill: what it was (`drill`), and its figures."""

    drill: Mapping[str, Any] = field(default_factory=dict)
    lab: Lab = field(default_factory=Lab)

    @property
    def words(self) -> str:
        told = self.drill
        return (
            f"{told['command']} of {told['started_at']}, cadence {told['cadence']}, TTL {told['ttl_s']} s, "
            f"PostgreSQL {told['postgres_version']}, {told['platform']}"
        )


def distilled(report: object) -> dict[str, Any]:
    """Of a drill's report.json what a budget shows. Raises ValueError with the setting and its value."""
    told = _document(report, "the report")
    stages = _document(told.get("stages"), "stages")
    return {
        "drill": {key: _plain(told.get(key), key) for key in DRILL},
        "stages_s": {stage: _seconds(stages.get(stage), f"stages.{stage}") for stage in STAGES},
        "outage_s": _seconds(told.get("outage_seconds"), "outage_seconds"),
        "outage_dns_only_s": _seconds(told.get("outage_seconds_dns_only"), "outage_seconds_dns_only"),
    }


def _document(value: object, setting: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{setting} = {_shown(value)} is no object")


def _plain(value: object, setting: str) -> str | float:
    """A text of one line, or a number."""
    if isinstance(value, str) and value.isprintable():
        return value
    return _number(value, setting, "a text of one line or a number")


def _seconds(value: object, setting: str) -> float | None:
    return None if value is None else _number(value, setting, "a number of seconds")


def _number(value: object, setting: str, wanted: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float) and is_number and 0 <= value < NUMBER_MAX:
        return value
    raise ValueError(f"{setting} = {_shown(value)} is not {wanted}")


def _shown(value: object) -> str:
    return json.dumps(reprlib.repr(value) if isinstance(value, list | dict) else value)[:SHOWN_MAX]


def measured(report: Path | None = None) -> Measured:
    """The drill whose report is given, else the one that is kept beside this file. Raises UsageError."""
    if report is None:
        found = json.loads(resources.files("farshore.operate").joinpath(MEASURED).read_text())
    else:
        try:
            found = distilled(json.loads(report.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                f"--report {report}: no drill's report.json can be read there ({_why(error)}). "
                "Fix: name a report.json as `farshore drill` writes it."
            ) from error
    lab = Lab(
        stages={name: round(s * 1000) for name, s in found["stages_s"].items() if s is not None},
        outage_ms=_ms(found["outage_s"]),
        outage_dns_only_ms=_ms(found["outage_dns_only_s"]),
    )
    return Measured(found["drill"], lab)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _why(error: Exception) -> str:
    """In one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split()) or type(error).__name__


def profile_named(name: str) -> Profile:
    if name not in PROFILES:
        raise UsageError(f"--profile {name!r}: use one of {', '.join(PROFILES)}.")
    return PROFILES[name]


def of_stack(file: Path) -> Settings:
    """The `farshore:` keys of a Pulumi.<stack>.yaml; needs farshore[stack]. Raises UsageError."""
    try:
        import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the extra

        from farshore.infra.config import NAMESPACE  # noqa: PLC0415
        from farshore.infra.load import load  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"--stack {file}: the stack's configuration is read by farshore[stack], which is not installed; "
            "`pip install 'farshore[stack]'`."
        ) from error
    try:
        document = _document(yaml.safe_load(file.read_text(encoding="utf-8")), "the file")
        stored = _document(document.get("config"), "config")
    except (OSError, yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"--stack {file}: no Pulumi.<stack>.yaml can be read there ({_why(error)}). "
            "Fix: write it as `pulumi config set` does."
        ) from error
    given = {str(key).removeprefix(f"{NAMESPACE}:"): value for key, value in stored.items()}
    config = load({key: value for key, value in given.items() if ":" not in key}, {})
    mode: Mode = config.mode_in_force
    return Settings(
        profile=config.profile_in_force,
        mode=mode,
        dns_trigger=config.dns_trigger,
        ttl_s=config.record_ttl_s,
        lag_ms=config.lag_alarm_ms,
    )


if __name__ == "__main__":
    kept = distilled(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(__file__).with_name(MEASURED).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
