"""Route 53's health checkers: each asks every endpoint over HTTPS at its own pace, and none knows of the others.

Rules: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
(connected within four seconds, a status of 2xx or 3xx within two more, certificates are not verified) and
https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html. The lab has checkers in three
regions, the fewest that Route 53 takes; one whose region is lost says nothing.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from farshore.lab.cloud.health import Endpoint, Opinion, Verdict, aggregate, heard
from farshore.lab.ports import Address

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
CONNECT_S, ANSWER_S = 4.0, 2.0
FASTEST_S = 2.0
"""No checker asks more often than this, whatever the cadence: each question runs a function."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a checker saw last, in the words of GetHealthCheckStatus."""

    region: str
    passed: bool
    words: str


class Checkers:
    """`find` gives the address behind a host name; `on_change` is told that some verdict may have changed.

    Nothing is asked before `begin`: while a lab boots, its processors have other things to do.
    """

    def __init__(
        self,
        find: Callable[[str], Address | None],
        cadence: int = 1,
        lost: Callable[[str], bool] = lambda _region: False,
    ) -> None:
        self._find, self._cadence, self._lost = find, cadence, lost
        self.on_change: Callable[[], object] = lambda: None
        self._wanted: dict[str, Endpoint] = {}
        self._opinions: dict[tuple[str, str], Opinion] = {}
        self._reports: dict[tuple[str, str], Report] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._first = threading.Lock()
        self._begun = threading.Event()

    def begin(self) -> None:
        self._begun.set()

    def follow(self, wanted: Mapping[str, Endpoint]) -> None:
        """Ask these endpoints, by health check, and no other; a check that is new begins without data."""
        with self._lock:
            fresh = wanted.keys() - self._wanted.keys()
            self._wanted = dict(wanted)
            for key in [key for key in self._opinions if key[0] not in wanted]:
                self._opinions.pop(key), self._reports.pop(key, None)
        for check in fresh:
            for region in REGIONS:
                name = f"checker-{region}"
                threading.Thread(target=self._ask_on, args=(check, region), name=name, daemon=True).start()

    def verdict(self, check: str) -> Verdict:
        with self._lock:
            return aggregate(
                opinion
                for (of, region), opinion in self._opinions.items()
                if of == check and not self._lost(region)
            )

    def reports(self, check: str) -> list[Report]:
        with self._lock:
            return [report for (of, _), report in sorted(self._reports.items()) if of == check]

    def close(self) -> None:
        self._closing.set()
        self._begun.set()

    def _ask_on(self, check: str, region: str) -> None:
        """Until the check is gone. Each checker begins at an instant of its own, and first questions come one by one:
        all at once they would start a function each, and these would starve the lab."""
        self._begun.wait()
        endpoint = self._wanted.get(check)
        if endpoint is None:
            return
        due = time.monotonic() + zlib.crc32(f"{check}{region}".encode()) / 2**32 * self._interval_s(endpoint)
        with self._first:
            if not self._closing.is_set() and not self._lost(region):
                self._note(check, endpoint, self._ask(endpoint, region))
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            endpoint = self._wanted.get(check)
            if endpoint is None:
                return
            if not self._lost(region):
                self._note(check, endpoint, self._ask(endpoint, region))
            due = max(due + self._interval_s(endpoint), time.monotonic())

    def _interval_s(self, endpoint: Endpoint) -> float:
        return max(endpoint.interval_s / self._cadence, FASTEST_S)

    def _note(self, check: str, endpoint: Endpoint, report: Report) -> None:
        key = (check, report.region)
        with self._lock:
            if check not in self._wanted:
                return
            before = self._opinions.get(key, Opinion())
            after = heard(before, report.passed, endpoint.failures)
            self._opinions[key], self._reports[key] = after, report
        if after.healthy != before.healthy:
            self.on_change()

    def _ask(self, endpoint: Endpoint, region: str) -> Report:
        try:
            status, phrase = self._status(endpoint)
        except (OSError, http.client.HTTPException) as error:
            return Report(region, passed=False, words=f"Failure: {error or type(error).__name__}")
        passed = 200 <= status < 400  # noqa: PLR2004 - as documented
        word = "Success" if passed else "Failure"
        return Report(region, passed, f"{word}: HTTP Status Code {status}, {phrase}")

    def _status(self, endpoint: Endpoint) -> tuple[int, str]:
        address = self._find(endpoint.host)
        if address is None:
            raise OSError(f"DNS resolution failed: {endpoint.host}")
        request = (
            f"GET {endpoint.path} HTTP/1.1\r\nHost: {endpoint.host}\r\nConnection: close\r\nAccept: */*\r\n"
            "User-Agent: Amazon-Route53-Health-Check-Service (lab)\r\n\r\n"
        )
        with contextlib.ExitStack() as held:
            plain = held.enter_context(socket.create_connection((address.host, address.port), CONNECT_S))
            plain.settimeout(ANSWER_S)
            secure = held.enter_context(_context().wrap_socket(plain, server_hostname=endpoint.host))
            secure.sendall(request.encode())
            reply = http.client.HTTPResponse(secure)
            reply.begin()
            return reply.status, reply.reason


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
