"""A drill from beginning to end: lab, ledger, load, fault, recovery, verdict, heal, orphans, report.

The drill sees the product from outside only. Whatever goes wrong on the way ends in a verdict of unknown, with
the reason, and whatever was started is ended, also by Ctrl-C.
"""

import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from farshore.drill import outcome, product, report, scenarios, workload
from farshore.drill.checker import Evidence, Judgement, judge
from farshore.drill.crewing import Crews
from farshore.drill.errors import DrillUsageError
from farshore.drill.faults import FaultPlan
from farshore.drill.history import read_histories
from farshore.drill.ledger import Ledger, OrphanList, OrphanListError, parse_orphans
from farshore.drill.monitor import Monitor
from farshore.drill.options import DrillOptions
from farshore.drill.product import CommandError, Follower, LabInfo, LagSampler
from farshore.drill.progress import Progress
from farshore.drill.terms import Fault  # noqa: TC001
from farshore.drill.workdir import workdir

EXIT_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
_USAGE = 2
_POLL_S = 0.1
_READ_S = 20.0


def run_drill(options: DrillOptions) -> int:
    """Run it, show it, write the report; returns the exit code. DrillUsageError for what cannot be run."""
    scenario, pace = scenarios.find(options.scenario), scenarios.pace_of(options.profile)
    report.prepare(options.report)
    progress = Progress(sys.stderr if options.as_json else sys.stdout)
    ended = signal.signal(signal.SIGTERM, _as_interrupt) if _in_main_thread() else None
    try:
        with ExitStack() as closing:
            closing.callback(progress.close)
            drill = _Drill(options, scenario, pace, progress, closing)
            try:
                return drill.run()
            finally:
                _deafen()
    except (psycopg.Error, OSError) as error:
        progress.say(f"nothing is known: {error}", style="bold red")
        return EXIT_CODES["unknown"]
    except CommandError as error:
        if error.exit_code == _USAGE:
            raise DrillUsageError(
                "the lab's set-up", "refused", error.line.removeprefix("farshore: ")
            ) from error
        progress.say(f"nothing is known: {error}", style="bold red")
        return EXIT_CODES["unknown"]
    finally:
        if ended is not None:
            signal.signal(signal.SIGTERM, ended)
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _as_interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _deafen() -> None:
    """While things are put away, a second Ctrl-C must not leave half of them behind."""
    if _in_main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class _Drill:
    """The steps, in order, and what they have found so far."""

    def __init__(
        self,
        options: DrillOptions,
        scenario: scenarios.Scenario,
        pace: scenarios.Pace,
        progress: Progress,
        closing: ExitStack,
    ) -> None:
        self._options, self._scenario, self._pace = options, scenario, pace
        self._progress, self._closing = progress, closing
        self._started_unix_s = time.time()
        self._directory = closing.enter_context(workdir())
        self._faults: list[Fault] = []
        self._survivor: Ledger | None = None
        self._orphans: OrphanList | None = None
        self._ended_at: int | None = None

    def run(self) -> int:
        lab = self._boot()
        plan, crews = self._scenario.fault(lab), self._scenario.crews(lab)
        survivor = self._scenario.survivor(lab)
        self._prepare(lab)
        follower = Follower(lab, self._hear)
        self._closing.callback(follower.close)
        lag = LagSampler(lab, survivor)
        self._closing.callback(lag.close)
        working = Crews(lab, crews, self._directory, self._options.seed, self._pace)
        self._closing.callback(working.kill)
        monitor = Monitor(self._directory, crews)
        load = _Load(monitor, lag)
        self._warm_up(load, sum(crew.count for crew in crews))
        self._break(lab, plan, load)
        self._recover(load)
        self._ended_at = time.monotonic_ns()
        working.stop()
        self._progress.say("the clients have stopped; reading the survivor's ledger")
        self._survivor = self._read(lab, survivor)
        self._say_first(self._judge(orphans_due=False))
        self._heal(lab, plan)
        lag.close()
        follower.close()
        judgement = self._judge(orphans_due=True)
        return self._report(lab, judgement, follower.events, lag.samples)

    def _boot(self) -> LabInfo:
        name = f"drill-{self._directory.name.rpartition('-')[2].replace('_', '').lower()}"
        self._progress.say(f"{self._scenario.name}: {self._scenario.summary}", style="bold")
        self._progress.say("starting two regions on this computer")
        return self._closing.enter_context(product.lab(self._options.for_lab(name), self._progress.say))

    def _prepare(self, lab: LabInfo) -> None:
        with lab.connect(lab.home_region, admin=True) as connection:
            workload.create(connection, user=lab.database["app_user"])
        tables = [word for table in workload.GUARDED_TABLES for word in ("--table", table)]
        lab.run("guard", "install", *tables, "--json")
        self._progress.say(
            f"a ledger of {workload.ACCOUNTS} accounts, guarded: {', '.join(workload.GUARDED_TABLES)}"
        )

    def _hear(self, event: Mapping[str, Any]) -> None:
        words = f"epoch {event['epoch']} {event['phase']} {event['holder'] or ''}: {event['reason']}"
        at = time.monotonic() - (time.time() - event["at_unix_ms"] / 1000)
        self._progress.say(words, style="magenta", at=at)

    def _warm_up(self, load: "_Load", clients: int) -> None:
        self._progress.say(f"{clients} clients begin, half plain, half region-aware")
        monitor = load.monitor
        if not self._progress.until(lambda: monitor.least_acks() > 0, self._pace.warm_up_s, load.words):
            idle = [name for name, seen in monitor.clients.items() if seen.acks == 0]
            self._progress.say(f"never acknowledged: {', '.join(idle)}", style="bold red")
            return
        self._progress.until(lambda: False, self._pace.steady_s, load.words)

    def _break(self, lab: LabInfo, plan: FaultPlan, load: "_Load") -> None:
        self._progress.say(plan.words, style="bold red")
        fault = self._progress.during(lambda: plan.do(lab), load.words)
        self._faults = [fault]
        hit = ", ".join(f"{count} {what}" for what, count in (fault.bit or {}).items())
        self._progress.say(f"{fault.region} is gone: {hit}", style="bold red", at=fault.at / 1e9)

    def _recover(self, load: "_Load") -> None:
        """Until every client outside the lost region has been served by another one, and then a little longer."""
        fault = self._faults[-1]

        def unserved() -> list[str]:
            return load.monitor.unserved_since(fault.at, fault.region)

        if not self._progress.until(lambda: not unserved(), self._pace.recover_s, load.words):
            self._progress.say(f"not served again: {', '.join(unserved())}", style="bold red")
            return
        self._progress.say(f"every client outside {fault.region} is served again", style="green")
        self._progress.until(lambda: False, self._pace.after_s, load.words)

    def _read(self, lab: LabInfo, region: str) -> Ledger | None:
        deadline = time.monotonic() + _READ_S
        while True:
            try:
                with lab.connect(region) as connection:
                    return workload.read(connection, region)
            except (psycopg.Error, OSError) as error:
                if time.monotonic() > deadline:
                    self._progress.say(f"the ledger of {region} cannot be read: {error}", style="bold red")
                    return None
                time.sleep(_POLL_S)

    def _judge(self, *, orphans_due: bool) -> Judgement:
        terms = outcome.terms(self._scenario.terms, orphans_due=orphans_due)
        return judge(
            Evidence(
                histories=read_histories(self._directory),
                survivor=self._survivor,
                faults=self._faults,
                orphans=self._orphans,
                terms=terms,
            )
        )

    def _say_first(self, judgement: Judgement) -> None:
        lost = len(judgement.losses.lost) + len(judgement.losses.late_bare_lost)
        self._progress.say(
            f"before the region returns: {judgement.verdict}, {judgement.acked} acknowledged, {lost} of them lost",
            style="bold",
        )

    def _heal(self, lab: LabInfo, plan: FaultPlan) -> None:
        """Bring the region back and ask the product what was lost; without an answer the drill is unknown."""
        region = self._faults[-1].region
        try:
            self._faults = [
                self._progress.during(
                    lambda: plan.heal(lab, self._faults[-1]), lambda: f"bringing {region} back"
                )
            ]
            self._progress.say(f"{region} returns")
            self._orphans = self._progress.during(
                lambda: self._list_orphans(lab), lambda: "the product reads the old volume"
            )
        except (CommandError, OrphanListError) as error:
            self._progress.say(str(error), style="bold red")
            return
        named = len(self._orphans.orphans)
        self._progress.say(f"the product names {named} orphans, from {self._orphans.source}")

    def _list_orphans(self, lab: LabInfo) -> OrphanList:
        deadline = time.monotonic() + self._pace.orphans_s
        while True:
            try:
                listed = parse_orphans(lab.run("orphans", "--json"))
            except CommandError:
                if time.monotonic() > deadline:
                    raise
            else:
                if listed.complete or time.monotonic() > deadline:
                    return listed
            time.sleep(_POLL_S)

    def _report(
        self,
        lab: LabInfo,
        judgement: Judgement,
        journal: list[Mapping[str, Any]],
        lag: list[tuple[int, float | None]],
    ) -> int:
        found = outcome.Found(
            scenario=self._scenario.name,
            command=self._options.command(),
            seed=self._options.seed,
            started_unix_s=self._started_unix_s,
            fault=self._faults[-1] if self._faults else None,
            ended_at=self._ended_at,
            judgement=judgement,
            histories=read_histories(self._directory),
            journal=journal,
            lag=lag,
        )
        data = outcome.report_data(found, lab)
        json_path, html_path = report.write(self._options.report, data)
        with suppress(OSError):
            outcome.keep_evidence(self._directory, self._options.report, found)
        self._progress.close()
        if self._options.as_json:
            print(json_path.read_text(), end="")
        for line in outcome.summary(data, html_path):
            self._progress.say(line)
        return EXIT_CODES[judgement.verdict]


@dataclass(frozen=True, slots=True)
class _Load:
    """What the clients do, in one line."""

    monitor: Monitor
    lag: LagSampler

    def words(self) -> str:
        self.monitor.poll()
        lag = "unknown" if self.lag.latest_ms is None else f"{self.lag.latest_ms:.0f} ms"
        return f"{self.monitor.rates()}; lag {lag}"
