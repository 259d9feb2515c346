"""Closing the account of a lost region: its evidence read or given up, its orphans counted and dealt with (H13)."""

from dataclasses import replace

from farshore.core import requests
from farshore.core.authority import Aftermath, Authority, Evidence
from farshore.core.errors import RefusedError, UsageError
from farshore.operate.orphans import OrphanReport, open_account, orphans
from farshore.requester import Build
from farshore.workshop import Workshop


def request(workshop: Workshop, record: Authority, *, resolved: bool, waive: bool) -> Build:
    """Raises RefusedError when there is nothing to account for or the evidence cannot be read yet."""
    if resolved and waive:
        raise UsageError("--resolved and --waive exclude each other; --waive gives the evidence up.")
    account = open_account(record)
    if account is None or account.settled:
        raise RefusedError("no lost region waits to be accounted for.", "nothing to do.")
    settled = (
        replace(account, evidence=Evidence.WAIVED, orphans_open=0)
        if waive
        else _read(workshop, account, resolved=resolved)
    )
    return lambda now, asked: requests.account(now, settled, asked)


def _read(workshop: Workshop, account: Aftermath, *, resolved: bool) -> Aftermath:
    report = orphans(workshop)
    if not report.complete:
        raise RefusedError(
            f"{report.why}.", "repeat then; `farshore reconcile --waive` gives the evidence up for good."
        )
    return replace(account, evidence=Evidence.SAVED, orphans_open=0 if resolved else still_open(report))


def still_open(report: OrphanReport) -> int:
    """Orphans of which a row is missing on the survivor, or differs there."""
    return sum(any(row.state != "replayed" for row in orphan.rows) for orphan in report.orphans)
