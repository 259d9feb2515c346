"""Who wrote in which epoch, and whether two regions ever did at once: promise P1 seen by the clients.

What P1 says: no confirmed write commits in epoch e after a later epoch was granted. A client knows neither
the instant of a commit nor that of a grant, only intervals: an acknowledgement happened somewhere within
[invoked, returned]. What it can prove:

* B, confirmed in epoch f, returned at r. So f had been granted before r.
* A, confirmed in epoch e < f, was invoked at i > r. So A committed, and was confirmed, after r.
* Hence A was confirmed in e after f's grant: P1 is broken. If the intervals overlap, some order of the two
  is innocent, and nothing is claimed.

So the sound and, for a client, complete condition is: *an acknowledgement confirmed in an epoch lower than
one already returned before it was invoked*. By another region it is a second writer; by the same region,
an epoch that ran backwards. Apart from time, one epoch confirmed by two regions is a second writer as well.

A bare acknowledgement names no epoch. It counts as *late* when, before it was invoked, the highest epoch
returned belonged to another region, and its own region cannot have been granted a still later one by then.
Late bare acknowledgements break no promise; they are counted apart and must be named if they are missing.
Bare ones never prove anything against others, because a bare one may itself be an escape.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from farshore.drill.findings import Finding, Violation
from farshore.drill.operations import Ack


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """What the clients saw of one epoch: who held it, and its confirmed acknowledgements' bounds (ns)."""

    epoch: int
    region: str
    acks: int
    first_returned: int
    last_invoked: int
    last_returned: int


@dataclass(frozen=True, slots=True)
class Writers:
    """Second writers proven, acknowledgements bare and late, and the epochs seen, lowest first."""

    findings: tuple[Finding, ...]
    dual: tuple[Ack, ...]
    late_bare: tuple[Ack, ...]
    epochs: tuple[EpochSpan, ...]


def judge_writers(acks: Sequence[Ack]) -> Writers:
    """Apply the conditions above to every acknowledgement of a drill."""
    confirmed = sorted((ack for ack in acks if ack.confirmed), key=lambda ack: ack.returned)
    spans = tuple(_spans(confirmed))
    dual: dict[tuple[str, int], Ack] = {}
    findings: list[Finding] = []
    holders = {span.epoch: span.region for span in spans}
    for ack in confirmed:
        holder = holders[_epoch(ack)]
        if ack.region != holder:
            dual[ack.op, ack.invoked] = ack
            detail = f"{ack.region} confirmed in epoch {ack.epoch}, which {holder} holds"
            findings.append(Finding(Violation.EPOCH_TWO_HOLDERS, detail, ack.op))
    for ack, region, epoch in _outrun(confirmed):
        detail = (
            f"{ack.region} confirmed in epoch {ack.epoch} after {region} had acknowledged in epoch {epoch}"
        )
        if region == ack.region:
            findings.append(Finding(Violation.EPOCH_BACKWARDS, detail, ack.op))
            continue
        dual[ack.op, ack.invoked] = ack
        findings.append(Finding(Violation.SECOND_WRITER, detail, ack.op))
    late = tuple(ack for ack in acks if not ack.confirmed and _late(ack, spans))
    return Writers(tuple(findings), tuple(dual.values()), late, spans)


def _epoch(ack: Ack) -> int:
    if ack.epoch is None:
        raise ValueError(f"{ack.op} is confirmed without an epoch")
    return ack.epoch


def _spans(confirmed: Iterable[Ack]) -> Iterable[EpochSpan]:
    by_epoch = sorted(confirmed, key=lambda ack: (_epoch(ack), ack.returned))
    for epoch, group in groupby(by_epoch, key=_epoch):
        seen = list(group)
        yield EpochSpan(
            epoch=epoch,
            region=seen[0].region,
            acks=len(seen),
            first_returned=seen[0].returned,
            last_invoked=max(ack.invoked for ack in seen),
            last_returned=seen[-1].returned,
        )


def _outrun(confirmed: Sequence[Ack]) -> Iterable[tuple[Ack, str, int]]:
    """Each acknowledgement invoked after a later epoch's had returned, with that region and epoch.

    Another region's later epoch is preferred over the own region's, because it is the graver finding.
    """
    highest: dict[str, int] = {}
    returned = 0
    for ack in sorted(confirmed, key=lambda ack: ack.invoked):
        while returned < len(confirmed) and confirmed[returned].returned < ack.invoked:
            seen = confirmed[returned]
            highest[seen.region] = max(highest.get(seen.region, 0), _epoch(seen))
            returned += 1
        later = [
            (region != ack.region, epoch, region) for region, epoch in highest.items() if epoch > _epoch(ack)
        ]
        if later:
            _, epoch, region = max(later)
            yield ack, region, epoch


def _late(ack: Ack, spans: Sequence[EpochSpan]) -> bool:
    before = [span for span in spans if span.first_returned < ack.invoked]
    if not before:
        return False
    current = max(before, key=lambda span: span.epoch)
    if current.region == ack.region:
        return False
    own_later_epoch = any(span.epoch > current.epoch and span.region == ack.region for span in spans)
    return not own_later_epoch or ack.returned < current.last_invoked
