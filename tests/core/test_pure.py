"""The core does no I/O, reads no clock, throws no dice: its imports say so."""

import ast
from pathlib import Path

import pytest

import farshore.core

FILES = sorted(Path(farshore.core.__file__).parent.rglob("*.py"))
ALLOWED = {"dataclasses", "enum", "typing", "collections.abc"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_are_pure(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name in ALLOWED or name.startswith("farshore.core"), f"{path.name} imports {name}"
