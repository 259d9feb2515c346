"""The report's sentences and number forms."""

from dataclasses import dataclass

from farshore.drill.findings import Verdict
from farshore.drill.moves import Move
from farshore.drill.reportdata import ReportData

_GUIDE = "docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide"


@dataclass(frozen=True, slots=True)
class Documented:
    """A time AWS documents, and the page that says so."""

    what: str
    documented: str
    path: str
    page: str


AWS_TIMES = (
    Documented(
        "Aurora Global Database, time to recover",
        "RTO can be in the order of minutes",
        _GUIDE,
        "aurora-global-database-disaster-recovery.html",
    ),
    Documented(
        "Aurora Global Database, data lost",
        "RPO is typically measured in seconds",
        _GUIDE,
        "aurora-global-database-disaster-recovery.html",
    ),
    Documented(
        "Lambda on a schedule",
        "A rate of one minute is the shortest",
        "docs.aws.amazon.com/eventbridge/latest/userguide",
        "eb-scheduled-rule-pattern.html",
    ),
    Documented(
        "CloudWatch metrics",
        "Standard resolution has a granularity of one minute",
        "docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring",
        "publishingMetrics.html",
    ),
)


def headline(verdict: Verdict) -> str:
    """The verdict in two or three words."""
    return {"valid": "Valid", "invalid": "Invalid", "unknown": "Unknown"}[verdict]


def sentence(data: ReportData) -> str:
    """What happened, in one or two sentences a person can repeat."""
    judged = data.judgement
    if judged.verdict == "invalid":
        broken = [finding for finding in judged.findings if finding.is_violation]
        more = f" {len(broken) - 1} more such findings." if len(broken) > 1 else ""
        return f"A promise was broken: {broken[0].detail}.{more}"
    if judged.verdict == "unknown":
        more = f" {len(judged.findings) - 1} more such reasons." if len(judged.findings) > 1 else ""
        return f"This drill proves nothing either way: {judged.findings[0].detail}.{more}"
    return _valid(data)


def _valid(data: ReportData) -> str:
    judged = data.judgement
    with_it = (
        "with the region" if any(fault.dead_region for fault in judged.faults) else "with the old writer"
    )
    lost = len(judged.losses.lost) + len(judged.losses.late_bare_lost)
    told = [part for part in map(_of_a_move, data.moves) if part]
    what = "; ".join(told) or f"the {'ledger' if judged.of_ledger else 'database'} was kept under load"
    what = what[0].upper() + what[1:] if what.startswith("the ") else what
    if lost == 0:
        fate = f"no acknowledged {judged.noun} was lost"
    elif judged.orphans is None:
        fate = f"{lost} acknowledged {_plural(judged.noun, lost)} lost {with_it}"
    else:
        fate = (
            f"{lost} acknowledged {_plural(judged.noun, lost)} lost {with_it}, every one named by the product"
        )
    books = "The books balance to the cent" if judged.of_ledger else "The workload's invariant holds"
    return f"{what}. {books}, no second region wrote, and {fate}."


def _of_a_move(move: Move) -> str:
    group = move.aware.group
    if group is None:
        return ""
    outage = f"{seconds(group.seconds)} s"
    if move.fault.planned:
        return f"the {name_of(move)} cost region-aware clients {outage}"
    if move.fault.dead_region == move.fault.region:
        return f"{move.fault.region} was lost and region-aware clients were served again after {outage}"
    if move.fault.effect == "stays":
        return f"the {name_of(move)} left the writer in {move.fault.region}, and no pause was longer than {outage}"
    return f"the {name_of(move)} moved the writer, and region-aware clients were served again after {outage}"


def name_of(move: Move) -> str:
    """A move as a person calls it."""
    fault = move.fault
    if fault.kind == "region-loss":
        return f"loss of {fault.dead_region}"
    if not fault.planned:
        return f"{fault.kind} in {fault.hit or fault.region}"
    return f"{move.fault.kind} to {move.target or 'nowhere'}"


def origin(data: ReportData) -> str:
    """What the report's seconds are counted from."""
    return "the first request" if data.fault is not None and data.fault.planned else "the fault"


def _plural(noun: str, count: int) -> str:
    return f"{noun} was" if count == 1 else f"{noun}s were"


def seconds(value: float) -> str:
    """Two digits after the point below ten seconds, one above."""
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"  # noqa: PLR2004


def milliseconds(value_s: float) -> str:
    """Seconds as whole milliseconds."""
    return f"{value_s * 1000:,.0f}"


def cents(amount: int | None) -> str:
    """Cents as an amount with two places."""
    return "" if amount is None else f"{amount // 100:,}.{amount % 100:02d}"
