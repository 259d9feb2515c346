"""Scenario by promise: what many drills found, made of their own reports, for people and for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from farshore.drill.findings import Verdict

State = Literal["held", "broken", "open", "none"]
"""`open`: the drill cannot tell. `none`: nothing in it is about that promise."""

CODES: Mapping[str, str] = {
    "P1": "one writer",
    "P2": "planned moves lose nothing",
    "P3": "an unplanned one loses only what never left, and names it",
    "P4": "the writer moves only where it must",
    "books": "nothing twice, and balanced to the cent",
}


class MatrixRow(TypedDict):
    """One drill. Seconds; null where its report says nothing. `report` is relative to the matrix."""

    scenario: str
    summary: str
    expected_writer: str
    verdict: Verdict
    sentence: str
    promises: dict[str, State]
    writer: str | None
    must_move: bool | None
    outage_seconds: float | None
    outage_seconds_dns_only: float | None
    lost_acked: int | None
    acked: int | None
    took_seconds: float
    report: str | None


class Matrix(TypedDict):
    """matrix.json. `verdict` is the worst; `not_run` were asked for and did not come to their turn."""

    verdict: Verdict
    seed: int
    profile: str
    cadence: int
    started_at: str
    took_seconds: float
    command: str
    rows: list[MatrixRow]
    not_run: list[str]
    acked: int
    lost_acked: int
    platform: str
    lab_figures: bool


_WORST: tuple[Verdict, ...] = ("invalid", "unknown", "valid")


def worst(rows: Sequence[MatrixRow], not_run: Sequence[str]) -> Verdict:
    """Invalid if any is; unknown if any is, if one did not run, or if none did."""
    seen = {row["verdict"] for row in rows}
    if not_run or not rows:
        seen.add("unknown")
    return next(verdict for verdict in _WORST if verdict in seen)


def row_of(
    scenario: str, summary: str, expected_writer: str, directory: Path, took_s: float, why: str
) -> MatrixRow:
    """From the report that a drill wrote in `directory`/`scenario`; without one, unknown for the reason `why`."""
    try:
        report: dict[str, Any] = json.loads((directory / scenario / "report.json").read_text())
    except (OSError, ValueError):
        report = {}
    epochs = report.get("epochs") or []
    return MatrixRow(
        scenario=scenario,
        summary=summary,
        expected_writer=expected_writer,
        verdict=report.get("verdict", "unknown"),
        sentence=report.get("sentence", why),
        promises={code: _state(report.get("checks") or [], code, known=bool(report)) for code in CODES},
        writer=epochs[-1]["region"] if epochs else None,
        must_move=any(move["must_move"] for move in report["moves"]) if report else None,
        outage_seconds=report.get("outage_seconds"),
        outage_seconds_dns_only=report.get("outage_seconds_dns_only"),
        lost_acked=report.get("lost_acked"),
        acked=report.get("acked"),
        took_seconds=round(took_s, 1),
        report=f"{scenario}/report.html" if report else None,
    )


def _state(checks: Sequence[Mapping[str, Any]], code: str, *, known: bool) -> State:
    states = [check["held"] for check in checks if code in check["codes"]]
    if False in states:
        return "broken"
    if None in states or not known:
        return "open"
    return "held" if states else "none"
