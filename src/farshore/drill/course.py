"""The course of a drill: lab, ledger, load, the scenario's story, verdict, report.

The drill sees the product from outside only. Whatever goes wrong on the way ends in a verdict of unknown, with
the reason, and whatever was started is ended. A story is told in the methods from `lose` on, in its order.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, TypeVar

import psycopg

from farshore.drill import asking, outcome, product, report, workload
from farshore.drill.checker import Evidence, Judgement, judge
from farshore.drill.crewing import Crews
from farshore.drill.faults import RegionLoss
from farshore.drill.findings import Verdict
from farshore.drill.history import read_histories
from farshore.drill.lag import LagSampler
from farshore.drill.ledger import Ledger, OrphanList, OrphanListError, parse_orphans
from farshore.drill.monitor import Monitor
from farshore.drill.options import DrillOptions
from farshore.drill.pace import Pace
from farshore.drill.product import CommandError, Follower, LabInfo
from farshore.drill.progress import Progress
from farshore.drill.requests import Request  # noqa: TC001
from farshore.drill.scenario import Scenario, crews_in
from farshore.drill.terms import Fault  # noqa: TC001
from farshore.drill.workdir import workdir

T = TypeVar("T")
C = TypeVar("C", Follower, LagSampler)
_POLL_S = 0.1
_READ_S = 20.0
_NEWCOMERS = 3  # the clients that a region begins with are numbered below


class Course:
    """One drill. `lab` is there as soon as the story begins."""

    lab: LabInfo

    def __init__(
        self, options: DrillOptions, scenario: Scenario, pace: Pace, progress: Progress, closing: ExitStack
    ) -> None:
        self._options, self._scenario, self._pace = options, scenario, pace
        self._progress, self._closing = progress, closing
        self._started_unix_s = time.time()
        self._directory = closing.enter_context(workdir())
        self._faults: list[Fault] = []
        self._requests: list[Request] = []
        self._ledger: Ledger | None = None
        self._orphans: OrphanList | None = None
        self._ended_at: int | None = None

    def run(self) -> Verdict:
        """The whole drill; its verdict."""
        self._boot()
        self._create_ledger()
        self._writer = self.lab.home_region
        self._follower = self._closed_at_the_end(Follower(self.lab, self._hear))
        self._lag = self._closed_at_the_end(LagSampler(self.lab))
        self._put_to_work()
        try:
            self._scenario.story(self)
        except (CommandError, OrphanListError) as error:
            self._say_wrong(str(error))
        self.stop()
        self._lag.close()
        self._follower.close()
        return self._report(self._judge(self._scenario.terms.orphans_due))

    # --- the story's steps --------------------------------------------------------------------------------------

    def lose(self, region: str) -> None:
        """The region goes dark, with its clients."""
        loss = RegionLoss(region)
        self._say_wrong(loss.words)
        fault = self._while_watching(lambda: loss.do(self.lab))
        self._faults.append(fault)
        self._writer = self._other(region)
        self._monitor.bury(region)
        hit = ", ".join(f"{count} {what}" for what, count in (fault.bit or {}).items())
        self._progress.say(f"{region} is gone: {hit}", style="bold red", at=fault.at / 1e9)

    def until_served(self) -> None:
        """Until every living client has been served by another region than the one left, and a little longer."""
        fault = self._faults[-1]

        def unserved() -> list[str]:
            return self._monitor.unserved_since(fault.at, fault.region)

        if not self._progress.until(lambda: not unserved(), self._pace.recover_s, self._load):
            self._say_wrong(f"not served again: {', '.join(unserved())}")
            return
        outside = f" outside {fault.region}" if fault.dead_region else f" by {self._writer}"
        self._progress.say(f"every client{outside} is served again", style="green")
        self._progress.until(lambda: False, self._pace.after_s, self._load)

    def stop(self) -> None:
        """The clients end, and the writer's ledger is read."""
        if self._ended_at is not None:
            return
        self._ended_at = time.monotonic_ns()
        self._crews.stop()
        region = self._final_writer()
        self._progress.say(f"the clients have stopped; reading the ledger of {region}")
        self._ledger = self._read(region)
        judged = self._judge(orphans_due=False)
        lost = len(judged.losses.lost) + len(judged.losses.late_bare_lost)
        self._progress.say(
            f"so far: {judged.verdict}, {judged.acked} acknowledged, {lost} of them lost", style="bold"
        )

    def heal(self) -> None:
        """Bring the region lost last back."""
        fault = self._faults[-1]
        healed = self._progress.during(
            lambda: RegionLoss(fault.region).heal(self.lab, fault), lambda: f"bringing {fault.region} back"
        )
        self._faults[-1] = healed
        self._progress.say(f"{fault.region} returns", at=(healed.healed_at or time.monotonic_ns()) / 1e9)

    def bring_clients_back(self, region: str) -> None:
        """New clients in a region that has returned."""
        crews = crews_in(region, first=_NEWCOMERS)
        self._monitor.follow(crews)
        self._crews.add(crews)
        self._progress.say(f"clients begin again in {region}")
        self._until_all_have_acks()

    def name_orphans(self) -> None:
        """Ask the product what was lost; OrphanListError or CommandError without an answer."""
        self._orphans = self._progress.during(self._list_orphans, lambda: "the product reads the old volume")
        named = len(self._orphans.orphans)
        self._progress.say(f"the product names {named} orphans, from {self._orphans.source}")

    def unresolved_orphans(self) -> int:
        """How many of the named transactions the survivor still lacks, or has otherwise."""
        return self._orphans.unresolved if self._orphans else 0

    def must_refuse(self, verb: str, *, naming: str) -> None:
        """Ask for a move that the product has to refuse; CommandError when it does not."""
        request = self._while_watching(
            lambda: asking.refused(
                self.lab, verb, naming=naming, within_s=self._pace.accept_s, end_s=self._pace.move_s,
                say=self._progress.say,
            )
        )  # fmt: skip
        self._requests.append(request)
        if request.exit_code == 0:
            raise CommandError((verb,), 0, "it was carried out and should have been refused")
        self._progress.say(f"{verb} is refused, exit code {request.exit_code}: {request.reason}")

    def tell(self, *command: str) -> None:
        """An operator's command that changes something; CommandError when it fails."""
        self._while_watching(lambda: self.lab.run(*command, "--json"))
        self._progress.say(f"farshore {' '.join(command)}: done")

    def move(self, verb: asking.Verb, target: str) -> None:
        """A planned move by an operator's command, with the clients at work; CommandError when it fails."""
        source = self._writer
        self._progress.say(f"farshore {verb}: the writer moves from {source} to {target}", style="bold")
        fault = self._while_watching(
            lambda: asking.move(
                self.lab, verb, source, target, accept_s=self._pace.accept_s, end_s=self._pace.move_s,
                say=self._progress.say,
            )
        )  # fmt: skip
        self._faults.append(fault)
        self._writer = target

    # --- what they rest on --------------------------------------------------------------------------------------

    def _boot(self) -> None:
        name = f"drill-{self._directory.name.rpartition('-')[2].replace('_', '').lower()}"
        self._progress.say(f"{self._scenario.name}: {self._scenario.summary}", style="bold")
        self._progress.say("starting two regions on this computer")
        options = self._options.for_lab(name)
        self.lab = self._closing.enter_context(product.lab(options, self._progress.say))

    def _create_ledger(self) -> None:
        with self.lab.connect(self.lab.home_region, admin=True) as connection:
            workload.create(connection, user=self.lab.database["app_user"])
        tables = [word for table in workload.GUARDED_TABLES for word in ("--table", table)]
        self.lab.run("guard", "install", *tables, "--json")
        guarded = ", ".join(workload.GUARDED_TABLES)
        self._progress.say(f"a ledger of {workload.ACCOUNTS} accounts, guarded: {guarded}")

    def _put_to_work(self) -> None:
        crews = [crew for region in self.lab.regions for crew in crews_in(region)]
        self._crews = Crews(self.lab, crews, self._directory, self._options.seed, self._pace)
        self._closing.callback(self._crews.kill)
        self._monitor = Monitor(self._directory, crews)
        count = sum(crew.count for crew in crews)
        self._progress.say(f"{count} clients begin, half plain, half region-aware")
        if self._until_all_have_acks():
            self._progress.until(lambda: False, self._pace.steady_s, self._load)

    def _until_all_have_acks(self) -> bool:
        monitor = self._monitor
        if self._progress.until(lambda: monitor.least_acks() > 0, self._pace.warm_up_s, self._load):
            return True
        idle = [name for name, seen in monitor.clients.items() if seen.acks == 0]
        self._say_wrong(f"never acknowledged: {', '.join(idle)}")
        return False

    def _closed_at_the_end(self, opened: C) -> C:
        self._closing.callback(opened.close)
        return opened

    def _hear(self, event: Mapping[str, Any]) -> None:
        words = f"epoch {event['epoch']} {event['phase']} {event['holder'] or ''}: {event['reason']}"
        at = time.monotonic() - (time.time() - event["at_unix_ms"] / 1000)
        self._progress.say(words, style="magenta", at=at)

    def _say_wrong(self, words: str) -> None:
        self._progress.say(words, style="bold red")

    def _while_watching(self, call: Callable[[], T]) -> T:
        return self._progress.during(call, self._load)

    def _load(self) -> str:
        """What the clients do, in one line."""
        self._monitor.poll()
        lag = "unknown" if self._lag.latest_ms is None else f"{self._lag.latest_ms:.0f} ms"
        return f"{self._monitor.rates()}; lag {lag}"

    def _other(self, region: str) -> str:
        return next(each for each in self.lab.regions if each != region)

    def _final_writer(self) -> str:
        """The region that the story left as the writer; the other one if that one is still a standby."""
        for region in (self._writer, self._other(self._writer)):
            with suppress(psycopg.Error, OSError), self.lab.connect(region) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
                if row is not None and not row[0]:
                    return region
        return self._writer

    def _read(self, region: str) -> Ledger | None:
        deadline = time.monotonic() + _READ_S
        while True:
            try:
                with self.lab.connect(region) as connection:
                    return workload.read(connection, region)
            except (psycopg.Error, OSError) as error:
                if time.monotonic() > deadline:
                    self._say_wrong(f"the ledger of {region} cannot be read: {error}")
                    return None
                time.sleep(_POLL_S)

    def _judge(self, orphans_due: bool) -> Judgement:
        return judge(
            Evidence(
                histories=read_histories(self._directory),
                survivor=self._ledger,
                faults=self._faults,
                orphans=self._orphans,
                requests=self._requests,
                terms=replace(self._scenario.terms, orphans_due=orphans_due),
            )
        )

    def _list_orphans(self) -> OrphanList:
        deadline = time.monotonic() + self._pace.orphans_s
        while True:
            try:
                listed = parse_orphans(self.lab.run("orphans", "--json"))
            except CommandError:
                if time.monotonic() > deadline:
                    raise
            else:
                if listed.complete or time.monotonic() > deadline:
                    return listed
            time.sleep(_POLL_S)

    def _report(self, judgement: Judgement) -> Verdict:
        found = outcome.Found(
            scenario=self._scenario.name,
            command=self._options.command(),
            seed=self._options.seed,
            started_unix_s=self._started_unix_s,
            faults=self._faults,
            ended_at=self._ended_at,
            judgement=judgement,
            histories=read_histories(self._directory),
            journal=self._follower.events,
            lag=self._lag.samples,
        )
        data = outcome.report_data(found, self.lab)
        json_path, html_path = report.write(self._options.report, data)
        with suppress(OSError):
            outcome.keep_evidence(self._directory, self._options.report, found)
        self._progress.close()
        if self._options.as_json:
            print(json_path.read_text(), end="")
        for line in outcome.summary(data, html_path):
            self._progress.say(line)
        return judgement.verdict
