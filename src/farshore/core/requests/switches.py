"""A person's switches: abort, pause, resume, the mode, and the account of a lost region."""

from dataclasses import replace

from farshore.core.authority import PLANNED, Aftermath, Authority, Phase
from farshore.core.errors import RefusedError
from farshore.core.profile import Mode
from farshore.core.requests.asked import Asked, refuse_first, under_way, write


def abort(record: Authority, asked: Asked) -> Authority:
    """Stop a move where nothing can have been sent, or decline a proposal. A new epoch for the source ends it.

    Of a failover whose request may have been sent nothing more is sent; the source goes on once none can arrive.
    """
    plan, proposal = record.plan, record.proposal
    if plan is None or (record.phase is Phase.PROMOTING and proposal is not None):
        if proposal is None:
            raise RefusedError("nothing is under way.", "`farshore status` shows who may write.")
        words = f"{asked.by} declines the proposed failover to {proposal.target}"
        return write(record, replace(record, proposal=None), asked, "abort", words)
    if record.phase is Phase.PROMOTING and plan.kind in PLANNED:
        raise RefusedError(
            f"the request to move the writer to {plan.target} may have been sent: taking it back could leave "
            "two regions believing in themselves.",
            "`farshore watch`: if AWS refuses or cancels it, the controllers roll back by themselves.",
        )
    if plan.aborted:
        raise RefusedError(
            f"the {plan.kind} to {plan.target} has been aborted already.",
            f"`farshore watch`: {plan.source} takes a new epoch if it is alive; if it is lost, `farshore failover`.",
        )
    after = replace(record, plan=replace(plan, aborted=True), proposal=None)
    when = "once no request can arrive any more" if record.phase is Phase.PROMOTING else "if it is alive"
    words = f"{asked.by} aborts the {plan.kind} to {plan.target}; {plan.source} takes a new epoch {when}"
    return write(record, after, asked, "abort", words)


def pause(record: Authority, asked: Asked) -> Authority:
    if record.paused:
        raise RefusedError("farshore is paused already.", "`farshore resume` ends it.")
    words = f"{asked.by} pauses farshore: leases are kept, nothing is moved by itself"
    return write(record, replace(record, paused=True), asked, "pause", words)


def resume(record: Authority, asked: Asked) -> Authority:
    if not record.paused:
        raise RefusedError("farshore is not paused.", "nothing to do.")
    return write(record, replace(record, paused=False), asked, "resume", f"{asked.by} resumes farshore")


def set_mode(record: Authority, mode: Mode, asked: Asked) -> Authority:
    asked.profile.check_mode(mode)
    if record.mode == mode:
        raise RefusedError(f"the mode is {mode} already.", "nothing to do.")
    words = f"{asked.by} sets the mode to {mode} (it was {record.mode})"
    return write(record, replace(record, mode=mode), asked, "mode", words)


def account(record: Authority, settled: Aftermath, asked: Asked) -> Authority:
    """Write down what has become of a lost region's evidence and orphans; the failback there closes the account."""
    open_before = [a for a in record.aftermaths if (a.epoch, a.region) == (settled.epoch, settled.region)]
    if not open_before:
        raise RefusedError(
            f"there is no open account of {settled.region} lost in epoch {settled.epoch}.",
            "`farshore status` lists those that are open.",
        )
    if record.phase is not Phase.HELD:
        refuse_first([under_way(record)])
    settled = replace(settled, by=asked.by, ticket=asked.ticket)
    rest = tuple(settled if a in open_before else a for a in record.aftermaths)
    return write(
        record,
        replace(record, aftermaths=rest),
        asked,
        "account",
        f"{asked.by} accounts for {settled.words}",
    )
