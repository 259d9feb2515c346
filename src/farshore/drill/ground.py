"""What a story rests on: lab, workload, load, verdict and report.

The drill sees the product from outside only. Whatever goes wrong on the way ends in a verdict of unknown, with
the reason, and whatever was started is ended.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, TypeVar

import psycopg

from farshore.drill import outcome, product, report
from farshore.drill.checker import Evidence, Judgement, judge
from farshore.drill.crewing import Crews
from farshore.drill.faults import Deed  # noqa: TC001
from farshore.drill.findings import Verdict
from farshore.drill.history import read_histories
from farshore.drill.lag import LagSampler
from farshore.drill.ledger import OrphanList, Survivor, parse_orphans
from farshore.drill.monitor import Monitor
from farshore.drill.options import DrillOptions
from farshore.drill.pace import Pace
from farshore.drill.product import CommandError, Follower, LabInfo
from farshore.drill.progress import Progress
from farshore.drill.reportdata import ReportData
from farshore.drill.requests import Request  # noqa: TC001
from farshore.drill.scenario import Crew, Scenario
from farshore.drill.terms import Fault  # noqa: TC001
from farshore.drill.workdir import workdir
from farshore.drill.workloads import load

T = TypeVar("T")
C = TypeVar("C", Follower, LagSampler)
_POLL_S = 0.1
_READ_S = 20.0


class Ground:
    """One drill's means. `lab` is there as soon as it is booted, `data` once the report is written."""

    lab: LabInfo
    data: ReportData | None = None
    _writer: str
    _lag: LagSampler
    _follower: Follower

    def __init__(
        self, options: DrillOptions, scenario: Scenario, pace: Pace, progress: Progress, closing: ExitStack
    ) -> None:
        self._options, self._scenario, self._pace = options, scenario, pace
        self._progress, self._closing = progress, closing
        self._started_unix_s = time.time()
        self._workload = load(options.workload)
        self._directory = closing.enter_context(workdir())
        self._faults: list[Fault] = []
        self._deeds: list[Deed | None] = []
        self._requests: list[Request] = []
        self._survivor: Survivor | None = None
        self._orphans: OrphanList | None = None
        self._old_volume: Survivor | None = None
        self._ended_at: int | None = None

    def _boot(self) -> None:
        name = f"drill-{self._directory.name.rpartition('-')[2].replace('_', '').lower()}"
        self._progress.say(f"{self._scenario.name}: {self._scenario.summary}", style="bold")
        self._progress.say("starting two regions on this computer")
        options = self._options.for_lab(name)
        self.lab = self._closing.enter_context(product.lab(options, self._progress.say))

    def _set_up(self) -> None:
        with self.lab.connect(self.lab.home_region, admin=True) as connection:
            self._workload.create(connection, user=self.lab.database["app_user"])
        with self.lab.connect(self.lab.home_region) as connection:
            self._workload.rehearse(connection)
        tables = [word for table in self._workload.guarded for word in ("--table", table)]
        self.lab.run("guard", "install", *tables, "--json")
        self._progress.say(f"{self._workload.about}, guarded: {', '.join(self._workload.guarded)}")

    def _put_to_work(self, crews: Sequence[Crew]) -> None:
        self._crews = Crews(
            self.lab, crews, self._directory, self._options.seed, self._pace, self._workload.name
        )
        self._closing.callback(self._crews.kill)
        self._monitor = Monitor(self._directory, crews)
        count = sum(crew.count for crew in crews)
        self._progress.say(f"{count} clients begin")
        if self._until_all_have_acks():
            self._progress.until(lambda: False, self._pace.steady_s, self._load)

    def _until_all_have_acks(self) -> bool:
        monitor = self._monitor
        if self._progress.until(lambda: monitor.least_acks() > 0, self._pace.warm_up_s, self._load):
            return True
        idle = [name for name, seen in monitor.waited_for().items() if seen.acks == 0]
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

    def _read(self, region: str, endpoint: str | None = None) -> Survivor | None:
        """What a region's writer endpoint leads to, or another one there."""
        host = endpoint or self.lab.endpoints[region]["writer"]
        deadline = time.monotonic() + _READ_S
        while True:
            try:
                with self.lab.connect_to(host) as connection:
                    return self._workload.read(connection, region)
            except (psycopg.Error, OSError) as error:
                if time.monotonic() > deadline:
                    self._say_wrong(f"{host} cannot be read: {error}")
                    return None
                time.sleep(_POLL_S)

    def _judge(self, orphans_due: bool) -> Judgement:
        return judge(
            Evidence(
                histories=read_histories(self._directory),
                survivor=self._survivor,
                faults=self._faults,
                orphans=self._orphans,
                old_volume=self._old_volume,
                requests=self._requests,
                terms=replace(
                    self._scenario.terms,
                    orphans_due=orphans_due,
                    outage_max_ns=self._pace.outage_max_ns,
                    strained_ns=round(self._pace.strained_s * 1e9),
                ),
                workload=self._workload.name,
            )
        )

    def _list_orphans(self) -> OrphanList:
        deadline, key = time.monotonic() + self._pace.orphans_s, self._workload.key
        while True:
            try:
                listed = parse_orphans(self.lab.run("orphans", "--json"), table=key.table, column=key.column)
            except CommandError:
                if time.monotonic() > deadline:
                    raise
            else:
                if listed.complete or time.monotonic() > deadline:
                    return listed
            time.sleep(_POLL_S)

    def _read_old_volume(self) -> Survivor | None:
        """What the lost region had saved, from a copy of the drill's own: the product finds and opens another."""
        region = next(fault.region for fault in self._faults if fault.may_lose)
        opened = self.lab.run("lab", "volume", region, "--lab", self.lab.name, "--json")
        return self._read(region, opened["endpoint"])

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
        self.data = data = outcome.report_data(found, self.lab)
        json_path, html_path = report.write(self._options.report, data)
        with suppress(OSError):
            outcome.keep_evidence(self._directory, self._options.report, found)
        self._progress.close()
        if self._options.as_json:
            print(json_path.read_text(), end="")
        for line in outcome.summary(data, html_path):
            self._progress.say(line)
        return judgement.verdict
