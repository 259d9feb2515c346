"""Samples that the monitors miss while one database endpoint is a black hole.

    python -m benchmarks.black_hole [--minutes 10]

Boots a lab of profile fast and freezes the standby region's reader: its connections hang, nothing is refused. From the
observations in the authority table: how many each monitor wrote of those that were due at the profile's pace, how long
it ever was between two, and the longest silence of every endpoint that was not frozen. Lab figures.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import boto3
import psutil

from farshore.aws.journal import DynamoJournal
from farshore.core.profile import FAST
from farshore.drill import product
from farshore.drill.product import LabInfo
from farshore.names import Names
from farshore.ports import Sighting

EVERY_S = 0.1


@dataclass(slots=True)
class Written:
    """By loop the first and the last round that was seen; the longest pause between two observations, in ms."""

    rounds: dict[str, tuple[int, int]] = field(default_factory=dict)
    newest_unix_ms: int = 0
    longest_pause_ms: int = 0

    def note(self, sighting: Sighting) -> None:
        process, _, number = sighting.sequence.rpartition("/")
        first, last = self.rounds.get(process, (int(number), int(number)))
        self.rounds[process] = (min(first, int(number)), max(last, int(number)))
        if self.newest_unix_ms:
            self.longest_pause_ms = max(self.longest_pause_ms, sighting.at_unix_ms - self.newest_unix_ms)
        self.newest_unix_ms = max(self.newest_unix_ms, sighting.at_unix_ms)

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.rounds.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    name = f"hole-{int(time.time()) % 100000}"
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with product.lab(["--name", name], lambda _: None) as info, _frozen(name, f"{info.standby_region}-2"):
        _watch(info, name, minutes * 60)
    print(f"load after: {os.getloadavg()[0]:.1f}")


@contextlib.contextmanager
def _frozen(lab: str, instance: str) -> Iterator[None]:
    """The servers of one instance stand still; in a lab that has just begun, -2 is the reader."""
    server = next(p for p in psutil.process_iter(["cmdline"]) if _serves(p, lab, instance))
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def _serves(process: psutil.Process, lab: str, instance: str) -> bool:
    words = process.info["cmdline"] or [""]
    return "-D" in words and f"/{lab}/" in words[-1] and words[-1].endswith(f"/{instance}/data")


def journal_of(info: LabInfo, lab: str) -> DynamoJournal:
    names, env = Names(lab), info.env["outside"]
    dynamodb = boto3.client(
        "dynamodb",
        region_name=info.standby_region,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    return DynamoJournal(dynamodb, names.authority_table, names.global_cluster)


def _watch(info: LabInfo, lab: str, seconds: float) -> None:
    journal = journal_of(info, lab)
    written = {region: Written() for region in info.regions}
    silences: dict[str, int] = {}
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        for region, sighting in journal.read().sightings.items():
            written[region].note(sighting)
            for probed, seen in sighting.endpoints.items():
                for which, silent_ms in (
                    ("writer", seen.writer_silent_ms),
                    ("reader", seen.reader_silent_ms),
                ):
                    key = f"{probed} {which}"
                    silences[key] = max(silences.get(key, 0), silent_ms or 0)
        time.sleep(EVERY_S)
    _report(written, silences, time.monotonic() - began)


def _report(written: dict[str, Written], silences: dict[str, int], seconds: float) -> None:
    due = seconds * 1000 / FAST.probe_ms
    for region, one in written.items():
        missed = max(0.0, due - one.count)
        print(
            f"{region}: {one.count} of {due:.0f} observations due in {seconds:.0f} s, {missed:.0f} missed "
            f"({100 * missed / due:.1f} %), longest pause {one.longest_pause_ms} ms"
        )
    for endpoint, silent_ms in sorted(silences.items()):
        print(f"longest silence of {endpoint}: {silent_ms} ms")


if __name__ == "__main__":
    main()
