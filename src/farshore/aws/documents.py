"""The table's JSON documents as the dataclasses they were, each value checked against its annotation.

Made for the journal's own types: dataclasses, str, int, bool, enums, Literal, `X | None`, tuples, sequences, mappings.
"""

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from farshore.core.errors import FarshoreError

T = TypeVar("T")


class JournalDamagedError(FarshoreError):
    """The table holds something this version cannot read; nothing may be decided on it."""


def decode(kind: type[T], text: str) -> T:
    """The object that a document stands for. Raises JournalDamagedError naming what is wrong with it."""
    try:
        return cast("T", _value(kind, json.loads(text), kind.__name__))
    except (ValueError, RecursionError) as error:
        raise JournalDamagedError(f"the table's {kind.__name__} cannot be read: {error}: {text}") from error


def decode_item(kind: type[T], item: Mapping[str, Any]) -> T:
    """The object that an item of the table holds as its document. Raises JournalDamagedError without one."""
    document = item.get("document", {})
    if "S" not in document:
        held = f"is of type {', '.join(document)}, not S" if document else "is missing"
        raise JournalDamagedError(
            f"the table's {kind.__name__} cannot be read: the document of {item['entry_key']['S']!r} {held}"
        )
    return decode(kind, document["S"])


def encode(value: Any) -> str:
    """One line of JSON; `value` is one of the journal's dataclasses."""
    return json.dumps(dataclasses.asdict(value), separators=(",", ":"))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, value: Any, at: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (some,) = (one for one in inner if one is not types.NoneType)
        return None if value is None else _value(some, value, at)
    if origin is Literal:
        return _as(value in inner, value, at, kind)
    if origin in (tuple, Sequence):
        return tuple(_items(origin, inner, _as(isinstance(value, list), value, at, kind), at))
    if origin is Mapping:
        _as(isinstance(value, dict), value, at, kind)
        return {key: _value(inner[1], one, f"{at}.{key}") for key, one in value.items()}
    if dataclasses.is_dataclass(kind):
        return _object(kind, _as(isinstance(value, dict), value, at, kind), at)
    if issubclass(kind, Enum):
        return kind(_as(value in [one.value for one in kind], value, at, kind))
    return _as(type(value) is kind, value, at, kind)


def _as(fits: bool, value: Any, at: str, kind: Any) -> Any:
    if not fits:
        raise ValueError(f"{at} = {value!r} is no {getattr(kind, '__name__', kind)}")
    return value


def _items(origin: Any, inner: tuple[Any, ...], values: list[Any], at: str) -> list[Any]:
    alike = origin is Sequence or inner[-1] is ...
    kinds = [inner[0]] * len(values) if alike else list(inner)
    if len(kinds) != len(values):
        raise ValueError(f"{at} has {len(values)} values, not {len(kinds)}")
    return [_value(kind, one, f"{at}[{n}]") for n, (kind, one) in enumerate(zip(kinds, values, strict=True))]


def _object(kind: Any, document: dict[str, Any], at: str) -> Any:
    """A field of a newer version is refused: what it means is not known."""
    hints = _hints(kind)
    strange = document.keys() - hints.keys()
    if strange:
        raise ValueError(f"{at} has fields that this version does not know: {', '.join(sorted(strange))}")
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in document and field.default is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{at} lacks {', '.join(missing)}")
    return kind(**{name: _value(hints[name], value, f"{at}.{name}") for name, value in document.items()})
