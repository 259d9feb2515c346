"""How long DNS takes to follow authority, by what moves it: the metric or the HTTPS endpoints.

    python benchmarks/dns_follow.py [--trigger metric --trigger https] [--pace fast --pace aws] [--moves 3]

For each trigger and pace it boots a lab, moves the writer there and back, and asks the resolver of each region and the
one outside ten times a second. Zero is the journal's instant at which the new epoch was held. `fast`: AWS's own loops
60 times faster, TTL 1 s; `aws`: at AWS's intervals (alarm period 60 s, HTTPS checks every 10 s), TTL 60 s. farshore's
own profile is `fast` in both, so that the moves are short; with profile `aws` the metric is published every 20 s
instead of every 0.4 s. Lab figures.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from farshore.client.names import Resolver
from farshore.drill import product
from farshore.drill.product import LabInfo

PACES: Mapping[str, tuple[int, int]] = {"fast": (60, 1), "aws": (1, 60)}
"""By name the cadence and the TTL in seconds."""
EVERY_S, GIVE_UP_S, REST_S = 0.1, 400.0, 3.0


@dataclass(frozen=True, slots=True)
class Followed:
    """Seconds from the grant of the new epoch until the first and the last resolver answered with its region."""

    first_s: float
    last_s: float


def main() -> None:
    options = _options()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for pace in options.pace or list(PACES):
        for trigger in options.trigger or ["metric", "https"]:
            cadence, ttl_s = PACES[pace]
            argv = ["--name", f"dns-{int(time.time()) % 100000}", "--seed", "1", "--dns-trigger", trigger]
            argv += ["--cadence", str(cadence), "--ttl", str(ttl_s)]
            with product.lab(argv, lambda _: None) as info:
                _report(
                    f"{trigger:<7} cadence {cadence:<3} TTL {ttl_s:>2} s",
                    list(_moves(info, options.moves)),
                    ttl_s,
                )
    print(f"load after: {os.getloadavg()[0]:.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trigger", action="append", choices=["metric", "https"])
    parser.add_argument("--pace", action="append", choices=list(PACES))
    parser.add_argument("--moves", type=int, default=3)
    return parser.parse_args()


def _moves(info: LabInfo, times: int) -> Iterator[Followed]:
    for _ in range(times):
        time.sleep(REST_S)
        yield _move(info)


def _move(info: LabInfo) -> Followed:
    done = subprocess.run(
        [*product.COMMAND, "switchover", "--json"],
        env={**os.environ, **info.env["outside"]},
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    held = next(line for line in reversed(lines) if line.get("phase") == "HELD")
    wanted, granted_s = info.endpoints[held["holder"]]["writer"], held["at_unix_ms"] / 1000
    followed: dict[str, float] = {}
    while len(followed) < len(info.dns):
        for view, resolver in info.dns.items():
            if view not in followed and Resolver((resolver,)).find(info.writer_name, 3.0).canonical == wanted:
                followed[view] = time.time() - granted_s
        if time.time() - granted_s > GIVE_UP_S:
            raise SystemExit(f"DNS did not follow within {GIVE_UP_S:.0f} s")
        time.sleep(EVERY_S)
    return Followed(min(followed.values()), max(followed.values()))


def _report(what: str, found: list[Followed], ttl_s: int) -> None:
    first, last = sorted(one.first_s for one in found), max(one.last_s for one in found)
    print(
        f"{what}: {len(found)} moves, first resolver {median(first):6.1f} s ({first[0]:.1f}-{first[-1]:.1f}), "
        f"all resolvers within {last:6.1f} s, a client that had just asked within {last + ttl_s:6.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
