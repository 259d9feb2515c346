"""What a drill leaves for people and for programs: report.html and report.json, from one set of data."""

import json
import os
import tempfile
from pathlib import Path
from typing import TypedDict

from farshore.drill.checker import Judgement, count_by_kind
from farshore.drill.errors import DrillUsageError
from farshore.drill.findings import Verdict
from farshore.drill.measures import Outage
from farshore.drill.moves import Move
from farshore.drill.page import render
from farshore.drill.promises import checks
from farshore.drill.reportdata import ReportData
from farshore.drill.rows import OrphanRow, orphan_rows
from farshore.drill.stages import STAGES
from farshore.drill.words import sentence
from farshore.drill.writers import EpochSpan


class WorstClient(TypedDict):
    """The single client without an acknowledgement for longest."""

    client: str
    outage_seconds: float
    recovered: bool


class Epoch(TypedDict):
    """An epoch as the clients saw it confirmed; times in seconds from the fault."""

    epoch: int
    region: str
    confirmed_acks: int
    first_ack_s: float
    last_ack_s: float


class FindingRow(TypedDict):
    """One thing the checker found."""

    kind: str
    violation: bool
    detail: str
    key: str | None


class CheckRow(TypedDict):
    """One promise and what was seen of it; `held` is null when the drill cannot tell.

    `codes` are P1 to P4 as the design numbers them, and `books`.
    """

    promise: str
    held: bool | None
    seen: str
    codes: list[str]


class MoveRow(TypedDict):
    """One move of the writer, unplanned or planned; outages as the whole drill's, within this move's time."""

    kind: str
    source: str
    target: str | None
    must_move: bool
    at_s: float
    outage_seconds: float | None
    outage_seconds_dns_only: float | None
    outage_recovered: bool
    outage_recovered_dns_only: bool
    worst_client: WorstClient | None
    worst_client_dns_only: WorstClient | None
    stages: dict[str, float | None]


class RefusalRow(TypedDict):
    """A request that the product had to refuse, and its answer; `exit_code` 0 means that it did not."""

    command: str
    at_s: float
    exit_code: int
    reason: str


class ReportDocument(TypedDict):
    """report.json. Outages are null when no client of the kind was acknowledged; seconds unless named.

    `lost_acked` counts acknowledged transfers lost with the region, `late_bare_lost` bare ones acknowledged
    after another region took over; both are among `orphans`. They, `duplicate` and `rpo_seconds` are null when
    the final ledger was not read. Findings of a kind beyond the first 50 are only
    counted in `finding_counts`. Outages beside `moves` are the longest of the whole drill, or of the worst of
    several moves, `stages` those of the first one; times `_s` are seconds from the first fault.
    `ledger_balanced` says of a workload other than the ledger whether its invariant holds.
    """

    scenario: str
    workload: str
    verdict: Verdict
    sentence: str
    seed: int
    cadence: int
    profile: str
    started_at: str
    outage_seconds: float | None
    outage_seconds_dns_only: float | None
    outage_recovered: bool
    outage_recovered_dns_only: bool
    worst_client: WorstClient | None
    worst_client_dns_only: WorstClient | None
    stages: dict[str, float | None]
    moves: list[MoveRow]
    refusals: list[RefusalRow]
    acked: int
    acks_per_second: float | None
    lost_acked: int | None
    lost_expected: float | None
    late_bare_lost: int | None
    orphans: list[OrphanRow]
    duplicate: int | None
    dual_writer_acks: int
    ledger_balanced: bool | None
    rpo_seconds: float | None
    epochs: list[Epoch]
    latency_before_ms: dict[str, float] | None
    latency_after_ms: dict[str, float] | None
    checks: list[CheckRow]
    finding_counts: dict[str, int]
    findings: list[FindingRow]
    postgres_version: str
    platform: str
    versions: dict[str, str]
    link_one_way_ms: dict[str, float]
    ttl_s: int
    command: str
    lab_figures: bool


FINDINGS_PER_KIND_MAX = 50


def replace_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
    return path


def prepare(report_dir: Path) -> None:
    """Make the directory and prove that it takes files, before a drill spends its minute.

    DrillUsageError (exit code 2) when it does not.
    """
    try:
        report_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=report_dir):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DrillUsageError(
            "--report", report_dir, f"{reason}; name a directory that can be written"
        ) from error


def write(report_dir: Path, data: ReportData) -> tuple[Path, Path]:
    """Write report.json and report.html, each whole or not at all; returns both paths."""
    prepare(report_dir)
    made = document(data)
    json_path = replace_text(report_dir / "report.json", json.dumps(made, indent=2) + "\n")
    html_path = replace_text(report_dir / "report.html", render(data, made["orphans"]))
    return json_path, html_path


