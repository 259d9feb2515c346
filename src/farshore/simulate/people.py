"""What people do in a history, sensible or not: at the console, and with farshore's own verbs."""

import contextlib
from dataclasses import replace

from farshore.core import requests
from farshore.core.authority import Authority, Evidence
from farshore.core.errors import RefusedError, UnknownOutcomeError, UsageError
from farshore.core.facts import Now
from farshore.simulate.history import History
from farshore.simulate.plan import Trouble
from farshore.simulate.ports import SimCloud, SimJournal
from farshore.simulate.processes import ProcessCrashed
from farshore.simulate.servers import HOME, STANDBY, START_WALL_MS

PEOPLE = ("switchover", "failover", "propose", "approve", "abort", "pause", "resume", "mode", "account")


def console(history: History, trouble: Trouble) -> bool:
    """Not while a request of farshore may be on its way: nobody could prevent what follows (docs/limits.md)."""
    cluster, target, record = history.cluster, trouble.where, history.world.record
    quiet_ms = record.quiet.until_ms if record is not None and record.quiet is not None else 0
    follows = cluster.servers[target].in_recovery and target not in cluster.lost and target != cluster.writer
    connected = cluster.connected() or cluster.lost == {cluster.writer}
    waits = history.in_flight or history.now_ms + START_WALL_MS < quiet_ms
    if not follows or not connected or cluster.move is not None or waits:
        return False
    cluster.move_by_hand(target)
    return True


def person(history: History, trouble: Trouble) -> bool:
    """Somebody asks for something, sensible or not; a refusal is an answer too."""
    world, cluster = history.world, history.cluster
    record, region = world.record, HOME if HOME not in cluster.lost else STANDBY
    if record is None:
        return False
    now_ms = history.now_ms
    by = "bob" if trouble.kind == "approve" else "alice"
    asked = requests.Asked(by, Now(START_WALL_MS + now_ms, now_ms), world.profile)
    try:
        after = _asked_for(history, record, trouble, asked, region)
    except (RefusedError, UsageError) as error:
        history.tell(f"* {trouble.words}: refused: {error}")
        return False
    with contextlib.suppress(UnknownOutcomeError, ProcessCrashed):
        return SimJournal(world, region, by).compare_and_set(record, after)
    return True


def _asked_for(
    history: History, record: Authority, trouble: Trouble, asked: requests.Asked, region: str
) -> Authority:
    target, profile = trouble.where, history.world.profile
    match trouble.kind:
        case "switchover":
            cluster = SimCloud(history.world, region).describe()
            running = (HOME, STANDBY)  # the hardest case: heard a moment ago, and perhaps dead by now
            return requests.switchover(record, cluster, running, target, asked)
        case "failover":
            return requests.failover(record, target, requests.loss_statement(record, profile), asked)
        case "propose":
            return requests.propose(record, target, asked)
        case "approve":
            return requests.approve(record, None, asked, second_person=True)
        case "abort":
            return requests.abort(record, asked)
        case "pause":
            return requests.pause(record, asked)
        case "resume":
            return requests.resume(record, asked)
        case "mode":
            return requests.set_mode(record, trouble.how, asked)  # type: ignore[arg-type]
    owed = next((account for account in record.aftermaths if not account.settled), None)
    if owed is None:
        raise RefusedError("no account is open.", "nothing to do.")
    evidence = Evidence.SAVED if trouble.how == "saved" else Evidence.WAIVED
    return requests.account(record, replace(owed, evidence=evidence, orphans_open=0), asked)
