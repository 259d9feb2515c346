"""What a lab can be told. Imports little: wrong use is refused before anything heavy is loaded."""

from dataclasses import dataclass

from farshore.core.errors import UsageError
from farshore.core.profile import PROFILES
from farshore.lab.directory import valid_name

DNS_TRIGGERS = ("metric", "https")


@dataclass(frozen=True, slots=True)
class Options:
    """`cadence` speeds up AWS's own evaluation loops only; at 1 they are AWS's."""

    name: str
    profile: str = "fast"
    cadence: int = 60
    seed: int = 1
    ttl_s: int = 1
    postgres: str | None = None
    one_way_ms: float = 30.0
    jitter_ms: float = 3.0
    dns_trigger: str = "metric"

    def __post_init__(self) -> None:
        valid_name(self.name)
        if self.profile not in PROFILES:
            raise UsageError(f"--profile {self.profile!r}: use one of {', '.join(PROFILES)}.")
        if self.dns_trigger not in DNS_TRIGGERS:
            raise UsageError(f"--dns-trigger {self.dns_trigger!r}: use one of {', '.join(DNS_TRIGGERS)}.")
        for option, value, least in (
            ("--cadence", self.cadence, 1),
            ("--ttl", self.ttl_s, 1),
            ("--seed", self.seed, 0),
        ):
            if value < least:
                raise UsageError(f"{option} {value}: use {least} or more.")
