"""Property values on their way between the program and AWS: protobuf in, plain Python inside, protobuf out.

The signatures that mark secrets, assets and archives inside a struct are Pulumi's wire format:
https://pulumi-developer-docs.readthedocs.io/latest/developer-docs/providers/implementers-guide.html
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a signature, not a secret
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
DIGEST = "file-sha256"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class File:
    """An asset's bytes, or an archive's as a zip; equal contents are equal files, wherever they lie."""

    content: bytes = field(repr=False, compare=False)
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "File":
        return cls(content, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Properties:
    """A resource's properties without wrappers; the names of those that hold a secret or something unknown."""

    values: dict[str, Any]
    secret: frozenset[str]
    unknown: frozenset[str]


def read(struct: struct_pb2.Struct, root: Path) -> Properties:
    """`root` is where the program's relative paths start. Nulls count as not given."""
    values: dict[str, Any] = {}
    secret: set[str] = set()
    unknown: set[str] = set()
    for name, value in struct.fields.items():
        reader = _Reader(root)
        found = reader.value(value)
        if found is not None:
            values[name] = found
        if reader.secret:
            secret.add(name)
        if reader.unknown:
            unknown.add(name)
    return Properties(values, frozenset(secret), frozenset(unknown))


def write(values: Mapping[str, Any], secret: Iterable[str]) -> struct_pb2.Struct:
    """The other way; secrets are wrapped, so that the program keeps them secret."""
    hidden = set(secret)
    struct = struct_pb2.Struct()
    struct.update(
        {
            name: {SIGNATURE: SECRET, "value": value} if name in hidden else value
            for name, value in values.items()
        }
    )
    return struct


def comparable(value: Any) -> Any:
    """The value as JSON can hold it: a file is its digest."""
    if isinstance(value, File):
        return {DIGEST: value.sha256}
    if isinstance(value, Mapping):
        return {name: comparable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [comparable(part) for part in value]
    return value


def is_file(value: Any) -> bool:
    """Whether this is what `comparable` makes of a file."""
    return isinstance(value, Mapping) and value.keys() == {DIGEST}


def hide(text: str, secrets: Iterable[Any]) -> str:
    """The text without any of the secret strings."""
    for secret in sorted({leaf for value in secrets for leaf in _leaves(value)}, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _SHORTEST_SECRET:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)


class _Reader:
    """Reads one property and remembers what it met on the way."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.secret = False
        self.unknown = False

    def value(self, value: struct_pb2.Value) -> Any:
        match value.WhichOneof("kind"):
            case "string_value":
                self.unknown |= value.string_value == UNKNOWN
                return value.string_value
            case "number_value":
                number = value.number_value
                return int(number) if number.is_integer() else number
            case "bool_value":
                return value.bool_value
            case "list_value":
                return [self.value(part) for part in value.list_value.values]
            case "struct_value":
                return self._struct(value.struct_value)
        return None

    def _struct(self, struct: struct_pb2.Struct) -> Any:
        fields = struct.fields
        match fields[SIGNATURE].string_value if SIGNATURE in fields else None:
            case None:
                return {name: self.value(part) for name, part in fields.items()}
            case signature if signature == SECRET:
                self.secret = True
                return self.value(fields["value"])
            case signature if signature == ASSET:
                return File.of(self._asset(struct))
            case signature if signature == ARCHIVE:
                return File.of(self._archive(struct))
            case signature:
                raise ValueError(f"a value of an unknown kind, {signature}")

    def _asset(self, struct: struct_pb2.Struct) -> bytes:
        if "text" in struct.fields:
            return str(struct.fields["text"].string_value).encode()
        return self._path(struct).read_bytes()

    def _archive(self, struct: struct_pb2.Struct) -> bytes:
        """A file that is an archive already is taken as it is; directories and maps become a repeatable zip."""
        if "assets" not in struct.fields and (path := self._path(struct)).is_file():
            return path.read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(self._members(struct)):
                archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
        return packed.getvalue()

    def _members(self, struct: struct_pb2.Struct) -> Iterator[tuple[str, bytes]]:
        if "assets" not in struct.fields:
            path = self._path(struct)
            if not path.is_dir():
                raise FileNotFoundError(f"No such file or directory: {path}")
            for file in path.rglob("*"):
                if file.is_file():
                    yield str(file.relative_to(path)), file.read_bytes()
            return
        for name, part in struct.fields["assets"].struct_value.fields.items():
            inner = part.struct_value
            if inner.fields[SIGNATURE].string_value == ASSET:
                yield name, self._asset(inner)
            else:
                for below, content in self._members(inner):
                    yield f"{name}/{below}", content

    def _path(self, struct: struct_pb2.Struct) -> Path:
        if "path" not in struct.fields:
            raise ValueError("assets come as text or as a path; the lab fetches nothing")
        return self._root / str(struct.fields["path"].string_value)
