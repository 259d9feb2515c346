"""CPU time and memory of the lag monitors, a cycle.

    python -m benchmarks.monitor_cost [--seconds 60]

Boots a lab of profile fast and reads, of each region's monitor function, the processor time that the kernel counted
while its observations advanced in the authority table. A cycle is four probes, the questions to CloudWatch that fall
due, the verdict and one write, and the runtime interface client and the SDK are in it. Lab figures.
"""

import argparse
import os
import time

import psutil
from benchmarks.black_hole import Written, journal_of

from farshore.drill import product
from farshore.drill.product import LabInfo
from farshore.names import Names

EVERY_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    name = f"cost-{int(time.time()) % 100000}"
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with product.lab(["--name", name], lambda _: None) as info:
        _measure(info, name, seconds)


def _measure(info: LabInfo, lab: str, seconds: float) -> None:
    journal = journal_of(info, lab)
    written = {region: Written() for region in info.regions}
    used_s: dict[tuple[str, int], tuple[float, float]] = {}
    largest: dict[str, int] = {}
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        for region, sighting in journal.read().sightings.items():
            written[region].note(sighting)
        for region in info.regions:
            for process in _running(Names(lab).monitor_function(region)):
                times = process.cpu_times()
                now_s = times.user + times.system
                used_s[region, process.pid] = (used_s.get((region, process.pid), (now_s, 0.0))[0], now_s)
                largest[region] = max(largest.get(region, 0), process.memory_info().rss)
        time.sleep(EVERY_S)
    for region, one in written.items():
        cpu_s = sum(last - first for (where, _), (first, last) in used_s.items() if where == region)
        print(
            f"{region}: {one.count} cycles in {seconds:.0f} s, {1000 * cpu_s / one.count:.1f} ms of CPU each, "
            f"{largest[region] / 1e6:.0f} MB at most"
        )


def _running(function: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


if __name__ == "__main__":
    main()
