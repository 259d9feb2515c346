"""What a year may bring: rates of faults and lengths of outages, diced thousands of times.

A model, not a measurement: every number is a setting with its source or the word "assumed". Lengths come from the
bounds of core.budget, which are AWS's and the configuration's; lab figures stand beside them and are in no sum (P8).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from farshore.core.budget import Budget, Path, Settings, budget
from farshore.core.errors import UsageError
from farshore.core.profile import AWS, Mode
from farshore.simulate.plan import Dice

AURORA_HA = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html"
)
AURORA_GLOBAL = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html"
EVENTS = "https://aws.amazon.com/premiumsupport/technology/pes/"
ASSUMED = "assumed"
YEAR_S = 365.25 * 86400
Clients = Literal["aware", "dns"]


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number: what it means, its unit and where it comes from; `page`: where AWS says it, or might."""

    meaning: str
    unit: str
    source: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Each number is explained in ASSUMPTIONS; lengths are "likely, and one time in twenty longer than"."""

    region_loss: float = 0.2
    region_loss_h: float = 4.0
    region_loss_h_95: float = 24.0
    writer_crash: float = 2.0
    writer_crash_s: float = 30.0
    writer_crash_s_95: float = 60.0
    wan_cut: float = 4.0
    table_dark: float = 0.1
    table_dark_min: float = 5.0
    table_dark_min_95: float = 60.0
    operator_error: float = 0.5
    operator_error_min: float = 10.0
    operator_error_min_95: float = 60.0
    planned_move: float = 4.0
    planned_move_s: float = 60.0
    planned_move_s_95: float = 180.0
    promotion_s: float = 90.0
    promotion_s_95: float = 300.0
    person_min: float = 10.0
    person_min_95: float = 45.0
    by_hand: float = 0.05
    isolated: float = 0.3
    lag_s: float = 0.3
    lag_s_95: float = 2.0
    writes_per_s: float = 100.0
    mode: Mode = "auto"
    clients: Clients = "aware"
    farshore: bool = True

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{one.name} = {value}: use a number of 0 or more.")
            longer = getattr(self, f"{one.name}_95", None)
            if longer is not None and longer < value:
                raise UsageError(
                    f"{one.name}_95 = {longer} is less than {one.name} = {value}: use as much or more."
                )
        for name in ("by_hand", "isolated"):
            if getattr(self, name) > 1:
                raise UsageError(f"{name} = {getattr(self, name)} is a share: use 0 to 1.")


ASSUMPTIONS: Mapping[str, Assumption] = {
    "region_loss": Assumption(
        "losses of the writer's region, for this workload", "a year",
        "assumed; AWS publishes no rate, only summaries of large events", EVENTS,
    ),
    "region_loss_h": Assumption("how long a region stays lost", "h", ASSUMED, EVENTS),
    "writer_crash": Assumption("writers that crash and are replaced in their region", "a year", ASSUMED),
    "writer_crash_s": Assumption(
        "an in-region failover", "s", "AWS: less than 60 s, often less than 30 s", AURORA_HA
    ),
    "wan_cut": Assumption(
        "cuts between the regions, the writer alive: the lease is renewed and nothing moves", "a year", ASSUMED
    ),
    "table_dark": Assumption("the authority table answers nobody: writing stops with the lease", "a year", ASSUMED),
    "table_dark_min": Assumption("how long that lasts", "min", ASSUMED),
    "operator_error": Assumption("people's errors that stop writing, whatever moves the role", "a year", ASSUMED),
    "operator_error_min": Assumption("how long such an error lasts", "min", ASSUMED),
    "planned_move": Assumption("planned moves: two exercises, there and back", "a year", ASSUMED),
    "planned_move_s": Assumption(
        "writing stopped by a planned move", "s", "assumed; AWS documents no bound of a switchover"
    ),
    "promotion_s": Assumption(
        "AWS makes the other region the writer", "s",
        "assumed; AWS: an RTO in the order of minutes", AURORA_GLOBAL,
    ),
    "person_min": Assumption("until a person has approved or acted", "min", ASSUMED),
    "by_hand": Assumption("failovers that end in a person's hands all the same", "share", ASSUMED),
    "isolated": Assumption(
        "lost regions that are cut off but alive: their writer acknowledges until its lease ends", "share", ASSUMED
    ),
    "lag_s": Assumption(
        "replication lag at the loss", "s", "assumed; AWS: typically under a second", AURORA_GLOBAL
    ),
    "writes_per_s": Assumption("transactions at the loss", "a second", ASSUMED),
}  # fmt: skip
CAUSES = ("region loss", "writer crash", "operator error", "authority table", "planned move")


@dataclass(frozen=True, slots=True)
class Events:
    """All events of all years: outages in s by cause, losses in s for each region loss, and each year's outage."""

    years: int
    outages_s: Mapping[str, tuple[float, ...]]
    losses_s: tuple[float, ...]
    yearly_s: tuple[float, ...]

    def minutes_a_year(self, cause: str) -> float:
        return sum(self.outages_s[cause]) / self.years / 60

    def share_of_years(self, target: float) -> float:
        """The share of years whose availability is `target` or better."""
        allowed_s = YEAR_S * (1 - target)
        return sum(outage_s <= allowed_s for outage_s in self.yearly_s) / self.years

    @property
    def availability(self) -> float:
        """Over all years."""
        return 1 - sum(self.yearly_s) / self.years / YEAR_S


def quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values; 0 of none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class _Year:
    def __init__(self, model: Model, bounds: Budget, dice: Dice) -> None:
        self._model, self._bounds, self._dice = model, bounds, dice

    def count(self, rate: float) -> int:
        """Poisson, by multiplying (Knuth)."""
        limit, product, count = math.exp(-rate), self._dice.share(), 0
        while product > limit:
            product *= self._dice.share()
            count += 1
        return count

    def length(self, likely: float, seldom: float) -> float:
        """Lognormal, by its median and the value that one in twenty exceeds."""
        if likely <= 0:
            return 0.0
        z = math.sqrt(-2 * math.log(1 - self._dice.share())) * math.cos(2 * math.pi * self._dice.share())
        return likely * math.exp(math.log(seldom / likely) * z / 1.645)

    def stages_s(self, path: Path) -> float:
        """Our own and DNS's waits: anything between half a bound and all of it; AWS's promotion is diced apart."""
        bounded = [s.bound_ms for s in path.stages if s.name != "promotion" and s.bound_ms is not None]
        return sum(bound_ms * (1 + self._dice.share()) / 2000 for bound_ms in bounded)

    def region_loss_s(self) -> float:
        model = self._model
        gone_s = self.length(model.region_loss_h, model.region_loss_h_95) * 3600
        if not model.farshore:
            return gone_s
        path = self._bounds.aware if model.clients == "aware" else self._bounds.dns_only
        outage_s = self.stages_s(path) + self.length(model.promotion_s, model.promotion_s_95)
        if model.mode != "auto" or self._dice.share() < model.by_hand:
            outage_s += self.length(model.person_min, model.person_min_95) * 60
        return min(outage_s, gone_s)

    def loss_s(self) -> float:
        model, profile = self._model, self._bounds.settings.profile
        lag_s = self.length(model.lag_s, model.lag_s_95)
        if self._dice.share() >= model.isolated:
            return lag_s
        return lag_s + profile.lease_ttl_ms / 1000 * (
            1 - self._dice.share() * profile.renew_ms / profile.lease_ttl_ms
        )

    def happenings(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """Causes with their outages in s; a cut between the regions alone stops nobody, so it is not among them."""
        model = self._model
        lengths: tuple[tuple[str, float, Callable[[], float]], ...] = (
            ("region loss", model.region_loss, self.region_loss_s),
            ("writer crash", model.writer_crash, lambda: self.length(model.writer_crash_s, model.writer_crash_s_95)),
            (
                "operator error", model.operator_error,
                lambda: 60 * self.length(model.operator_error_min, model.operator_error_min_95),
            ),
            (
                "authority table", model.table_dark if model.farshore else 0.0,
                lambda: 60 * self.length(model.table_dark_min, model.table_dark_min_95),
            ),
            (
                "planned move", model.planned_move if model.farshore else 0.0,
                lambda: self.length(model.planned_move_s, model.planned_move_s_95),
            ),
        )  # fmt: skip
        for cause, rate, length in lengths:
            for _ in range(self.count(rate)):
                yield cause, length


def dice_years(model: Model, years: int, seed: int, settings: Settings | None = None) -> Events:
    """The same seed gives the same years on any machine."""
    given = settings or Settings(AWS)
    bounds = budget(replace(given, mode="auto"))
    year = _Year(model, bounds, Dice(seed))
    outages: dict[str, list[float]] = {cause: [] for cause in CAUSES}
    losses: list[float] = []
    yearly: list[float] = []
    for _ in range(years):
        whole = 0.0
        for cause, length in year.happenings():
            outage_s = length()
            outages[cause].append(outage_s)
            whole += outage_s
            if cause == "region loss" and model.farshore:
                losses.append(year.loss_s())
        yearly.append(min(whole, YEAR_S))
    sorted_outages = {cause: tuple(sorted(values)) for cause, values in outages.items()}
    return Events(years, sorted_outages, tuple(sorted(losses)), tuple(sorted(yearly)))


@dataclass(frozen=True, slots=True)
class Variant:
    """The same years with something else: what would make it so, or undo it."""

    words: str
    model: Model


def variants(model: Model) -> tuple[Variant, ...]:
    other: Clients = "dns" if model.clients == "aware" else "aware"
    clients = {"dns": "clients that know only the DNS name", "aware": "clients that know both endpoints"}
    return (
        Variant("as given", model),
        Variant("one region, no farshore", replace(model, farshore=False)),
        Variant("a person approves each failover", replace(model, mode="approve"))
        if model.mode == "auto"
        else Variant("failovers by themselves (mode auto)", replace(model, mode="auto")),
        Variant(clients[other], replace(model, clients=other)),
        Variant("no planned moves", replace(model, planned_move=0.0)),
        Variant("half as many operator errors", replace(model, operator_error=model.operator_error / 2)),
        Variant(
            "operator errors half as long",
            replace(
                model,
                operator_error_min=model.operator_error_min / 2,
                operator_error_min_95=model.operator_error_min_95 / 2,
            ),
        ),
        Variant("regions are lost five times as often", replace(model, region_loss=model.region_loss * 5)),
        Variant(
            "AWS promotes three times slower",
            replace(model, promotion_s=model.promotion_s * 3, promotion_s_95=model.promotion_s_95 * 3),
        ),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the risk officer asked: how credible the target is, on these assumptions."""

    model: Model
    target: float
    events: Events
    others: tuple[tuple[Variant, float, float], ...]
    bounds: Budget

    @property
    def share(self) -> float:
        return self.events.share_of_years(self.target)

    @property
    def verdict(self) -> Literal["valid", "unknown", "invalid"]:
        """Credible, a matter of luck, or not credible."""
        return "valid" if self.share >= CREDIBLE else "unknown" if self.share >= LUCK else "invalid"


CREDIBLE, LUCK = 0.95, 0.5


def answer(
    model: Model, target: float, years: int, seed: int, progress: Callable[[], None] = lambda: None
) -> Answer:
    """`target`: a yearly availability, 0.9999 for instance. Each variant is diced with the same seed."""
    if not 0 < target < 1:
        raise UsageError(f"--target {target}: use a share between 0 and 1, 0.9999 for instance.")
    others, first = [], None
    for variant in variants(model):
        events = dice_years(variant.model, years, seed)
        first = first or events
        others.append((variant, events.share_of_years(target), sum(events.yearly_s) / years / 60))
        progress()
    if first is None:
        raise UsageError("nothing was diced.")
    return Answer(model, target, first, tuple(others), budget(Settings(AWS)))
