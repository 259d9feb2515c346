"""Scenario by promise: what many drills found, made of their own reports, for people and for programs."""

import json
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

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
_LARGEST = 2**53
"""What every reader of JSON can hold."""


def worst(rows: Sequence[MatrixRow], not_run: Sequence[str]) -> Verdict:
    """Invalid if any is; unknown if any is, if one did not run, or if none did."""
    seen = {row["verdict"] for row in rows}
    if not_run or not rows:
        seen.add("unknown")
    return next(verdict for verdict in _WORST if verdict in seen)


def row_of(
    scenario: str, summary: str, expected_writer: str, directory: Path, took_s: float, why: str
) -> MatrixRow:
    """From the report that a drill wrote in `directory`/`scenario`; unknown without one, for the reason `why`.

    One that cannot be read makes a row too, unknown: the other drills' rows are worth having.
    """
    row = MatrixRow(
        scenario=scenario,
        summary=summary,
        expected_writer=expected_writer,
        verdict="unknown",
        sentence=why,
        promises=dict.fromkeys(CODES, "open"),
        writer=None,
        must_move=None,
        outage_seconds=None,
        outage_seconds_dns_only=None,
        lost_acked=None,
        acked=None,
        took_seconds=round(took_s, 1),
        report=None,
    )
    try:
        report = json.loads((directory / scenario / "report.json").read_text(encoding="utf-8"))
        return _filled({**row, "report": f"{scenario}/report.html"}, report)
    except FileNotFoundError:
        return row
    except (OSError, ValueError, RecursionError) as error:
        return {**row, "sentence": f"its report.json cannot be read: {error}"}


def _filled(row: MatrixRow, report: object) -> MatrixRow:
    """Raises ValueError naming the first part that is not as report.py writes it."""
    verdict, sentence = _verdict(_part(report, "verdict")), _text(_part(report, "sentence"))
    checks = _list(_part(report, "checks"))
    states = [(_flag(_part(each, "held")), _list(_part(each, "codes"))) for each in checks]
    regions = [_text(_part(epoch, "region")) for epoch in _list(_part(report, "epochs"))]
    must_move = [_flag(_part(move, "must_move")) for move in _list(_part(report, "moves"))]
    outage, dns_only = (
        _seconds(_part(report, name)) for name in ("outage_seconds", "outage_seconds_dns_only")
    )
    lost, acked = _count(_part(report, "lost_acked")), _count(_part(report, "acked"))
    return {
        **row,
        "verdict": verdict,
        "sentence": sentence,
        "promises": {code: _state([held for held, codes in states if code in codes]) for code in CODES},
        "writer": regions[-1] if regions else None,
        "must_move": any(must_move),
        "outage_seconds": outage,
        "outage_seconds_dns_only": dns_only,
        "lost_acked": lost,
        "acked": acked,
    }


def _state(held: Sequence[bool | None]) -> State:
    if False in held:
        return "broken"
    if None in held:
        return "open"
    return "held" if held else "none"


def _part(document: object, name: str) -> object:
    if not isinstance(document, dict) or name not in document:
        raise ValueError(f"{reprlib.repr(document)} has no {name}")
    return document[name]


def _verdict(value: object) -> Verdict:
    for verdict in _WORST:
        if value == verdict:
            return verdict
    raise _strange(value, "a verdict")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _strange(value, "a text")
    value.encode()  # half of a surrogate pair, which JSON can say, would stop the page
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _strange(value, "a list")
    return value


def _flag(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _strange(value, "true, false or null")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LARGEST:
        raise _strange(value, "a number of seconds")
    return float(value)


def _count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise _strange(value, "a count")
    return value


def _strange(value: object, wanted: str) -> ValueError:
    return ValueError(f"{reprlib.repr(value)} is not {wanted}")
