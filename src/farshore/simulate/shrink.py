"""A failing history made short: whatever can be left out, while the same promise still breaks, is left out."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from farshore.simulate.history import play
from farshore.simulate.plan import Case, Plan, Trouble

PLAYS_MAX = 1500


class Shrinker:
    """`promise`: what must still break."""

    def __init__(self, promise: str, breaks: Callable[[Plan], str] | None = None) -> None:
        self._promise = promise
        self._breaks = breaks or (lambda plan: play(plan).promise)
        self.plays = 0

    def shrink(self, plan: Plan) -> Plan:
        while (shorter := self._once(plan)) is not None:
            plan = shorter
        return plan

    def _once(self, plan: Plan) -> Plan | None:
        for candidate in _candidates(plan):
            if self.plays >= PLAYS_MAX:
                return None
            self.plays += 1
            if self._breaks(candidate) == self._promise:
                return candidate
        return None


def _candidates(plan: Plan) -> Iterator[Plan]:
    """Simpler ones, the boldest first: half of the troubles, one of them, plainer clocks, shorter and rounder times."""
    yield from _fewer(plan)
    yield from _plainer(plan)
    for index, trouble in enumerate(plan.troubles):
        for simpler in _simpler(trouble):
            if simpler != trouble:
                yield replace(plan, troubles=(*plan.troubles[:index], simpler, *plan.troubles[index + 1 :]))
    for until_ms in (plan.until_ms // 2, plan.until_ms // 1000 * 1000):
        if 0 < until_ms < plan.until_ms:
            yield replace(plan, until_ms=until_ms)


def _fewer(plan: Plan) -> Iterator[Plan]:
    troubles = plan.troubles
    size = len(troubles) // 2 or len(troubles)
    while size >= 1:
        for start in range(0, len(troubles), size):
            yield replace(plan, troubles=troubles[:start] + troubles[start + size :])
        size //= 2


def _plainer(plan: Plan) -> Iterator[Plan]:
    plain = Plan()
    clocks = {name: getattr(plain, name) for name in ("wall_ms", "drift_ppm", "server_ppm")}
    for changed in (clocks, *({name: value} for name, value in clocks.items())):
        candidate = replace(plan, **changed)
        if candidate != plan:
            yield candidate


def _simpler(trouble: Trouble) -> Iterator[Trouble]:
    yield replace(trouble, nth=0)
    yield replace(trouble, for_ms=trouble.for_ms // 2)
    yield replace(trouble, at_ms=trouble.at_ms // 1000 * 1000)
    yield replace(trouble, at_ms=trouble.at_ms // 100 * 100)


def shrunk(plan: Plan, promise: str, about: str) -> Case:
    """The short case of a plan that breaks `promise`, with its transcript."""
    short = Shrinker(promise).shrink(plan)
    outcome = play(short, told=True)
    return Case(short, f"{about}: {outcome.broken}", tuple(outcome.transcript))
