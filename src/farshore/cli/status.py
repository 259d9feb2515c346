"""farshore status: one look at 3 a.m."""

import datetime as dt
from collections.abc import Iterator

import typer

from farshore.cli.output import Json, reported, show
from farshore.core.authority import Authority, Phase
from farshore.core.facts import Endpoints
from farshore.core.requests import Statement
from farshore.core.scene import Scene, Seen, span
from farshore.operate import status as operate
from farshore.settings import from_environment
from farshore.workshop import Workshop


def status(*, as_json: Json = False) -> None:
    """Show who may write, what is wrong, what to do next and by which command.

    Exit 0 when somebody may write and nothing is wrong, 1 when something is wrong, 3 when it is not known.
    """
    with reported():
        found = operate.status(Workshop(from_environment()))
        show(found.as_dict() if as_json else found, as_json=as_json, words=words)
        raise typer.Exit(found.story.exit_code)


def words(found: operate.Status) -> str:
    return "\n".join(f"{title:<10}{text}" for title, text in lines(found))


def lines(found: operate.Status) -> Iterator[tuple[str, str]]:
    """What matters first: who may write, what is wrong, what to do; then what that rests on."""
    scene, story = found.scene, found.story
    record = scene.record
    if story.writer is not None:
        yield "writer", f"{story.writer} may write, epoch {record.epoch if record else '?'}"
    elif story.known:
        yield "writer", f"nobody may write{f', epoch {record.epoch}, {record.phase}' if record else ''}"
    else:
        yield "writer", "not known from here"
    for finding in story.findings[:1]:
        yield finding.grade, finding.words
    yield "next", story.next_step
    if story.command is not None:
        yield "run", story.command
    title = "also"
    for finding in story.findings[1:]:
        yield title, f"{finding.grade}: {finding.words} -> {finding.command or finding.next_step}"
        title = ""
    yield "", ""
    if record is not None:
        yield from _record(record, scene)
    yield "lease", story.lease
    yield from _lag(scene)
    yield from _regions(scene)
    yield "aws", _aws(scene)


def _record(record: Authority, scene: Scene) -> Iterator[tuple[str, str]]:
    event = record.last_event
    since = f"{_at(event.at_ms)}, {span(scene.now_ms - event.at_ms)} ago, by {event.by}"
    yield "since", f"{since}: {event.reason}"
    yield (
        "mode",
        f"{record.mode}{', paused' if record.paused else ''}{', degraded' if record.degraded else ''}",
    )
    plan, proposal, quiet = record.plan, record.proposal, record.quiet
    if plan is not None:
        ticket = f", ticket {plan.ticket}" if plan.ticket else ""
        yield (
            "move",
            f"{plan.kind} {plan.source} -> {plan.target}, asked for by {plan.requested_by}{ticket}: {plan.reason}",
        )
    if proposal is not None:
        loss = Statement(proposal.loss_bound_ms, proposal.loss_transactions).words
        approval = proposal.approval
        state = (
            f"approved by {approval.by} until {_at(approval.expires_at_ms)}"
            if approval
            else f"open until {_at(proposal.expires_at_ms)}"
        )
        yield (
            "proposal",
            f"{proposal.proposal_id}: failover {proposal.source} -> {proposal.target}, may lose {loss}; {state}",
        )
    if quiet is not None and quiet.until_ms > scene.now_ms:
        yield (
            "quiet",
            f"until {_at(quiet.until_ms)} a request for {quiet.target} of epoch {quiet.epoch} may still arrive",
        )
    for account in record.aftermaths:
        orphans = "not counted" if account.orphans_open is None else f"{account.orphans_open} open"
        state = "settled" if account.settled else f"evidence {account.evidence}, orphans {orphans}"
        yield "account", f"{account.region}, lost in epoch {account.epoch}: {state}"


def _lag(scene: Scene) -> Iterator[tuple[str, str]]:
    title = "lag"
    for region, seen in sorted(scene.monitors.items()):
        shown = "unknown" if seen.lag_ms is None else f"{seen.lag_ms} ms"
        state = f", {seen.lag_state}" if seen.lag_state else ""
        old = "" if scene.is_heard(region) else f", {span(seen.age_ms)} ago"
        yield title, f"{shown}{state} by the monitor of {region}{old}: {seen.lag_why}"
        if seen.lag_readings:
            yield "", f"  {sources(seen)}"
        for doubt in seen.lag_doubts:
            yield "", f"  {doubt}"
        title = ""
    record = scene.record
    if record is not None and record.phase is Phase.HELD:
        kept = "unknown" if record.lag_ms is None else f"{record.lag_ms} ms"
        yield (
            title,
            f"{kept} in the record at the last renewal, by the writer: what a loss would be judged by",
        )


def sources(seen: Seen) -> str:
    """Each source of the lag, with what it is worth, what it says and how old that is by now."""
    told = []
    for one in seen.lag_readings:
        shown = "" if one.lag_ms is None else f", {one.lag_ms} ms"
        old = "" if one.age_ms is None else f", {span(one.age_ms + seen.age_ms)} old"
        told.append(f"{one.source} {one.quality}{shown}{old}")
    return "; ".join(told)


def _regions(scene: Scene) -> Iterator[tuple[str, str]]:
    for region in scene.regions:
        title = region
        for by, seen in sorted(scene.monitors.items()):
            ends = seen.endpoints.get(region)
            if ends is not None:
                age = f"{span(seen.age_ms)} ago"
                yield title, f"by the monitor of {by}, {age}: {ends_words(ends, scene)}"
                title = ""
        if title:
            yield region, "no monitor tells of it"


def ends_words(ends: Endpoints, scene: Scene) -> str:
    told = []
    for name, silent_ms in (("writer", ends.writer_silent_ms), ("reader", ends.reader_silent_ms)):
        if silent_ms is None:
            told.append(f"{name} not asked yet")
        elif silent_ms >= scene.profile.unreachable_after_ms:
            told.append(f"{name} silent for {span(silent_ms)}")
        else:
            told.append(f"{name} answers")
    return ", ".join(told)


def _aws(scene: Scene) -> str:
    cluster = scene.cluster
    if cluster is None:
        return "RDS does not describe the global cluster from here"
    moving = f", {cluster.moving}" if cluster.moving else ""
    connected = "all connected" if cluster.synchronized else "not all connected"
    return f"{cluster.writer_region or 'no region'} is the writer, {connected}{moving}"


def _at(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
