"""The clients' processes: one per region, living in that region, so that they die with it."""

import contextlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from farshore.drill import workload
from farshore.drill.client_process import Config, Spec
from farshore.drill.clients import Access
from farshore.drill.ledger import LEDGER
from farshore.drill.pace import Pace
from farshore.drill.product import COMMAND, LabInfo
from farshore.drill.scenario import Crew
from farshore.drill.workloads import whole_name


class Crews:
    """Started by the constructor; `stop` lets them finish what they are at, `kill` does not."""

    def __init__(
        self,
        lab: LabInfo,
        crews: Iterable[Crew],
        directory: Path,
        seed: int,
        pace: Pace,
        workload: str = LEDGER,
    ) -> None:
        self._lab, self._directory, self._seed, self._pace = lab, directory, seed, pace
        self._workload = whole_name(workload)
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self.add(crews)
        except BaseException:
            self.kill()
            raise

    def add(self, crews: Iterable[Crew]) -> None:
        """One more process for each region that has any of them."""
        by_region: defaultdict[str, list[Crew]] = defaultdict(list)
        for crew in crews:
            by_region[crew.region].append(crew)
        for region, local in by_region.items():
            config = _config(self._lab, region, local, self._directory, self._seed, self._pace)
            config = replace(config, workload=self._workload)
            name = f"{region}.{len(self._processes)}"
            path = self._directory / f"{name}.config.json"
            config.save(path)
            self._processes.append(_start(self._lab, region, path, self._directory / f"{name}.log"))

    def stop(self) -> None:
        """Ask all to end, and wait until they have; those that died with their region are gone already."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._pace.deadline_s + 10)
        self.kill()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _config(lab: LabInfo, region: str, crews: list[Crew], directory: Path, seed: int, pace: Pace) -> Config:
    access = Access(
        writer_name=lab.writer_name,
        endpoints={name: lab.endpoints[name]["writer"] for name in lab.regions},
        port=lab.port,
        nameserver=lab.dns[region],
        dbname=lab.database["dbname"],
        user=lab.database["app_user"],
        password=lab.database["app_password"],
        sslrootcert=lab.sslrootcert,
    )
    return Config(
        view=region,
        seed=seed,
        accounts=workload.ACCOUNTS,
        directory=str(directory),
        clients=tuple(spec for crew in crews for spec in _specs(lab, crew)),
        access=access,
        deadline_s=pace.deadline_s,
        attempt_s=pace.attempt_s,
    )


def _specs(lab: LabInfo, crew: Crew) -> list[Spec]:
    endpoint = lab.endpoints[crew.pinned_to]["writer"] if crew.pinned_to else None
    return [Spec(name, crew.kind, crew.per_second, crew.part, crew.hold_s, endpoint) for name in crew.names]


def _start(lab: LabInfo, region: str, config: Path, log: Path) -> "subprocess.Popen[bytes]":
    client = (sys.executable, "-m", "farshore.drill.client_process", str(config))
    with log.open("wb") as output:
        return subprocess.Popen(
            [*COMMAND, "lab", "exec", region, "--lab", lab.name, "--", *client],
            stdin=subprocess.PIPE,  # its end tells them that the drill is gone
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
