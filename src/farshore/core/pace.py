"""How long a controller may rest before its next tick, in ms: never past an instant that it waits for."""

from farshore.core.authority import Authority, Phase
from farshore.core.facts import Facts
from farshore.core.profile import Profile


def rest_ms(record: Authority | None, facts: Facts, profile: Profile) -> int:
    if record is None:
        return profile.tick_ms
    if record.phase is Phase.PROMOTING:
        asked = record.plan is not None and record.plan.source == facts.me and facts.move_sent
        return profile.tick_ms if asked else profile.promotion_poll_ms
    if record.phase is Phase.DRAINING:
        return 1 if record.holder == facts.me else profile.promotion_poll_ms
    if record.phase is Phase.CLAIMED:
        left_ms = profile.lease_wait_ms - facts.lease_unchanged_ms
        return max(1, min(profile.tick_ms, left_ms))
    if record.holder == facts.me:
        return profile.renew_ms
    left_ms = profile.lease_ttl_ms - facts.lease_unchanged_ms
    return min(profile.tick_ms, left_ms) if left_ms > 0 else profile.tick_ms // 2
