"""farshore orphans: what the lost region had committed and the survivor never saw."""

from farshore.cli.output import Json, reported, show
from farshore.operate import orphans as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop

_SHOWN = 50


def orphans(*, as_json: Json = False) -> None:
    """List the transactions of the lost region's saved volume that never reached the survivor."""
    with reported():
        show(operate.orphans(Workshop(from_environment())), as_json=as_json, words=_words)


def _words(report: operate.OrphanReport) -> str:
    lines = [f"{len(report.orphans)} orphans before epoch {report.epoch}: {report.why}"]
    if report.source:
        lines.append(f"evidence: {report.source} in {report.lost_region}")
    for orphan in report.orphans[:_SHOWN]:
        rows = ", ".join(f"{row.table} {row.key} {row.state}" for row in orphan.rows)
        lines.append(
            f"  transaction {orphan.xid} committed {orphan.committed_at or 'at an unknown time'}: {rows}"
        )
    if len(report.orphans) > _SHOWN:
        lines.append(f"  and {len(report.orphans) - _SHOWN} more; --json lists all")
    return "\n".join(lines)
