"""What a call asks for, in whichever protocol it was asked: the parameters that name resources."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

from farshore.lab.cloud.wire import HttpRequest

_MEMBER = re.compile(r"(?P<name>\w+)(\.\w+)?\.\d+")


@dataclass(frozen=True)
class Asked:
    """One call's parameters; `account` and `region` complete a bare name to an ARN."""

    account: str
    region: str
    request: HttpRequest

    def one(self, name: str) -> str | None:
        """A parameter's text, or None when it was not given."""
        value = self._parameters.get(name)
        return None if value is None else str(value)

    def many(self, name: str) -> list[Any]:
        """A list parameter, in JSON or as Name.member.1, Name.member.2 and so on."""
        value = self._parameters.get(name)
        if isinstance(value, list):
            return value
        return [
            given
            for key, given in self._parameters.items()
            if (shape := _MEMBER.fullmatch(key)) and shape["name"] == name
        ]

    def document(self, name: str) -> dict[str, Any]:
        value = self._parameters.get(name)
        return value if isinstance(value, dict) else {}

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path of a REST call, split and unquoted."""
        return tuple(unquote(part) for part in self.request.path.strip("/").split("/"))

    @cached_property
    def xml(self) -> ET.Element:
        return ET.fromstring(self.request.body)  # noqa: S314 - the lab's own user wrote it, on this computer

    @cached_property
    def _parameters(self) -> Mapping[str, Any]:
        body = self.request.body
        if self.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if body[:1] == b"{":
            return dict(json.loads(body))
        return {}
