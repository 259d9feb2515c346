"""A history as it is planned: everything that will go wrong is in it, so that it can be kept, read and shrunk.

Nothing is diced while a history runs. The same plan is the same history on any machine and any Python.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from farshore.core.profile import AWS, FAST, Mode, Profile
from farshore.simulate.servers import HOME, STANDBY

COARSE = replace(
    FAST,
    name="coarse",
    renew_ms=400,
    tick_ms=400,
    probe_ms=430,
    claim_ttl_ms=4000,
    in_region_budget_ms=2600,
    proposal_ttl_ms=6000,
    approval_ttl_ms=4000,
    drain_ms=2000,
    promotion_poll_ms=100,
)
"""Fewest ticks for each lease: most histories run with it, the others with the shipped profiles."""
PROFILES = {profile.name: profile for profile in (COARSE, FAST, AWS)}
WALL_MS_MAX = 3000
"""How far a process's wall clock may be from the true one; deadlines on paper allow 5 s between two."""
DRIFT_PPM_MAX = 400
"""Of each clock, so that of two clocks one never runs faster than `drift_ppm` by the other."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong, or that a person does; it carries its own heal.

    `at_ms` since the start, at a phase of the record if `phase` names one; `where` a region; `for_ms` how long;
    `how` a variant; `nth` which of the points that the process passes then.
    """

    at_ms: int
    kind: str
    where: str = HOME
    for_ms: int = 0
    how: str = ""
    nth: int = 0
    phase: str = ""

    @property
    def name(self) -> str:
        """The kind with its variant, as it is counted."""
        return f"{self.kind}: {self.how}" if self.how else self.kind

    @property
    def words(self) -> str:
        at = f"{self.at_ms} ms" + (f", once {self.phase}" if self.phase else "")
        more = f" {self.how}" if self.how else ""
        long = f" for {self.for_ms} ms" if self.for_ms else ""
        point = f" at point {self.nth}" if self.nth else ""
        return f"{at}: {self.kind}{more} in {self.where}{long}{point}"


@dataclass(frozen=True, slots=True)
class Plan:
    """`wall_ms` and `drift_ppm`: of the processes' clocks, in the order in which they start."""

    profile: str = "coarse"
    mode: Mode = "auto"
    until_ms: int = 10_000
    promotion_ms: int = 10
    switchover_ms: int = 300
    wall_ms: tuple[int, ...] = (0,)
    drift_ppm: tuple[int, ...] = (0,)
    server_ppm: tuple[int, int] = (0, 0)
    troubles: tuple[Trouble, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Case:
    """A plan worth keeping: what it is about, and how it went when it was written down."""

    plan: Plan
    about: str = ""
    transcript: tuple[str, ...] = ()


def to_json(case: Case) -> str:
    """One line for each trouble and each line of the transcript."""
    document = asdict(case.plan)
    troubles = [json.dumps(_short(trouble)) for trouble in document.pop("troubles")]
    told = [json.dumps(line) for line in case.transcript]
    head = [f'  "{key}": {json.dumps(value)}' for key, value in {"about": case.about, **document}.items()]
    lists = [
        f'  "{key}": [\n    {joined}\n  ]'
        for key, lines in (("troubles", troubles), ("transcript", told))
        if (joined := ",\n    ".join(lines))
    ]
    return "{\n" + ",\n".join([*head, *lists]) + "\n}\n"


def _short(trouble: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in trouble.items() if value or key in ("at_ms", "where")}


def from_json(text: str) -> Case:
    document = json.loads(text)
    about, told = document.pop("about", ""), tuple(document.pop("transcript", ()))
    troubles = tuple(Trouble(**trouble) for trouble in document.pop("troubles", ()))
    lists = {key: tuple(value) for key, value in document.items() if isinstance(value, list)}
    return Case(Plan(**{**document, **lists, "troubles": troubles}), about, told)


# --- dicing -----------------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "region dies": (8, ("",)),
    "region is isolated": (7, ("",)),
    "calls are cut": (4, ("",)),
    "table dark": (3, ("",)),
    "describe dark": (2, ("",)),
    "replication stalls": (3, ("",)),
    "lag unknown": (3, ("",)),
    "writer restarts": (3, ("writer", "both endpoints")),
    "message lost": (4, ("write", "renewal", "fence", "request", "sighting")),
    "reply lost": (4, ("write", "renewal", "fence", "request")),
    "message late": (6, ("write", "renewal", "fence", "request", "sighting")),
    "message twice": (3, ("write", "renewal", "fence", "sighting")),
    "request waits": (2, ("",)),
    "AWS refuses": (2, ("",)),
    "AWS cancels": (4, ("",)),
    "AWS throttles": (2, ("",)),
    "AWS is slow": (2, ("",)),
    "crash": (7, ("",)),
    "freeze": (6, ("alone", "with a twin")),
    "twin": (3, ("",)),
    "process stops": (3, ("",)),
    "monitor stops": (3, ("",)),
    "wall clock steps": (3, ("",)),
    "server clock steps": (3, ("forward", "back")),
    "console": (4, ("",)),
    "switchover": (16, ("",)),
    "failover": (3, ("",)),
    "propose": (1, ("",)),
    "approve": (7, ("",)),
    "abort": (4, ("",)),
    "pause": (2, ("",)),
    "resume": (3, ("",)),
    "mode": (3, ("auto", "approve", "manual")),
    "account": (5, ("waived", "saved")),
}
"""What can go wrong or be done: how often, and its variants."""
FAULTS = [f"{kind}: {how}" if how else kind for kind, (_, hows) in KINDS.items() for how in hows]
_WEIGHTED = [kind for kind, (weight, _) in KINDS.items() for _ in range(weight)]
_PHASES = ("", "", "", "", "", "DRAINING", "CLAIMED", "PROMOTING")
LONG_MS = 520_000
"""Longer than any request may be on its way."""


