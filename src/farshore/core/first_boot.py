"""The first record of a table: for a new cluster, or after a person has moved the writer by hand (docs/by-hand.md)."""

from collections.abc import Sequence
from dataclasses import replace

from farshore.core import health
from farshore.core.authority import VERSIONS_LEAPT, Aftermath, Authority, Event, Evidence, Phase
from farshore.core.facts import Facts, Now
from farshore.core.profile import Mode

BOOT = "first-boot"


def obstacle(facts: Facts) -> str | None:
    """Why this region cannot begin a record, or None: it is the writer by its server's word and by AWS's (H17)."""
    if facts.me not in facts.servers:
        return f"the database of {facts.me} cannot be reached, or has no guard (`farshore guard install`)"
    if facts.cluster is None:
        return f"the global cluster cannot be described from {facts.me}"
    if facts.cluster.moving is not None:
        return f"the global cluster is being moved ({facts.cluster.moving})"
    is_writer = health.is_writer_of_cluster(facts, facts.me)
    if not is_writer or health.writing_server(facts, facts.me) is None:
        return f"{facts.me} is not the writer"
    return None


def record(facts: Facts, now: Now, mode: Mode, history: Sequence[Event]) -> Authority:
    """The writer gets an epoch above any that its database or the history has known.

    Versions and renewals go on beyond any that the record before can have reached since its last line of history:
    no process that slept through its end takes the new record for the one that it knew.
    """
    server, last = facts.servers[facts.me], history[-1] if history else None
    epoch = max(server.epoch, last.epoch if last else 0) + 1
    version = 1 if last is None else (last.version // VERSIONS_LEAPT + 1) * VERSIONS_LEAPT + 1
    owed = accounts(history, facts.me)
    reason = f"no authority yet: {facts.me} is the global cluster's writer and gets epoch {epoch}"
    if last is not None:
        lost = ", ".join(f"{account.region} in epoch {account.epoch}" for account in owed)
        reason = (
            f"the record was taken away in epoch {last.epoch} or later: {facts.me}, the global cluster's writer, gets "
            f"epoch {epoch}; {f'what was left behind is to be accounted for: {lost}' if lost else 'nothing is owed'}"
        )
    event = Event(version, now.wall_ms, epoch, Phase.HELD, facts.me, BOOT, reason, facts.process)
    return Authority(
        version=version,
        epoch=epoch,
        phase=Phase.HELD,
        holder=facts.me,
        renewal_seq=version,
        renewed_at_ms=now.wall_ms,
        lag_ms=server.lag_ms,
        mode=mode,
        paused=False,
        degraded=last is not None and not (facts.cluster is not None and facts.cluster.synchronized),
        plan=None,
        last_event=event,
        aftermaths=owed,
    )


def accounts(history: Sequence[Event], writer: str) -> tuple[Aftermath, ...]:
    """What the history says may be owed when `writer` writes now: rather an account too many than one too few (H13).

    Whoever held before is left behind whenever the role came to another region through a claim, or by hand; a planned
    move, which loses nothing, closes the account of the region that it goes back to.
    """
    owed: list[Aftermath] = []
    held: Event | None = None
    was_claimed = False
    for event in history:
        owed = [account for account in owed if not _is_settled(account, event)]
        was_claimed = was_claimed or event.phase is Phase.CLAIMED or event.action == BOOT
        if event.phase is not Phase.HELD or event.holder is None:
            continue
        if held is not None and held.holder is not None and held.holder != event.holder:
            if was_claimed:
                owed.append(Aftermath(held.epoch, held.holder))
            else:
                owed = [account for account in owed if account.region != event.holder]
        held, was_claimed = event, False
    if held is not None and held.holder not in (None, writer):
        owed.append(Aftermath(held.epoch, str(held.holder)))
    return tuple(owed)


def _is_settled(account: Aftermath, event: Event) -> bool:
    ends = (Evidence.SAVED, Evidence.WAIVED)
    settled = [replace(account, evidence=evidence, orphans_open=0).words for evidence in ends]
    return event.action == "account" and any(words in event.reason for words in settled)
