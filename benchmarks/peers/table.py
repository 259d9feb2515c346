"""The runs of each system and scenario as one row: medians, ranges, ratios. Pure; shapes are those of peers.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

BASE = "farshore"
WORDS = {
    "region": (
        "Region loss",
        "the writer's region goes dark: its processes die, its links become a black hole",
    ),
    "node": (
        "Node loss",
        "kill -9 of the writer's server and agent, standby next door; farshore's row is the lab's in-region failover",
    ),
    "switchover": ("Planned switchover", "an operator's command moves the writer to the other region"),
    "zombie": (
        "Zombie",
        "the writer's agent is frozen, its PostgreSQL runs on; thawed 10 s after a promotion",
    ),
    "zombie-cut": (
        "Isolated zombie",
        "as before, and the writer's links to the other region and the third place are cut; clients still reach it",
    ),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Of some runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Row:
    """One system in one scenario. `ratio` is its median outage in farshore's; None where either has no figure.

    endless    runs whose outage was not over when the clients stopped: they count with the time they were watched
    unpromoted runs in which nobody was promoted
    forked     runs that ended with two servers taking writes
    """

    system: str
    label: str
    group: str
    runs: int
    failed: int
    outage: Spread | None
    ratio: float | None
    lost: Spread | None
    zombie: Spread | None
    promoted: Spread | None
    rate: Spread | None
    endless: int
    unpromoted: int
    forked: int


def rows(report: Mapping[str, Any], scenario: str) -> list[Row]:
    """In the order of the report's systems; a system that was not tried in the scenario has no row."""
    done = [run for run in report["runs"] if run["scenario"] == scenario]
    base = _outage([run for run in done if run["system"] == BASE])
    found = []
    for system in report["systems"]:
        own = [run for run in done if run["system"] == system["name"]]
        if own:
            found.append(_row(system, own, base))
    return found


def is_zombie(scenario: str) -> bool:
    """Where it is the old writer's acknowledgements that count."""
    return scenario.startswith("zombie")


def scenarios(report: Mapping[str, Any]) -> list[str]:
    """Those that were tried, in the order of the words."""
    tried = {run["scenario"] for run in report["runs"]}
    return [name for name in WORDS if name in tried]


def _row(system: Mapping[str, Any], own: Sequence[Mapping[str, Any]], base: Spread | None) -> Row:
    good = [run for run in own if run["error"] is None]
    outage = _outage(own)
    promoted = [run["promoted_s"] for run in good if run["promoted_s"] is not None]
    return Row(
        system=system["name"],
        label=system["label"],
        group=system["group"],
        runs=len(good),
        failed=len(own) - len(good),
        outage=outage,
        ratio=outage.median / base.median if outage and base and base.median > 0 else None,
        lost=Spread.of([run["lost"] for run in good]),
        zombie=Spread.of([run["zombie"] for run in good]),
        promoted=Spread.of(promoted),
        rate=Spread.of([run["rate"] for run in good]),
        endless=sum(not run["recovered"] for run in good),
        unpromoted=len(good) - len(promoted),
        forked=sum(len(run["writers_at_end"]) > 1 for run in good),
    )


def _outage(own: Sequence[Mapping[str, Any]]) -> Spread | None:
    return Spread.of([run["outage_s"] for run in own if run["error"] is None])


NOTHING = "\N{EN DASH}"
HEAD = (
    "System", "Outage s", "Ratio", "Acked, lost", "Acked by zombie", "Promoted after s",
    "Commits/s", "Runs",
)  # fmt: skip


def cells(row: Row, scenario: str) -> list[str]:
    """A row's words, one for each of HEAD; an en dash where there is nothing to say.

    A zombie that goes on acknowledging hides the outage, so its ratio would be praise for losing rows.
    """
    zombies = is_zombie(scenario)
    return [
        row.label,
        seconds(row.outage) + (f", {row.endless} not over" if row.endless else ""),
        NOTHING if row.ratio is None or zombies else _ratio(row.ratio),
        count(row.lost),
        count(row.zombie) if zombies and row.promoted else NOTHING,
        _promoted(row, scenario),
        count(row.rate),
        _runs(row),
    ]


def _promoted(row: Row, scenario: str) -> str:
    if row.promoted is None:
        return "nobody was" if is_zombie(scenario) and row.runs else NOTHING
    missing = f", {row.unpromoted} never" if row.unpromoted else ""
    return seconds(row.promoted) + missing


def _runs(row: Row) -> str:
    troubles = ((row.failed, "failed"), (row.forked, "forked"))
    return ", ".join([str(row.runs), *(f"{times} {what}" for times, what in troubles if times)])


def seconds(spread: Spread | None) -> str:
    """As `20.0 (19.6-20.3)`; one run has no range."""
    return _spread(spread, _second)


def count(spread: Spread | None) -> str:
    return _spread(spread, lambda value: f"{value:,.0f}")


def _ratio(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004


def _second(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004


def _spread(spread: Spread | None, words: Any) -> str:
    if spread is None:
        return NOTHING
    middle, least, most = words(spread.median), words(spread.least), words(spread.most)
    return middle if least == most else f"{middle} ({least}\N{EN DASH}{most})"


def markdown(report: Mapping[str, Any]) -> str:
    """All tables, as docs/peers.md has them."""
    parts = []
    for scenario in scenarios(report):
        name, about = WORDS[scenario]
        lines = [
            f"### {name}",
            "",
            f"{about[0].upper()}{about[1:]}.",
            "",
            _line(HEAD),
            _line(["---"] * len(HEAD)),
        ]
        lines += [_line(cells(row, scenario)) for row in rows(report, scenario)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"