class Dice:
    """Only `random()`, whose values are the same in every Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, bound: int) -> int:
        return int(self._random() * bound)

    def between(self, least: int, most: int) -> int:
        return least + int(self._random() * (most - least + 1))

    def one(self, of: Sequence[Any]) -> Any:
        return of[int(self._random() * len(of))]

    def share(self) -> float:
        return self._random()

    def chance(self, share: float) -> bool:
        return self._random() < share


def plan_of(seed: int) -> Plan:
    dice = Dice(seed)
    profile = PROFILES[dice.one(("coarse",) * 37 + ("fast",) * 2 + ("aws",))]
    ttl_ms = profile.lease_ttl_ms
    span_ms = ttl_ms * dice.between(4, 10) // 2
    count = dice.between(3, 8)
    troubles = [_trouble(dice, profile, ttl_ms + dice.below(span_ms)) for _ in range(count)]
    if dice.chance(0.35):
        troubles += _story(dice, profile)
    return Plan(
        profile=profile.name,
        mode=dice.one(("auto",) * 6 + ("approve",)),
        until_ms=ttl_ms + span_ms,
        promotion_ms=dice.one((10, 10, 150, ttl_ms)),
        switchover_ms=dice.one((100, 300, ttl_ms)),
        wall_ms=tuple(dice.between(-WALL_MS_MAX, WALL_MS_MAX) // 2 for _ in range(5)),
        drift_ppm=tuple(dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX) for _ in range(5)),
        server_ppm=(
            dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX),
            dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX),
        ),
        troubles=tuple(sorted(troubles, key=lambda trouble: trouble.at_ms)),
    )


def _trouble(dice: Dice, profile: Profile, at_ms: int) -> Trouble:
    kind = dice.one(_WEIGHTED)
    how = dice.one(KINDS[kind][1])
    where = dice.one((HOME, HOME, STANDBY))
    ttl_ms = profile.lease_ttl_ms
    for_ms = dice.one((ttl_ms // 4, ttl_ms, 2 * ttl_ms, 4 * ttl_ms))
    if kind == "message late":
        for_ms = dice.one((ttl_ms // 3, ttl_ms, 3 * ttl_ms, 100_000 if how == "request" else ttl_ms))
    elif kind in ("switchover", "failover", "region dies") and dice.chance(0.01):
        for_ms = LONG_MS
    phase = dice.one(_PHASES)
    return Trouble(
        at_ms, kind, where, for_ms, how, dice.below(9) if kind in ("crash", "freeze") else 0, phase
    )


def _story(dice: Dice, profile: Profile) -> list[Trouble]:
    """What chance alone seldom puts together; other troubles come in between all the same."""
    ttl_ms = profile.lease_ttl_ms
    at_ms = ttl_ms + dice.below(ttl_ms)
    long_ms = 9 * ttl_ms
    move = Trouble(at_ms, "switchover", STANDBY)
    dies = Trouble(at_ms, "region dies", HOME, 4 * ttl_ms)
    apart = replace(dies, kind="region is isolated")
    approvals = [Trouble(at_ms + n * ttl_ms, "approve", STANDBY) for n in (2, 3, 4, 5)]
    late = dice.one(("DRAINING", "PROMOTING"))
    asking = Trouble(at_ms - 300, "mode", HOME, 0, "approve")
    stories: tuple[list[Trouble], ...] = (
        [move, Trouble(at_ms, "console", STANDBY, phase="DRAINING")],
        [
            Trouble(at_ms - 300, "replication stalls", HOME, ttl_ms),
            move,
            replace(apart, phase="PROMOTING", for_ms=long_ms),
        ],
        [move, replace(dies, phase="DRAINING")],
        [
            apart,
            Trouble(at_ms, "region dies", STANDBY, dice.one((long_ms, LONG_MS)), phase="PROMOTING"),
            Trouble(at_ms, "message lost", STANDBY, 0, "request"),
            Trouble(at_ms, "AWS refuses", STANDBY),
        ],
        [apart, Trouble(at_ms, "region dies", STANDBY, long_ms, phase="CLAIMED")],
        [dies, Trouble(at_ms, "reply lost", STANDBY, 0, "write", phase="CLAIMED")],
        [dies, Trouble(at_ms, "AWS refuses", STANDBY)],
        [Trouble(at_ms, "writer restarts", HOME, 6 * ttl_ms, "both endpoints"), *approvals],
        [move, Trouble(at_ms, "AWS cancels", HOME)],
        [asking, dies, *approvals],
        [asking, move, replace(dies, phase=late, for_ms=long_ms), *approvals],
        [
            move,
            Trouble(at_ms, "writer restarts", HOME, long_ms, "both endpoints", phase=late),
            Trouble(at_ms, "AWS refuses", HOME),
            *approvals,
        ],
        [
            dies,
            *(Trouble(at_ms + n * ttl_ms, "account", HOME, 0, "saved") for n in (5, 6)),
            *(Trouble(at_ms + n * ttl_ms, "switchover", HOME) for n in (6, 7)),
        ],
        [Trouble(at_ms, "lag unknown", HOME, long_ms), replace(dies, at_ms=at_ms + ttl_ms)],
    )
    return dice.one(stories)  # type: ignore[no-any-return]
