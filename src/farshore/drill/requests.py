"""Requests that the product had to refuse, and what it answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from farshore.drill.findings import Doubt, Finding, Violation
from farshore.drill.terms import Terms

REFUSED = 1
"""The exit code of a refusal."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command that must be refused for a reason that names `must_name`; `at` in CLOCK_MONOTONIC ns.

    `exit_code` and `reason` are the product's own: 0 means that it did what it should have refused.
    """

    command: str
    at: int
    exit_code: int
    reason: str
    must_name: str


def judge_requests(requests: Sequence[Request], terms: Terms) -> list[Finding]:
    """Doing it is a violation; refusing it for another reason proves nothing."""
    findings = []
    for request in requests:
        if request.exit_code == 0:
            detail = f"{request.command} was carried out, though it must be refused"
            findings.append(Finding(Violation.NOT_REFUSED, detail))
        elif request.exit_code != REFUSED or request.must_name not in request.reason:
            detail = f"{request.command} ended with {request.exit_code}, for another reason: {request.reason}"
            findings.append(Finding(Doubt.REFUSED_OTHERWISE, detail))
    if len(requests) < terms.refusals_due:
        detail = (
            f"{len(requests)} requests that must be refused were made, wanted {terms.refusals_due} at least"
        )
        findings.append(Finding(Doubt.REFUSAL_MISSING, detail))
    return findings
