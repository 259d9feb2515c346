"""The options of a lab, said once: as typed, as the lab takes them, and as the command line of another process."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from farshore.core.errors import UsageError

if TYPE_CHECKING:
    from farshore.lab.options import Options


@dataclass(frozen=True, slots=True)
class Typed:
    """A field's name is its option's: `one_way_ms` is `--one-way-ms`. None: not given."""

    name: Annotated[
        str, typer.Option("--name", "--lab", help="The lab's name; also the suffix of its AWS names.")
    ] = "lab"
    profile: Annotated[
        str, typer.Option("--profile", help="fast or aws: how fast farshore watches and decides.")
    ] = "fast"
    cadence: Annotated[
        int, typer.Option("--cadence", help="How many times faster AWS's own evaluation loops run.")
    ] = 60
    seed: Annotated[int, typer.Option("--seed", help="Seed of the lab's own choices (jitter).")] = 1
    ttl: Annotated[
        int | None,
        typer.Option("--ttl", help="TTL of the writer's DNS name in seconds (1 in fast, 60 in aws)."),
    ] = None
    postgres: Annotated[
        str | None, typer.Option("--postgres", help="An installed PostgreSQL: its major or its path.")
    ] = None
    one_way_ms: Annotated[float, typer.Option("--one-way-ms", help="One-way delay of each WAN link.")] = 30.0
    jitter_ms: Annotated[float, typer.Option("--jitter-ms", help="Jitter of that delay, plus or minus.")] = (
        3.0
    )
    dns_trigger: Annotated[
        str, typer.Option("--dns-trigger", help="What moves DNS: metric, or https (as in the stack).")
    ] = "metric"

    def checked(self) -> "Options":
        """Raises UsageError for what the lab does not take, and when the lab is not installed."""
        if any(find_spec(needed) is None for needed in ("moto", "psutil")):
            raise UsageError("the lab is an extra: pip install 'farshore[lab]'.")
        from farshore.lab.options import Options

        ttl_s = self.ttl if self.ttl is not None else 1 if self.profile == "fast" else 60
        return Options(
            self.name,
            self.profile,
            self.cadence,
            self.seed,
            ttl_s,
            self.postgres,
            self.one_way_ms,
            self.jitter_ms,
            self.dns_trigger,
        )

    def words(self) -> list[str]:
        """What to type to say the same again."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            word
            for name, value in given.items()
            if value is not None
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]


def takes_lab_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is a `Typed`, the options that make one, before its own."""
    options = list(inspect.signature(Typed).parameters.values())
    own = list(inspect.signature(command).parameters.values())[1:]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*options, *own)]

    def with_options(**given: object) -> None:
        typed = Typed(**{option.name: given.pop(option.name) for option in options})  # type: ignore[arg-type]
        command(typed, **given)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options
