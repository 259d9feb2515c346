"""What every change of the record must keep; a step that would break one is refused, never written."""

from farshore.core.authority import Authority, Phase
from farshore.core.errors import InvariantError

_HOLDING = (Phase.HELD, Phase.DRAINING)
_MOVING = (Phase.DRAINING, Phase.CLAIMED, Phase.PROMOTING)


def check(before: Authority | None, after: Authority) -> None:
    """Raise InvariantError naming the first rule that the change breaks."""
    for rule, kept in _rules(before, after):
        if not kept:
            raise InvariantError(f"refused, {rule}: {before} -> {after}")


def _rules(before: Authority | None, after: Authority) -> list[tuple[str, bool]]:
    rules = [
        ("a holder exists exactly while it holds", (after.holder is not None) == (after.phase in _HOLDING)),
        ("an intent exists only while promoting", _has_intent(after) == (after.phase is Phase.PROMOTING)),
        (
            "a plan exists exactly while the role moves",
            (after.plan is not None) == (after.phase in _MOVING),
        ),
        (
            "a plan leads from one region to another",
            after.plan is None or after.plan.source != after.plan.target,
        ),
    ]
    if before is None:
        return rules
    rose = after.epoch - before.epoch
    return [
        *rules,
        ("the version rises by one", after.version == before.version + 1),
        ("the epoch never falls and rises by one", rose in (0, 1)),
        ("a renewal is never taken back", after.renewal_seq - before.renewal_seq in (0, 1)),
        (
            "a lease is renewed only by a holder",
            after.renewal_seq == before.renewal_seq or after.phase is Phase.HELD,
        ),
        (
            "a claim takes a new epoch, or is told to stop",
            after.phase is not Phase.CLAIMED or rose == 1 or before.phase is Phase.CLAIMED,
        ),
        (
            "promotion follows a claim in its epoch, or a drain with a new one",
            after.phase is not Phase.PROMOTING
            or (before.phase in (Phase.CLAIMED, Phase.PROMOTING) and rose == 0)
            or (before.phase is Phase.DRAINING and rose == 1 and _is_drained(after)),
        ),
        (
            "only a holder is drained, in its own epoch",
            after.phase is not Phase.DRAINING or (rose == 0 and after.holder == before.holder),
        ),
        (
            "a holder comes out of a move as its target, or anew as its source",
            _holder_is_right(before, after),
        ),
    ]


def _has_intent(record: Authority) -> bool:
    return record.plan is not None and record.plan.intent is not None


def _is_drained(record: Authority) -> bool:
    return record.plan is not None and record.plan.drained_lsn is not None


def _holder_is_right(before: Authority, after: Authority) -> bool:
    if after.phase is not Phase.HELD:
        return True
    if before.plan is None:
        return (after.holder, after.epoch) == (before.holder, before.epoch)
    if after.holder == before.plan.target:
        return after.epoch == before.epoch and before.phase in (Phase.CLAIMED, Phase.PROMOTING)
    return after.holder == before.plan.source and after.epoch == before.epoch + 1
