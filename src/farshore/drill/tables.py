"""The report's lists: orphans, checks, journal and environment."""

from collections.abc import Iterable, Sequence
from html import escape

from farshore.drill.checker import Judgement
from farshore.drill.figures import Timeline
from farshore.drill.markup import Link, section, table
from farshore.drill.measures import Latency
from farshore.drill.promises import Check
from farshore.drill.reportdata import ReportData
from farshore.drill.rows import OrphanRow
from farshore.drill.terms import Fault
from farshore.drill.words import AWS_TIMES, cents, origin

ORPHANS_SHOWN_MAX = 50


def orphan_table(judgement: Judgement, orphans: Sequence[OrphanRow]) -> str:
    if not orphans:
        return section("Orphans", f"<p>{_no_orphans(judgement)}</p>")
    shown = orphans[:ORPHANS_SHOWN_MAX]
    missing = sum(1 for row in orphans if row["state"] in {"missing", None})
    total = f"{missing:,} missing on the survivor, {len(orphans) - missing:,} named by the product and not missing"
    cut = f" The first {len(shown)} of {len(orphans):,} are shown." if len(shown) < len(orphans) else ""
    lead = f"Committed in the lost region: {total}.{cut} Times in seconds from the fault."
    head = (("Key", ""), ("Amount", "number"), ("Accounts", ""), ("Time", "number"), ("The client knew", ""),
            ("The product says", ""))  # fmt: skip
    rows = [_orphan_cells(row) for row in shown]
    return section("Orphans", f'<p class="lead">{escape(lead)}</p>{table("Orphans", head, rows)}')


def _no_orphans(judgement: Judgement) -> str:
    if (
        not judgement.terms.loss_allowed
        and not judgement.losses.lost
        and judgement.ledger_balanced is not None
    ):
        return f"A planned move may lose nothing, and no acknowledged {judgement.noun} was lost."
    names = "the product gave no list" if judgement.orphans is None else "the product names none"
    if judgement.ledger_balanced is None:
        return f"The survivor's database was not read, and {names}: what was lost is unknown."
    return f"No acknowledged {judgement.noun} was lost, and {names}."


def _orphan_cells(row: OrphanRow) -> list[tuple[str, str]]:
    accounts = "" if row["source"] is None else f"{row['source']} \N{RIGHTWARDS ARROW} {row['target']}"
    at = "" if row["at_s"] is None else f"{row['at_s']:+.3f}".replace("-", "\N{MINUS SIGN}")
    return [
        (row["key"], "key"),
        (cents(row["amount_cents"]), "number"),
        (accounts, "plain"),
        (at, "number"),
        (row["client_knew"], ""),
        (row["state"] or "not named", ""),
    ]


def check_list(made: Iterable[Check]) -> str:
    words = {True: ("held", "held"), False: ("broken", "broken"), None: ("open", "unknown")}
    items = "".join(
        f'<li><span class="state {words[one.held][0]}">{words[one.held][1]}</span>'
        f"<div><p>{escape(one.promise)}</p><p>{escape(one.seen)}</p></div></li>"
        for one in made
    )
    lead = "By a judge that saw only the clients' histories and the databases at the end, never farshore's own state."
    return section("What was checked", f'<p class="lead">{lead}</p><ul class="checks">{items}</ul>')


def journal(data: ReportData, timeline: Timeline) -> str:
    if not data.journal:
        return ""
    head = (("Time", "number"), ("Epoch", "number"), ("Phase", ""), ("Action", ""), ("Reason", ""))
    rows = []
    for event in data.journal:
        at = ""
        if data.unix_offset_ns is not None:
            since = timeline.seconds(event.at_unix_ms * 1_000_000 - data.unix_offset_ns)
            at = f"{since:+.2f}".replace("-", "\N{MINUS SIGN}")
        cells = [
            (at, "number"),
            (str(event.epoch), "number"),
            (event.phase, "plain"),
            (event.action, "plain"),
        ]
        rows.append([*cells, (event.reason, "long")])
    lead = (
        "Each change of authority with its reason, as farshore wrote it down. "
        f"Times in seconds from {origin(data)}."
    )
    drawn = table("The product's journal", head, rows)
    return section("The product's journal", f'<p class="lead">{lead}</p>{drawn}')


def environment(data: ReportData) -> str:
    env, measured = data.environment, data.measures
    links = ", ".join(f"{name} {delay:g} ms" for name, delay in env.link_one_way_ms.items())
    facts = [
        ("Profile", f"{env.profile}; {_pace(env.cadence)}"),
        ("Clients", f"{len(data.judgement.operations.metas)}; DNS time to live {env.ttl_s} s"),
        ("Workload", data.judgement.workload),
        ("Seed", str(env.seed)),
        *(("Fault", _fault_words(move.fault)) for move in data.moves),
        ("PostgreSQL", f"{env.postgres_version}, standing for Aurora PostgreSQL 15"),
        ("Links, one way", links or "not stated"),
        ("Latency before", _latency_words(measured.latency_before)),
        ("Latency after", _latency_words(measured.latency_after)),
        ("Platform", env.platform),
        ("farshore, Python", f"{env.farshore_version}, {env.python_version}"),
        *((name, version) for name, version in env.versions.items()),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts)
    times: list[list[tuple[str | Link, str]]] = [
        [(one.what, ""), (one.documented, ""), (Link(one.page, f"https://{one.path}/{one.page}"), "long")]
        for one in AWS_TIMES
    ]
    aws = table("Documented times of AWS", (("On AWS", ""), ("Documented by AWS", ""), ("Page", "")), times)
    rerun = f'<h2 class="again">Run it again</h2><pre>{escape(env.command)}</pre>'
    lead = (
        "Figures of a lab on one computer. AWS's documented times stand beside them and are no part of them."
    )
    foot = "<footer>Written by farshore drill. This page makes no request and runs no script.</footer>"
    facts_list = f'<dl class="facts">{listed}</dl>'
    return (
        section(
            "Where it ran",
            f'<p class="lead">{escape(lead)}</p>{facts_list}{aws}{rerun}',
        )
        + foot
    )


def _fault_words(fault: Fault) -> str:
    if fault.planned:
        took_s = ((fault.healed_at or fault.at) - fault.at) / 1e9
        return f"{fault.kind} away from {fault.region}; the command took {took_s:.1f} s"
    hit = ", ".join(f"{count} {what}" for what, count in (fault.bit or {}).items())
    words = f"{fault.kind} of {fault.hit or fault.region}" + (f", hit {hit}" if hit else "")
    for harm in fault.further:
        more = ", ".join(f"{count} {what}" for what, count in (harm.bit or {}).items())
        words += f"; {(harm.at - fault.at) / 1e9:.1f} s later {harm.kind} of {harm.region}, hit {more}"
    if fault.healed_at is None:
        return f"{words}; not undone"
    return f"{words}; undone {(fault.healed_at - fault.at) / 1e9:.1f} s later"


def _pace(cadence: int) -> str:
    if cadence == 1:
        return "AWS's own evaluation loops run as they do on AWS"
    return f"AWS's own evaluation loops run {cadence} times as fast as on AWS"


def _latency_words(latency: Latency | None) -> str:
    if latency is None:
        return "nothing acknowledged"
    return (
        f"median {latency.p50_ms:.1f} ms, 95th percentile {latency.p95_ms:.1f} ms, 99th {latency.p99_ms:.1f} ms, "
        f"99.9th {latency.p999_ms:.1f} ms, longest {latency.max_ms:.1f} ms"
    )
