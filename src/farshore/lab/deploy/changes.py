"""Whether a program still asks for what was created."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from farshore.lab.deploy.values import comparable, is_file

_STEP = re.compile(r"""\.?([^.\[\]"]+)|\["([^"]*)"\]|\[(\d+|\*)\]""")


def stored(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the inputs: files as digests, and no write-only values.

    A write-only property is one whose name ends in Wo and that has a version beside it; only the version counts
    (https://www.pulumi.com/registry/packages/aws/ says so of each).
    """
    kept: dict[str, Any] = comparable(
        {name: value for name, value in inputs.items() if f"{name}Version" not in inputs}
    )
    return kept


def echoed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the program gets back of its inputs: all but the files, of which only digests are kept."""
    return {name: value for name, value in inputs.items() if not is_file(value)}


def between(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names of the properties that differ."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def ignoring(paths: Iterable[str], new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The new inputs with the old values at the ignored paths, as `ignore_changes` has it."""
    kept = dict(new)
    for path in paths:
        steps = [name or key or index for name, key, index in _STEP.findall(path)]
        _keep(kept, old, steps)
    return kept


def _keep(new: dict[str, Any], old: Mapping[str, Any], steps: list[str]) -> None:
    first, *rest = steps
    names = [*new, *(name for name in old if name not in new)] if first == "*" else [first]
    for name in names:
        if not rest:
            if name in old:
                new[name] = old[name]
            else:
                new.pop(name, None)
        elif isinstance(new.get(name), Mapping) and isinstance(old.get(name), Mapping):
            new[name] = dict(new[name])
            _keep(new[name], old[name], rest)
        elif isinstance(new.get(name), list) and isinstance(old.get(name), list):
            new[name] = _kept_in_list(new[name], old[name], rest)


def _kept_in_list(new: list[Any], old: list[Any], steps: list[str]) -> list[Any]:
    numbered = {str(place): value for place, value in enumerate(new)}
    _keep(numbered, {str(place): value for place, value in enumerate(old) if place < len(new)}, steps)
    return [numbered[place] for place in sorted(numbered, key=int)]
