"""What people ask for, judged on the record: each gives the record to write, or a refusal with its reason.

A request is written by the same compare-and-set as every step, so of a person and the automation one wins, and the
other one reads who did. What it leaves undone, the controllers do: whoever asked may go home.
"""

from farshore.core.requests.asked import Asked
from farshore.core.requests.failover import (
    Statement,
    approve,
    failover,
    loss_statement,
    propose,
    refuse_if_healthy,
    refused_until_ms,
)
from farshore.core.requests.planned import switchover
from farshore.core.requests.switches import abort, account, pause, resume, set_mode

__all__ = [
    "Asked",
    "Statement",
    "abort",
    "account",
    "approve",
    "failover",
    "loss_statement",
    "pause",
    "propose",
    "refuse_if_healthy",
    "refused_until_ms",
    "resume",
    "set_mode",
    "switchover",
]
