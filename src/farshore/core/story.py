"""What is wrong and what to do next, judged on one look: words for a person at 3 a.m., and one exact command.

Pure. The table of situations is tests/core/test_story.py. It decides nothing: what farshore does is in transitions.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from farshore.core import sights
from farshore.core.authority import Evidence, Phase
from farshore.core.plight import Advice, lapsed, proposed, standing
from farshore.core.scene import Finding, Grade, Scene, span


@dataclass(frozen=True, slots=True)
class Story:
    """`writer`: the region that may write now; None: nobody, or (`known` False) nobody can tell from here."""

    writer: str | None
    known: bool
    lease: str
    waiting: str | None
    findings: tuple[Finding, ...]

    @property
    def next_step(self) -> str:
        return self.findings[0].next_step if self.findings else "nothing to do"

    @property
    def command(self) -> str | None:
        return self.findings[0].command if self.findings else None

    @property
    def exit_code(self) -> int:
        """0: somebody may write and nothing is wrong; 1: something is wrong; 3: something is not known."""
        grades = {finding.grade for finding in self.findings}
        if Grade.WRONG in grades or (self.known and self.writer is None):
            return 1
        return 3 if Grade.UNKNOWN in grades or not self.known else 0


def judge(scene: Scene) -> Story:
    found = [finding for look in _LOOKS for finding in look(scene)]
    order = list(Grade)
    record = scene.record
    return Story(
        writer=record.holder if record and scene.lease_is_valid() and record.phase is Phase.HELD else None,
        known=scene.answered,
        lease=_lease(scene),
        waiting=_waits_for(scene),
        findings=tuple(sorted(found, key=lambda finding: order.index(finding.grade))),
    )


def _wrong(advice: Advice) -> Finding:
    return Finding(Grade.WRONG, *advice)


def _lease(scene: Scene) -> str:
    record, age_ms = scene.record, scene.lease_age_ms
    if record is None or age_ms is None:
        return "unknown" if not scene.answered else "none"
    age, ttl = span(age_ms), span(scene.profile.lease_ttl_ms)
    if record.phase is not Phase.HELD:
        return f"not renewed while the role moves; the last renewal was {age} ago, a lease lasts {ttl}"
    if scene.lease_is_valid():
        return f"valid: renewed {age} ago, lasts {ttl}"
    return f"lapsed: renewed {age} ago, lasted {ttl}"


# --- the worst first --------------------------------------------------------------------------------------------


def _unreadable(scene: Scene) -> Iterator[Finding]:
    if not scene.answered:
        yield Finding(
            Grade.UNKNOWN,
            f"who may write is not known here: no replica of {scene.table} answers",
            "'also' says why: the network, the credentials or the table; then stand in a region that answers. A record "
            "'by_hand' means that a person has the wheel (docs/by-hand.md): ask who, and touch nothing",
            f"aws dynamodb describe-table --region {scene.standby} --table-name {scene.table}",
        )
    elif scene.record is None:
        yield Finding(
            Grade.WRONG,
            "no region has been given authority yet",
            "the first controller that reaches the writer and finds a guard there gives it an epoch",
            "farshore preflight",
        )


def _lapsed(scene: Scene) -> Iterator[Finding]:
    record = scene.record
    if record is not None and record.phase is Phase.HELD and not scene.lease_is_valid():
        yield _wrong(lapsed(scene, record))


def _moving(scene: Scene) -> Iterator[Finding]:
    record, plan = scene.record, scene.plan
    if record is None or plan is None:
        return
    since_ms = scene.now_ms - record.last_event.at_ms
    ticket = f", ticket {plan.ticket}" if plan.ticket else ""
    words = (
        f"nobody may write: a {plan.kind} from {plan.source} to {plan.target} is under way, {record.phase} for "
        f"{span(since_ms)}, asked for by {plan.requested_by}{ticket}; it waits for {_waits_for(scene)}"
    )
    proposal = standing(scene, record)
    if proposal is not None:
        yield _wrong(proposed(scene, proposal, words))
    elif since_ms <= _patience_ms(scene):
        yield Finding(
            Grade.WRONG, words, "wait: the controllers carry it out; this follows it", "farshore watch"
        )
    elif record.phase is Phase.PROMOTING:
        command = (
            f"aws rds describe-global-clusters --region {plan.target} "
            f"--global-cluster-identifier {scene.global_cluster}"
        )
        yield Finding(
            Grade.WRONG,
            f"{words}; that is long",
            "see what AWS says of the move; `farshore abort` if it keeps refusing a failover; docs/by-hand.md if it "
            "has stopped",
            command,
        )
    else:
        next_step = f"see whether the controllers of {plan.source} and {plan.target} run"
        if record.mode == "manual":
            next_step += f"; if {plan.source} is lost: `farshore failover --to {plan.target} --dry-run`"
        yield Finding(Grade.WRONG, f"{words}; that is too long", next_step, "farshore verify --no-publish")


def _patience_ms(scene: Scene) -> int:
    """How long a phase may last before it is worth a look; AWS moves a writer within minutes."""
    profile = scene.profile
    phase = scene.record.phase if scene.record else Phase.HELD
    if phase is Phase.DRAINING:
        return 2 * profile.drain_ms
    return 2 * profile.lease_wait_ms if phase is Phase.CLAIMED else 5 * profile.claim_ttl_ms


def _waits_for(scene: Scene) -> str | None:
    record, plan = scene.record, scene.plan
    if record is None or plan is None:
        return None
    if record.phase is Phase.DRAINING:
        return f"{plan.source} to be fenced and its last transactions to end"
    if record.phase is Phase.CLAIMED:
        left_ms = scene.profile.lease_wait_ms - (scene.lease_age_ms or 0)
        if left_ms > 0:
            return f"the lease of {plan.source} to end for certain, {span(left_ms)} more"
        return f"the controller of {plan.target} to go on"
    moving = f" ({scene.cluster.moving})" if scene.cluster and scene.cluster.moving else ""
    attempt = plan.intent.attempt if plan.intent else 1
    return f"AWS to make {plan.target} the writer{moving}, request {attempt}"


def _proposed(scene: Scene) -> Iterator[Finding]:
    """While the holder still renews; a proposal over a lapsed lease is in plight.py."""
    record = scene.record
    proposal = record.proposal if record else None
    if proposal is None or proposal.expires_at_ms <= scene.now_ms or not scene.lease_is_valid():
        return
    if proposal.approval is None:
        yield Finding(
            Grade.NOTE,
            f"a failover to {proposal.target} is proposed by {proposal.requested_by}: {proposal.reason}",
            "approve it, or decline it by `farshore abort`",
            f"farshore approve {proposal.proposal_id}",
        )


def _aws_disagrees(scene: Scene) -> Iterator[Finding]:
    record, cluster = scene.record, scene.cluster
    if record is None or record.phase is not Phase.HELD or cluster is None:
        return
    command = (
        f"aws rds describe-global-clusters --region {record.holder} "
        f"--global-cluster-identifier {scene.global_cluster}"
    )
    if cluster.moving is not None:
        yield Finding(
            Grade.WRONG,
            f"AWS is moving the writer ({cluster.moving}), and farshore has not asked for it",
            "wait until it ends: farshore then adopts it under a new epoch",
            command,
        )
    elif cluster.writer_region not in (None, record.holder):
        yield Finding(
            Grade.WRONG,
            f"AWS shows {cluster.writer_region} as the writer, authority is with {record.holder}",
            f"the controller of {cluster.writer_region} adopts the role; see that it runs",
            "farshore verify --no-publish",
        )
    elif not cluster.synchronized and not record.degraded:
        yield Finding(
            Grade.WRONG,
            f"{scene.other(record.holder or scene.home)} is not connected: it does not receive what is written",
            "see the members' SynchronizationStatus; a planned move is refused until then",
            command,
        )


def _alone(scene: Scene) -> Iterator[Finding]:
    record = scene.record
    if record is None or not record.degraded or record.holder is None:
        return
    lost = scene.other(record.holder)
    if scene.is_heard(lost):
        next_step = f"{lost} is back: AWS rebuilds it; follow its SynchronizationStatus"
    else:
        next_step = f"wait for {lost}; when it is back AWS rebuilds it from {record.holder}"
    yield Finding(
        Grade.WRONG,
        f"{record.holder} runs alone: losing it too would end all writing",
        next_step,
        f"aws rds describe-global-clusters --region {record.holder} "
        f"--global-cluster-identifier {scene.global_cluster}",
    )


def _accounts(scene: Scene) -> Iterator[Finding]:
    for account in scene.record.aftermaths if scene.record else ():
        if account.settled:
            continue
        if account.evidence is Evidence.AWAITED:
            away = "" if scene.is_heard(account.region) else f", once {account.region} is back"
            yield Finding(
                Grade.WRONG,
                f"what {account.region} had acknowledged when it was lost in epoch {account.epoch} is not counted",
                f"read its old volume{away}; `farshore reconcile --waive` gives it up for good",
                "farshore reconcile",
            )
        else:
            count = "an unknown number of" if account.orphans_open is None else str(account.orphans_open)
            yield Finding(
                Grade.WRONG,
                f"{count} transactions of {account.region}, lost in epoch {account.epoch}, are unresolved",
                "replay or refund them, then `farshore reconcile --resolved --ticket ...`",
                "farshore orphans",
            )


def _paused(scene: Scene) -> Iterator[Finding]:
    if scene.record is not None and scene.record.paused and scene.lease_is_valid():
        yield Finding(
            Grade.WRONG,
            "farshore is paused: a lost region would not be acted on",
            "end the pause when the maintenance is over",
            "farshore resume",
        )


_LOOKS: tuple[Callable[[Scene], Iterator[Finding]], ...] = (
    _unreadable,
    _lapsed,
    _moving,
    _aws_disagrees,
    _alone,
    _accounts,
    _paused,
    sights.silent_endpoints,
    sights.silent_monitors,
    sights.lag,
    _proposed,
    sights.unread,
    sights.notes,
)
"""The worst first; what is wrong comes before what is unknown, and notes last."""
