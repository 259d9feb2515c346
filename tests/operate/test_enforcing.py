"""H17: a guard that enforces before anybody keeps the lease would stop production."""

from types import SimpleNamespace

import pytest

from farshore.core.authority import Authority, Event, Phase
from farshore.core.errors import RefusedError
from farshore.operate import guard
from farshore.ports import Page

HOME = "us-east-1"


def record(renewals: int, phase: Phase = Phase.HELD) -> Authority:
    event = Event(1, 1, 1, Phase.HELD, HOME, "first-boot", "a test", "p")
    return Authority(1, 1, phase, HOME, renewals, 1, 20, "approve", False, False, None, event)


class AskedError(Exception):
    """The database was reached."""


def shop(found: Authority | None) -> SimpleNamespace:
    def admin(_host):
        raise AskedError

    journal = SimpleNamespace(read=lambda: Page(found, {}, ()))
    endpoints = {HOME: SimpleNamespace(writer="writer.home")}
    return SimpleNamespace(journal=journal, admin=admin, settings=SimpleNamespace(endpoints=endpoints))


@pytest.mark.parametrize("found", [None, record(0), record(2), record(9, Phase.DRAINING)], ids=str)
def test_the_guard_is_not_made_to_enforce_before_three_renewals(found):
    with pytest.raises(RefusedError, match="renewed"):
        guard.set_enforcing(shop(found), HOME, enforcing=True)


def test_after_three_renewals_it_is_and_back_to_advisory_at_any_time():
    with pytest.raises(AskedError):
        guard.set_enforcing(shop(record(3)), HOME, enforcing=True)
    with pytest.raises(AskedError):
        guard.set_enforcing(shop(None), HOME, enforcing=False)
