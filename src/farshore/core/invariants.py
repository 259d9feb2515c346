"""What every change of the record must keep; a step that would break one is refused, never written."""

from farshore.core.authority import Authority, Phase
from farshore.core.errors import InvariantError

_HOLDING = (Phase.HELD, Phase.DRAINING)


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
            (after.plan is not None) == (after.phase != Phase.HELD),
        ),
    ]
    if before is None:
        return rules
    moved = before.holder != after.holder
    return [
        *rules,
        ("the version rises by one", after.version == before.version + 1),
        ("the epoch never falls and rises by one", after.epoch - before.epoch in (0, 1)),
        ("a renewal is never taken back", after.renewal_seq - before.renewal_seq in (0, 1)),
        (
            "a claim takes a new epoch and leaves the renewal as it was",
            after.phase is not Phase.CLAIMED
            or (after.epoch == before.epoch + 1 and after.renewal_seq == before.renewal_seq),
        ),
        (
            "a new holder comes only out of a claim or a promotion",
            not (moved and after.holder is not None) or before.phase in (Phase.CLAIMED, Phase.PROMOTING),
        ),
        (
            "promotion follows a claim",
            after.phase is not Phase.PROMOTING or before.phase in (Phase.CLAIMED, Phase.PROMOTING),
        ),
    ]


def _has_intent(record: Authority) -> bool:
    return record.plan is not None and record.plan.intent is not None
