"""The report's sentences and number forms."""

from dataclasses import dataclass

from farshore.drill.findings import Verdict
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
    judged, group = data.judgement, data.measures.aware.group
    lost = len(judged.losses.lost) + len(judged.losses.late_bare_lost)
    what = "The ledger was kept under load"
    if data.fault is not None and group is not None:
        outage = f"region-aware clients were served again after {seconds(group.seconds)} s"
        what = f"{data.fault.region} was lost and {outage}"
    if lost == 0:
        fate = "no acknowledged transfer was lost"
    elif judged.orphans is None:
        fate = f"{lost} acknowledged {_plural(lost)} lost with the region"
    else:
        fate = f"{lost} acknowledged {_plural(lost)} lost with the region, every one named by the product"
    return f"{what}. The books balance to the cent, no second region wrote, and {fate}."


def _plural(count: int) -> str:
    return "transfer was" if count == 1 else "transfers were"


def seconds(value: float) -> str:
    """Two digits after the point below ten seconds, one above."""
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"  # noqa: PLR2004


def milliseconds(value_s: float) -> str:
    """Seconds as whole milliseconds."""
    return f"{value_s * 1000:,.0f}"


def cents(amount: int | None) -> str:
    """Cents as an amount with two places."""
    return "" if amount is None else f"{amount // 100:,}.{amount % 100:02d}"
