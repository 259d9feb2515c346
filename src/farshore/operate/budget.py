"""What a budget is made of: a profile, a stack's configuration, and what one drill measured in the lab.

`lab_measured.json` beside this file is made from a drill's report.json by
`python -m farshore.operate.budget drill-report/report.json`; it names the drill.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from farshore.core.budget import Lab, Settings
from farshore.core.errors import UsageError
from farshore.core.profile import PROFILES, Mode, Profile

MEASURED = "lab_measured.json"
STAGES = ("detect", "decide", "fence", "promote", "route", "reconnect")
DRILL = ("scenario", "command", "started_at", "profile", "cadence", "ttl_s", "platform", "postgres_version")


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


def distilled(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a drill's report.json what a budget shows."""
    return {
        "drill": {key: report[key] for key in DRILL},
        "stages_s": {stage: report["stages"].get(stage) for stage in STAGES},
        "outage_s": report["outage_seconds"],
        "outage_dns_only_s": report["outage_seconds_dns_only"],
    }


def measured(report: Path | None = None) -> Measured:
    """The drill whose report is given, else the one that is kept beside this file. Raises UsageError."""
    try:
        if report is not None:
            found = distilled(json.loads(report.read_text(encoding="utf-8")))
        else:
            found = json.loads(resources.files("farshore.operate").joinpath(MEASURED).read_text())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--report {report}: no drill's report.json can be read there ({error!r})."
        ) from error
    lab = Lab(
        stages={name: round(s * 1000) for name, s in found["stages_s"].items() if s is not None},
        outage_ms=_ms(found["outage_s"]),
        outage_dns_only_ms=_ms(found["outage_dns_only_s"]),
    )
    return Measured(found["drill"], lab)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


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
        document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        given = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in document["config"].items()}
    except (OSError, yaml.YAMLError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            f"--stack {file}: no Pulumi.<stack>.yaml with a config can be read there ({error!r})."
        ) from error
    config = load({key: value for key, value in given.items() if ":" not in key}, {})
    mode: Mode = config.mode_in_force
    return Settings(profile=config.profile_in_force, mode=mode, ttl_s=config.record_ttl_s)


if __name__ == "__main__":
    kept = distilled(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(__file__).with_name(MEASURED).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