def document(data: ReportData) -> ReportDocument:
    """report.json's content."""
    judged, measured, env = data.judgement, data.measures, data.environment
    zero = data.zero
    aware, plain = data.outages("aware"), data.outages("plain")
    read = judged.ledger_balanced is not None
    return ReportDocument(
        scenario=data.scenario,
        workload=judged.workload,
        verdict=judged.verdict,
        sentence=sentence(data),
        seed=env.seed,
        cadence=env.cadence,
        profile=env.profile,
        started_at=env.started_at,
        outage_seconds=_seconds(aware.group),
        outage_seconds_dns_only=_seconds(plain.group),
        outage_recovered=_recovered(aware.group),
        outage_recovered_dns_only=_recovered(plain.group),
        worst_client=_worst(aware.worst_client),
        worst_client_dns_only=_worst(plain.worst_client),
        stages=dict.fromkeys(STAGES) | (_stages(data.moves[0]) if data.moves else {}),
        moves=[_move(move, zero) for move in data.moves],
        refusals=[
            RefusalRow(
                command=one.command,
                at_s=round((one.at - zero) / 1e9, 4),
                exit_code=one.exit_code,
                reason=one.reason,
            )
            for one in judged.requests
        ],
        acked=judged.acked,
        acks_per_second=_rounded(measured.acks_per_second, 1),
        lost_acked=len(judged.losses.lost) if read else None,
        lost_expected=_rounded(measured.lost_expected, 2),
        late_bare_lost=len(judged.losses.late_bare_lost) if read else None,
        orphans=orphan_rows(judged, zero),
        duplicate=judged.duplicate if read else None,
        dual_writer_acks=len(judged.writers.dual),
        ledger_balanced=judged.ledger_balanced,
        rpo_seconds=round(measured.rpo_seconds, 4) if read else None,
        epochs=[_epoch(span, zero) for span in judged.writers.epochs],
        latency_before_ms=_latency(data, before=True),
        latency_after_ms=_latency(data, before=False),
        checks=[
            CheckRow(promise=one.promise, held=one.held, seen=one.seen, codes=list(one.codes))
            for one in checks(judged)
        ],
        finding_counts=dict(count_by_kind(judged.findings)),
        findings=_findings(judged),
        postgres_version=env.postgres_version,
        platform=env.platform,
        versions={"farshore": env.farshore_version, "python": env.python_version, **env.versions},
        link_one_way_ms=dict(env.link_one_way_ms),
        ttl_s=env.ttl_s,
        command=env.command,
        lab_figures=True,
    )


def _move(move: Move, zero: int) -> MoveRow:
    return MoveRow(
        kind=move.fault.kind,
        source=move.fault.region,
        target=move.target,
        must_move=move.fault.effect == "moves",
        at_s=round((move.fault.at - zero) / 1e9, 4),
        outage_seconds=_seconds(move.aware.group),
        outage_seconds_dns_only=_seconds(move.dns_only.group),
        outage_recovered=_recovered(move.aware.group),
        outage_recovered_dns_only=_recovered(move.dns_only.group),
        worst_client=_worst(move.aware.worst_client),
        worst_client_dns_only=_worst(move.dns_only.worst_client),
        stages=_stages(move),
    )


def _stages(move: Move) -> dict[str, float | None]:
    return {stage.name: _rounded(stage.seconds) for stage in move.stages}


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def _seconds(outage: Outage | None) -> float | None:
    return None if outage is None else round(outage.seconds, 4)


def _recovered(outage: Outage | None) -> bool:
    return outage is not None and outage.recovered


def _worst(outage: Outage | None) -> WorstClient | None:
    if outage is None:
        return None
    return WorstClient(client=outage.who, outage_seconds=round(outage.seconds, 4), recovered=outage.recovered)


def _epoch(span: EpochSpan, zero: int) -> Epoch:
    return Epoch(
        epoch=span.epoch,
        region=span.region,
        confirmed_acks=span.acks,
        first_ack_s=round((span.first_returned - zero) / 1e9, 4),
        last_ack_s=round((span.last_returned - zero) / 1e9, 4),
    )


def _latency(data: ReportData, *, before: bool) -> dict[str, float] | None:
    latency = data.measures.latency_before if before else data.measures.latency_after
    if latency is None:
        return None
    named = {"p50": latency.p50_ms, "p95": latency.p95_ms, "p99": latency.p99_ms, "p999": latency.p999_ms}
    return {name: round(value, 2) for name, value in (named | {"max": latency.max_ms}).items()}


def _findings(judgement: Judgement) -> list[FindingRow]:
    rows: list[FindingRow] = []
    seen: dict[str, int] = {}
    for finding in sorted(judgement.findings, key=lambda finding: not finding.is_violation):
        kind = finding.kind.value
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= FINDINGS_PER_KIND_MAX:
            rows.append(
                FindingRow(kind=kind, violation=finding.is_violation, detail=finding.detail, key=finding.op)
            )
    return rows
