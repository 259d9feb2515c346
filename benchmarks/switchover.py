"""How long a planned move keeps clients from writing, over many moves there and back.

    python benchmarks/switchover.py [--moves 20] [--one-way-ms 30] [--seed 1]

Boots a lab of profile fast, runs the drill's eight clients, and asks for one switchover after the other. For each move:
the longest pause without an acknowledgement among the region-aware clients of both regions, and where the time
went by the journal. Then the drill's own checker judges the histories: nothing may be lost or doubled. Lab figures.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from farshore.drill import product, scenarios, workload
from farshore.drill.checker import Evidence, judge
from farshore.drill.crewing import Crews
from farshore.drill.history import read_histories
from farshore.drill.measures import unix_offset_ns
from farshore.drill.monitor import Monitor
from farshore.drill.product import LabInfo
from farshore.drill.scenario import crews_in
from farshore.drill.terms import Terms

REST_S = 2.0


def main() -> None:
    options = _options()
    argv = ["--name", f"switch-{int(time.time()) % 100000}", "--one-way-ms", str(options.one_way_ms)]
    argv += ["--seed", str(options.seed)] + (["--jitter-ms", "0"] if options.one_way_ms == 0 else [])
    with product.lab(argv, lambda _: None) as info, tempfile.TemporaryDirectory() as directory:
        moves = list(_moves(info, Path(directory), options))
        _report(info, Path(directory), moves)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--one-way-ms", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _moves(info: LabInfo, directory: Path, options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    with info.connect(info.home_region, admin=True) as connection:
        workload.create(connection, user=info.database["app_user"])
    for table in workload.GUARDED_TABLES:
        info.run("guard", "install", "--table", table, "--json")
    crews = [crew for region in info.regions for crew in crews_in(region)]
    with _working(info, directory, options.seed, crews) as monitor:
        while monitor.least_acks() == 0:
            time.sleep(0.05)
            monitor.poll()
        for _ in range(options.moves):
            time.sleep(REST_S)
            yield _move(info)
        time.sleep(REST_S)


@contextmanager
def _working(info: LabInfo, directory: Path, seed: int, crews: Any) -> Iterator[Monitor]:
    crew = Crews(info, crews, directory, seed, scenarios.PACES["fast"])
    try:
        yield Monitor(directory, crews)
    finally:
        crew.stop()


def _move(info: LabInfo) -> list[dict[str, Any]]:
    """The journal's lines of one switchover to the other region."""
    done = subprocess.run(
        [*product.COMMAND, "switchover", "--json"],
        env={**os.environ, **info.env["outside"]},
        check=False,
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        print(f"  not moved: {done.stderr.strip()}", flush=True)
    return lines


def _report(info: LabInfo, directory: Path, moves: list[list[dict[str, Any]]]) -> None:
    histories = read_histories(directory)
    holder = moves[-1][-1]["holder"]
    with info.connect(holder) as connection:
        survivor = workload.read(connection, holder)
    terms = Terms(clients=8, faults_due=0, orphans_due=False, loss_allowed=False)
    judgement = judge(Evidence(histories, survivor, (), terms=terms))
    offset = unix_offset_ns(histories) or 0
    acks = sorted(a.returned for a in judgement.operations.acks() if a.kind == "aware")
    pauses = []
    for lines in moves:
        begun = lines[0]["at_unix_ms"] * 1_000_000 - offset
        ended = lines[-1]["at_unix_ms"] * 1_000_000 - offset
        gaps = [b - a for a, b in pairwise(acks) if b > begun and a < ended + 1_000_000_000]
        pauses.append(max(gaps) / 1e9)
        steps = ", ".join(f"{b['phase']} +{b['at_unix_ms'] - a['at_unix_ms']} ms" for a, b in pairwise(lines))
        print(f"  to {lines[-1]['holder']}: {pauses[-1]:.3f} s without an acknowledgement ({steps})")
    print(
        f"{len(pauses)} moves, one way {info.link_one_way_ms:g} ms: pause median {median(pauses):.3f} s, "
        f"range {min(pauses):.3f}-{max(pauses):.3f} s"
    )
    lost = len(judgement.losses.lost) + len(judgement.losses.late_bare_lost)
    print(
        f"verdict {judgement.verdict}: {judgement.acked} acknowledged, {lost} lost, {judgement.duplicate} doubled, "
        f"{len(judgement.writers.dual)} second-writer acknowledgements"
    )
    for finding in judgement.findings[:10]:
        print(f"  {finding}")


if __name__ == "__main__":
    main()
